"""Sidecars in memory, by a built-in template: what tests of single formats read back."""

from __future__ import annotations

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered
from tests.export.checks import check


def by_template(template: str, writer: str, clip: Clip, start_frame: int | None = None) -> Rendered:
    """The one file that an output of a built-in template gives for a clip; checked."""
    found = Library(None).load(template)
    (output,) = (each for each in found.outputs if each.writer == writer)
    names = {each.writer: each.file for each in found.outputs}
    options = Options(output.file, start_frame, output.settings, names)
    return render(writer, fill(found, output, clip), options)


def render(writer: str, filled: Filled, options: Options) -> Rendered:
    """The one file of a writer, with which nothing is wrong."""
    made = writers.find(writer)
    assert made.refuses(filled.clip, options) is None
    (rendered,) = made.render([filled], options)
    (again,) = made.render([filled], options)
    assert rendered == again
    assert not rendered.problems
    assert check(writer, rendered.data, rendered.name) == []
    return rendered
