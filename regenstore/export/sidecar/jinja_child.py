"""A program that renders one Jinja2 template in a sandboxed process.

A template may come with a cloned repository, so it runs in Jinja2's unmodified immutable sandbox, without globals,
loader or extensions; what a sandbox does not stop (endless loops, huge texts) is stopped by limits on time, memory and
output. Reads one JSON document; answers with one byte (``+`` or ``-``) and then the text or the error message. It is
started in isolated mode, with an empty environment, in the root folder, and can write no file.

What a clip lacks (an unknown value, an entry of an open table such as ``about``) is written as nothing, and reported
after the ``+`` as a line of JSON, with clip and line; an unknown name is an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

MOST = 1000
"""How many lacking values are reported."""
SECONDS, MEMORY, OUTPUT = 5, 512 << 20, 64 << 20
"""Seconds of processor time; bytes of address space beyond what the libraries need; bytes of output."""
_TCL = {ord(c): chr(ord(c) + 0xFEE0) for c in '[]$\\{}"'} | {ord("\n"): " ", ord("\r"): " "}


def limit() -> None:
    """Apply the limits to this process. Raises ImportError on systems without them."""
    import resource  # POSIX only

    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        used = 1 << 30  # not Linux
    for what, most in (
        (resource.RLIMIT_AS, used + MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def render(order: Mapping[str, Any]) -> bytes:
    """Render the template. Raises jinja2.TemplateError, ValueError for too much output, MemoryError."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    lacks = _Lacks(order["open"])
    for view in order["values"].get("clips", [order["values"]]):
        lacks.index(view, view["medium"]["path"] if "medium" in view else "")
    environment = ImmutableSandboxedEnvironment(
        undefined=lacks.undefined(), autoescape=order["escape"] == "xml", keep_trailing_newline=True
    )
    environment.globals.clear()
    environment.tests["none"] = lambda value: value is None or lacks.lenient(value)
    environment.filters.update(xml=xml, tcl=tcl, js=js, csv=csv, decimal=decimal)
    parts, size = [], 0
    for part in environment.from_string(order["template"]).generate(**order["values"]):
        data = part.encode("utf-8", errors="replace")
        size += len(data)
        if size > OUTPUT:
            raise ValueError(f"its output is larger than {OUTPUT >> 20} MiB")
        parts.append(data)
    return json.dumps(lacks.told[:MOST]).encode() + b"\n" + b"".join(parts)


class _Lacks:
    """What the clips of a template lack. ``open``: dotted names of tables that may have any entries."""

    def __init__(self, open_tables: Sequence[str]) -> None:
        self._open = tuple(open_tables)
        self._tables: dict[int, tuple[str, str, bool, set[str]]] = {}
        self.told: list[tuple[str, str, int]] = []
        """Clip, dotted name and line, in order, each once."""

    def index(self, table: dict[str, Any], clip: str, name: str = "") -> None:
        """Learn a clip's tables. Unknown values are taken out of them."""
        unknown = {key for key, value in table.items() if value is None}
        for key in unknown:
            del table[key]
        is_open = any(f"{name}.".startswith(f"{each}.") for each in self._open)
        self._tables[id(table)] = (clip, name, is_open, unknown)
        for key, value in table.items():
            if isinstance(value, dict):
                self.index(value, clip, f"{name}.{key}".removeprefix("."))

    def lenient(self, value: Any) -> bool:
        """Whether a value is one that a clip may lack."""
        place = self._tables.get(id(getattr(value, "_undefined_obj", None)))
        return place is not None and (place[2] or value._undefined_name in place[3])

    def tell(self, value: Any) -> None:
        """Report a value that is used. Raises jinja2.UndefinedError for a name that no clip can have."""
        if not self.lenient(value):
            value._fail_with_undefined_error()
        clip, name, _, _ = self._tables[id(value._undefined_obj)]
        found = (clip, f"{name}.{value._undefined_name}".removeprefix("."), _line())
        if found not in self.told:
            self.told.append(found)

    def undefined(self) -> Any:
        """The class of missing values."""
        from jinja2 import StrictUndefined, Undefined

        lacks = self
        base: Any = StrictUndefined  # by type, its methods are aliases of the one that raises

        class Lacking(base):  # type: ignore[misc]
            __slots__ = ()

            def __str__(self) -> str:
                lacks.tell(self)
                return ""

            def __iter__(self) -> Iterator[Any]:
                lacks.tell(self)
                return iter(())

            def __len__(self) -> int:
                lacks.tell(self)
                return 0

            def __bool__(self) -> bool:
                if not lacks.lenient(self):
                    self._fail_with_undefined_error()
                return False

            def __eq__(self, other: object) -> bool:
                return not self and (other is None or isinstance(other, Undefined))

            def __ne__(self, other: object) -> bool:
                return not self == other

            def __hash__(self) -> int:
                return 0

            def __lt__(self, other: object) -> bool:
                lacks.tell(self)
                return False

            __le__ = __gt__ = __ge__ = __lt__

        return Lacking


def _line() -> int:
    """The line of the template that is being rendered."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return int(template.get_corresponding_lineno(frame.f_lineno))
        frame = frame.f_back
    return 0


def xml(value: object) -> object:
    """Escape for XML text and attributes; marked as safe, so that it is not escaped again."""
    from markupsafe import escape

    return escape(value)


def tcl(value: object) -> str:
    """Make a Tcl word: characters special to Tcl are replaced by their full-width forms."""
    return str(value).translate(_TCL)


def js(value: object) -> str:
    """Make a JavaScript (and JSON) literal, ASCII only, safe inside HTML."""
    from jinja2 import Undefined

    value = (str(value) or None) if isinstance(value, Undefined) else value
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def csv(value: object) -> str:
    """Make a quoted CSV cell."""
    return '"' + str(value).replace('"', '""') + '"'


def decimal(value: object, places: int = 6) -> str:
    """Format a number or a fraction such as ``24000/1001`` with a number of decimals."""
    top, _, bottom = str(value).partition("/")
    if not top:
        return ""
    return f"{float(top) / float(bottom or 1):.{max(0, min(int(places), 12))}f}"


def main() -> None:
    order = json.load(sys.stdin.buffer)
    import jinja2.sandbox  # noqa: F401  before the limits: what it takes is not the template's

    try:
        limit()
        answer = b"+" + render(order)
    except MemoryError:
        answer = b"-it takes more than %d MiB of memory" % (MEMORY >> 20)
    except Exception as error:  # whatever Jinja2 raises here is an error in the template
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        answer = f"-{where}{error.__class__.__name__}: {error}"[:2000].encode("utf-8", errors="replace")
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
