"""The user's editor, as Git chooses it. A text that was typed is never lost: it stays in its file until it is used."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from regenstore.cli.console import say
from regenstore.errors import InvalidInput
from regenstore.fs import durable
from regenstore.refs.git import Git


def open_in_editor(git: Git, file: str) -> None:
    """Let the user edit a file, in the editor that Git would use; on standard error if standard output is not a
    terminal. Raises InvalidInput (``editor-failed``)."""
    editor = git.editor()
    if not editor:
        raise InvalidInput("editor-failed", "Git knows no editor that works on this terminal")
    # As git does: a setting is a shell command, and may have arguments.
    screen = None if sys.stdout is None or sys.stdout.isatty() else 2  # standard error
    code = subprocess.run(["sh", "-c", f'{editor} "$@"', editor, file], stdout=screen, check=False).returncode
    if code:
        raise InvalidInput("editor-failed", f"the editor '{editor}' ended with code {code}")


class Draft:
    """A text that is being edited. ``text`` is what its file holds after each :meth:`edit`; with ``keep``, a changed
    one stays there in any case."""

    def __init__(self, git: Git, file: str, text: str) -> None:
        self._git = git
        self.file = file
        self.first = self.text = text
        self.keep = False

    def edit(self) -> None:
        """Let the user edit the text. Raises InvalidInput (``editor-failed``)."""
        try:
            open_in_editor(self._git, self.file)
        finally:
            with open(self.file, encoding="utf-8", errors="surrogateescape", newline="") as file:
                self.text = file.read()


@contextmanager
def draft(git: Git, folder: str, text: str, again: str) -> Iterator[Draft]:
    """Edit a text in a file of its own. If anything fails, or the user interrupts it, a changed text stays in its file,
    and ``again`` tells how to continue with it."""
    with durable.storage_errors(folder):
        fd, name = tempfile.mkstemp(prefix="regenstore-edit-", suffix=".toml", dir=folder)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    edited = Draft(git, name, text)
    failed = True
    try:
        yield edited
        failed = False
    finally:
        if (failed or edited.keep) and edited.text != edited.first:
            say(f"Your text is kept in {name}. To continue with it: {again} --from {shlex.quote(name)}", err=True)
        else:
            durable.unlink(name)
