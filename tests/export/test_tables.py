"""Resolve's metadata CSV and Avid's ALE: form, names, timecode that adds up, text without surprises."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.export.sidecar.legal_text import one_line, xml_legal
from regenstore.media.timecode import Timebase, from_timecode
from tests.export.clips import DROP, HOSTILE, LONG, PQ, RATES, REC709, clip
from tests.export.rendering import problems, refused, rendered

NTSC24, NTSC30 = Fraction(24000, 1001), Fraction(30000, 1001)
ALE_RATES = [rate for rate in RATES if rate != 16]


def resolve(*clips, **options):
    (file,) = rendered("resolve", *clips, writer="resolve-csv", **options)
    return file


def read(data: bytes) -> list[dict[str, str]]:
    """As strict as Resolve's own files are: UTF-16LE with its mark, line feeds, equal rows, each name once."""
    assert data[:2] == b"\xff\xfe"
    text = data[2:].decode("utf-16-le")
    assert "\r" not in text and text.endswith("\n")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert len(set(header)) == len(header)
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row)) for row in rows]


def flat(text: str) -> str:
    return xml_legal(one_line(text)[0])[0]


# ------------------------------------------------------------------------------------------- Resolve


def test_a_row_names_its_clip():
    (row,) = read(resolve(clip(rate=NTSC24, timecode="01:00:00:00", color=REC709)).data)
    assert row["File Name"] == "gen_0001.mp4"
    assert row["Clip Directory"] == "/media"
    assert (row["Start TC"], row["End TC"], row["Duration TC"]) == ("01:00:00:00", "01:00:04:00", "00:00:04:00")
    assert (row["Frames"], row["Start Frame"], row["End Frame"]) == ("96", "0", "95")
    assert (row["Shot Frame Rate"], row["Resolution"]) == ("23.976", "1280x720")
    assert (row["Color Space Notes"], row["Gamma Notes"]) == ("Rec.709", "Rec.709 (BT.1886)")
    assert (row["Scene"], row["Keywords"], row["Aux 1"]) == ("sc010", "night, sea", "seed 1234567890123456789012")


def test_the_end_is_exclusive_and_drop_frame_is_counted():
    (row,) = read(resolve(clip(rate=NTSC30, timecode="00:59:59;28", frames=4)).data)
    assert (row["Start TC"], row["End TC"]) == ("00:59:59;28", "01:00:00;02")
    (row,) = read(resolve(clip(rate="16", frames=17)).data)
    assert (row["Start TC"], row["End TC"], row["Shot Frame Rate"]) == ("00:00:00:00", "00:00:01:01", "16.000")


def test_colours_are_never_claimed_without_a_word():
    def notes(**about):
        (row,) = read(resolve(clip(**about)).data)
        return row["Color Space Notes"], row["Gamma Notes"]

    assert notes() == ("untagged", "")
    assert notes(color=PQ) == ("Rec.2100", "ST2084")
    assert notes(assume_color="rec709") == ("Rec.709 (assumed)", "Rec.709 (BT.1886) (assumed)")


def test_one_table_for_all_clips_with_all_columns():
    clips = [clip(name="a/one.mp4"), clip(name="b/two.mp4", rate="25", about={"shot": "0020"}, prompt=None)]
    rows = read(resolve(*clips).data)
    assert [row["File Name"] for row in rows] == ["one.mp4", "two.mp4"]
    assert [row["Shot"] for row in rows] == ["", "0020"]
    assert rows[1]["Description"] == ""


@pytest.mark.parametrize("prompt", [HOSTILE, LONG, 'a "quoted", prompt', "=1+1"])
def test_text_in_a_cell_stays_in_its_cell(prompt):
    file = resolve(clip(prompt=prompt))
    (row,) = read(file.data)
    assert row["Description"] == flat(prompt)
    status = {each.target: each.status for each in file.rows}["Description"]
    assert status == ("ok" if flat(prompt) == prompt else "sanitised")


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_any_text_stays_in_its_cell(prompt):
    shown = clip(prompt=prompt)
    (row,) = read(resolve(shown).data)
    assert row["Description"] == flat(prompt)
    (file,) = rendered("ale", shown)
    assert flat(prompt) in file.data.decode().split("\r\n")[-2].split("\t")


def test_formulas_are_disarmed_when_asked():
    (row,) = read(resolve(clip(prompt="=HYPERLINK(1)"), csv_safe=True).data)
    assert row["Description"] == "'=HYPERLINK(1)"


def test_what_has_no_timecode_says_so():
    file = resolve(clip(still=True, name="a.png"), clip(variable=True, name="v.mp4"), clip(name="x/v.mp4"))
    rows = read(file.data)
    assert [row["Start TC"] for row in rows] == ["", "", "00:00:00:00"]
    assert any("2 of 3 rows have no timecode" in warning for warning in file.warnings)
    assert any("2 media are named v.mp4" in warning for warning in file.warnings)


@given(data=st.data())
def test_frames_come_back_from_a_row(data):
    rate = data.draw(st.sampled_from(RATES))
    drop = rate in DROP and data.draw(st.booleans())
    start = data.draw(st.integers(0, 1_300_000))
    before_midnight = int(rate) * 86_400 - start - 1
    base = Timebase(rate, data.draw(st.integers(1, min(500_000, before_midnight))), start, drop)
    shown = clip(rate=rate, frames=base.frames, timecode=base.start_timecode)
    (row,) = read(resolve(shown).data)
    start, end = (from_timecode(row[name], rate) for name in ("Start TC", "End TC"))
    assert (start, end - start, int(row["Frames"])) == (base.start, base.frames, base.frames)
    if rate != 16:
        (file,) = rendered("ale", shown)
        cells = dict(zip(*(line.split("\t") for line in file.data.decode().split("\r\n") if line.count("\t") > 5)))
        start, length = (from_timecode(cells[name], rate, drop=drop) for name in ("Start", "Duration"))
        assert (start, length) == (base.start, base.frames)


RESOLVE_MISTAKES = [
    ("\ufeff", "", "byte order mark"),
    ("\n", "\r\n", "line feed"),
    ("Description", "Descripton", "no field 'Descripton'"),
    ("Scene", "Shot", "twice"),
    ("End TC", "Aux 1", "no column 'End TC'"),
    ("01:00:04:00", "01:00:03:23", "End TC is 01:00:03:23"),
    ("01:00:00:00", "01:00:00:24", "frames to 23"),
    ("23.976", "23.98", "three decimals"),
    (",0,95,96,", ",0,96,96,", "End Frame"),
    ("gen_0001.mp4,", "", "cells"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), RESOLVE_MISTAKES, ids=[each[2] for each in RESOLVE_MISTAKES])
def test_mistakes_in_the_csv_are_found(right, wrong, said):
    file = resolve(clip(rate=NTSC24, timecode="01:00:00:00", prompt="plain"))
    broken = file.data.decode("utf-16-le").replace(right, wrong, 1).encode("utf-16-le")
    assert broken != file.data
    assert said in "; ".join(problems("resolve-csv", broken))


# ------------------------------------------------------------------------------------------- Avid


def test_one_ale_per_rate():
    clips = [clip(name="a.mp4", rate=NTSC24), clip(name="b.mp4", rate="25"), clip(name="c.mp4", rate=NTSC24)]
    files = rendered("ale", *clips)
    assert [file.name for file in files] == ["clips_23.976.ale", "clips_25.ale"]
    assert [file.data.count(b".mp4") for file in files] == [2, 1]
    assert b"FPS\t23.976\r\n" in files[0].data
    (alone,) = rendered("ale", clips[0])
    assert alone.name == "clips.ale"


def test_the_heading_and_the_ends_of_lines():
    (file,) = rendered("ale", clip(rate="25", size=(1920, 1080), audio=True))
    head = (
        "Heading\r\nFIELD_DELIM\tTABS\r\nVIDEO_FORMAT\t1080\r\nAUDIO_FORMAT\t48kHz\r\nFPS\t25\r\n\r\nColumn\r\nName\t"
    )
    assert file.data.decode().startswith(head)
    assert b"\t\r\n" not in file.data.partition(b"Data")[0], "a tab at a line's end would be a column without a name"
    assert b"1920x1080" in file.data


def test_avid_refuses():
    assert "16.000" in refused("ale", clip(rate="16"))
    assert "varies" in refused("ale", clip(variable=True))
    assert "still" in refused("ale", clip(still=True))


ALE_MISTAKES = [
    (b"\r\n", b"\n", "CRLF"),
    (b"Column\r\n", b"Columns\r\n", "Heading, Column and Data"),
    (b"\tTape", b"\tTap", "no column 'Tap'"),
    (b"FPS\t23.976", b"FPS\t16", "FPS is '16'"),
    (b"01:00:04:00", b"01:00:04:01", "End is"),
    (b"Data\r\n", b"Data\r\nx\ty\r\n", "2 cells"),
    (b"\tScene", b"\tTape", "twice"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), ALE_MISTAKES, ids=[each[2] for each in ALE_MISTAKES])
def test_mistakes_in_an_ale_are_found(right, wrong, said):
    (file,) = rendered("ale", clip(rate=NTSC24, timecode="01:00:00:00"))
    broken = file.data.replace(right, wrong, 1)
    assert broken != file.data
    assert said in "; ".join(problems("ale", broken))


@pytest.mark.heavy
@pytest.mark.parametrize("rate", ALE_RATES, ids=str)
def test_the_ale_adapter_reads_our_ale(rate):
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    pytest.importorskip("otio_ale_adapter", reason="pip install 'regenstore[validators]'")
    timecode = "00:59:59;28" if rate in DROP else "01:00:00:00"
    shown = clip(rate=rate, timecode=timecode, prompt=HOSTILE, frames=100)
    (file,) = rendered("ale", shown)
    collection = otio.adapters.read_from_string(file.data.decode(), "ale")
    (item,) = collection.find_clips()
    assert item.name == "gen_0001"
    assert item.media_reference.target_url == "gen_0001.mp4"
    assert item.source_range.start_time.to_frames() == shown.timebase.start
    assert item.source_range.duration.to_frames() == 100
    assert item.metadata["ALE"]["Descript"] == flat(HOSTILE)
    assert item.metadata["ALE"]["Regen Seed"] == "1234567890123456789012"
    assert "" not in collection.metadata["ALE"]["columns"]


@pytest.mark.heavy
def test_the_ale_adapter_refuses_a_broken_one():
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    adapter = pytest.importorskip("otio_ale_adapter.ale", reason="pip install 'regenstore[validators]'")
    (file,) = rendered("ale", clip(rate=NTSC24, timecode="01:00:00:00"))
    with pytest.raises((adapter.ALEParseError, otio.exceptions.OTIOError)):
        otio.adapters.read_from_string(file.data.decode().replace("01:00:04:00", "01:00:04:01"), "ale")
