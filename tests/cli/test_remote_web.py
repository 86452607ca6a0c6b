"""A web server that wants a password, from adding it to a clone that has the media: with real git and real HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.conftest import Checkout
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
