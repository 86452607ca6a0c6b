"""After Effects scripts: parsed as ECMAScript 3 by acorn, and run by node against a recording stub."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Options
from tests.export.checks import check
from tests.export.clips import HOSTILE, LONG, RATES, clip, filled
from tests.export.one_file import by_template, render

NAN = math.nan
STUB = Path(__file__).with_name("after_effects_stub.js")
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (Debian: nodejs)")


def run(script: bytes, *files: str, folder: str = "/out") -> dict[str, Any]:
    """What a script does where ``files`` exist."""
    given = {"script": script.decode("ascii"), "folder": quote(folder), "files": files}
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": "/usr/share/nodejs"}
    done = subprocess.run(
        ["node", "--expose-internals", str(STUB)],
        input=json.dumps(given).encode(),
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def ran(script: bytes, *files: str, folder: str = "/out") -> dict[str, Any]:
    seen = run(script, *files, folder=folder)
    assert (seen["edition3"], seen["error"], seen["globals"]) == (None, None, 0)
    assert seen["calls"] == [["begin", "regenstore"], ["end"]]
    return seen


@needs_node
def test_a_clip_with_data_is_imported_conformed_and_marked():
    columns = {"black": [0, 1, 1, 0, 0, 0], "face_confidence": [0.9, 0.3, 0.9, NAN, 0.2, 0.1]}
    shown = clip(rate="24000/1001", frames=6, columns=columns)
    script = by_template("aftereffects", "jsx", shown, 1001).data
    seen = ran(script, "/out/gen_0001.mp4", "/out/gen_0001.mgjson", "/out/gen_0001.frames.csv")
    footage, streams, table, comp = seen["items"]
    assert footage["name"] == "/out/gen_0001.mp4"
    assert footage["mainSource"]["conformFrameRate"] == 24000 / 1001
    assert "seed: 1234567890123456789012\n" in footage["comment"]
    assert (streams["name"], table["name"]) == ("/out/gen_0001.mgjson", "/out/gen_0001.frames.csv")
    assert comp["comp"] == ["gen_0001", 1280, 720, 1, pytest.approx(6 * 1001 / 24000), pytest.approx(24000 / 1001)]
    assert comp["displayStartTime"] == pytest.approx(1001 * 1001 / 24000)
    assert [each["source"] for each in comp["layers"]] == ["/out/gen_0001.mp4", "/out/gen_0001.mgjson"]
    rate = 24000 / 1001
    assert comp["layers"][0]["markers"] == [
        ["ADBE Marker", pytest.approx(1 / rate), "black; low face confidence: lowest 0.30", pytest.approx(2 / rate)],
        ["ADBE Marker", pytest.approx(4 / rate), "low face confidence: lowest 0.10", pytest.approx(2 / rate)],
    ]


@needs_node
@pytest.mark.parametrize("rate", RATES)
def test_times_are_exact_at_every_rate(rate):
    shown = clip(rate=rate, frames=240, columns={"black": [0.0] * 239 + [1.0]})
    (footage, comp) = ran(by_template("aftereffects", "jsx", shown).data, "/out/gen_0001.mp4")["items"]
    assert footage["mainSource"]["conformFrameRate"] == float(rate)
    assert round(Fraction(comp["comp"][4]) * rate) == 240
    assert round(Fraction(comp["layers"][0]["markers"][0][1]) * rate) == 239


@needs_node
def test_a_hostile_prompt_stays_a_text():
    closing = '"}; app.project = null; throw new Error("owned"); // </script>'
    shown = clip(prompt=HOSTILE + closing, about={"note": closing}, name="shots/'; throw 1;//.mp4")
    rendered = by_template("aftereffects", "jsx", shown)
    assert rendered.data.isascii()
    footage = ran(rendered.data, "/out/'; throw 1;//.mp4", "/media/.mp4", "/out/.mp4")["items"][0]
    clean = re.sub("[\x00\x0b\x1b\x7f\ufffe]", "\ufffd", HOSTILE + closing)
    flat = re.sub("[\n\r\t\x85\u2028]", " ", clean)
    assert f"prompt: {flat}\n" in footage["comment"]
    (row,) = (row for row in rendered.rows if row.target == "comment/prompt")
    assert (row.status, row.value) == ("sanitised", flat)


@needs_node
def test_a_long_prompt_is_cut_at_what_after_effects_keeps():
    rendered = by_template("aftereffects", "jsx", clip(prompt="🎥" + LONG, params={"negative_prompt": "x"}))
    comment = ran(rendered.data, "/out/gen_0001.mp4")["items"][0]["comment"]
    assert 15_900 < len(comment.encode()) <= 15_999
    assert "digest: blake3:" in comment
    assert [row.status for row in rendered.rows if row.target == "comment/prompt"] == ["clamped"]
    assert any("shortened" in warning for warning in rendered.warnings)


@needs_node
def test_the_medium_is_found_beside_the_script_or_where_it_was():
    shown = clip(name="a b/ü 100% #1.mp4", media_path="/media/ü 100% #1.mp4")
    script = by_template("aftereffects", "jsx", shown).data
    beside = ran(script, "/out é/ü 100% #1.mp4", "/media/ü 100% #1.mp4", folder="/out é")
    assert beside["items"][0]["name"] == "/out é/ü 100% #1.mp4"
    assert ran(script, "/media/ü 100% #1.mp4")["items"][0]["name"] == "/media/ü 100% #1.mp4"
    nowhere = run(script)
    assert "neither beside this script" in nowhere["error"]
    assert nowhere["calls"] == [["begin", "regenstore"], ["end"]]


@needs_node
@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (clip(still=True, name="a.png"), "no timeline"),
        (clip(variable=True), "varies"),
        (clip(size=(2, 2)), "size"),
        (clip(rate="24", frames=24 * 10801), "three hours"),
        (clip(rate="120"), "99 frames"),
    ],
)
def test_what_cannot_be_composed_is_imported_all_the_same(shown, reason):
    rendered = by_template("aftereffects", "jsx", shown)
    assert any(reason in warning for warning in rendered.warnings)
    (footage,) = ran(rendered.data, shown.media_path)["items"]
    assert ("conformFrameRate" in footage["mainSource"]) == (shown.timebase is not None and reason != "varies")


@needs_node
def test_templates_choose_the_composition_and_its_name():
    shown = clip()
    options = Options("{stem}.jsx", settings={"composition": False})
    assert len(ran(render("jsx", filled(shown), options).data, "/out/gen_0001.mp4")["items"]) == 1
    named = render("jsx", filled(shown, ("name", "about.scene"), ("comment", "gen.prompt")), Options("x/{stem}.jsx"))
    footage, comp = ran(named.data, "/out/gen_0001.mp4")["items"]
    assert (footage["comment"], comp["comp"][0]) == ("a lighthouse at dusk", "sc010")


def test_paths_with_control_characters_are_refused():
    assert writers.find("jsx").refuses(clip(media_path="/media/a\x07.mp4"), Options("a"))


BREAKS = [
    ("    var D = {", "    var E = {", "data is missing"),
    ("};\n\n    function", "};;\n\n    function", "data is missing"),
    ('"frames": 96', '"frames": "96"', "frames is"),
    ('"path": "', '"path": "[', "encoded"),
    ('"beside": "', '"beside": "../', "folder"),
    ('"media": ', '"medium": ', "keys"),
    ("var comp =", "const comp =", "later edition"),
    ("function frames(count)", "function frames(count,)", "close"),
    ("}());", "}()));", "close"),
    ("run();", "eval(D.name);", "not in the script"),
    ("run();", "system.callSystem(D.name);", "not in the script"),
    ("run();", "run(`a`);", "ECMAScript 3"),
    ("var value", "var é", "ASCII"),
]


@pytest.mark.parametrize(("old", "new", "found"), BREAKS)
def test_the_checker_finds(old, new, found):
    text = by_template("aftereffects", "jsx", clip()).data.decode()
    assert old.strip() in text
    changed = text.replace(old, new, 1) if old in text else text.replace(old.strip(), new.strip(), 1)
    problems = check("jsx", changed.encode())
    assert any(found in problem for problem in problems), problems


@needs_node
def test_the_engine_refuses_what_is_no_edition_3():
    """The negative case of the parser and of the run."""
    assert run(b"const a = 1;")["edition3"]
    assert run(b"var a = {b: 1}.b; throw new Error('x');")["error"] == "x"
    assert run(b"leaked = 1;")["globals"] == 1
