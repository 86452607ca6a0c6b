"""A web server that wants a password, from adding it to a clone that has the media: with real git and real HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.conftest import Checkout
from tests.remotes.forward_proxy import forwarding
from tests.remotes.real_servers import PASSWORD, USER, Started
from tests.remotes.web_server import Handler, WebServer, serving

PHOTO = "refs/photo.png"
_RIGHT = "Basic " + base64.b64encode(b"ada:secret").decode()


@pytest.fixture
def server(tmp_path: Path):
    def guard(handler: Handler) -> bool:
        if handler.headers.get("Authorization") == _RIGHT:
            return False
        list(handler.take(handler.length))
        handler.answer(401, b"who are you?", WWW_Authenticate='Basic realm="studio"')
        return True

    (tmp_path / "www").mkdir()
    with serving(tmp_path / "www") as made:
        made.fault = guard
        yield made


def test_from_adding_to_a_clone(film: Checkout, tmp_path: Path, server: WebServer):
    refused = film.run("regenstore", "remote", "add", "web", server.url + "/film", check=False)
    assert refused.returncode == 6 and b"credentials" in refused.stderr

    netrc = Path(film.environment["HOME"]) / ".netrc"
    netrc.write_text("machine 127.0.0.1 login ada password secret\n")
    netrc.chmod(0o600)
    said = film.regenstore("remote", "add", "web", server.url + "/film")
    assert said.count("yes ") == 6 and said.count("no   ") == 1 and "no listings" in said

    assert json.loads(film.regenstore("push", "--json"))["records"] > 0
    assert "already" in film.regenstore("push")
    assert film.run("regenstore", "remote", "check", check=False).returncode == 0
    for path in (film.path / ".git").rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes(), path

    other = Checkout(tmp_path / "clone", film.environment)
    film.git("clone", "-q", str(film.path), str(other.path))
    other.regenstore("init")
    other.regenstore("remote", "add", "web", server.url + "/film", "--no-check")
    other.regenstore("get")
    assert other.read(PHOTO) == film.read(PHOTO) and other.status() == ""


@pytest.mark.heavy
@pytest.mark.parametrize("server_name", ["nginx-dav", "seaweedfs-dav"])
def test_a_folder_that_is_not_there_and_a_proxy(film: Checkout, servers: Started, server_name: str):
    """WebDAV behind a proxy with a login: without --create it says what is missing, with it all is made."""
    netrc = Path(film.environment["HOME"]) / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    with servers.room(server_name) as url, forwarding("ada:proxywords") as proxy:
        film.environment["http_proxy"] = f"http://ada:wrongwords@127.0.0.1:{proxy.port}"
        refused = film.run("regenstore", "remote", "add", "web", f"{url}/a/film", check=False)
        assert refused.returncode == 6 and b"407" in refused.stderr and b"wrongwords" not in refused.stderr
        film.environment["http_proxy"] = f"http://ada:proxywords@127.0.0.1:{proxy.port}"
        if server_name == "nginx-dav":
            missing = film.run("regenstore", "remote", "add", "web", f"{url}/a/film", check=False)
            assert (
                missing.returncode == 6
                and b"the folder does not exist" in missing.stderr
                and b"--create" in missing.stderr
            )
            assert json.loads(film.regenstore("remote", "list", "--json"))["remotes"] == []
        said = film.regenstore("remote", "add", "web", f"{url}/a/film", "--create", "--limit", "1m")
        assert said.count("yes ") == 7
        assert json.loads(film.regenstore("push", "--json"))["records"] > 0
        (told,) = json.loads(film.regenstore("remote", "check", "--json"))["remotes"]
        assert max(told["bytes_per_second"].values()) < 1.1 * (1 << 20) and told["sample"]["there"] == 2
        asked = len(proxy.asked)
        assert asked > 20 and {target.startswith(url) for _, target in proxy.asked} == {True}
        film.environment["no_proxy"] = "localhost,127.0.0.1"
        film.regenstore("push")
        assert len(proxy.asked) == asked
    for path in (film.path / ".git").rglob("*"):
        assert not path.is_file() or b"proxywords" not in path.read_bytes(), path
