"""Servers with SSH: whom we speak to and as whom, and connections that end at any moment. Against OpenSSH's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from regenstore.errors import InvalidInput, NotFound, StorageError
from regenstore.refs.credentials import credentials
from regenstore.remotes import layout
from regenstore.remotes.backends.contract import Head
from regenstore.remotes.backends.opening import open_backend
from regenstore.remotes.settings import SshSetting
from tests.conftest import noise
from tests.remotes.real_servers import PASSWORD, USER, Started, alone, program, sshd
from tests.remotes.test_faults import Side, kind

SIZE = 24_000_000
KILL_AT = 6_000_000
NAME = "v1/cas/01/" + "01" * 32


def nobody(url: str) -> tuple[str, str] | None:
    return None


class Place:
    """A folder on an SSH server, and the user's own SSH folder here."""

    def __init__(self, url: str, ssh: Path) -> None:
        self.url, self.ssh = url, ssh
        self.folder = Path(urlsplit(url).path)
        self.port = urlsplit(url).port

    def opened(self, url: str = "", *, agent: str = "", alive: float = 15):
        from regenstore.remotes.backends.sftp import Sftp

        return Sftp(url or self.url, nobody, SshSetting(str(self.ssh), agent), alive=alive)

    def refused(self, url: str = "") -> StorageError:
        with closing(self.opened(url)) as backend, pytest.raises(StorageError) as caught:
            backend.head(NAME)
        assert caught.value.kind == "remote-refused"
        return caught.value

    def works(self, url: str = "", agent: str = "") -> bool:
        with closing(self.opened(url, agent=agent)) as backend:
            return backend.head(NAME) is None


@pytest.fixture
def place(servers: Started, tmp_path: Path) -> Iterator[Place]:
    pytest.importorskip("asyncssh")
    with servers.room("sshd") as url:
        shutil.copytree(Path(os.environ["HOME"]) / ".ssh", tmp_path / "home" / ".ssh")
        os.environ["HOME"] = str(tmp_path / "home")
        yield Place(url, tmp_path / "home" / ".ssh")


@pytest.fixture
def side(place: Place, tmp_path: Path) -> Iterator[Callable[..., Side]]:
    sides = []

    def make(name: str = "here", retries: int = 0, alive: float = 15) -> Side:
        sides.append(Side(tmp_path / name, place.opened(alive=alive), retries))
        return sides[-1]

    yield make
    for each in sides:
        each.close()


def end_sessions(how: signal.Signals = signal.SIGKILL) -> set[int]:
    """Send a signal to the servers' processes that serve connections of this process."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    ours, ended = {os.getpid()}, set()
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    for pid in ours:
        try:
            said = Path(f"/proc/{pid}/cmdline").read_bytes()
            if said.startswith(b"sshd: ") and b"[listener]" not in said:
                os.kill(pid, how)
                ended.add(pid)
        except OSError:
            continue
    return ended


class Ends(Side):
    """Ends the server's sessions while something is moved."""

    left = 0
    how = signal.SIGKILL

    def __init__(self, folder: Path, place: Place, retries: int, alive: float) -> None:
        super().__init__(folder, place.opened(alive=alive), retries)
        self.place, self.ended, self.parts = place, 0, 0
        self.known: set[int] = set()

    def count(self, digest, more: int) -> None:
        super().count(digest, more)
        if self.left and self.told >= KILL_AT:
            parts_now = len(parts(self.place))
            if fresh := end_sessions(self.how) - self.known:
                self.known |= fresh
                self.left, self.ended, self.parts = self.left - 1, self.ended + 1, parts_now


@pytest.fixture
def ends(place: Place, tmp_path: Path) -> Iterator[Callable[..., Ends]]:
    made = []

    def make(times: int, retries: int, how: signal.Signals = signal.SIGKILL) -> Ends:
        side = Ends(tmp_path / "ends", place, retries, 0.4 if how == signal.SIGSTOP else 15)
        side.left, side.how = times, how
        made.append(side)
        return side

    yield make
    for each in made:
        each.close()
    end_sessions()


def parts(place: Place) -> list[Path]:
    return list(place.folder.rglob(".part-*"))


# ------------------------------------------------------------------------------------------- broken connections


@pytest.mark.heavy
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_upload_whose_connection_ends_is_sent_again(place: Place, ends: Callable[..., Ends], how) -> None:
    data, here = noise("up", SIZE), ends(2, 4, how)
    digest = here.put(data)
    moved = here.send(digest)
    assert moved.error is None and here.ended == 2
    assert (place.folder / layout.content(digest)).read_bytes() == data
    assert here.told == SIZE and here.remote.confirm([digest]) == {digest: SIZE}
    assert here.parts == 1 and parts(place) == [], "what was left is removed at the next connection"


@pytest.mark.heavy
def test_an_upload_that_always_ends_is_not_believed(
    place: Place, ends: Callable[..., Ends], side: Callable[..., Side]
) -> None:
    here = ends(100, 2)
    data = noise("up", SIZE)
    digest = here.put(data)
    assert kind(here.send(digest).error) == "remote-unreachable" and here.ended >= 3
    assert here.parts == 1 and not (place.folder / layout.content(digest)).exists()
    assert here.remote.having([digest]) == {} == here.remote.confirm([digest])
    assert parts(place) == []
    here.left = 0
    assert here.send(digest).error is None
    assert side("other").bring(digest, SIZE).error is None


@pytest.mark.heavy
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_download_goes_on_where_it_was(
    place: Place, ends: Callable[..., Ends], side: Callable[..., Side], how
) -> None:
    data, there = noise("down", SIZE), side("there")
    digest = there.put(data)
    assert there.send(digest).error is None
    here = ends(2, 4, how)
    moved = here.bring(digest, SIZE)
    assert moved.error is None and here.holds(digest, data)
    assert here.told == SIZE and here.ended >= 2


@pytest.mark.heavy
def test_another_process_goes_on_with_a_download(
    place: Place, ends: Callable[..., Ends], side: Callable[..., Side]
) -> None:
    data, there = noise("down", SIZE), side("there")
    digest = there.put(data)
    assert there.send(digest).error is None
    here = ends(100, 0)
    assert kind(here.bring(digest, SIZE).error) == "remote-unreachable" and here.store.stored(digest) is None
    again = side("ends")
    seen: list[int] = []
    moved = next(again.remote.bring([(digest, SIZE)], lambda digest, more: seen.append(more)))
    assert moved.error is None and again.holds(digest, data)
    assert seen[0] >= KILL_AT, "what was there already"


@pytest.mark.heavy
def test_wrong_bytes_and_half_files_never_become_a_content(place: Place, side: Callable[..., Side]) -> None:
    data, here = noise("right", SIZE), side(retries=1)
    digest = here.put(data)
    target = place.folder / layout.content(digest)
    target.parent.mkdir(parents=True)
    for number, wrong in enumerate(
        (data[: SIZE // 2], b"", data + b"x", data[:99] + b"%c" % (data[99] ^ 1) + data[100:])
    ):
        target.write_bytes(wrong)
        other = side(f"other{number}", retries=1)
        assert kind(other.bring(digest, SIZE).error) == "remote-wrong-bytes"
        assert other.store.stored(digest) is None and here.remote.confirm([digest]) == {}


@pytest.mark.heavy
def test_a_server_that_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("asyncssh")
    (tmp_path / "sshd").mkdir()
    before = os.environ["HOME"]
    try:
        with alone():
            with sshd(tmp_path / "sshd") as room:
                place = Place(room(), tmp_path / "sshd" / "home" / ".ssh")
                backend = place.opened()
                backend.write(NAME, b"x")
                assert end_sessions()
            with closing(backend), pytest.raises(StorageError) as caught:
                backend.head(NAME)
            assert caught.value.kind == "remote-unreachable"
            with closing(place.opened()) as fresh, pytest.raises(StorageError) as caught:
                fresh.head(NAME)
            assert caught.value.kind == "remote-unreachable" and "Errno" not in caught.value.message
    finally:
        os.environ["HOME"] = before


@pytest.mark.heavy
def test_many_write_the_same_where_nothing_can_be_renamed_over(servers: Started) -> None:
    pytest.importorskip("asyncssh")
    with servers.room("sshd-plain") as url:
        place = Place(url, Path(os.environ["HOME"]) / ".ssh")
        with closing(place.opened()) as one, closing(place.opened()) as two, ThreadPoolExecutor(8) as pool:
            data = noise("same", 200_000)
            done = [pool.submit((one, two)[number % 2].write, NAME, data) for number in range(40)]
            for each in done:
                each.result()
            assert b"".join(one.read(NAME)) == data and parts(place) == []


# ------------------------------------------------------------------------------------------- whom we speak to


@pytest.mark.heavy
def test_an_unknown_host_key_is_refused_and_not_added(place: Place) -> None:
    assert place.works()
    known = place.ssh / "known_hosts"
    entry = known.read_text()
    known.unlink()
    (place.ssh / "config").write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile none\n")
    error = place.refused()
    assert "known_hosts" in error.message and f"ssh -p {place.port} " in error.hint
    (place.ssh / "config").unlink()
    assert place.refused().hint == error.hint and not known.exists()
    known.write_text(entry)
    assert place.works()
    # By its name: an address that is known says nothing about a name that leads there.
    assert "known_hosts" in place.refused(place.url.replace("127.0.0.1", "localhost")).message


@pytest.mark.heavy
def test_a_changed_host_key_is_refused(place: Place, tmp_path: Path) -> None:
    keygen = program("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    known = place.ssh / "known_hosts"
    entry = known.read_text()
    known.write_text(f"{entry.split()[0]} {(tmp_path / 'other.pub').read_text()}")
    error = place.refused()
    assert "host key differs" in error.message and f"ssh-keygen -R '[127.0.0.1]:{place.port}'" in error.hint
    known.write_text(f"@revoked {entry}{entry}")
    place.refused()
    known.write_text(entry)
    subprocess.run([keygen, "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert entry.split()[0] not in known.read_text() and place.works(), "names may be hashed"


@pytest.mark.heavy
def test_a_wrong_key_is_refused(place: Place) -> None:
    key = place.ssh / "id_ed25519"
    key.unlink()
    assert "none of the keys" in place.refused().message or "denied" in place.refused().message
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    place.refused()
    key.write_text("no key at all")
    place.refused()


@pytest.mark.heavy
def test_a_password_that_git_knows(servers: Started, tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("asyncssh")
    with servers.room("rclone-sftp") as url:
        ssh = SshSetting(f"{os.environ['HOME']}/.ssh")
        os.environ |= environment
        subprocess.run(["git", "config", "--global", "credential.helper", "store"], check=True)
        find = credentials(str(tmp_path), "")

        def asked() -> Head | None:
            with closing(open_backend(url, find, ssh=ssh)) as backend:
                return backend.head(NAME)

        at = f"{USER}@{urlsplit(url).hostname}:{urlsplit(url).port}"
        for password, right in ((None, False), ("wrong", False), (PASSWORD, True)):
            if password is not None:
                (Path(os.environ["HOME"]) / ".git-credentials").write_text(
                    f"sftp://{at.replace('@', f':{password}@')}\n"
                )
            if right:
                assert asked() is None
            else:
                with pytest.raises(StorageError) as caught:
                    asked()
                assert caught.value.kind == "remote-refused" and "wrong" not in str(caught.value)


@pytest.mark.heavy
def test_what_the_configuration_says_of_a_host(place: Place) -> None:
    (place.ssh / "id_ed25519").rename(place.ssh / "film_key")
    place.refused()
    config = place.ssh / "config"
    user = urlsplit(place.url).username
    config.write_text(
        f"Host film\n  HostName 127.0.0.1\n  Port {place.port}\n  User {user}\n"
        "  IdentityFile ~/.ssh/film_key\n  IdentityFile ~/.ssh/not_there\n  ForwardAgent yes\n  RemoteCommand false\n"
    )
    assert place.works(f"sftp://film{place.folder}")
    program_ran = place.ssh / "ran"
    config.write_text(f"Host *\n  ProxyCommand touch {program_ran}\n")
    error = place.refused()
    assert "ProxyCommand" in error.message and "sshfs" in error.hint and not program_ran.exists()
    config.write_text("Host *\n  ProxyJump elsewhere\n")
    assert "ProxyJump" in place.refused().message
    config.write_text("Host *\n  Port none\n")
    assert "config" in place.refused().message


@pytest.mark.heavy
def test_a_key_with_a_passphrase_works_through_the_agent(place: Place, tmp_path: Path) -> None:
    key, socket = place.ssh / "id_ed25519", str(tmp_path / "agent")
    agent = subprocess.Popen([program("ssh-agent"), "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        while not Path(socket).exists():
            time.sleep(0.02)
        subprocess.run([program("ssh-add"), "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": socket}, check=True)
        subprocess.run([program("ssh-keygen"), "-q", "-p", "-P", "", "-N", "secret words", "-f", str(key)], check=True)
        place.refused()
        assert place.works(agent=socket)
    finally:
        agent.kill()
        agent.wait()


# ------------------------------------------------------------------------------------------- addresses


@pytest.mark.heavy  # the lane that installs what it needs
@pytest.mark.parametrize(
    "url",
    [
        "sftp://-oProxyCommand=touch%20x/srv", "sftp://-host/srv", "sftp://a$(b)/srv", "sftp://a;b/srv", "sftp:///srv",
        "sftp://-l@host/srv", "sftp://a%20b@host/srv", "sftp://host", "sftp://host/", "sftp://host:99999/srv",
        "sftp://host:x/srv", "sftp://host/srv?x=1", "sftp://host/srv#x", "sftp://host/s%00rv", "sftp://ada:pw@host/srv",
        "ssh://host/srv", "scp://host/srv", "sftp://[::1/srv", "sftp://ho%73t/srv",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    pytest.importorskip("asyncssh")
    with pytest.raises(InvalidInput) as caught:
        open_backend(url, nobody)
    assert caught.value.kind == "bad-config" and "pw@" not in str(caught.value)


@pytest.mark.heavy  # the lane that installs what it needs
@pytest.mark.parametrize(
    ("url", "host", "port", "user", "folder"),
    [
        ("sftp://media.example.org/srv/film/", "media.example.org", None, None, "/srv/film"),
        ("sftp://ada@host:2222/srv/a%20b", "host", 2222, "ada", "/srv/a b"),
        ("sftp://ada@[::1]:22/srv", "::1", 22, "ada", "/srv"),
        ("sftp://host/~/film", "host", None, None, "film"),
        ("sftp://host/~", "host", None, None, "."),
        ("sftp://host/~/", "host", None, None, "."),
        ("sftp://host/~ada", "host", None, None, "/~ada"),
    ],
)
def test_addresses(url: str, host: str, port: int | None, user: str | None, folder: str) -> None:
    pytest.importorskip("asyncssh")
    from regenstore.remotes.backends.ssh import parsed

    assert parsed(url) == (host, port, user, folder)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    for name in ("sftp", "ssh"):
        monkeypatch.delitem(sys.modules, f"regenstore.remotes.backends.{name}", raising=False)
    with pytest.raises(NotFound) as caught:
        open_backend("sftp://host/srv", nobody)
    assert caught.value.kind == "extra-missing" and "regenstore[sftp]" in caught.value.hint
