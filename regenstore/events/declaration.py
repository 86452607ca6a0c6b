"""The receivers of a repository's events: ``[notify]`` in ``regenstore.toml``.

::

    [notify]
    command = ["tools/told.py"]          # gets the event as JSON on its standard input; exit code 0 accepts it
    webhook = "https://example.org/hook" # gets it by POST; status 2xx accepts it
    events = ["export-dataset"]          # default: all
    timeout = 20                         # seconds for each of the two receivers

Reading it runs nothing and contacts no server. Notifying needs the user's trust, as a declared generator does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from regenstore.addresses import shown
from regenstore.errors import RegenstoreError
from regenstore.events.event import KINDS
from regenstore.project.repository_file import bad_declaration, hash_of, read_table, resolve

NAME = "notify"
"""The name under which the user trusts it."""
_HASH_CONTEXT = "regenstore 2026-11 notify definition v1"
_KEYS = ("command", "webhook", "events", "timeout")
_MAX_TIMEOUT = 300.0


@dataclass(frozen=True)
class Notify:
    """A valid definition."""

    argv: tuple[str, ...]
    """Empty for none."""
    files: tuple[tuple[str, str], ...]
    """Files that the command names, with their digests."""
    webhook: str | None
    events: tuple[str, ...]
    timeout: float
    hash: str

    def describe(self) -> list[str]:
        """Return what would run and be contacted, a line each, for the user to review before approval."""
        lines = ["command: " + " ".join(repr(a) if " " in a or not a else a for a in self.argv)] if self.argv else []
        lines += [f"file:    {path}  {digest}" for path, digest in self.files]
        lines += [f"webhook: {shown(self.webhook)}"] if self.webhook else []
        return [*lines, f"events:  {', '.join(self.events)}"]


def read_notify(top: str) -> Notify | None:
    """Return what a worktree declares, or None. Raises FormatError (``bad-declaration``)."""
    table = read_table(top, NAME)
    if table is None:
        return None
    problem = _problem(table)
    if problem:
        raise bad_declaration(NAME, problem)
    argv, files = resolve(top, table["command"]) if "command" in table else ((), ())
    try:
        hashed = hash_of({"definition": table, "files": dict(files)}, _HASH_CONTEXT)
    except RegenstoreError as error:
        raise bad_declaration(NAME, f": {error.message}") from None
    timeout = float(table.get("timeout", 20))
    return Notify(argv, files, table.get("webhook"), tuple(table.get("events", KINDS)), timeout, hashed)


def _problem(table: Mapping[str, Any]) -> str:
    """Return what is wrong with a definition; empty if nothing is."""
    for key in table:
        if key not in _KEYS:
            return f".{key}: there is no such setting (known: {', '.join(_KEYS)})"
    if "command" not in table and "webhook" not in table:
        return ": it needs a command or a webhook"
    command, events, timeout = table.get("command", ["-"]), table.get("events", []), table.get("timeout", 20)
    if not isinstance(command, list) or not command or not all(isinstance(a, str) and a for a in command):
        return ".command must be a list of strings"
    if not isinstance(events, list) or not all(event in KINDS for event in events):
        return f".events must be a list of {', '.join(KINDS)}"
    fits = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and math.isfinite(timeout)
    if not fits or not 0 < timeout <= _MAX_TIMEOUT:
        return f".timeout must be a number of seconds, at most {_MAX_TIMEOUT:.0f}"
    return _bad_webhook(table["webhook"]) if "webhook" in table else ""


def _bad_webhook(address: Any) -> str:
    try:
        parts = urlsplit(address) if isinstance(address, str) and address.isascii() and address.isprintable() else None
        fits = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or " " in address:
        return ".webhook must be an address that begins with https:// or http://"
    return ""
