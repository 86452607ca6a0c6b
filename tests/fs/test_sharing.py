"""Several users and one store: everybody can use what the others made, whatever their umask."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.doctor.checks.rights import find, mend
from regenstore.errors import StorageError
from regenstore.events import outbox as outboxes
from regenstore.fs import sharing
from regenstore.gc.trash import Trash
from regenstore.objects import evicted, fact_cache, holds
from regenstore.objects.content_store import ContentStore, identity
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.leases import lease
from regenstore.remotes.backends.directory import Directory
from tests.conftest import BIN, Checkout, hermetic_environment

GROUP, ADA, BEN = 41000, 41001, 41002
LOADED = (evicted, fact_cache, holds, outboxes)  # what is not loaded yet, another user may not be able to load
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becomes other users, as only root may")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of the group in a place that everybody may enter."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    folder = place / "store"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 0, GROUP)
    folder.chmod(0o2770)
    yield folder
    shutil.rmtree(place)


def become(user: int, umask: int) -> None:
    os.setgroups([])
    os.setgid(GROUP)
    os.setuid(user)
    os.umask(umask)


def by(user: int, umask: int, work: Callable[[], object]) -> None:
    """Do something as another user, in a process of its own."""
    child = os.fork()
    if not child:
        try:
            become(user, umask)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize(
    ("folder", "umask", "file", "inner", "sealed"),
    [
        (0o2770, 0o077, 0o660, 0o2770, 0o440),
        (0o2775, 0o022, 0o664, 0o2775, 0o444),
        (0o770, 0o022, 0o660, 0o770, 0o440),
        (0o777, 0o022, 0o666, 0o777, 0o444),
        (0o1777, 0o022, 0o644, 0o755, 0o444),
        (0o755, 0o022, 0o644, 0o755, 0o444),
        (0o2755, 0o077, 0o600, 0o2700, 0o444),
        (0o700, 0o022, 0o644, 0o755, 0o444),
    ],
    ids=oct,
)
def test_what_is_made_has_the_rights_of_a_shared_folder(
    tmp_path: Path, folder: int, umask: int, file: int, inner: int, sealed: int
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    base.chmod(folder)
    before = os.umask(umask)
    try:
        os.close(sharing.create(f"{base}/file", os.O_WRONLY))
        sharing.make_folders(f"{base}/inner/deep")
        (base / "content").write_bytes(b"x")
        sharing.seal(f"{base}/content")
    finally:
        os.umask(before)
    assert mode(base / "file") == file
    assert mode(base / "inner") == mode(base / "inner" / "deep") == inner
    assert mode(base / "content") == sealed


@root
def test_two_users_of_a_store(shared: Path) -> None:
    path = str(shared)
    one, two = hash_bytes(b"one"), hash_bytes(b"two")

    def first() -> None:
        store = ContentStore(path)
        store.prepare()
        store.put_bytes(b"one", one)
        store.put_bytes(b"two", two, tree="cache")
        fact_cache.ContentFacts(path).put(one, "kind", 1, b"fact")
        evicted.write(path, "20260101T000000Z-1", [])
        with closing(ResultCache(path)) as cache:
            cache.database.write(lambda db: db.execute("INSERT INTO gc_value VALUES ('a', 1)"))
        with lease(f"{path}/leases", "key", lambda: None):
            pass
        Trash(store).prepare("20260101T000000Z-2", "cache", two)

    def second() -> None:
        store = ContentStore(path)
        store.prepare()
        was = identity(store.object_path(one))
        assert store.claim(one) and identity(store.object_path(one)) != was  # another user's, relied on anew
        with open(store.object_path(one), "rb") as file:
            assert file.read() == b"one"
        with closing(ResultCache(path)) as cache:
            cache.database.write(lambda db: db.execute("UPDATE gc_value SET value = 2"))
            assert [tuple(row) for row in cache.database.rows("SELECT value FROM gc_value", ())] == [(2.0,)]
        assert fact_cache.ContentFacts(path).put(one, "kind", 1, b"newer")
        with lease(f"{path}/leases", "key", lambda: None):
            pass
        Trash(store).prepare("20260101T000000Z-3", "cache", two)
        Trash(store).evict(two, "20260101T000000Z-3")
        assert store.find(two)
        store.holds.release()

    by(ADA, 0o077, first)
    by(BEN, 0o022, second)
    by(ADA, 0o077, second)
    assert find(path) == []
    outside = [entry for entry in shared.rglob("*") if mode(entry) & 0o007]
    assert outside == []


@root
def test_what_a_killed_process_of_another_user_leaves_is_no_obstacle(shared: Path) -> None:
    path = str(shared)

    def dies() -> None:
        store = ContentStore(path)
        store.prepare()
        os.makedirs(f"{path}/tmp/run-1", exist_ok=True)
        with open(f"{path}/tmp/run-1/out", "wb") as file:
            file.write(b"x")
        os.utime(f"{path}/tmp/run-1/out", (1, 1))
        os.utime(f"{path}/tmp/run-1", (1, 1))
        sharing.fit(f"{path}/tmp/run-1", f"{path}/tmp")
        store.holds.hold([hash_bytes(b"held")])
        os.close(sharing.create(f"{path}/leases/gc", os.O_RDWR))
        os.close(os.open(f"{path}/leases/older", os.O_RDWR | os.O_CREAT, 0o644))  # as earlier versions made them

    def goes_on() -> None:
        store = ContentStore(path)
        for name in ("gc", "older"):
            with lease(f"{path}/leases", name, lambda: pytest.fail("nobody holds it")):
                pass
        assert store.clean_temp() == 1
        assert list(holds.finished(path)) and holds.held(path) == set()

    by(ADA, 0o022, dies)
    by(BEN, 0o022, goes_on)


@root
def test_who_may_only_read_is_refused_and_waits_for_nobody(shared: Path) -> None:
    path = str(shared)
    one = hash_bytes(b"one")

    def owner() -> None:
        store = ContentStore(path)
        store.prepare()
        store.put_bytes(b"one", one)

    def reader() -> None:
        store = ContentStore(path)
        assert store.use(one)
        with open(store.object_path(one), "rb") as file:
            assert file.read() == b"one"
        for refused in (
            lambda: store.put_bytes(b"two", hash_bytes(b"two")),
            lambda: ResultCache(path).database.write(lambda db: None),
            lambda: lease(f"{path}/leases", "key", lambda: None).__enter__(),
        ):
            with pytest.raises(StorageError) as error:
                refused()
            assert error.value.kind == "store-unwritable"

    by(ADA, 0o022, owner)
    for folder in (shared, *(entry for entry in shared.rglob("*") if entry.is_dir())):
        folder.chmod(0o2750)
    by(BEN, 0o022, reader)


@root
def test_two_users_of_a_remote_that_is_a_folder(shared: Path) -> None:
    def put(data: bytes) -> Callable[[], None]:
        def work() -> None:
            remote = Directory(str(shared))
            remote.write("records/ab/one", data)
            assert b"".join(remote.read("records/ab/one")) == data
            remote.write(f"records/{data.decode()}/two", data)

        return work

    by(ADA, 0o077, put(b"ada"))
    by(BEN, 0o077, put(b"ben"))
    by(ADA, 0o077, lambda: Directory(str(shared)).delete("records/ben/two"))


@root
def test_doctor_finds_what_others_cannot_use_and_each_mends_what_is_theirs(shared: Path) -> None:
    path = str(shared)

    def earlier() -> None:
        os.mkdir(f"{path}/tmp", 0o755)
        os.close(os.open(f"{path}/results.sqlite", os.O_CREAT | os.O_RDWR, 0o644))
        os.chmod(f"{path}/tmp", 0o2755)

    by(ADA, 0o022, earlier)
    wrong = find(path)
    assert {(os.path.basename(each.path), each.owner, each.mode) for each in wrong} == {
        ("tmp", ADA, 0o2755),
        ("results.sqlite", ADA, 0o644),
    }

    def not_theirs() -> None:
        assert mend(find(path)) == 0

    def theirs() -> None:
        assert mend(find(path)) == 2
        assert find(path) == []

    by(BEN, 0o022, not_theirs)
    by(ADA, 0o022, theirs)


def _others_may_run() -> bool:
    folder = os.path.realpath(sys.executable)
    while folder != "/":
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return False
        folder = os.path.dirname(folder)
    return True


@root
@pytest.mark.skipif(not _others_may_run(), reason="this Python is in a folder that other users may not enter")
@pytest.mark.parametrize("kind", ["one store", "one repository"])
def test_two_users_with_the_real_programs(shared: Path, kind: str) -> None:
    home = shared.parent / "home"
    home.mkdir()
    home.chmod(0o777)
    environment = hermetic_environment(home)
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    places = {}
    for user in (ADA, BEN):
        place = shared if kind == "one repository" else shared.parent / f"film {user}"
        place.mkdir(exist_ok=True)
        if place != shared:
            os.chown(place, user, GROUP)
        places[user] = Checkout(place, environment)

    program = f"{BIN}/regenstore"

    def run(user: int, *command: str) -> str:
        # With 022, git itself leaves files that the other may not write, such as COMMIT_EDITMSG.
        private = user == ADA and command[0] == program
        umask = "002" if kind == "one repository" else "077" if private else "022"
        line = ["setpriv", f"--reuid={user}", f"--regid={GROUP}", "--clear-groups", "sh", "-c"]
        return places[user].run(*line, f'umask {umask}; exec "$@"', "sh", *command).stdout.decode()

    for user in (ADA, BEN):
        if kind == "one store" or user == ADA:
            run(user, "git", "init", "-q", *(["--shared=group"] if kind == "one repository" else []), ".")
            if kind == "one store":
                run(user, "git", "config", "regenstore.store", str(shared))
            run(user, program, "init")
            run(user, program, "track", "*.png")
        new = (program, "new", f"{user}.png", "--generator", "procedural.image", "-p", "prompt=x", "-p", "width=64")
        run(user, *new, "-p", "height=48", "-p", f"seed={user}")
        run(user, "git", "add", "-A")
        run(user, "git", "commit", "-q", "-m", "new")
    for user in (ADA, BEN):  # who keeps things private has to tell first what is needed: nobody else can look
        run(user, program, "verify", "--all")
        run(user, program, "fsck")
        run(user, program, "gc", "--free", "1", "--yes")
        run(user, program, "pin", f"{user}.png")
        assert run(user, "git", "status", "--porcelain") == ""
        assert "problem" not in run(user, program, "doctor")
    assert find(str(shared / ".git" / "regenstore" if kind == "one repository" else shared)) == []
