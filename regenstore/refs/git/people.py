"""Running git for a user at the terminal: with their environment, language and settings, as if they had typed it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from regenstore.refs.git.process import missing


class Said(NamedTuple):
    """A command's exit code and output; no output if it went to the terminal."""

    code: int
    text: str = ""


def call(args: Sequence[str], environment: Mapping[str, str] | None = None, *, listen: bool = False) -> Said:
    """Run a git command on this terminal. With ``listen``, its output is returned instead of shown; errors are always
    shown. Raises NotFound (``git-missing``)."""
    try:
        done = subprocess.run(
            ["git", *args],
            env=environment,
            stdout=subprocess.PIPE if listen else None,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise missing("git") from None
    return Said(done.returncode, done.stdout or "")
