"""FCPXML, xmeml and OTIO: exact frames at every rate, text as it was, mistakes found, foreign readers agree."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.export.sidecar.clips import make_clip
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.media.probe import probe
from regenstore.media.timecode import Timebase
from tests.export.checks import fcpxml
from tests.export.clips import DROP, HLG, HOSTILE, LONG, PQ, RATES, REC709, clip
from tests.export.rendering import problems, refused, rendered

NTSC24, NTSC30 = Fraction(24000, 1001), Fraction(30000, 1001)
COLUMNS = {"black": [1.0] * 3 + [0.0] * 93, "face_confidence": [0.9] * 90 + [0.31] * 6}
AWKWARD = "/media/a b/50% #1 & é 'x'.mp4"
WRITERS = {"fcpxml": "resolve", "xmeml": "premiere", "otio": "otio"}
"""Writer -> built-in template that has it."""


def made(writer, shown, **options):
    (file,) = rendered(WRITERS[writer], shown, writer=writer, **options)
    return file


def xml(writer, shown, **options):
    return ElementTree.fromstring(made(writer, shown, **options).data)


# ------------------------------------------------------------------------------------------- exact times


def test_an_hour_of_timecode_is_counted_in_frames():
    """01:00:00:00 at 23.976 is frame 86400, which is 3603.6 s and not 3600 s."""
    root = xml("fcpxml", clip(rate=NTSC24, timecode="01:00:00:00"))
    shown, sequence = root.find(".//asset-clip"), root.find(".//sequence")
    assert root.find(".//format").get("frameDuration") == "1001/24000s"
    assert shown.get("start") == shown.get("offset") == sequence.get("tcStart") == "86486400/24000s"
    assert fcpxml.seconds(shown.get("start")) == Fraction("3603.6")
    assert shown.get("duration") == "96096/24000s"


def test_drop_frame_timecode():
    shown = clip(rate=NTSC30, timecode="00:59:59;28", frames=4)
    start = Timebase.of(NTSC30, 4, "00:59:59;28").start
    assert start == 107890
    root = xml("fcpxml", shown)
    assert root.find(".//sequence").get("tcFormat") == root.find(".//asset-clip").get("tcFormat") == "DF"
    assert fcpxml.seconds(root.find(".//asset").get("start")) * NTSC30 == start
    timecode = xml("xmeml", shown).find("sequence/timecode")
    told = [timecode.findtext(part) for part in ("string", "frame", "displayformat", "rate/timebase", "rate/ntsc")]
    assert told == ["00:59:59;28", str(start), "DF", "30", "TRUE"]
    assert json.loads(made("otio", shown).data)["global_start_time"]["value"] == start


def frames_of(writer, file) -> tuple[Fraction, int, int]:
    """Rate, start and number of frames that a file tells, read by nothing of the writers."""
    if writer == "otio":
        shown = json.loads(file.data)["tracks"]["children"][0]["children"][0]["source_range"]
        rate = Fraction(shown["duration"]["rate"]).limit_denominator(1001)
        return rate, int(shown["start_time"]["value"]), int(shown["duration"]["value"])
    root = ElementTree.fromstring(file.data)
    if writer == "xmeml":
        known = root.find(".//file")
        base = int(known.findtext("rate/timebase"))
        rate = Fraction(base * 1000, 1001) if known.findtext("rate/ntsc") == "TRUE" else Fraction(base)
        return rate, int(known.findtext("timecode/frame")), int(root.find(".//clipitem").findtext("out"))
    rate = 1 / Fraction(root.find(".//format").get("frameDuration").rstrip("s"))
    start, duration = (Fraction(root.find(".//asset-clip").get(name).rstrip("s")) for name in ("start", "duration"))
    assert (start * rate).denominator == (duration * rate).denominator == 1
    return rate, int(start * rate), int(duration * rate)


@pytest.mark.parametrize("writer", WRITERS)
@given(data=st.data())
def test_frames_come_back(writer, data):
    rate = data.draw(st.sampled_from(RATES))
    drop = rate in DROP and data.draw(st.booleans())
    frames = data.draw(st.integers(1, 500_000))
    base = Timebase(rate, frames, data.draw(st.integers(0, 1_300_000)), drop)
    shown = clip(rate=rate, frames=frames, timecode=base.start_timecode)
    assert shown.timebase == base
    assert frames_of(writer, made(writer, shown)) == (rate, base.start, frames)


def test_markers_stand_at_their_frames():
    shown = clip(rate=NTSC24, timecode="01:00:00:00", columns=COLUMNS)
    marks = [
        (fcpxml.seconds(each.get("start")) * NTSC24 - 86400, fcpxml.seconds(each.get("duration")) * NTSC24)
        for each in xml("fcpxml", shown).iter("marker")
    ]
    assert marks == [(0, 3), (90, 6)]
    marks = [(each.findtext("in"), each.findtext("out")) for each in xml("xmeml", shown).iter("marker")]
    assert marks == [("0", "3"), ("90", "96")]
    item = json.loads(made("otio", shown).data)["tracks"]["children"][0]["children"][0]
    marks = [(m["marked_range"]["start_time"]["value"], m["name"], m["comment"]) for m in item["markers"]]
    assert marks == [(86400, "black", ""), (86490, "low face confidence", "lowest 0.31")]


@pytest.mark.parametrize("writer", WRITERS)
def test_markers_can_be_left_out(writer):
    file = made(writer, clip(columns=COLUMNS), settings={"markers": False})
    assert b"low face confidence" not in file.data


# ------------------------------------------------------------------------------------------- what is told


def test_colour_is_claimed_only_where_the_file_states_it():
    def space(**about):
        root = xml("fcpxml", clip(**about))
        assumed = [md.get("value") for md in root.iter("md") if md.get("key") == "com.regenstore.color_assumed"]
        return root.find(".//format").get("colorSpace"), assumed

    assert space(color=REC709) == ("1-1-1 (Rec. 709)", [])
    assert space(color=PQ) == ("9-16-9 (Rec. 2020 PQ)", [])
    assert space(color=HLG) == ("9-18-9 (Rec. 2020 HLG)", [])
    assert space() == (None, [])
    assert space(assume_color="rec709") == ("1-1-1 (Rec. 709)", ["1"])


def test_files_are_named_so_that_they_are_found():
    shown = clip(media_path=AWKWARD)
    url = urlsplit(xml("fcpxml", shown).find(".//media-rep").get("src"))
    assert (url.scheme, url.netloc, unquote(url.path)) == ("file", "", AWKWARD)
    url = urlsplit(xml("xmeml", shown).findtext(".//pathurl"))
    assert (url.scheme, url.netloc, unquote(url.path)) == ("file", "localhost", AWKWARD)
    reference = json.loads(made("otio", shown).data)["tracks"]["children"][0]["children"][0]["media_references"]
    assert reference["DEFAULT_MEDIA"]["target_url"] == AWKWARD


def test_sound_comes_along():
    shown = clip(audio=True)
    asset = xml("fcpxml", shown).find(".//asset")
    told = [asset.get(name) for name in ("hasAudio", "audioSources", "audioChannels", "audioRate")]
    assert told == ["1", "1", "2", "48000"]
    root = xml("xmeml", shown)
    assert len(root.findall("sequence/media/audio/track/clipitem")) == 2
    assert {link.text for link in root.iter("linkclipref")} == {item.get("id") for item in root.iter("clipitem")}
    tracks = json.loads(made("otio", shown).data)["tracks"]["children"]
    assert [(track["name"], track["kind"]) for track in tracks] == [("Video 1", "Video"), ("Audio 1", "Audio")]


@pytest.mark.parametrize("prompt", [HOSTILE, LONG], ids=["hostile", "long"])
def test_text_comes_back_exactly_or_visibly_replaced(prompt):
    shown, legal = clip(prompt=prompt), xml_legal(prompt)[0]
    root = xml("fcpxml", shown)
    assert root.findtext(".//note") == legal
    assert {md.get("key"): md.get("value") for md in root.iter("md")}["com.regenstore.prompt"] == legal
    assert xml("xmeml", shown).findtext(".//logginginfo/description") == legal
    item = json.loads(made("otio", shown).data)["tracks"]["children"][0]["children"][0]
    assert item["metadata"]["regenstore"]["prompt"] == prompt.replace("\0", "\ufffd")
    status = {row.target: row.status for row in made("fcpxml", shown).rows}["note"]
    assert status == ("ok" if legal == prompt else "sanitised")


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1))
def test_any_text_comes_back(prompt):
    shown, legal = clip(prompt=prompt), xml_legal(prompt)[0]
    assert xml("fcpxml", shown).findtext(".//note") == legal
    assert xml("xmeml", shown).findtext(".//logginginfo/description") == legal
    item = json.loads(made("otio", shown).data)["tracks"]["children"][0]["children"][0]
    assert item["metadata"]["regenstore"]["prompt"] == prompt.replace("\0", "\ufffd")


def test_a_seed_of_many_bits_stays_a_text():
    item = json.loads(made("otio", clip()).data)["tracks"]["children"][0]["children"][0]
    assert item["metadata"]["regenstore"]["seed"] == "1234567890123456789012"


def test_commas_in_keywords_do_not_make_new_ones():
    file = made("fcpxml", clip(about={"tags": ["a, b", "c"]}))
    assert ElementTree.fromstring(file.data).find(".//keyword").get("value") == "a  b, c"
    assert {row.target: row.status for row in file.rows}["keywords"] == "sanitised"


@pytest.mark.parametrize("writer", WRITERS)
def test_redacted_text_is_nowhere(writer):
    file = made(writer, clip(prompt="a secret", redact=frozenset({"prompt"})))
    assert b"secret" not in file.data
    assert "redacted" in {row.status for row in file.rows}


# ------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("writer", WRITERS)
def test_what_has_no_timeline_is_refused(writer):
    assert "varies" in refused(writer, clip(variable=True))
    assert "still" in refused(writer, clip(still=True))
    assert refused(writer, clip(rate="16")) is None


def test_xmeml_refuses_what_it_cannot_spell():
    assert "neither an integer" in refused("xmeml", clip(rate="25/2"))
    assert refused("fcpxml", clip(rate="25/2")) is None


def test_final_cut_has_no_timelines_at_every_rate():
    assert "16.000" in made("fcpxml", clip(rate="16")).warnings[0]
    assert not made("fcpxml", clip(rate=NTSC24)).warnings


# ------------------------------------------------------------------------------------------- our checkers find it

FCPXML_MISTAKES = [
    (b'start="86486400/24000s" duration', b'start="3600s" duration', "more than its asset"),
    (b'format="r1" duration="96096/24000s"', b'format="r1" duration="4s"', "whole number of frames"),
    (b'tcStart="86486400/24000s"', b'tcStart="86486401/24000s"', "whole number of frames"),
    (b'ref="r2"', b'ref="r1"', "no asset"),
    (b'id="r2"', b'id="r1"', "twice"),
    (b'<media-rep kind="original-media" src', b'<media-rep kind="original-media" href', "no src"),
    (b'hasVideo="1"', b'hasVideo="1" src="file:///x.mp4"', "no attribute src"),
    (b'src="file:///media/gen_0001.mp4"', b'src="file:///media/gen 0001.mp4"', "cannot have src"),
    (b"<library>", b"<gap/><library>", "wrong content"),
    (b"<!DOCTYPE fcpxml>", b"", "document type"),
    (b'version="1.10"', b'version="1.12"', "cannot have version"),
    (b'tcFormat="NDF" audioLayout', b'tcFormat="DF" audioLayout', "drop-frame"),
    (b"1-1-1 (Rec. 709)", b"Rec. 709", "colorSpace"),
    (b"</fcpxml>", b"", "not valid XML"),
    (b"<!DOCTYPE fcpxml>", b'<!DOCTYPE fcpxml [<!ENTITY a "b">]>', "entities"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), FCPXML_MISTAKES, ids=[each[2] for each in FCPXML_MISTAKES])
def test_mistakes_in_fcpxml_are_found(right, wrong, said):
    file = made("fcpxml", clip(rate=NTSC24, timecode="01:00:00:00", color=REC709, audio=True, about={"tags": ["a"]}))
    broken = file.data.replace(right, wrong, 1)
    assert broken != file.data
    assert said in "; ".join(problems("fcpxml", broken))


XMEML_MISTAKES = [
    (b"<frame>86400<", b"<frame>86399<", "is frame 86400"),
    (b"<ntsc>TRUE</ntsc>", b"", "no rate"),
    (b"<displayformat>NDF", b"<displayformat>DF", "drop-frame"),
    (b"<out>96<", b"<out>97<", "does not fit"),
    (b"file://localhost/media", b"/media", "pathurl"),
    (b"<width>1280</width>", b"", "samplecharacteristics/width"),
    (b"<lognote>", b"<note>", "not valid XML"),
    (b"<description>", b"<Description>", "not valid XML"),
    (b'id="file-1"', b'id="file-2"', "not defined"),
    (b"<linkclipref>clipitem-2", b"<linkclipref>clipitem-9", "not there"),
    (b'version="5"', b'version="4"', "version 5"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), XMEML_MISTAKES, ids=[each[2] for each in XMEML_MISTAKES])
def test_mistakes_in_xmeml_are_found(right, wrong, said):
    file = made("xmeml", clip(rate=NTSC24, timecode="01:00:00:00", audio=True, about={"note": "x"}))
    broken = file.data.replace(right, wrong, 1)
    assert broken != file.data
    assert said in "; ".join(problems("xmeml", broken))


OTIO_MISTAKES = [
    (b'"value": 86400.0', b'"value": 86400.5', "whole number"),
    (b'"rate": 23.976023976023978', b'"rate": 24.0', "several rates"),
    (b'"Clip.2"', b'"Clip.1"', "not known"),
    (b'"DEFAULT_MEDIA"\n', b'"OTHER"\n', "active media reference"),
    (b'"target_url": "/media', b'"target_url": "file:///media', "bare path"),
    (b'"kind": "Video",', b"", "no kind"),
    (b'"Timeline.1"', b'"Timeline.2"', "no Timeline.1"),
    (b"{", b"[", "no JSON"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), OTIO_MISTAKES, ids=[each[2] for each in OTIO_MISTAKES])
def test_mistakes_in_otio_are_found(right, wrong, said):
    file = made("otio", clip(rate=NTSC24, timecode="01:00:00:00"))
    broken = file.data.replace(right, wrong, 1)
    assert broken != file.data
    assert said in "; ".join(problems("otio", broken))


# ------------------------------------------------------------------------------------------- foreign readers


def everything(rate, **about):
    timecode = "00:59:59;28" if rate in DROP else "01:00:00:00"
    return clip(rate=rate, timecode=timecode, columns=COLUMNS, prompt=HOSTILE, audio=True, color=REC709, **about)


@pytest.mark.heavy
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_opentimelineio_reads_our_otio(rate):
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    shown = everything(rate)
    timeline = otio.adapters.read_from_string(made("otio", shown).data.decode(), "otio_json")
    item, *_ = timeline.find_clips()
    start = shown.timebase.start
    assert timeline.global_start_time == otio.opentime.RationalTime(start, float(rate))
    assert item.source_range == item.media_reference.available_range
    assert item.source_range == otio.opentime.TimeRange(
        otio.opentime.RationalTime(start, float(rate)), otio.opentime.RationalTime(96, float(rate))
    )
    assert item.media_reference.target_url == "/media/gen_0001.mp4"
    assert item.metadata["regenstore"]["prompt"] == HOSTILE.replace("\0", "\ufffd")
    assert item.metadata["regenstore"]["seed"] == "1234567890123456789012"
    marks = [(mark.marked_range.start_time.to_frames() - start, mark.comment) for mark in item.markers]
    assert marks == [(0, ""), (90, "lowest 0.31")]
    again = otio.adapters.write_to_string(timeline, "otio_json")
    assert json.loads(again) == json.loads(made("otio", shown).data), "the library would write something else"


@pytest.mark.heavy
def test_opentimelineio_refuses_a_broken_one():
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    text = made("otio", clip()).data.decode().replace('"RationalTime.1"', '"RationalTime.99"')
    with pytest.raises((ValueError, otio.exceptions.OTIOError)):
        otio.adapters.read_from_string(text, "otio_json")


@pytest.mark.heavy
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_the_fcp7_adapter_reads_our_xmeml(rate):
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    pytest.importorskip("otio_fcp_adapter", reason="pip install 'regenstore[validators]'")
    shown = everything(rate, media_path=AWKWARD)
    timeline = otio.adapters.read_from_string(made("xmeml", shown).data.decode(), "fcp_xml")
    item = timeline.video_tracks()[0][0]
    start, exact = shown.timebase.start, float(rate)
    assert item.source_range.start_time == otio.opentime.RationalTime(start, exact)
    assert item.source_range.duration == otio.opentime.RationalTime(96, exact)
    assert item.media_reference.available_range == item.source_range
    assert timeline.global_start_time == otio.opentime.RationalTime(start, exact)
    assert unquote(item.media_reference.target_url) == f"file://localhost{AWKWARD}"
    assert item.metadata["fcp_xml"]["logginginfo"]["description"] == xml_legal(HOSTILE)[0]
    assert item.metadata["fcp_xml"]["comments"]["mastercomment2"] == "seed 1234567890123456789012"
    assert [mark.name for mark in item.markers] == ["black", "low face confidence"]
    assert len(timeline.audio_tracks()) == 2


@pytest.mark.heavy
def test_the_fcp7_adapter_sees_a_wrong_timecode():
    """It goes by the frame number: the comparison above would fail for a wrong one."""
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    pytest.importorskip("otio_fcp_adapter", reason="pip install 'regenstore[validators]'")
    text = made("xmeml", clip(rate=NTSC24, timecode="01:00:00:00")).data.decode()
    timeline = otio.adapters.read_from_string(text.replace("<frame>86400", "<frame>86313"), "fcp_xml")
    assert timeline.video_tracks()[0][0].source_range.start_time.to_frames() == 86313


@pytest.mark.heavy
@pytest.mark.parametrize("rate", [rate for rate in RATES if rate != 16], ids=str)
def test_our_timeline_makes_an_edl(rate):
    """OTIO's own writer of CMX 3600 lists finds our timecode at every rate that an EDL has."""
    otio = pytest.importorskip("opentimelineio", reason="pip install 'regenstore[validators]'")
    pytest.importorskip("otio_cmx3600_adapter", reason="pip install 'regenstore[validators]'")
    shown = everything(rate)
    timeline = otio.adapters.read_from_string(made("otio", shown).data.decode(), "otio_json")
    del timeline.tracks[1:]
    edl = otio.adapters.write_to_string(timeline, "cmx_3600", rate=float(rate))
    line = next(line for line in edl.splitlines() if line.startswith("001"))
    assert line.split()[4:6] == [shown.timebase.start_timecode, shown.timebase.end_timecode]


DTD = os.environ.get("REGENSTORE_FCPXML_DTD")


def valid(data: bytes) -> bool:
    from lxml import etree

    with open(DTD, "rb") as file:
        return etree.DTD(file).validate(etree.fromstring(data))


@pytest.mark.heavy
@pytest.mark.skipif(DTD is None, reason="REGENSTORE_FCPXML_DTD does not name Apple's FCPXMLv1_10.dtd")
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_apples_dtd_agrees(rate):
    assert valid(made("fcpxml", everything(rate)).data)


@pytest.mark.heavy
@pytest.mark.skipif(DTD is None, reason="REGENSTORE_FCPXML_DTD does not name Apple's FCPXMLv1_10.dtd")
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"<media-rep", b"<bookmark"),
        (b'hasVideo="1"', b'hasVideo="1" src="file:///x.mp4"'),
        (b"<library>", b"<gap/><library>"),
        (b'version="1.10"', b'version="1.12"'),
        (b'ref="r2"', b'ref="r9"'),
    ],
    ids=["media-rep", "src", "order", "version", "reference"],
)
def test_apples_dtd_and_our_checker_refuse_the_same(right, wrong):
    broken = made("fcpxml", everything(NTSC24)).data.replace(right, wrong, 1)
    assert not valid(broken)
    assert problems("fcpxml", broken)


# ------------------------------------------------------------------------------------------- real files


@pytest.mark.parametrize(
    ("name", "rate", "timecode", "frames"),
    [
        ("r16.mp4", Fraction(16), "00:00:00:00", 12),
        ("r23976.mov", NTSC24, "01:00:00:00", 12),
        ("r2997df.mov", NTSC30, "00:59:59;28", 12),
        ("r5994df.mov", Fraction(60000, 1001), "10:00:00;04", 12),
    ],
)
def test_a_real_file_is_told_as_it_is(golden_file, name, rate, timecode, frames):
    path = golden_file(name)
    shown = make_clip(clip().medium, probe(str(path), "video/mp4"), None, str(path))
    expected = rate, Timebase.of(rate, frames, timecode).start, frames
    for writer in WRITERS:
        file = made(writer, shown)
        assert frames_of(writer, file) == expected
    assert Path(unquote(urlsplit(xml("fcpxml", shown).find(".//media-rep").get("src")).path)) == path


def test_a_real_file_of_variable_rate_is_refused(golden_file):
    path = golden_file("vfr.mp4")
    shown = make_clip(clip().medium, probe(str(path), "video/mp4"), None, str(path))
    assert all("varies" in refused(writer, shown) for writer in WRITERS)
