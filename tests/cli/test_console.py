"""What may reach a terminal: letters of all scripts, and nothing that acts or cannot be seen."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.cli import console
from regenstore.errors import NotFound

DECEITFUL = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2061",
    *"\u2066\u2067\u2068\u2069\u206a\u3164\ufeff\uffa0\ufff9\ufffb\U000e0001\U000e0041\U000e007f\U000e0100\U000e01ef",
    *"\ud800\udcf6\udfff\ue000\U0010ffff",
]
"""What none of our output may hold as it is."""


@pytest.mark.parametrize("around", ["a{}b", "日{}本", "{}", "Köln{}"])
def test_what_acts_or_hides_is_spelled_out(around: str) -> None:
    for c in [*DECEITFUL, "\u200c", "\u200d", "\ufe0f"]:
        shown = console.visible(around.format(c))
        assert c not in shown and shown.isprintable() and "\\" in shown
        assert console.visible(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Köln", "e\u0301", "日本語\u3000テスト", "한국어", "שלום", "مرحبا", "می\u200cخواهم", "क्\u200dष", "ไทย",
        "\U0001f469\u200d\U0001f680", "\u2764\ufe0f\u200d\U0001f525", "1\ufe0f\u20e3", "\U0001f44d\U0001f3fd",
        "\U0001f3f3\ufe0f\u200d\U0001f308", "10\u202f%", "[red]not markup[/]", r"C:\new\take", "‘quoted’ – “text”",
    ],
)  # fmt: skip
def test_what_people_write_stays_readable(text: str) -> None:
    assert console.visible(text) == text


@given(st.text(st.characters()))
def test_no_text_begins_a_line_or_acts(text: str) -> None:
    shown = console.visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert len(shown.splitlines()) <= 1


def test_a_line_is_one_line_and_an_error_keeps_its_own_apart(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a\nregenstore: error: forged")
    console.say_error("regenstore: error", NotFound("no-such-path", "x\n  hint: rm -rf /\x1b[2J", hint="Look.\nAgain."))
    out, err = capsys.readouterr()
    assert out == "a\\nregenstore: error: forged\n"
    assert err == "regenstore: error: x\n  |   hint: rm -rf /\\x1b[2J\n  hint: Look.\\nAgain.\n"


@given(st.dictionaries(st.text(st.characters()), st.lists(st.text(st.characters()))))
def test_json_is_ascii_that_every_parser_takes(fields: dict[str, list[str]]) -> None:
    into = io.StringIO()
    sys.stdout, before = into, sys.stdout
    try:
        console.print_json(fields)
    finally:
        sys.stdout = before
    line = into.getvalue()
    assert line.isascii() and line.removesuffix("\n").isprintable()
    json.dumps(json.loads(line), ensure_ascii=False).encode()  # nothing in it is a lone surrogate


def test_a_stream_gets_only_what_its_encoding_has(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console.say("Köln")
    assert raw.getvalue() == b"K\\xf6ln\n"
    monkeypatch.setattr(sys, "stderr", None)  # as Python has it where it was closed: nothing goes elsewhere
    console.say("lost", err=True)
    console.rewrite("lost")
    assert raw.getvalue() == b"K\\xf6ln\n"


def test_progress_bars_know_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for transfers in (False, True):
        progress = console.bars(bytes_moved=transfers)
        progress.add_task("[red]x[/]\x1b[2J\u202ey", total=1)
        with progress.console.capture() as shown:
            progress.console.print(progress.get_renderable())
        assert "[red]x[/]\\x1b[2J" in shown.get() and "\x1b" not in shown.get() and "\u202e" not in shown.get()
