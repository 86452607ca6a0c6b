"""Built-in templates on clips of values, as an export renders them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.template import Template
from regenstore.export.sidecar.writer import Clip, Options, Rendered, Sibling
from tests.export.checks import check


def rendered(
    template: str,
    *clips: Clip,
    writer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    siblings: tuple[Sibling, ...] = (),
    csv_safe: bool = False,
    there: Mapping[str, bytes] | None = None,
) -> list[Rendered]:
    """What the outputs of a built-in template (or the one of a writer) come to. Each file has to please the
    format's checker, and to come out the same a second time."""
    loaded = _built_in(template)
    files: list[Rendered] = []
    for output in loaded.outputs:
        if writer not in (None, output.writer):
            continue
        found = writers.find(output.writer)
        options = Options(
            output.file, settings=settings or output.settings, siblings=siblings, csv_safe=csv_safe, there=there or {}
        )
        assert not any(found.refuses(clip, options) for clip in clips)
        batches = [[clip] for clip in clips] if found.scope == "clip" else [list(clips)]
        for batch in batches:
            filled = [fill(loaded, output, clip) for clip in batch]
            made = found.render(filled, options)
            assert made == found.render(filled, options)
            assert [(each.problems, check(output.writer, each.data, each.name)) for each in made] == [((), [])] * len(
                made
            )
            files += made
    return files


@cache
def _built_in(name: str) -> Template:
    return Library(None).load(name)


def refused(writer: str, clip: Clip) -> str | None:
    """Why a writer does not take a clip."""
    return writers.find(writer).refuses(clip, Options("{stem}.x"))


def problems(writer: str, data: bytes) -> list[str]:
    """What is wrong with a file of a writer."""
    return check(writer, data)
