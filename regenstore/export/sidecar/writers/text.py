"""Text in any format, from a user's Jinja2 template: the fallback for formats without a writer.

The template is rendered by :mod:`regenstore.export.sidecar.jinja_child`, a process with limits. It sees the context as
nested tables (``{{ gen.prompt }}``), fractions as ``24000/1001``, series as lists, and the mapped fields as
``fields["Target"]``; for a batch, the same for each clip in ``clips``. With ``escape = "xml"``, every value is escaped,
and characters that XML does not allow become U+FFFD.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from regenstore.errors import InvalidInput, NotFound
from regenstore.export.context import Value, text_of
from regenstore.export.sidecar import syntax
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.fs import interpreter
from regenstore.fs.path_text import path_text

CHILD = "regenstore.export.sidecar.jinja_child"
OPEN = ("about", "gen.params", "gen.inputs", "frames", "metrics", "fields")
"""The tables that have other entries for each clip."""
PATIENCE = 20.0
"""Wall-clock seconds that a template may take; its processor time is limited by the child itself."""
_CLOSED = subprocess.DEVNULL


class TextWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    def __init__(self, name: str, scope: Scope) -> None:
        self.name = name
        self.scope: Scope = scope

    def vocabulary(self) -> Mapping[str, Target] | None:
        return None

    def settings(self) -> Mapping[str, Target]:
        return {
            "text": Target("text", note="the Jinja2 template itself"),
            "template": Target("text", note="file beside the TOML that contains the template"),
            "escape": Target("choice", ("none", "xml")),
        }

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        """Raises InvalidInput (``bad-template``) with Jinja2's message, NotFound (``extra-missing``)."""
        escape = str(options.settings.get("escape", "none"))
        text = options.settings.get("text")
        if not isinstance(text, str):
            raise InvalidInput("bad-template", "a text output needs text = … or template = …")
        views = [_view(each, escape == "xml") for each in filled]
        values = views[0] if self.scope == "clip" else {"clips": views}
        data, lacking = run(text, values, escape)
        name = options.name_for(filled[0].clip if self.scope == "clip" else None)
        rows = tuple(_written(row) for each in filled for row in each.rows)
        return [Rendered(name, data, rows, tuple(_lacking(lacking)), tuple(syntax.problems(data, name)))]


WRITER = TextWriter("text", "clip")
BATCH_WRITER = TextWriter("batch-text", "batch")


def _lacking(found: Iterable[tuple[str, str, int]]) -> Iterator[str]:
    """Warnings about what clips lack: one for each name and line."""
    clips: dict[tuple[str, int], list[str]] = {}
    for clip, name, line in found:
        clips.setdefault((name, line), []).append(clip)
    for (name, line), lack in clips.items():
        more = f" and {len(lack) - 3} more" if len(lack) > 3 else ""
        yield f"line {line}: {', '.join(lack[:3])}{more} has no {name}; nothing is written for it"


def run(template: str, values: Mapping[str, Any], escape: str = "none") -> tuple[bytes, list[tuple[str, str, int]]]:
    """Render a template in a separate process; returns the text, and what clips lack: clip, name and line. Raises
    InvalidInput (``bad-template``), NotFound (``extra-missing``)."""
    if importlib.util.find_spec("jinja2") is None:
        raise NotFound(
            "extra-missing", "text templates need Jinja2", hint="Install it with: pip install 'regenstore[templates]'"
        )
    order = json.dumps({"template": template, "values": values, "escape": escape, "open": OPEN}).encode()
    try:
        done = subprocess.run(
            interpreter.command(CHILD),
            input=order,
            stdout=subprocess.PIPE,
            stderr=_CLOSED,
            env={},
            cwd="/",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InvalidInput("bad-template", f"the text template did not finish within {PATIENCE:.0f} s") from None
    answer = done.stdout
    if answer[:1] == b"+" and not done.returncode:
        told, _, data = answer[1:].partition(b"\n")
        return data, [(clip, name, line) for clip, name, line in json.loads(told)]
    why = answer[1:].decode(errors="replace") if answer[:1] == b"-" else "it exceeded the limits on time or memory"
    raise InvalidInput("bad-template", f"the text template failed: {why}")


def _view(filled: Filled, legal: bool) -> dict[str, Any]:
    """A clip as a template sees it: plain data only."""
    view: dict[str, Any] = {"about": {}, "frames": {}, "metrics": {}, "gen": {"params": {}, "inputs": {}}}
    for name, value in filled.clip.fields.items():
        place = view
        *folders, last = name.split(".")
        for folder in folders:
            inner = place.get(folder)
            if not isinstance(inner, dict):
                inner = place[folder] = {}
            place = inner
        if not isinstance(place.get(last), dict):
            place[last] = _plain(value, legal)
    view["fields"] = {row.target: _plain(row.value, legal) for row in filled.present}
    view["media_path"] = _plain(path_text(filled.clip.media_path), legal)
    return view


def _plain(value: Value, legal: bool) -> Any:
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return xml_legal(text)[0] if legal else text
    if isinstance(value, Fraction):
        return text_of(value)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, (tuple, array)):
        return [_plain(each, legal) for each in value]
    return value


def _written(row: Row) -> Row:
    return row if row.value is None else row.written(text_of(row.value))
