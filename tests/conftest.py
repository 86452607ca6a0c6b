"""Hermetic Git: a home of its own, no system configuration, fixed identity and dates, the installed programs."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from regenstore.refs.leases import lease
from regenstore.schemas.printed import read_printed
from regenstore.worktree.index_file import IndexFile
from tests import filter_server, fork_server

# In CI a verdict depends on the change alone; everywhere else each run tries new examples.
hypothesis.settings.register_profile("ci", max_examples=50, derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("local", max_examples=50, deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


DISK, MEMORY, ROOM = "/var/tmp", "/dev/shm", 6 << 30


def memory_has_room() -> bool:
    """Whether temporary files can lie in memory. Tests mostly make repositories and remove them, which takes twice the
    time on a disk."""
    try:
        found = os.statvfs(MEMORY)
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:
        return False
    free = min(found.f_bavail * found.f_frsize, int(told["MemAvailable"].split()[0]) << 10)
    return free >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)


if "TMPDIR" not in os.environ and memory_has_room():
    os.environ["TMPDIR"] = tempfile.tempdir = MEMORY

THOROUGH = os.environ.get("REGENSTORE_FAULTS") == "all"
"""Whether every moment and every example is tried, and not a sample of them."""


def examples(count: int) -> int:
    """How many examples a property test tries: a quarter, or all of them."""
    return count if THOROUGH else count // 4


# What a shell starts in the background ignores Ctrl-C, and so would everything that is tested with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BIN = str(Path(sys.executable).parent)
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "COVERAGE_PROCESS_START")


def hermetic_environment(home: Path) -> dict[str, str]:
    """An environment in which nothing of the machine's Git or regenstore settings can be seen."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        "PATH": BIN + os.pathsep + os.environ.get("PATH", ""),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "LC_ALL": "C.UTF-8",
        **filter_server.environment(),
    }


def require_known_records(printed: bytes) -> None:
    """Whatever a command prints for programs has the form that docs/schemas tells."""
    text = printed.decode("ascii").lstrip()
    while text:
        _, end = json.JSONDecoder().raw_decode(text)
        read_printed(text[:end])
        text = text[end:].lstrip()


class Checkout:
    """A worktree that tests drive with real git and the real programs."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment

    def run(
        self, *command: str | bytes, check: bool = True, stdin: bytes = b"", **extra: str
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**self.environment, **extra}
        if fork_server.suits(command, environment):
            done = fork_server.run(command, self.path, environment, stdin)
        else:
            done = subprocess.run(
                command, cwd=self.path, env=environment, input=stdin, capture_output=True, check=False
            )
        if check and done.returncode:
            shown = " ".join(os.fsdecode(part) for part in command)
            said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
            raise AssertionError(f"{shown} gave {done.returncode}\n{said}")
        if "--json" in command:
            require_known_records(done.stdout)
        return done

    def git(self, *args: str | bytes, check: bool = True, stdin: bytes = b"", **extra: str) -> str:
        """Standard output of a git command, without its last newline."""
        return (
            self.run("git", *args, check=check, stdin=stdin, **extra)
            .stdout.decode(errors="surrogateescape")
            .rstrip("\n")
        )

    def regenstore(self, *args: str | bytes, check: bool = True, stdin: bytes = b"", **extra: str) -> str:
        """Standard output of a regenstore command."""
        return self.run("regenstore", *args, check=check, stdin=stdin, **extra).stdout.decode(errors="surrogateescape")

    def write(self, name: str, data: bytes | str) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data.encode() if isinstance(data, str) else data)
        return target

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def blob(self, name: str, revision: str = "") -> bytes:
        """The blob that Git has at ``revision:name`` (the index by default)."""
        return self.run("git", "cat-file", "blob", f"{revision}:{name}").stdout

    def status(self) -> str:
        """``git status --porcelain``; empty when all is clean."""
        return self.git("status", "--porcelain")

    def commit(self, message: str = "work") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def is_recipe(self, name: str) -> bool:
        return self.read(name).startswith(b"regenstore = 1\n")

    @property
    def store(self) -> Path:
        configured = self.git("config", "--get", "regenstore.store", check=False)
        return Path(configured) if configured else self.path / ".git" / "regenstore"


Kind = TypeVar("Kind", bound=Checkout)


def fresh_seed() -> int:
    """Where a test's chance begins: REGENSTORE_SEED replays one, in CI it is always the same. Whoever takes it
    prints it."""
    given = os.environ.get("REGENSTORE_SEED") or ("1" if os.environ.get("CI") else "")
    return int(given) if given else secrets.randbelow(1 << 32)


def noise(name: str, size: int) -> bytes:
    """Reproducible bytes that look like no medium and compress badly."""
    return hashlib.shake_256(name.encode()).digest(size)


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    item.stash[FAILED] = item.stash.get(FAILED, False) or call.excinfo is not None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """What lies in memory goes with its test, unless that failed. Not by pytest's own setting, for which the functions
    that remove it may still be those that a test has put there."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    try:
        return (yield)
    finally:
        if folder is not None and tempfile.gettempdir() == MEMORY and not item.stash[FAILED]:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder for what is too large to lie in memory."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        yield Path(folder)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "regenstore-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def new_home(folder: Path) -> dict[str, str]:
    """The environment with a new home, in that folder, which holds nothing but settings of Git."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / ".gitconfig").write_text(
        # Nothing here is worth packing, and looking whether it is costs a process for each commit.
        "[maintenance]\n\tauto = false\n"
        '[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n[protocol "file"]\n\tallow = always\n'
    )
    return hermetic_environment(home)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return new_home(tmp_path)


@pytest.fixture(scope="session")
def empty_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        checkout = Checkout(folder / "film", new_home(folder))
        checkout.path.mkdir()
        checkout.git("init", "-q")
        checkout.regenstore("init")
        checkout.regenstore("track", "*.png", "*.mp4", "*.wav", "*.bin")
        checkout.commit("attributes")

    return built_once(tmp_path_factory, "empty-template", build)


@pytest.fixture
def empty(empty_template: Path, tmp_path: Path, environment: dict[str, str]) -> Checkout:
    """A new repository, set up for PNG, MP4, WAV and BIN files, with nothing committed but its attributes."""
    return copied(empty_template, tmp_path, Checkout)


def built_once(tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """A folder that the processes of one run share: built by the first, waited for by the others."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / name
    with lease(str(base), f"{name}.lease", lambda: None):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            for sample in folder.rglob("hooks/*.sample"):
                sample.unlink()  # each would be copied for each test
            (folder / "built").touch()
    return folder


def copy_tree(source: str, target: str) -> None:
    """Copy a folder with its times and permissions into one that may be there already; as shutil does it, in a third
    of the time."""
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as found:
        for entry in found:
            there = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), there)
            elif entry.is_dir():
                copy_tree(entry.path, there)
            else:
                copy_file(entry.path, there)
    known = os.stat(source)
    os.chmod(target, known.st_mode & 0o7777)
    os.utime(target, ns=(known.st_atime_ns, known.st_mtime_ns))


def copy_file(source: str, target: str) -> None:
    given = os.open(source, os.O_RDONLY)
    made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        known = os.fstat(given)
        left = known.st_size
        while left:
            left -= os.sendfile(made, given, None, left)
        os.fchmod(made, known.st_mode & 0o7777)
        os.utime(made, ns=(known.st_atime_ns, known.st_mtime_ns))
    finally:
        os.close(given)
        os.close(made)


def copied(template: Path, target: Path, kind: type[Kind], name: str = "film") -> Kind:
    """A private copy of a folder with a home and a clean repository. Git's index is told of the copies' inodes: what
    Git knew to be clean it need not ask the filter about again."""
    copy_tree(str(template), str(target))
    index = IndexFile.read(f"{target}/{name}/.git/index", 20)
    stats = {}
    for entry in index.entries:
        path = b"/" + os.fsencode(name) + b"/" + entry.path
        try:
            if index.matches(entry, os.lstat(os.fsencode(template) + path)):
                stats[entry.path] = entry.oid, os.lstat(os.fsencode(target) + path)
        except FileNotFoundError:
            pass
    index.set_stats(stats)
    (target / name / ".git" / "index").write_bytes(index.to_bytes())
    return kind(target / name, hermetic_environment(target / "home"))


def built_on(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    template: Path,
    kind: type[Kind],
    build: Callable[[Kind], object],
) -> Path:
    """A copy of a template that has been worked on: a template of its own, see :func:`built_once`."""

    def work(folder: Path) -> None:
        checkout = copied(template, folder, kind)
        build(checkout)
        assert checkout.status() == ""

    return built_once(tmp_path_factory, name, work)
