"""Reading Tcl as Nuke's scripts use it: commands of words, no variables and no command substitution.

Rules of the Tcl language's "dodekalogue" that such a script needs. What would substitute anything is an error
here, so a script that is read without one is a script that does nothing when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_BLANK = " \t"


class TclError(ValueError):
    """Text that does not parse, or that would run something."""


def commands(script: str) -> Iterator[list[str]]:
    """The words of each command of a script. Raises TclError."""
    at = 0
    while at < len(script):
        if script[at] in " \t\n;\r":
            at += 1
        elif script[at] == "#":
            at = _line_end(script, at)
        else:
            words, at = _words(script, at, script_level=True)
            yield words


def elements(text: str) -> list[str]:
    """The elements of a Tcl list, line ends being blanks. Raises TclError."""
    words, _ = _words(text, 0, script_level=False)
    return words


def _line_end(script: str, at: int) -> int:
    end = script.find("\n", at)
    return len(script) if end < 0 else end + 1


def _words(text: str, at: int, *, script_level: bool) -> tuple[list[str], int]:
    """Words up to the command's end; and where the next command may start."""
    words: list[str] = []
    blank = _BLANK if script_level else _BLANK + "\n\r"
    while at < len(text):
        if text[at] in blank:
            at += 1
            continue
        if script_level and text[at] in "\n;":
            return words, at + 1
        if text[at] == "{":
            word, at = _braced(text, at)
        elif text[at] == '"':
            word, at = _open(text, at + 1, '"', script_level)
            at += 1
        else:
            word, at = _open(text, at, blank + ("\n;" if script_level else ""), script_level)
        if at < len(text) and text[at] not in blank and not (script_level and text[at] in "\n;"):
            raise TclError(f"extra characters after a word: {text[at : at + 20]!r}")
        words.append(word)
    return words, at


def _braced(text: str, at: int) -> tuple[str, int]:
    """A word in braces, as it stands: only the nesting counts."""
    depth, start = 0, at + 1
    while at < len(text):
        mark = text[at]
        if mark == "\\":
            at += 2
            continue
        depth += (mark == "{") - (mark == "}")
        at += 1
        if depth == 0:
            return text[start : at - 1], at
    raise TclError("a brace is not closed")


def _open(text: str, at: int, ends: str, script_level: bool) -> tuple[str, int]:
    """A quoted or bare word, up to one of ``ends``."""
    found: list[str] = []
    while at < len(text):
        mark = text[at]
        if mark in ends:
            return "".join(found), at
        if mark == "\\":
            if at + 1 >= len(text):
                raise TclError("a backslash at the end")
            after = text[at + 1]
            if after in "xuU01234567\n":
                raise TclError(f"the escape \\{after} has no place here")
            found.append(_ESCAPES.get(after, after))
            at += 2
            continue
        if script_level and mark in "[$":
            raise TclError(f"'{mark}' would be substituted: {text[at : at + 30]!r}")
        found.append(mark)
        at += 1
    if ends == '"':
        raise TclError("a quote is not closed")
    return "".join(found), at
