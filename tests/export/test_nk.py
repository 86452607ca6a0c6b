"""Nuke scripts, read by a real Tcl interpreter that records every command and can run nothing."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Options
from tests.export.checks import check
from tests.export.clips import HLG, HOSTILE, LONG, RATES, REC709, clip, filled
from tests.export.one_file import by_template, render

tkinter = pytest.importorskip("tkinter", reason="Python was built without Tcl")
NAN = math.nan


@dataclass
class Loaded:
    """What an interpreter saw: each node's knobs, the metadata, and what ran beside the nodes."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)


NODES = {"Root", "Read", "ModifyMetaData", "NoOp"}


def load(script: bytes) -> Loaded:
    """Runs a script as Nuke does (each command is a node), then reads every value, then evaluates every value."""
    seen = Loaded()
    tcl = tkinter.Tcl()
    tcl.eval("interp create -safe child")

    def unknown(*words: str) -> str:
        if words[0] in NODES and len(words) == 2:
            seen.nodes[words[0]] = knobs = {}
            listed = tcl.splitlist(words[1])
            assert len(listed) % 2 == 0
            for knob, value in zip(listed[::2], listed[1::2]):
                knobs[str(knob)] = str(value)
        elif words[0] != "version":
            seen.ran.append(words)
        return "ran"

    tcl.createcommand("record", unknown)
    # Nothing is left that does anything: every command of the child is one that is recorded.
    tcl.eval("child alias record record")
    for name in tcl.splitlist(tcl.eval("child eval {info commands}")):
        if name != "record":
            tcl.eval(f"interp hide child {{{name}}}")
    tcl.eval("interp invokehidden child namespace unknown record")
    tcl.call("child", "eval", script.decode())
    for entry in tcl.splitlist(seen.nodes.get("ModifyMetaData", {}).get("metadata", "")):
        action, key, value = tcl.splitlist(entry)
        assert action == "set"
        seen.metadata[str(key)] = str(value)
    values = [value for node in seen.nodes.values() for knob, value in node.items() if knob != "metadata"]
    for value in (*values, *seen.metadata.values()):
        # Nuke evaluates values when it uses them.
        assert tcl.call("interp", "invokehidden", "child", "subst", value) == value
    return seen


def curve(text: str) -> dict[int, float]:
    """Frame -> value, by the serialisation that Foundry documents."""
    found: dict[int, float] = {}
    frame = 1
    for word in re.fullmatch(r"\{curve (.*)\}", text)[1].split():
        if word.startswith("x"):
            frame = int(word[1:])
        else:
            found[frame] = float(word)
            frame += 1
    return found


def test_the_recorder_sees_what_would_run():
    """The negative case: what the writer prevents is noticed here."""
    for value in ('"\\[python \\{1\\}]"', "{$HOME}", '"\\\\x"'):
        with pytest.raises((AssertionError, tkinter.TclError)):  # quoted well enough to load, and yet evaluated
            load(b"ModifyMetaData {\n metadata {\n  {set regenstore/prompt %s}\n }\n}\n" % value.encode())
    seen = load(b"version 13.2 v1\n[exit]\n")
    assert seen.ran == [("exit",), ("ran",)]


def test_a_script_of_an_ordinary_clip():
    shown = clip(frames=96, color=REC709, timecode="01:00:00:00")
    seen = load(by_template("nuke", "nk", shown).data)
    assert seen.ran == []
    assert seen.nodes["Root"] == {
        "inputs": "0",
        "name": "gen_0001",
        "first_frame": "1",
        "last_frame": "96",
        "lock_range": "true",
        "format": "1280 720 0 0 1280 720 1 gen_1280x720",
        "fps": "24.000000",
    }
    read = seen.nodes["Read"]
    assert (read["file"], read["last"], read["name"]) == ("/media/gen_0001.mp4", "96", "Read_gen_0001")
    assert "colorspace" not in read and "frame" not in read and "file_type" not in read
    assert seen.metadata["regenstore/seed"] == "1234567890123456789012"
    assert seen.metadata["regenstore/timecode"] == "01:00:00:00"
    assert seen.metadata["regenstore/prompt"] == "a lighthouse at dusk"
    assert "NoOp" not in seen.nodes


@pytest.mark.parametrize("text", [HOSTILE, LONG, "", "plain", '"', "\\", "{", "}", "}{", '{"', "a\\", "ends with \\\n"])
def test_a_hostile_text_comes_back_sanitised_and_runs_nothing(text):
    shown = clip(prompt=text, about={"note": text}, columns={"blur": [0.5] * 96})
    rendered = by_template("nuke", "nk", shown)
    seen = load(rendered.data)
    assert seen.ran == []
    wide = str.maketrans("[]$\\", "［］＄＼")
    wanted = "".join("\ufffd" if c in "\x00\x0b\x1b\x7f\ufffe" else " " if c in "\r\n\t\x85\u2028" else c for c in text)
    assert seen.metadata["regenstore/prompt"] == wanted.translate(wide)
    assert seen.metadata["regenstore/prompt_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    (row,) = (row for row in rendered.rows if row.target == "regenstore/prompt")
    assert row.status == ("ok" if wanted.translate(wide) == text else "sanitised")
    assert row.value == seen.metadata["regenstore/prompt"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("start", [None, 1001, 0, -5])
def test_frames_are_the_same_at_every_rate(rate, start):
    values = [index / 7 for index in range(48)]
    shown = clip(rate=rate, frames=48, columns={"blur": values})
    seen = load(by_template("nuke", "nk", shown, start).data)
    first = 1 if start is None else start
    assert curve(seen.nodes["NoOp"]["blur"]) == {first + index: value for index, value in enumerate(values)}
    assert (seen.nodes["Root"]["first_frame"], seen.nodes["Root"]["last_frame"]) == (str(first), str(first + 47))
    assert abs(Fraction(seen.nodes["Root"]["fps"]) - rate) < Fraction(1, 10**6)
    assert seen.nodes["Read"]["last"] == "48"
    if start is not None:
        assert (seen.nodes["Read"]["frame_mode"], seen.nodes["Read"]["frame"]) == ("start at", str(start))


def test_missing_values_have_no_key():
    values = [NAN, 0.25, NAN, NAN, 1e-7, -3.0, math.inf, 123456789.125]
    shown = clip(frames=8, columns={"blur": values, "motion": [NAN] * 8})
    rendered = by_template("nuke", "nk", shown)
    node = load(rendered.data).nodes["NoOp"]
    assert curve(node["blur"]) == {2: 0.25, 5: 1e-7, 6: -3.0, 8: 123456789.125}
    assert "motion" not in node
    (row,) = (row for row in rendered.rows if row.target == "curve/motion")
    assert (row.status, rendered.warnings) == ("missing", ())


def test_measured_columns_without_a_field_get_a_knob():
    shown = clip(frames=2, columns={"face_2_x": [1.0, 2.0]})
    assert curve(load(by_template("nuke", "nk", shown).data).nodes["NoOp"]["face_2_x"]) == {1: 1.0, 2: 2.0}
    hidden = clip(frames=2, columns={"face_2_x": [1.0, 2.0]}, redact=frozenset({"frames.face_2_x"}))
    assert b"face_2_x" not in by_template("nuke", "nk", hidden).data


def test_names_that_a_node_keeps_for_itself_are_left_out():
    shown = clip(frames=1, columns={"a": [1.0]})
    rows = [("curve/knobChanged", "frames.a"), ("curve/a b", "frames.a"), ("regenstore/a b", "gen.seed")]
    rendered = render("nk", filled(shown, *rows, ("curve/ok", "frames.a"), ("regenstore/a", "frames.a")), Options("a"))
    assert [row.status for row in rendered.rows] == ["missing"] * 3 + ["ok", "missing"]
    assert len(rendered.warnings) == 4
    assert list(load(rendered.data).nodes["NoOp"]) == ["name", "addUserKnob", "ok"]


@pytest.mark.parametrize(
    ("color", "config", "wanted"),
    [
        (REC709, "nuke-default", "rec709"),
        (REC709, "aces", "g24_rec709"),
        (HLG, "nuke-default", None),
        (REC709, None, None),
    ],
)
def test_a_colour_space_is_named_only_for_a_stated_configuration(color, config, wanted):
    settings = {} if config is None else {"colorspace": config}
    rendered = render("nk", filled(clip(color=color)), Options("{stem}.nk", settings=settings))
    assert load(rendered.data).nodes["Read"].get("colorspace") == wanted


def test_a_label_and_no_root():
    shown = clip(prompt="[exit] $HOME")
    options = Options("{stem}.nk", settings={"root": False})
    seen = load(render("nk", filled(shown, ("label", "gen.prompt")), options).data)
    assert seen.nodes["Read"]["label"] == "［exit］ ＄HOME"
    assert "Root" not in seen.nodes


def test_stills_and_odd_names():
    seen = load(by_template("nuke", "nk", clip(still=True, name="1 a-é.png")).data)
    assert seen.nodes["Read"]["name"] == "Read__1_a__"
    assert (seen.nodes["Root"]["last_frame"], "fps" in seen.nodes["Root"]) == ("1", False)


@pytest.mark.parametrize(
    "name", ["a####.mp4", "a%04d.mp4", "a[1].mp4", "a$b.mp4", "a\\b.mp4", "a\nb.mp4", "a{.mp4", "%v.mp4"]
)
def test_paths_that_nuke_would_act_on_are_refused(name):
    assert writers.find("nk").refuses(clip(media_path=f"/media/{name}"), Options("a"))


def test_no_curves_for_a_variable_rate():
    rendered = by_template("nuke", "nk", clip(frames=2, columns={"blur": [1.0, 2.0]}, variable=True))
    assert "NoOp" not in load(rendered.data).nodes
    assert "varies" in rendered.warnings[0]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"a lighthouse", b"[exit]", "act on"),
        (b'"a lighthouse at dusk"', b'"a" b', "SET"),
        (b"last 96", b"last 95", "contradict"),
        (b"first_frame 1", b"first_frame 2", "Root has frames"),
        (b"x1 ", b"", "no curve"),
        (b"x1 0.5", b"x1 nan", "no number"),
        (b"x1 0.5", b"x900 0.5", "range"),
        (b"name Read_gen_0001", b"name [exit]", "act on"),
        (b" origset true", b" onCreate true", "no knob"),
        (b"Read {", b"Python {", "no node"),
        (b"version", b"python", "version"),
        (b"blur {{", b"blurry {{", "not declared"),
        (b"NoOp {", b"[exit]\nNoOp {", "substituted"),
        (b"NoOp {", b"NoOp", "no script"),
    ],
)
def test_the_checker_finds(old, new, found):
    data = by_template("nuke", "nk", clip(columns={"blur": [0.5] * 96})).data
    assert old in data
    problems = check("nk", data.replace(old, new, 1))
    assert any(found.lower() in problem.lower() for problem in problems), problems
