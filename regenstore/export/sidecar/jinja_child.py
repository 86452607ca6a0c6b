"""A program that renders one Jinja2 template in a sandboxed process.

A template may come with a cloned repository, so it runs in Jinja2's unmodified immutable sandbox, without globals,
loader or extensions; what a sandbox does not stop (endless loops, huge texts) is stopped by limits on time, memory and
output. Reads one JSON document; answers with one byte (``+`` or ``-``) and then the text or the error message. It is
started in isolated mode, with an empty environment, in the root folder, and can write no file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

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
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=order["escape"] == "xml", keep_trailing_newline=True
    )
    environment.globals.clear()
    environment.filters.update(xml=xml, tcl=tcl, js=js, csv=csv, decimal=decimal)
    parts, size = [], 0
    for part in environment.from_string(order["template"]).generate(**order["values"]):
        data = part.encode("utf-8", errors="replace")
        size += len(data)
        if size > OUTPUT:
            raise ValueError(f"its output is larger than {OUTPUT >> 20} MiB")
        parts.append(data)
    return b"".join(parts)


def xml(value: object) -> object:
    """Escape for XML text and attributes; marked as safe, so that it is not escaped again."""
    from markupsafe import escape

    return escape(value)


def tcl(value: object) -> str:
    """Make a Tcl word: characters special to Tcl are replaced by their full-width forms."""
    return str(value).translate(_TCL)


def js(value: object) -> str:
    """Make a JavaScript (and JSON) literal, ASCII only, safe inside HTML."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def csv(value: object) -> str:
    """Make a quoted CSV cell."""
    return '"' + str(value).replace('"', '""') + '"'


def decimal(value: object, places: int = 6) -> str:
    """Format a number or a fraction such as ``24000/1001`` with a number of decimals."""
    top, _, bottom = str(value).partition("/")
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
