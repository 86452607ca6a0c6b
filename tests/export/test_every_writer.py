"""Every writer on anything that a store may hold and a template may ask for: what is written is right by the format's
checker, or what is wrong with it is told."""

from __future__ import annotations

import json
import math
import os
import re
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from regenstore.errors import InvalidInput
from regenstore.export import context
from regenstore.export.sidecar import writers
from regenstore.export.sidecar.batch import Batch, PlannedFile
from regenstore.export.sidecar.deliver import deliver
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.template import SCHEMA, load
from regenstore.export.sidecar.writer import Options, Sibling
from tests.export.checks import check
from tests.export.clips import DROP, HLG, HOSTILE, PQ, RATES, REC709, UNTAGGED, clip

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
FORMATS = [name for name in writers.WRITERS if name not in ("text", "batch-text", "ascmhl")]
"""Those that fields are mapped to."""

# ------------------------------------------------------------------------------------------- what may come

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.just(HOSTILE)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.booleans() | numbers | texts | st.datetimes() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
    max_leaves=8,
)
"""All types that a recipe's parameters have."""
tables = st.dictionaries(st.sampled_from(["seed", "steps", "cfg", "sampler", "x y", "<a&b>"]), values, max_size=4)
rates = st.sampled_from([*RATES, *map(Fraction, ("25/2", "1/2", "12000/1001", "120", "120000/1001", "1000", "10"))])
measures = st.floats(-1e7, 1e7) | st.sampled_from([math.nan, math.inf, -0.0, 1e-9, 1e300])
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/"), min_size=1)


@st.composite
def clips(draw):
    rate = draw(rates)
    frames = draw(st.integers(1, 40) | st.integers(1, 3_000_000))
    columns, still = None, draw(st.integers(0, 9)) == 0
    if not still and frames <= 40 and draw(st.booleans()):
        column = st.lists(measures, min_size=frames, max_size=frames)
        columns = draw(st.dictionaries(st.sampled_from(["motion", "black", "blur", "face_confidence"]), column))
        columns["index"] = [float(number) for number in range(frames)]
        columns["time"] = [float(number / rate) for number in range(frames)]
    digits = [draw(st.integers(0, most)) for most in (23, 59, 59, math.ceil(rate))]
    mark = ";" if rate in DROP and draw(st.booleans()) else ":"
    timecode = "{:02}:{:02}:{:02}{}{:02}".format(*digits[:3], mark, digits[3])
    return clip(
        name=f"shots/{draw(names)}.mp4",
        rate=rate,
        frames=frames,
        timecode=draw(st.sampled_from([None, timecode])),
        color=draw(st.sampled_from([UNTAGGED, REC709, PQ, HLG])),
        size=draw(st.tuples(st.integers(1, 40000), st.integers(1, 40000))),
        prompt=draw(st.none() | texts),
        params=draw(tables),
        about={"tags": draw(st.lists(texts, max_size=3)), "note": draw(texts), "scene": draw(texts)},
        columns=columns,
        audio=draw(st.booleans()),
        variable=draw(st.integers(0, 9)) == 0,
        still=still,
    )


def toml(value: object) -> str:
    """A text, a number or a list of them: TOML has them as JSON does."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def templates(draw, writer: str):
    """The text of a template that may be nonsense, in every way that its reader lets through."""
    known = writers.find(writer).vocabulary()
    wild = [name.removesuffix("*") for name in known or ["frame", ""] if name.endswith("*") or known is None]
    words = st.text("ab_.-/ 1", min_size=1, max_size=8) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    own = st.builds(str.__add__, st.sampled_from(wild), words | st.just("")) if wild else st.nothing()
    target = own if known is None else st.sampled_from([name for name in known if not name.endswith("*")] or [""]) | own
    constant = texts | st.booleans() | st.integers(-(10**20), 10**20) | st.lists(texts | st.integers(0, 99), max_size=3)
    source = st.sampled_from([*context.NAMES, "gen.params.cfg", "frames.motion", "metrics.blur.max", "about.scene"])
    lines = [f'schema = "{SCHEMA}"', "[[output]]", f'writer = "{writer}"', 'file = "{stem}{name}"']
    if writers.find(writer).scope == "batch":
        lines[-1] = 'file = "a.b"'
    for name, setting in writers.find(writer).settings().items():
        if draw(st.booleans()):
            value = {"boolean": st.booleans(), "choice": st.sampled_from(setting.choices or ("",))}.get(
                setting.kind, texts
            )
            lines.append(f"{name} = {toml(draw(value))}")
    for name in draw(st.lists(target, max_size=6, unique=True)):
        lines += ["[[field]]", f"target = {toml(name)}"]
        chosen = draw(st.tuples(st.just("source"), source) | st.tuples(st.just("value"), constant))
        lines.append(f"{chosen[0]} = {toml(chosen[1])}")
    return "\n".join(lines)


def rendered(template, shown):
    """All files of a template for clips, with their writers' names."""
    for output in template.outputs:
        writer = writers.find(output.writer)
        other = (Sibling("a/b.txt", lambda: iter([b"x"])),)
        options = Options(output.file, 1001, output.settings, {o.writer: o.file for o in template.outputs}, True, other)
        accepted = [fill(template, output, each) for each in shown if writer.refuses(each, options) is None]
        groups = [[each] for each in accepted] if writer.scope == "clip" else [accepted] if accepted else []
        for group in groups:
            yield from ((output.writer, file) for file in writer.render(group, options))


# ------------------------------------------------------------------------------------------- what has to come of it


BUILT_IN = [Library(None).load(name) for name in Library.built_in()]


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(shown=st.lists(clips(), min_size=1, max_size=2))
def test_built_in_templates_give_what_their_formats_allow(shown):
    for writer, file in (made for template in BUILT_IN for made in rendered(template, shown)):
        assert (writer, file.problems, check(writer, file.data, file.name)) == (writer, (), [])


@pytest.mark.parametrize("writer", FORMATS)
@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_a_template_gets_wrong_is_told(writer, data):
    text = data.draw(templates(writer))
    shown = data.draw(clips())
    try:
        template = load("mine", lambda name, built_in: text.encode())
        files = list(rendered(template, [shown]))
    except InvalidInput as error:
        event(error.message.splitlines()[-1][:30])
        return
    for writer, file in files:
        assert file.problems or check(writer, file.data, file.name) == [], text


REFUSED = [
    ("ale", 'target = "Regen a\\tb"\nvalue = "x"', "not a valid name in this format"),
    ("resolve-csv", 'target = "Regen a\\nb"\nvalue = "x"', "one line"),
    ("fcpxml", 'target = "com.regenstore.a b"\nvalue = "x"', "ASCII without spaces"),
    ("xmp", 'target = "xmpMM:DocumentID"\nvalue = "xmp.did:1"', "not a uuid:"),
    ("xmp", 'target = "xmpDM:startTimecode"\nvalue = "at noon"', "HH:MM:SS:FF"),
    ("xmp", 'target = "xmpDM:videoFrameSize"\nvalue = ["wide", "high"]', "integers"),
    ("frames-csv", 'target = "frame"\nsource = "frames.blur"', "frames.index"),
    ("frames-csv", 'target = "a"\nsource = "gen.prompt"', "no columns"),
    ("text", 'target = "a"\nsource = "gen.prompt"', "unclosed brace"),
]


@pytest.mark.parametrize(("writer", "field", "said"), REFUSED, ids=[f"{each[0]}: {each[2]}" for each in REFUSED])
def test_an_author_is_told_before_anything_is_written(tmp_path, writer, field, said):
    """By an error that says where, and with the folder as it was."""
    file = 'file = "a.b"' if writers.find(writer).scope == "batch" else 'file = "{stem}.nk"'
    text = f'schema = "{SCHEMA}"\n[output]\nwriter = "{writer}"\n{file}\n'
    text += "text = \"a {{ '{' }}\"\n" if writer == "text" else ""
    shown = clip(columns={"blur": [0.5] * 96}, prompt="a { b")
    with pytest.raises(InvalidInput, match=re.escape(said)) as caught:
        template = load("mine", lambda name, built_in: f"{text}[[field]]\n{field}\n".encode())
        files = [
            PlannedFile(str(tmp_path / f.name), f.data, problems=f.problems) for _, f in rendered(template, [shown])
        ]
        deliver(Batch(files), base=str(tmp_path), protected=lambda path: False)
    assert caught.value.kind in ("bad-template", "bad-export")
    assert os.listdir(tmp_path) == []
