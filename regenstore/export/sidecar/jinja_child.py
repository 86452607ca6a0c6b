"""The process that renders one Jinja2 template, and nothing else: a program of its own.

A template may come with a cloned repository, so it runs in Jinja2's unmodified immutable sandbox, without
globals, loader or extensions, and what a sandbox does not stop (endless loops, huge texts) the limits on
time, memory and output do. Reads one JSON document, answers one byte (``+`` or ``-``), then the text or the
message. It is started in isolated mode, with no environment, in the root folder, and can write no file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

SECONDS, MEMORY, OUTPUT = 5, 512 << 20, 64 << 20
"""Of processor time; bytes of address space beyond what the libraries take; bytes of the result."""
_TCL = {ord(c): chr(ord(c) + 0xFEE0) for c in '[]$\\{}"'} | {ord("\n"): " ", ord("\r"): " "}


def limit() -> None:
    """Put the limits on this process. Raises ImportError where the system has none."""
    import resource  # POSIX only

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, used + MEMORY),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def render(order: Mapping[str, Any]) -> bytes:
    """The rendered text. Raises jinja2.TemplateError, ValueError for too much of it, MemoryError."""
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
            raise ValueError(f"it gives more than {OUTPUT >> 20} MiB")
        parts.append(data)
    return b"".join(parts)


def xml(value: object) -> object:
    """For text and attributes of XML; marked, so that it is not escaped once more."""
    from markupsafe import escape

    return escape(value)


def tcl(value: object) -> str:
    """For a Tcl word: what Tcl would act on becomes its full-width twin."""
    return str(value).translate(_TCL)


def js(value: object) -> str:
    """A JavaScript (and JSON) literal, ASCII only, that may stand inside of HTML."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")


def csv(value: object) -> str:
    """A quoted CSV cell."""
    return '"' + str(value).replace('"', '""') + '"'


def decimal(value: object, places: int = 6) -> str:
    """A number or a fraction such as ``24000/1001`` with that many decimals."""
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
    except Exception as error:  # whatever a template makes Jinja2 raise is the template's fault
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        answer = f"-{where}{error.__class__.__name__}: {error}"[:2000].encode("utf-8", errors="replace")
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
