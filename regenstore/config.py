"""Settings: defaults < Git's configuration < the environment. With ``cli/``, the only reader of either.

Nothing is read from files of the worktree: a cloned repository cannot raise its own budget or move the
store. Standard library only: the Git filter reads its settings here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from regenstore.errors import FormatError, InvalidInput
from regenstore.refs.git import Git
from regenstore.remotes.settings import MOST_JOBS, MOST_PATIENCE, NAME, Proxies, RemoteSetting, SshSetting

PLACE, FETCH, GENERATE = "place", "fetch", "generate"
POLICIES = (PLACE, FETCH, GENERATE)
EACH, COMMAND = "each", "command"
OWN, SHARED = "own", "shared"
WARN, REFUSE, OFF = "warn", "refuse", "off"
FULL, LEAN = "full", "lean"
_UNITS = ("", "k", "m", "g", "t")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORKER_SEES = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SystemRoot")
_REMOTE = "regenstore.remote."
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0", ""}


class Settings(NamedTuple):
    """All settings. In Git's configuration they are named ``regenstore.<name>``."""

    store: str | None = None
    """Folder of the store, relative to the worktree's top; None: ``regenstore`` in Git's common folder."""
    smudge: str = GENERATE
    """What a git command may do for missing media: ``place``, ``fetch`` or ``generate``."""
    budget: float = 60.0
    """Seconds of estimated work that one git command may start by itself."""
    inline: bool = False
    """Whether checkouts wait for media before git continues."""
    jobs: int = 0
    """The maximum number of workers at a time; 0: one per core, at most four."""
    timeout: float = 3600.0
    """The maximum time in seconds that a generator may work on one item."""
    max_output: int = 64_000_000_000
    """The maximum size of a generated file, in bytes."""
    max_size: int | None = None
    """The maximum size of the store's contents, in bytes: a command that exceeds it runs gc afterwards. None: no
    limit."""
    gc_budget: float = 60.0
    """The seconds of estimated work that one gc may spend on making takes again before it evicts by their proofs."""
    grace: float = 86400.0
    """The seconds that evicted contents stay in the trash."""
    proofs: str = OWN
    """Which proofs allow gc to evict a medium: ``own``; or ``shared``, which adds proofs from remotes that were made in
    the same environment."""
    reflink: bool = True
    """Whether media may share blocks with the store if the file system supports it."""
    trust_file: str = ""
    """The user's record of approved generator definitions; never inside a repository."""
    netrc: str = ""
    """The user's file of passwords for servers."""
    ssh: SshSetting = SshSetting()
    """The user's folder of SSH keys, configuration and known hosts."""
    remotes: Mapping[str, RemoteSetting] = {}
    """The settings of remotes, by name: ``regenstore.remote.<name>.url``, ``.jobs``, ``.limit``, ``.lowest``,
    ``.patience``."""
    proxies: Proxies = Proxies()
    """The proxies for web servers: ``http_proxy``, ``https_proxy``, ``no_proxy`` from the environment."""
    pre_push: str = WARN
    """What the hook does if commits are pushed whose media no remote has: ``warn``, ``refuse`` or ``off``."""
    durable: str = COMMAND
    """When the media of a ``git add`` are made durable: ``command``, all together before it ends; or ``each``, one by
    one before git continues with the next, which takes several times as long for many small files."""
    capture: str = FULL
    """What recipes take from the metadata that programs embed in media: ``full``; ``lean``, without the state of a
    graph editor; or ``off``."""
    object_format: str = "sha1"
    worker_environment: Mapping[str, str] = {}
    """The only environment variables that a generator's process gets, apart from a separate home folder."""

    @property
    def oid_size(self) -> int:
        return 32 if self.object_format == "sha256" else 20

    @property
    def workers(self) -> int:
        return self.jobs or min(4, os.cpu_count() or 1)


class GitEnvironment:
    """The variables with which git describes the repository to its child processes."""

    def __init__(self, git_dir: str | None, index: str | None) -> None:
        self.git_dir = git_dir
        self.index = index

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> GitEnvironment:
        found = os.environ if environ is None else environ
        return cls(found.get("GIT_DIR"), found.get("GIT_INDEX_FILE"))


def load(git: Git, environ: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """The settings of a repository. ``overrides`` are the settings, by field name, that a command's options replace;
    None keeps a setting. Raises InvalidInput (``bad-config``), which names the setting."""
    found = dict(os.environ if environ is None else environ)
    try:
        values = git.config(r"^(regenstore\.|extensions\.objectformat$)")
    except FormatError as error:
        raise InvalidInput("bad-config", f"Git's configuration cannot be read: {error.message}") from None
    for name in (
        "store",
        "smudge",
        "budget",
        "inline",
        "jobs",
        "timeout",
        "max_output",
        "reflink",
        "pre_push",
        "durable",
        "max_size",
        "gc_budget",
        "grace",
        "proofs",
        "capture",
    ):
        given = found.get(f"REGENSTORE_{name.upper()}")
        if given:  # an empty value counts as not set
            values["regenstore." + name.replace("_", "")] = given
    settings = _settings(values, found, os.fsdecode(git.cwd))
    said: dict[str, Any] = {name: value for name, value in (overrides or {}).items() if value is not None}
    return settings._replace(**said) if said else settings


def _settings(values: Mapping[str, str], environ: Mapping[str, str], top: str) -> Settings:
    def text(name: str, default: str) -> str:
        return values.get(f"regenstore.{name}", default)

    in_ci = environ.get("CI", "").lower() not in _FALSE
    policy = text("smudge", FETCH if in_ci else GENERATE)
    if policy not in POLICIES:
        raise _bad("smudge", "one of " + ", ".join(POLICIES), policy)
    durable = text("durable", COMMAND)
    if durable not in (EACH, COMMAND):
        raise _bad("durable", f"{EACH} or {COMMAND}", durable)
    pre_push = text("prepush", WARN)
    if pre_push not in (WARN, REFUSE, OFF):
        raise _bad("prePush", f"{WARN}, {REFUSE} or {OFF}", pre_push)
    proofs = text("proofs", OWN)
    if proofs not in (OWN, SHARED):
        raise _bad("proofs", f"{OWN} or {SHARED}", proofs)
    capture = text("capture", FULL)
    if capture not in (FULL, LEAN, OFF):
        raise _bad("capture", f"{FULL}, {LEAN} or {OFF}", capture)
    store = values.get("regenstore.store")
    return Settings(
        store=os.path.abspath(os.path.join(top, os.path.expanduser(store))) if store else None,
        smudge=policy,
        budget=_seconds("budget", text("budget", "60")),
        inline=_boolean("inline", text("inline", "false")),
        jobs=_whole("jobs", text("jobs", "0")),
        timeout=_seconds("timeout", text("timeout", "3600")),
        max_output=_size("maxoutput", text("maxoutput", "64g")),
        max_size=_size("maxsize", values["regenstore.maxsize"]) if values.get("regenstore.maxsize") else None,
        gc_budget=_seconds("gcBudget", text("gcbudget", "60")),
        grace=_seconds("grace", text("grace", "1d")),
        proofs=proofs,
        reflink=_boolean("reflink", text("reflink", "true")),
        durable=durable,
        trust_file=_trust_file(environ),
        netrc=environ.get("NETRC") or os.path.join(_home(environ), ".netrc"),
        ssh=SshSetting(os.path.join(_home(environ), ".ssh"), environ.get("SSH_AUTH_SOCK", "")),
        remotes=_remotes(values),
        proxies=proxies(environ),
        pre_push=pre_push,
        capture=capture,
        object_format=values.get("extensions.objectformat", "sha1"),
        worker_environment={name: environ[name] for name in _WORKER_SEES if name in environ},
    )


def proxies(environ: Mapping[str, str]) -> Proxies:
    """The proxies for web servers, read as curl does, and thus Git. ``HTTP_PROXY`` is ignored, because a web server
    would set it from a header of a client's request."""

    def told(name: str) -> str:
        return environ.get(name) or environ.get(name.upper()) or ""

    return Proxies(environ.get("http_proxy", ""), told("https_proxy"), told("no_proxy"))


def _trust_file(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")
    return os.path.join(home, "regenstore", "trusted.json")


def model_index(environ: Mapping[str, str] | None = None) -> str:
    """The file with the user's index of models; never inside a repository."""
    found = os.environ if environ is None else environ
    home = found.get("XDG_DATA_HOME") or os.path.join(_home(found), ".local", "share")
    return os.path.join(home, "regenstore", "models.jsonl")


def capture_inputs(git: Git, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The folders from which the user's programs load inputs: ``regenstore.captureInputs``, separated like ``PATH``,
    from the environment or the user's and the system's configuration, never from a repository's. Raises InvalidInput
    (``bad-config``)."""
    found = os.environ if environ is None else environ
    text = found.get("REGENSTORE_CAPTURE_INPUTS", "")
    try:
        for scope in ("global", "system"):
            text = text or git.config(r"^regenstore\.captureinputs$", scope).get("regenstore.captureinputs", "")
    except FormatError as error:
        raise InvalidInput("bad-config", f"Git's configuration cannot be read: {error.message}") from None
    folders = [os.path.expanduser(folder) for folder in text.split(os.pathsep) if folder]
    if relative := [folder for folder in folders if not os.path.isabs(folder)]:
        raise _bad("captureInputs", "absolute paths of folders", relative[0])
    return tuple(folders)


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _remotes(values: Mapping[str, str]) -> dict[str, RemoteSetting]:
    found: dict[str, RemoteSetting] = {}
    for full, value in values.items():
        if not full.startswith(_REMOTE):
            continue
        name, _, key = full.removeprefix(_REMOTE).rpartition(".")
        if not NAME.fullmatch(name):
            raise _bad(f"remote.{name}", "a name of letters, digits, '-' and '_'", name)
        setting, where = found.get(name, RemoteSetting()), f"remote.{name}.{key}"
        if key == "url" and value:
            setting = setting._replace(url=value)
        elif key == "jobs":
            jobs = _whole(where, value)
            if not 1 <= jobs <= MOST_JOBS:
                raise _bad(where, f"1 to {MOST_JOBS}", value)
            setting = setting._replace(jobs=jobs)
        elif key == "limit":
            setting = setting._replace(limit=_size(where, value))
        elif key == "lowest":
            setting = setting._replace(lowest=_size(where, value))
        elif key == "patience":
            seconds = _seconds(where, value)
            if not 0 < seconds <= MOST_PATIENCE:
                raise _bad(where, f"a duration above 0 and up to {MOST_PATIENCE:.0f} seconds", value)
            setting = setting._replace(patience=seconds)
        found[name] = setting
    return found


def _seconds(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _bad(name, str(error), text) from None


def _size(name: str, text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise _bad(name, str(error), text) from None
    if size == 0:
        raise _bad(name, "a size above 0, such as 500m or 2g", text)
    return size


def parse_size(text: str) -> int:
    """Parse a size: ``500m`` and ``500 MB`` use powers of 1000, as in printed sizes; ``2GiB`` uses powers of 1024.
    Raises ValueError, which says what is expected."""
    number = text.lower().removesuffix("b")
    base = 1024 if number.endswith("i") else 1000
    number = number.removesuffix("i")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        size = int(float(number.removesuffix(unit)) * base ** _UNITS.index(unit))
    except (ValueError, OverflowError):
        size = -1
    if size < 0:
        raise ValueError("a size such as 500m or 2g")
    return size


def parse_duration(text: str) -> float:
    """Parse a duration, such as ``90``, ``5m`` or ``2d``. Returns seconds. Raises ValueError, which says what is
    expected."""
    scale = _SECONDS.get(text[-1:], 0.0)
    try:
        value = float(text[:-1]) * scale if scale else float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise ValueError("a duration of 0 or more: seconds, or a number with s, m, h or d")
    return value


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _bad(name, "a whole number", text)
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise _bad(name, "true or false", text)


def _bad(name: str, expected: str, found: str) -> InvalidInput:
    return InvalidInput("bad-config", f"regenstore.{name}: expected {expected}, found {found!r}")
