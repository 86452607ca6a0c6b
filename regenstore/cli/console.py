"""Terminal output. Everything printed goes through this module, which makes it harmless.

A prompt, a path, a server's answer or a generator's message may contain anything: escape sequences, direction marks,
invisible characters. ``say`` prints exactly one line with all of those escaped (``visible``), so that no text can
control the terminal or fake a line of regenstore's own output. Styles are added afterwards, by arguments. JSON output
is ASCII. Only ``write`` passes bytes through unchanged, to pipes and files.

This module imports only a little of the standard library: the Git filter uses it too.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing takes too long for git's filter
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TextIO

    from regenstore.errors import RegenstoreError

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPACES = "\u00a0\u202f\u3000"  # used in French and Japanese; not printable according to Python
_ARABIC_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
"""Format characters that are nevertheless visible."""
_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Letters and marks that are nevertheless invisible. (Other format characters count as unprintable.)"""
_EMOJI = ((0x2190, 0x2BFF), (0x1F000, 0x1FAFF))
_EMOJI_TOO = "#*0123456789\u00a9\u00ae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299"
_STYLES = {"bold": "1", "good": "32", "warn": "35", "error": "1;31", "quiet": "2"}
"""Colours that can be read on dark and light backgrounds, as the numbers of terminals: no yellow, no white."""
_JOINED = ((0x0600, 0x109F), (0x1780, 0x18AF), (0xA800, 0xABFF), (0x10A00, 0x11FFF))
"""Scripts, from Arabic to Myanmar, in which joiners and non-joiners are part of the spelling."""


def visible(text: str) -> str:
    """Make a text safe to print on one line, by escaping what is invisible or acts on a terminal: control characters,
    line ends, direction marks, invisible and unassigned characters.

    ``\\xNN`` is a control character or a byte that is not UTF-8, ``\\uNNNN`` and ``\\UNNNNNNNN`` are other characters.
    Letters of all scripts, combining marks and emoji are unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_seen(c, text, i) else _spelled(c) for i, c in enumerate(text))


def _is_seen(c: str, text: str, at: int) -> bool:
    if " " <= c <= "~" or c in _SPACES or c in _ARABIC_SIGNS:
        return True
    if c in "\u200c\u200d\ufe0e\ufe0f":  # visible only by their effect on other characters
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if c in "\ufe0e\ufe0f":
            return _within(before, _EMOJI) or before in tuple(_EMOJI_TOO)
        if c == "\u200d" and (_within(before, _EMOJI) or before == "\ufe0f"):
            return _within(after, _EMOJI)
        return _within(before, _JOINED) and _within(after, _JOINED)
    return c.isprintable() and c not in _UNSEEN and not "\U000e0000" <= c <= "\U000e0fff"


def _within(c: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return bool(c) and any(first <= ord(c) <= last for first, last in ranges)


def _spelled(c: str) -> str:
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:  # Python's form of a byte that is not UTF-8
        code -= 0xDC00
    elif code >= 0x80:
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED.get(c) or f"\\x{code:02x}"


_quiet = False


def be_quiet() -> None:
    """From now on, ``say`` prints only to standard error, and there are no progress bars."""
    global _quiet
    _quiet = True


def shows_progress() -> bool:
    """Whether progress bars are shown: on a terminal, unless the user wants quiet, or standard output is a pipe, whose
    reader may print rows on the same terminal, into the bars."""
    return not _quiet and sys.stderr is not None and sys.stderr.isatty() and not _is_piped(sys.stdout)


def _is_piped(stream: TextIO | None) -> bool:
    import stat

    try:
        mode = 0 if stream is None else os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def say(text: str = "", *, err: bool = False, end: str = "\n", style: str = "", whole: bool = False) -> None:
    """Print one line to standard output or standard error, with its text made safe. ``style``: one of :data:`_STYLES`,
    which shows on a terminal that has colours. A line longer than the terminal is broken between words, and continues
    indented, unless it has to stay ``whole``, as paths have."""
    if _quiet and not err:
        return
    stream = sys.stderr if err else sys.stdout
    shown = visible(text) if whole else _broken(visible(text), stream)
    _print(_styled(shown, style, stream), stream, end)


def _broken(text: str, stream: TextIO | None) -> str:
    """Break a line between words if it is longer than the terminal. Words stay whole, as do commands in quotes."""
    if len(text) <= 40 or stream is None or not stream.isatty() or len(text) <= (width := width_of(stream)):
        return text
    import re
    import textwrap

    text = re.sub(r"(?<!\w)'[^']*'(?!\w)", lambda quoted: quoted[0].replace(" ", "\0"), text)
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    wrapper = textwrap.TextWrapper(width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.wrap(text)).replace("\0", " ")


def has_colours(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal whose user wants colours (see no-color.org)."""
    return (
        stream is not None and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def width_of(stream: TextIO | None) -> int:
    """The number of columns of a terminal; 80 if it is unknown."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns if stream is not None else 0) or 80
    except (OSError, ValueError):
        return 80


def shortened(text: str, cells: int) -> str:
    """Cut the beginning off a text that is wider than ``cells`` columns: the end of a path says most."""
    from unicodedata import east_asian_width

    widths = [2 if east_asian_width(c) in "WF" else 1 for c in text]
    total, cut = sum(widths), 0
    if total <= cells:
        return text
    while cut < len(widths) and total > cells - 1:
        total -= widths[cut]
        cut += 1
    return "…" + text[cut:]


_as_typed: dict[str, str] = {}


def subject_typed(inside: str, typed: str) -> None:
    """From now on, errors name a path of the worktree as the user typed it."""
    if inside and inside != typed:
        _as_typed[inside] = typed


def _with_typed_paths(hint: str) -> str:
    import re

    for inside, typed in _as_typed.items():
        if "." in inside or "/" in inside:  # others could be words
            hint = re.sub(rf"(?<![\w./-]){re.escape(inside)}(?![\w./-])", typed.replace("\\", r"\\"), hint)
    return hint


def say_error(lead: str, error: RegenstoreError, *, with_hint: bool = True) -> None:
    """Print an error to standard error: its subject, message and hint; with REGENSTORE_DEBUG its kind, too. Further
    lines of a message, which may come from git or a server, are prefixed with a bar."""
    from regenstore.cli.hints import hint_for

    first, *more = error.message.split("\n")
    subject, colon, rest = first.partition(": ")
    first = f"{_as_typed.get(subject, subject)}{colon}{rest}"
    lead = visible(lead)
    shown = _broken(f"{lead}: {visible(first)}", sys.stderr)
    styled = _styled(lead, "error", sys.stderr) + shown[len(lead) :] if shown.startswith(lead) else shown
    _print(styled, sys.stderr)
    for line in more:
        say(f"  | {line}", err=True)
    if with_hint and (hint := hint_for(error)):
        say(f"  hint: {_with_typed_paths(hint)}", err=True)
    if "REGENSTORE_DEBUG" in os.environ:
        cause = "" if error.__cause__ is None else f"; cause: {error.__cause__}"
        say(f"  kind: {error.kind} ({error.category}, exit code {error.exit_code}){cause}", err=True)


def rewrite(text: str) -> None:
    """On a terminal, overwrite standard error's current line without ending it. Does not clear it first."""
    if sys.stderr is not None:
        print("\r\x1b[K" + _encodable(visible(text), sys.stderr), end="", file=sys.stderr, flush=True)


def write(data: bytes) -> None:
    """Print a text as stored: unchanged to a pipe or file, with its lines made safe on a terminal."""
    if not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    for line in data.decode(errors="surrogateescape").removesuffix("\n").split("\n"):
        _print("\t".join(visible(part) for part in line.split("\t")), sys.stdout)


def print_json(record: Mapping[str, Any], *, err: bool = False, indent: int | None = None) -> None:
    """Print a JSON record in ASCII. A string that UTF-8 cannot encode (with a byte of a path) is quoted entirely, as
    by ``fs.path_text``."""
    import json

    from regenstore.fs.path_text import utf8_only

    text = json.dumps(utf8_only(record), indent=indent, ensure_ascii=True).replace("\x7f", "\\u007f")
    _print(text, sys.stderr if err else sys.stdout)


def ask(question: str, *, default: bool, err: bool = False) -> bool:
    """Ask a yes/no question. Raises click.Abort at the end of input."""
    import click

    return click.confirm(visible(question), default=default, err=err)


def bars(*, bytes_moved: bool = False) -> Any:
    """Rich progress bars on standard error. Descriptions are made safe and contain no markup. Lines printed by
    ``say`` meanwhile appear above the bars."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text
    from rich.theme import Theme

    width = width_of(sys.stderr)
    columns_of_text = ("percentage", "elapsed", "remaining", "download", "data.speed")  # yellow and cyan otherwise
    plain = {f"progress.{name}": "none" for name in columns_of_text}
    shown = {"bar.back": "bright_black", "bar.complete": "green", "bar.finished": "green", "bar.pulse": "green"}

    class Description(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(shortened(visible(task.description), width // (3 if bytes_moved else 2)), no_wrap=True)

    columns: tuple[ProgressColumn, ...] = (TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    if bytes_moved:
        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(
        Description(),
        BarColumn(bar_width=min(40, width // 4)),
        *columns,
        console=Console(stderr=True, theme=Theme(plain | shown)),
        transient=True,
        redirect_stdout=not bytes_moved and sys.stdout.isatty(),
    )


def _print(line: str, stream: TextIO | None, end: str = "\n") -> None:
    if stream is None:  # it was closed before we started; print() would use another one
        return
    print(_encodable(line, stream), end=end, file=stream, flush=True)


def _styled(shown: str, style: str, stream: TextIO | None) -> str:
    return f"\x1b[{_STYLES[style]}m{shown}\x1b[0m" if style and shown and has_colours(stream) else shown


def _encodable(text: str, stream: TextIO) -> str:
    """Escape the characters that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
