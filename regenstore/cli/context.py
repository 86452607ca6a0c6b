"""Shared by the commands: opening the repository, path arguments, JSON output, and progress."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import click

from regenstore.cli.background import end
from regenstore.cli.console import bars, print_json, say, say_error, shows_progress, subject_typed, visible
from regenstore.cli.hints import hint_for
from regenstore.cli.presentation import size_text as size_text
from regenstore.config import GitEnvironment
from regenstore.errors import InvalidInput, RegenstoreError
from regenstore.events.waiting import nothing_waits
from regenstore.gitfilter.retake import settle_for_others
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.refs.registration import own_store
from regenstore.repository import Repository
from regenstore.worktree.paths import from_user
from regenstore.worktree.recovery import Recovered, recover

_Subject = TypeVar("_Subject")
_QUICK = 0.5
"""Seconds of quick work before a bar is shown."""
_FAILURES = 10
"""How many failures of a kind are printed one by one."""
dry_run_option = click.option("--dry-run", "-n", is_flag=True, help="Only show what would be done.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for scripts, one object for each path."
)


def open_repository(overrides: Mapping[str, object] | None = None, *, bare: bool = False) -> Repository:
    """Open the repository around the current folder, after completing what a killed process began there. ``overrides``
    are settings from the command's options; None leaves a setting as it is. ``bare``: it may have no worktree."""
    repository = Repository.discover(os.getcwd(), GitEnvironment.read(), overrides, bare=bare)
    repository.waits = _tell_wait
    for error in settle_for_others(repository.store):
        say_error("regenstore: left by a terminated process", error)
    _stand_in(repository.location.top)
    tell_recovery(recover(repository.location, repository.settings.oid_size, repository.store.use))
    running = click.get_current_context(silent=True)
    if running is not None:
        running.call_on_close(lambda: end(repository))
        if running.info_name not in ("hook", "events"):  # hooks keep Git waiting; 'events' delivers by itself
            running.call_on_close(lambda: _deliver_events(repository))
    return repository


def _tell_wait(reason: str, seconds: float) -> None:
    """Say why nothing happens, if it is for long enough to wonder."""
    if seconds >= 0.5:
        say(f"regenstore: {reason}; trying again in {max(1, round(seconds))} s", err=True)


_here = b""
"""The current folder as a path in the worktree; empty at its top, and outside it."""


def _stand_in(top: bytes) -> None:
    global _here
    inside = os.path.relpath(os.path.realpath(os.fsencode(os.getcwd())), os.path.realpath(top))
    _here = b"" if inside == b"." or inside.split(b"/", 1)[0] == b".." else inside


def tell_recovery(done: Recovered) -> None:
    """Report leftovers of killed processes that could not be completed now. Nothing else depends on them."""
    for error in done.problems:
        say_error("regenstore: left by a killed process", error)


def _deliver_events(repository: Repository) -> None:
    """Deliver events of this command and pending ones of earlier commands. Usually there are none."""
    if not repository.generated and nothing_waits(own_store(repository.location.common_dir)):
        return
    from regenstore.cli.announce import deliver_at_end  # slow to import

    deliver_at_end(repository)


def worktree_path(repository: Repository, argument: str) -> bytes:
    """Convert a path argument to a worktree path."""
    inside = from_user(argument, os.fsencode(os.getcwd()), repository.location.top)
    subject_typed(os.fsdecode(inside), argument)
    return inside


def worktree_paths(repository: Repository, arguments: Iterable[str]) -> list[bytes]:
    return [worktree_path(repository, argument) for argument in arguments]


def path_or_key(repository: Repository, argument: str) -> bytes | RecipeKey | Digest:
    """Parse a ``PATH|KEY`` argument: a recipe key, the digest of imported media, or a worktree path."""
    hexa = argument.removeprefix(RecipeKey.PREFIX).removeprefix(Digest.PREFIX)
    if not re.fullmatch("[0-9a-f]{64}", hexa) or os.path.lexists(argument):
        return worktree_path(repository, argument)
    kind = Digest if argument.startswith(Digest.PREFIX) else RecipeKey
    return kind(bytes.fromhex(hexa))


def paths_or_keys(repository: Repository, arguments: Iterable[str]) -> list[bytes | RecipeKey | Digest]:
    """Parse ``PATH|KEY`` arguments, of which a folder or pattern stands for the media in it."""
    found: list[bytes | RecipeKey | Digest] = []
    for each in (path_or_key(repository, argument) for argument in arguments):
        found += repository.workbench.named([each]) if isinstance(each, bytes) else [each]
    return list(dict.fromkeys(found))


def split_settings(path: str, rest: tuple[str, ...], what: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split ``PATH... NAME=VALUE...``: settings begin with the first argument after the first path that has a ``=``.
    Raises InvalidInput for one without."""
    at = next((index for index, part in enumerate(rest) if "=" in part), len(rest))
    if wrong := [part for part in rest[at:] if "=" not in part]:
        raise InvalidInput("bad-parameter", f"expected {what} as NAME=VALUE, found {wrong[0]!r}")
    return (path, *rest[:at]), rest[at:]


def assignments(pairs: Iterable[str], what: str) -> dict[str, str]:
    """Parse ``NAME=VALUE`` arguments; raises InvalidInput for others."""
    found = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InvalidInput("bad-parameter", f"expected {what} as NAME=VALUE, found {pair!r}")
        found[name] = value
    return found


def input_paths(repository: Repository, pairs: Iterable[str]) -> dict[str, bytes]:
    """Parse ``NAME=PATH`` arguments to worktree paths."""
    return {name: worktree_path(repository, path) for name, path in assignments(pairs, "an input").items()}


def show_path(path: bytes) -> str:
    """Format a worktree path for display: relative to the current folder, as git does. (For machine-readable output:
    ``fs.path_text``.)"""
    return visible(os.fsdecode(os.path.relpath(path, _here) if _here else path))


def show_label(label: str) -> str:
    """Format the label of a plan's step, which is its worktree path, for display."""
    return show_path(os.fsencode(label))


def shell_path(path: bytes) -> str:
    """Format a worktree path for display in a command to paste."""
    import shlex

    return shlex.quote(show_path(path))


def for_each(subjects: Sequence[_Subject], show: Callable[[_Subject], None]) -> None:
    """Show several subjects, and exit with the code of the last error. The error of one of several stops none of the
    others."""
    code = 0
    for subject in subjects:
        if isinstance(subject, bytes):
            subject_typed(os.fsdecode(subject), show_path(subject))
        try:
            show(subject)
        except RegenstoreError as error:
            if len(subjects) == 1:
                raise
            say_error("regenstore", error)
            code = error.exit_code
    sys.exit(code)


def emit_json(kind: str, fields: Mapping[str, Any], version: int = 1) -> None:
    """Print a JSON record with its type, the version of that type, and whether it tells of a dry run, if the command
    has one."""
    running = click.get_current_context(silent=True)
    given = {} if running is None else running.params
    dry = {"dry_run": given["dry_run"]} if "dry_run" in given else {}
    print_json({"type": f"regenstore.{kind}", "version": version, **dry, **fields}, indent=1)


def report_failures(failed: Iterable[tuple[bytes, RegenstoreError]]) -> int:
    """Print failures and return the exit code: 0 if there are none. Of many of a kind, the first ones; what to do next
    once for all that ask for the same."""
    code = 0
    alike: dict[tuple[str, str], list[RegenstoreError]] = {}
    for path, error in failed:
        inside, shown = os.fsdecode(path), show_path(path)
        subject_typed(inside, shown)
        code = error.exit_code
        named = error if error.message.startswith(f"{inside}: ") else error.at(shown)
        alike.setdefault((error.kind, error.hint), []).append(named)
    for errors in alike.values():
        first = errors[:_FAILURES]
        for error in first:
            say_error("regenstore", error, with_hint=error is first[-1] and len(errors) == len(first))
        if len(errors) > len(first):
            say(f"regenstore: and {len(errors) - len(first):,} more like these", err=True)
            if hint := hint_for(errors[0]):
                say(f"  hint: {hint}", err=True)
    return code


class ConsoleProgress:
    """Progress bars on a terminal, silent elsewhere; ``rich`` is imported when the first bar is shown. Methods may be
    called from any thread."""

    def __init__(self, total: int = 1) -> None:
        self._total = total
        self._begun = time.monotonic()
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def counts(self, what: str, total: int) -> Callable[[bytes], None]:
        """A function to call for each of many quick items. They get one bar together, if they take a while."""
        done = 0

        def one(path: bytes) -> None:
            nonlocal done
            with self._lock:
                done += 1
                if self._bars is None and time.monotonic() - self._begun < _QUICK:
                    return
                if what not in self._tasks and self._open():
                    self._tasks[what] = self._bars.add_task(what, total=total)
                if what in self._tasks:
                    self._bars.update(self._tasks[what], completed=done)
                    if done == total:
                        self._bars.remove_task(self._tasks.pop(what))

        return one

    def _open(self) -> bool:
        """Show the bars, if there is a terminal."""
        if self._bars is None and shows_progress():
            self._bars = bars()
            self._bars.start()
            if self._total > 1:
                self._tasks[""] = self._bars.add_task("all", total=self._total)
        return self._bars is not None

    def started(self, label: str, seconds: float | None) -> None:
        with self._lock:
            if self._open():
                self._tasks[label] = self._bars.add_task(label, total=1.0)

    def advanced(self, label: str, fraction: float, note: str) -> None:
        if self._bars is not None and label in self._tasks:
            self._bars.update(self._tasks[label], completed=fraction)

    def finished(self, label: str, error: RegenstoreError | None) -> None:
        if self._bars is not None:
            with self._lock:
                if label in self._tasks:
                    self._bars.remove_task(self._tasks.pop(label))
                if "" in self._tasks:
                    self._bars.advance(self._tasks[""])
