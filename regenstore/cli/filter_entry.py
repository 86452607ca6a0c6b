"""``regenstore-filter``, the program that Git runs. It starts lean: nothing is imported before it is needed, and never
click or pydantic.

    regenstore-filter process [DESCRIPTOR [file]]   the long-running filter, protocol version 2
    regenstore-filter clean -- PATH                 one file, for programs without that protocol
    regenstore-filter smudge -- PATH
    regenstore-filter merge-driver BASE OURS THEIRS MARKER PATH
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing would take a third of the time to git's handshake
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from select import poll

    from regenstore.errors import RegenstoreError
    from regenstore.gitfilter.process import Payload, Request
    from regenstore.gitfilter.smudge import MissingMedium
    from regenstore.objects.results.cache import ResultCache
    from regenstore.objects.unsynced import Backing
    from regenstore.refs.moved_media import Moved


_GARBAGE = 100_000
"""Python searches for garbage after this many new objects instead of 700: the objects kept for each file are not
garbage."""


def main() -> None:
    """Entry point; never returns."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else ""
    # Git sets this for some children that work in a submodule; most git commands refuse to run with it.
    os.environ.pop("GIT_INTERNAL_SUPER_PREFIX", None)
    os.environ.pop("GIT_CONFIG", None)  # only 'git config' reads it, and would report settings that git does not use
    if libraries := os.environ.pop("REGENSTORE_LD_LIBRARY_PATH", ""):
        os.environ["LD_LIBRARY_PATH"] = libraries  # for child processes; this process was started without it
    try:
        if command == "process":
            code = _process(int(arguments[1]) if len(arguments) > 1 else None, arguments[2:] == ["file"])
        elif command in ("clean", "smudge"):
            code = _single(command, os.fsencode(arguments[-1]))
        elif command == "merge-driver" and len(arguments) >= 5:
            code = _merge(arguments)
        else:
            from regenstore.cli.console import say

            for line in (__doc__ or "").split("\n"):
                say(line, err=True)
            code = 2
    except (KeyboardInterrupt, BrokenPipeError):
        code = 130
    except OSError as error:
        _say(f"error: {error}")
        code = 70
    except Exception as error:  # git continues with what was answered; users get one line instead of a traceback
        _say(f"internal error: {type(error).__name__}: {error}. Please report it.")
        code = 70
    os._exit(code)  # nothing is left to do, and a normal interpreter exit takes longer


def _see_what_is_installed() -> None:
    """Make this Python find all installed packages, plug-ins included. Git's command starts it without them, because
    most requests need none."""
    if sys.flags.no_site:
        import site

        if site.ENABLE_USER_SITE is None:  # not done yet
            site.main()


def _catch_signals() -> None:
    """Handle signals: from now on there may be something to clean up when git or a user stops this process."""
    import signal

    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)


class _Filters:
    """Clean and smudge for this worktree, created on the first request."""

    def __init__(self) -> None:
        from functools import cache

        from regenstore.cli.filter_report import FilterTally
        from regenstore.config import COMMAND, GitEnvironment
        from regenstore.gitfilter.calling_command import keeps_worktree, renormalizes
        from regenstore.gitfilter.clean import CleanFilter
        from regenstore.gitfilter.smudge import SmudgeFilter
        from regenstore.refs.git import blob_id
        from regenstore.repository import Repository
        from regenstore.worktree.recovery import torn_files

        _catch_signals()
        self.report = FilterTally()
        self.repository = repository = Repository.at_top(os.getcwd(), GitEnvironment.read())
        size = repository.settings.oid_size
        for problem in self._settle():
            _say(f"left by a terminated process: {problem}")
        self._recover(0.0)  # git may be waiting for the index itself; while it holds its lock, none of ours is stale
        self.clean = CleanFilter(
            repository.location.top,
            size,
            repository.store,
            self._cache,
            repository.index,
            repository.blobs,
            repository.pending,
            moved=self._moved,
            guessed=self.report.guessed,
            capturer=lambda: repository.capturer,
            edited=self._edited,
            deferred=self._backing() if repository.settings.durable == COMMAND and keeps_worktree() else None,
            adopts_raw=cache(renormalizes),
            torn=torn_files(repository.location),
        )
        self.smudge = SmudgeFilter(
            repository.store,
            repository.pending,
            lambda: repository.filler,
            lambda text: blob_id(text, size),
            self._bring,
            self.report,
            self._outdated,
            inline=self._inline if repository.settings.inline else None,
        )

    def _settle(self) -> list[RegenstoreError]:
        """Sync what a terminated process left unsynced; returns the errors."""
        from regenstore.objects import unsynced

        if not unsynced.any_in(self.repository.store.root):
            return []
        from regenstore.gitfilter.retake import settle_for_others

        return settle_for_others(self.repository.store)

    def _backing(self) -> Backing:
        from regenstore.objects.unsynced import Backing

        location = self.repository.location
        return Backing(location.top, location.git_dir, location.index, self.repository.settings.oid_size)

    def _cache(self) -> ResultCache:
        _see_what_is_installed()
        return self.repository.cache

    def _moved(self) -> Moved:
        _see_what_is_installed()
        return self.repository.moved

    def _edited(self, path: bytes, texts: Sequence[bytes]) -> None:
        from contextlib import suppress

        from regenstore.errors import StorageError
        from regenstore.refs.path_log import PathLog

        log = PathLog(self.repository.location.common_dir)
        with suppress(StorageError):  # the bytes are safe without it
            for text in texts:
                log.add(path, text, wait=False)

    def _outdated(self, texts: Iterable[bytes]) -> set[bytes]:
        from regenstore.objects.mismatched_takes import outdated_texts

        return outdated_texts(self._cache(), texts)

    def _bring(self, missing: Sequence[MissingMedium]) -> None:
        from regenstore.cli.filter_report import FilterProgress
        from regenstore.gitfilter.missing_media import bring

        _see_what_is_installed()
        given = self.repository
        with FilterProgress(len(missing)) as progress:
            bring(
                missing,
                realiser=given.realiser,
                store=given.store,
                placer=given.filler,
                generate=given.settings.smudge == "generate",
                fetch=given.settings.smudge != "place",
                budget=given.settings.budget,
                report=self.report,
                progress=progress,
            )

    def _inline(self, path: bytes, text: bytes) -> str | None:
        from regenstore.gitfilter.missing_media import bring_one

        _see_what_is_installed()
        given = self.repository
        budget = given.settings.budget if given.settings.smudge == "generate" else -1.0
        fetch = given.settings.smudge != "place"
        return bring_one(path, text, given.realiser, given.store, budget, self.report, fetch=fetch)

    def _recover(self, lock_wait: float) -> list[RegenstoreError]:
        """Complete what killed processes began; returns the errors."""
        from regenstore.errors import RegenstoreError
        from regenstore.worktree.recovery import recover

        try:
            given = self.repository
            return recover(given.location, given.settings.oid_size, given.store.use, lock_wait).problems
        except RegenstoreError as error:
            return [error]

    def finish(self) -> None:
        """Final work once git has closed the pipe."""
        from regenstore.cli.background import end
        from regenstore.worktree.recovery import LOCK_WAIT

        self.clean.finish()
        for problem in self._recover(LOCK_WAIT):
            _say(f"left by a killed process: {problem}")
        try:
            self.smudge.finish()
        finally:
            for name, problem in self.repository.remote_problems.items():
                self.report.remote_failed(name, problem.message)
            self.report.summary()
            end(self.repository)


class _Busy:
    """Tells the script that started this process whether git is waiting for an answer. Another process can continue
    where this one ended only if git was not. See regenstore/gitfilter/launch.py.

    The script gets the name of a file, once, and reads it when this process has ended: a pipe would wake it twice for
    every request.
    """

    def __init__(self, told: int | None, by_file: bool) -> None:
        self._told = told
        self._arrives: poll | None = None
        self._by_file = by_file
        self._path = ""
        self._state: memoryview | None = None
        if told is not None:
            os.set_inheritable(told, False)

    def begin(self) -> None:
        """From now on data from git is being consumed."""
        if self._told is None:
            return
        if self._by_file:
            path = f"{os.environ.get('TMPDIR') or '/tmp'}/regenstore-filter-{os.urandom(8).hex()}"
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError:
                pass  # no place for a file: fall back to the pipe, which is slower
            else:
                from mmap import mmap

                self._path = path
                os.write(fd, b"b\n")
                self._state = memoryview(mmap(fd, 2))
                os.close(fd)
                os.write(self._told, os.fsencode(path))
                os.close(self._told)
                return
        self._say(b"b")

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """All requests are answered: wait for git without consuming anything."""
        self._say(b"i")
        meanwhile()
        if self._told is not None:
            if self._arrives is None:
                from select import POLLIN, poll

                self._arrives = poll()
                self._arrives.register(0, POLLIN)
            self._arrives.poll()
            self._say(b"b")

    def end(self) -> None:
        """This process ends normally."""
        if self._path:
            os.unlink(self._path)

    def _say(self, state: bytes) -> None:
        if self._state is not None:
            self._state[:1] = state
        elif self._told is not None:
            os.write(self._told, state)


def _prepare() -> None:
    """Import modules that are always needed, but not for the handshake, while git prepares its first request."""
    try:
        import regenstore.objects.hashing  # noqa: F401  a module of another machine ends the process here, in time
    except Exception:
        pass  # reported on the first request
    import gc

    gc.set_threshold(_GARBAGE)
    _widen_pipes()


def _process(told: int | None = None, by_file: bool = False) -> int:
    from regenstore.errors import FormatError, RegenstoreError
    from regenstore.gitfilter.pktline import PacketReader
    from regenstore.gitfilter.process import handshake, serve

    busy = _Busy(told, by_file)
    reader = PacketReader(0)
    filters: list[_Filters] = []
    failure: list[Exception] = []

    def handler(name: str) -> Callable[[Request, Iterator[memoryview]], Payload]:
        def answer(request: Request, content: Iterator[memoryview]) -> Payload:
            if not filters and not failure:
                try:
                    filters.append(_Filters())
                except Exception as error:
                    failure.append(error)
                    _explain(error)
            if filters:
                chosen = filters[0].clean.clean if name == "clean" else filters[0].smudge.smudge
                return chosen(request, content)
            if name == "clean":
                raise failure[0]
            return b"".join(content)  # an error would leave git's checkout half done, and recipe text is always correct

        return answer

    def answered() -> None:
        if filters:
            filters[0].smudge.ahead()
        busy.wait()

    try:
        busy.begin()
        handshake(reader, 1)
        busy.wait(_prepare)
        serve(reader, 1, {b"clean": handler("clean"), b"smudge": handler("smudge")}, _failed, answered)
        if filters:
            filters[0].finish()
    except FormatError as error:
        _say(f"{error.message}. {error.hint}")
        return error.exit_code
    except RegenstoreError as error:
        _say(f"{error.message}. {error.hint}")
    finally:
        busy.end()
    return 0


def _failed(request: Request) -> None:
    """Report why a request was answered with an error."""
    _explain(sys.exc_info()[1], f"{os.fsdecode(request.path)}: ")


def _explain(error: BaseException | None, where: str = "") -> None:
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    hint = getattr(error, "hint", "Run 'regenstore doctor'.")
    _say(f"{where}{message}. {hint}")


def _single(command: str, path: bytes) -> int:
    """Clean or smudge standard input to standard output."""
    from regenstore.errors import RegenstoreError
    from regenstore.fs.writing import write_all
    from regenstore.gitfilter.process import Request, StoredReply

    def chunks() -> Iterator[memoryview]:
        while data := os.read(0, 1 << 20):
            yield memoryview(data)

    request = Request(command.encode(), path, None, False)
    try:
        filters = _Filters()
        handler = filters.clean.clean if command == "clean" else filters.smudge.smudge
        payload = handler(request, chunks())
        if isinstance(payload, StoredReply):
            with open(payload.path, "rb") as file:
                while data := file.read(1 << 20):
                    write_all(1, data)
        else:
            write_all(1, payload)
        filters.finish()
    except RegenstoreError:
        _failed(request)
        return 1
    return 0


def _merge(arguments: list[str]) -> int:
    from regenstore.gitfilter.merge_driver import merge_files

    _see_what_is_installed()
    base, ours, theirs, marker = arguments[1:5]
    return 0 if merge_files(base, ours, theirs, int(marker) if marker.isdigit() else 7) else 1


def _widen_pipes() -> None:
    """Enlarge pipe buffers to reduce wake-ups. Linux only; elsewhere the default stays."""
    try:
        import fcntl

        for fd in (0, 1):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
    except (ImportError, AttributeError, OSError):
        pass


def _say(text: str) -> None:
    from regenstore.cli.console import say

    if "://" in text:
        from regenstore.addresses import without_secrets

        text = without_secrets(text)
    say(f"regenstore: {text}", err=True)
