"""Starting git: its environment, and the errors when it fails.

Git runs with English messages, whatever the user's language, and without a file system monitor: its daemon would
outlive us, and every git process would query it although few of our commands profit.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

from regenstore.errors import FormatError, NotFound

NEEDED = (2, 39)
"""The minimum version of Git: the oldest that we test with."""

REPOSITORY_VARIABLES = (
    "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_PREFIX",
)  # fmt: skip
"""The variables by which a git command or hook that runs us names its own repository."""

_ALWAYS = ("-c", "core.fsmonitor=false")
_FATAL = 128
"""The exit code from which git failed to do its work: 128 is fatal, 129 an unknown option."""


class Process:
    """Runs git in one folder, with this process's environment, except for variables to ``forget`` and others to
    ``give``."""

    def __init__(
        self,
        cwd: str | bytes,
        *,
        program: str = "git",
        git_dir: str | None = None,
        work_tree: str | None = None,
        forget: Sequence[str] = (),
        give: Mapping[str, str] | None = None,
    ) -> None:
        self.cwd = cwd
        self._program = program
        self._forget = frozenset(forget)
        self._give = dict(give or {})
        self._command = [program, *_ALWAYS]
        if git_dir is not None:
            self._command.append(f"--git-dir={git_dir}")
        if work_tree is not None:
            self._command.append(f"--work-tree={work_tree}")

    def version(self) -> str:
        """Return the output of ``git --version``. Raises NotFound (``git-missing``)."""
        return _version(self._program)

    def require_version(self) -> None:
        """Raise NotFound: ``git-missing``, or ``git-too-old`` if it is older than :data:`NEEDED`."""
        said = self.version()
        if is_too_old(said):
            raise too_old(said)

    def given(self, names: Sequence[str]) -> list[str]:
        """Return those of some variables that are set for git."""
        return [name for name in names if name in self._environment()]

    def _run(
        self, *args: str | bytes, stdin: bytes = b"", check: bool = True, stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a git command; its output is returned, or goes to the descriptor ``stdout``. Raises FormatError
        (``git-failed``) with git's message if it fails, NotFound (``git-missing``), and, even without ``check``,
        NotFound (``git-too-old``) if that is the likely cause."""
        try:
            done = subprocess.run(
                [*self._command, *args],
                input=stdin,
                cwd=self.cwd,
                env=self._environment(),
                stdout=stdout,
                stderr=subprocess.PIPE,
                check=False,
            )
        except FileNotFoundError:
            raise self._missing() from None
        if done.returncode >= _FATAL:
            self.require_version()
        if check and done.returncode:
            raise failed(args, done.stderr)
        return done

    def _output(self, *args: str | bytes, stdin: bytes = b"", check: bool = True) -> bytes:
        """Return the standard output of a git command."""
        return self._run(*args, stdin=stdin, check=check).stdout

    def _line(self, *args: str | bytes) -> str | None:
        """Return the single line that a command prints, or None if it fails."""
        done = self._run(*args, check=False)
        return None if done.returncode else done.stdout.decode(errors="surrogateescape").rstrip("\n")

    def _talk(self, *args: str) -> subprocess.Popen[bytes]:
        """Start a git command that answers requests until its input ends. Raises NotFound (``git-missing``)."""
        try:
            return subprocess.Popen(
                [*self._command, *args],
                cwd=self.cwd,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise self._missing() from None

    def _missing(self) -> NotFound:
        if not os.path.isdir(self.cwd):
            return NotFound("not-a-repository", f"there is no folder {os.fsdecode(self.cwd)} for git to work in")
        return missing(self._program)

    def _environment(self) -> dict[str, str]:
        return in_english({n: v for n, v in os.environ.items() if n not in self._forget} | self._give)


def in_english(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which programs print English messages, leaving the character encoding unchanged."""
    changed = dict(environ)
    changed.pop("LANGUAGE", None)
    everything = changed.pop("LC_ALL", "")
    if everything:  # it would override the next line
        changed["LANG"] = changed["LC_CTYPE"] = everything
    changed["LC_MESSAGES"] = "C"
    return changed


@cache
def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, check=False)
    except FileNotFoundError:
        raise missing(program) from None
    return done.stdout.decode(errors="replace").strip()


def is_too_old(said: str) -> bool:
    """Return whether a ``git --version`` is older than :data:`NEEDED`; False if it cannot be parsed."""
    numbers = re.search(r"(\d+)\.(\d+)", said)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < NEEDED


def too_old(said: str) -> NotFound:
    """Return the error for an old Git."""
    needed = ".".join(map(str, NEEDED))
    return NotFound("git-too-old", f"Git {needed} or newer is needed, and the one on PATH is '{said}'")


def missing(program: str) -> NotFound:
    """Return the error for a missing git."""
    return NotFound("git-missing", f"the program '{program}' was not found")


def failed(args: Sequence[str | bytes], said: bytes) -> FormatError:
    """Return the error for a failed git command, with git's message."""
    shown = " ".join(a if isinstance(a, str) else a.decode(errors="replace") for a in args)
    message = said.decode(errors="replace").strip()
    return FormatError("git-failed", f"'git {shown[:200]}' failed: {message[:2000]}")
