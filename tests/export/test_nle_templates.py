"""The built-in templates for editing programs, and what templates say that know a target wrong."""

from __future__ import annotations

import pytest

from regenstore.errors import InvalidInput
from regenstore.export.sidecar import template
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.template import SCHEMA

BUILT_IN = {
    "resolve": {"resolve-csv": "resolve_metadata.csv", "fcpxml": "{stem}.fcpxml"},
    "premiere": {"xmeml": "{stem}.premiere.xml"},
    "otio": {"otio": "{stem}.otio"},
    "ale": {"ale": "clips.ale"},
    "ascmhl": {"ascmhl": "ascmhl/0001_regenstore.mhl"},
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_templates_load(name):
    loaded = Library(None).load(name)
    assert {output.writer: output.file for output in loaded.outputs} == BUILT_IN[name]
    assert loaded.about


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_templates_need_no_measuring(name):
    """A sidecar is quick: what a column of measurements would need stays out of these."""
    assert not [each for each in Library(None).load(name).fields if each.source.startswith(("metrics.", "frames."))]


def loaded(writer: str, target: str, extra: str = ""):
    text = (
        f'schema = "{SCHEMA}"\nname = "mine"\n[output]\nwriter = "{writer}"\nfile = "{{stem}}.x"\n{extra}\n'
        f'[[field]]\ntarget = "{target}"\nsource = "gen.prompt"\n'
    )
    return template.load("mine", lambda name, built_in: text.encode())


@pytest.mark.parametrize(
    ("writer", "wrong", "right"),
    [
        ("resolve-csv", "Descripton", "Description"),
        ("resolve-csv", "comments", "Comments"),
        ("resolve-csv", "Start TC", ""),
        ("fcpxml", "notes", "note"),
        ("fcpxml", "com.apple.proapps.studio.scenes", "com.apple.proapps.studio.scene"),
        ("xmeml", "logginginfo.descripton", "logginginfo.description"),
        ("xmeml", "shottake", "logginginfo.shottake"),
        ("otio", "regenstore.prompt", ""),
        ("ale", "Scen", "Scene"),
    ],
)
def test_a_target_that_a_format_does_not_know(writer, wrong, right):
    with pytest.raises(InvalidInput, match=f"{wrong}'" + (f"; did you mean '{right}'" if right else "")) as caught:
        loaded(writer, wrong)
    assert caught.value.kind == "bad-template"


@pytest.mark.parametrize(
    ("writer", "target"),
    [("resolve-csv", "Regen Prompt"), ("fcpxml", "com.regenstore.x"), ("otio", "clip.a.b"), ("ale", "Regen Prompt")],
)
def test_names_of_ones_own(writer, target):
    assert loaded(writer, target).fields[0].target == target


def test_a_setting_that_a_format_does_not_know():
    with pytest.raises(InvalidInput, match="did you mean 'markers'"):
        loaded("fcpxml", "note", "marker = true")
    with pytest.raises(InvalidInput, match="not a boolean"):
        loaded("fcpxml", "note", 'markers = "no"')
