"""XMP as foreign readers see it: exiftool, and Adobe's own parser in libexempi."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fractions import Fraction
from xml.etree import ElementTree

import pytest

from regenstore.export.sidecar import writers
from regenstore.export.sidecar.batch import SidecarOrder, xmp_packet
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.writer import Options, Row
from regenstore.export.sidecar.writers.xmp import NAMESPACES
from regenstore.export.sidecar.writers.xmp import document as empty
from regenstore.export.sidecar.xml_document import to_bytes
from tests.export.checks import check
from tests.export.clips import DROP, HLG, HOSTILE, LONG, PQ, RATES, REC709, clip, filled

WRITER = writers.find("xmp")
TEMPLATE = Library(None).load("xmp")
DM = NAMESPACES["xmpDM"]


def rendered(made):
    (file,) = WRITER.render([fill(TEMPLATE, TEMPLATE.outputs[0], made)], Options("{stem}.xmp"))
    assert check("xmp", file.data) == []
    return file


def document(properties: str) -> bytes:
    """An XMP document with these properties."""
    root, description = empty()
    description.text = "HERE"
    return to_bytes(root).replace(b"HERE", properties.encode())


def shown(file):
    return {row.target: row for row in file.rows}


@pytest.fixture
def exiftool(tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (apt: libimage-exiftool-perl)")

    def read(data: bytes, *options: str) -> dict:
        path = tmp_path / "a.xmp"
        path.write_bytes(data)
        command = ["exiftool", "-j", "-G1", "-struct", "-charset", "utf8", *options, str(path)]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)[0]

    return read


@pytest.fixture
def exempi():
    """Adobe's parser: gives the value at a path."""
    try:
        from libxmp import XMPMeta
    except Exception as error:  # the library that it binds to may be missing
        pytest.skip(f"python-xmp-toolkit or libexempi is not installed ({error.__class__.__name__})")

    def parsed(data: bytes):
        meta = XMPMeta()
        meta.parse_from_str(data.decode(), xmpmeta_wrap=False)
        return meta

    return parsed


@pytest.mark.heavy
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("drop", [False, True])
def test_rates_and_timecode_in_adobes_words(rate, drop, exempi):
    if drop and rate not in DROP:
        pytest.skip("drop-frame exists at 29.97 and 59.94 alone")
    start = "00:59:59;28" if drop else "00:59:59:10"
    meta = exempi(rendered(clip(rate=rate, timecode=start)).data)
    assert float(meta.get_property(DM, "videoFrameRate")) == pytest.approx(float(rate), abs=5e-7)
    value, scale = meta.get_property(DM, "duration/xmpDM:value"), meta.get_property(DM, "duration/xmpDM:scale")
    assert int(value) * Fraction(scale) == 96 / rate
    if rate == 16:
        assert not meta.does_property_exist(DM, "startTimecode")
    else:
        text = meta.get_property(DM, "startTimecode/xmpDM:timeValue")
        assert text == ("00;59;59;28" if drop else start)
        form = meta.get_property(DM, "startTimecode/xmpDM:timeFormat")
        assert ("Drop" in form and "NonDrop" not in form) == drop
        assert form.startswith(str(rate if rate.denominator == 1 else int(float(rate) * 1000) // 10)[:2])


@pytest.mark.heavy
def test_exiftool_reads_every_field(exiftool):
    made = clip(timecode="01:00:00:00", color=REC709, audio=True, about={"characters": ["Ann", "Bo"], "rating": 4})
    found = exiftool(rendered(made).data, "-validate", "-all")
    assert found.get("ExifTool:Validate", "OK") == "OK", found
    assert found["XMP-xmpDM:VideoFrameRate"] == 24
    assert found["XMP-xmpDM:VideoFrameSize"] == {"W": 1280, "H": 720, "Unit": "pixel"}
    assert found["XMP-xmpDM:VideoColorSpace"] == "CCIR-709"
    assert found["XMP-xmpDM:VideoFieldOrder"] == "Progressive"
    assert found["XMP-xmpDM:AudioChannelType"] == "Stereo"
    assert found["XMP-xmpDM:AudioSampleType"] == "16-bit integer"
    assert found["XMP-xmpDM:StartTimecode"]["TimeValue"] == "01:00:00:00"
    assert found["XMP-dc:Subject"] == ["night", "sea"]
    assert found["XMP-iptcExt:PersonInImage"] == ["Ann", "Bo"]
    assert found["XMP-xmp:Rating"] == 4
    assert found["XMP-xmp:CreateDate"] == "2023:11:14 22:13:20Z"
    assert re.fullmatch(r"uuid:[0-9a-f-]{36}", found["XMP-xmpMM:DocumentID"])
    assert str(found["XMP-regen:Seed"]) == "1234567890123456789012"
    assert found["XMP-iptcExt:DigitalSourceType"].startswith(("http", "Trained"))


@pytest.mark.parametrize("prompt", [HOSTILE, LONG, "tab\tand\r\nlines\rend"])
def test_a_hostile_prompt_survives_the_standard_librarys_parser(prompt):
    read = ElementTree.fromstring(rendered(clip(prompt=prompt)).data)
    legal = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]", "�", prompt)
    assert [each.text for each in read.iter(f"{{{NAMESPACES['regen']}}}prompt")] == [legal]


@pytest.mark.heavy
@pytest.mark.parametrize("prompt", [HOSTILE, LONG, "x" * 20_000, "plain", "‮ bidi ‬", "tab\tand\r\nlines\rend"])
def test_a_hostile_prompt_comes_back_exactly_or_visibly_replaced(prompt, exempi):
    file = rendered(clip(prompt=prompt))
    legal = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]", "�", prompt)
    meta = exempi(file.data)
    assert meta.get_property(NAMESPACES["regen"], "prompt") == legal
    assert meta.get_property(NAMESPACES["Iptc4xmpExt"], "AIPromptInformation") == legal
    assert shown(file)["regen:prompt"].status == ("ok" if legal == prompt else "sanitised")


@pytest.mark.heavy
def test_the_parsers_refuse_what_is_no_xmp(exiftool, exempi):
    from libxmp import XMPError

    broken = rendered(clip()).data.replace(b"</rdf:RDF>", b"")
    assert check("xmp", broken)
    with pytest.raises(XMPError):
        exempi(broken)
    with pytest.raises(AssertionError):
        exiftool(b"\x00\x01 nothing at all")


@pytest.mark.parametrize(("color", "word"), [(REC709, "CCIR-709"), (PQ, None), (HLG, None)])
def test_colours_that_xmp_has_no_word_for_are_left_out(color, word):
    file = rendered(clip(color=color))
    row = shown(file)["xmpDM:videoColorSpace"]
    assert row.value == word
    assert (b"videoColorSpace" in file.data) == (word is not None)
    if word is None:
        assert any("videoColorSpace is omitted" in warning for warning in file.warnings)


def test_a_column_of_numbers_is_no_word():
    made = filled(clip(frames=1, columns={"blur": [1.0]}), ("xmpDM:videoColorSpace", "frames.blur"))
    (file,) = WRITER.render([made], Options("{stem}.xmp"))
    assert "videoColorSpace is omitted" in file.warnings[0]


def test_sixteen_frames_a_second_have_no_timecode_and_say_why():
    file = rendered(clip(rate="16", timecode="00:00:10:00"))
    assert b"startTimecode" not in file.data
    assert any("no timecode at 16.000" in warning for warning in file.warnings)


@pytest.mark.heavy
def test_markers_are_frame_counts_in_the_tracks_own_rate(exempi):
    columns = {"black": [1.0] * 12 + [0.0] * 84, "face_confidence": [float("nan")] * 90 + [0.31] * 6}
    meta = exempi(rendered(clip(rate="24000/1001", columns=columns)).data)
    track = "Tracks[1]/xmpDM:"
    assert meta.get_property(DM, f"{track}frameRate") == "f24000s1001"
    assert meta.get_property(DM, f"{track}markers[1]/xmpDM:name") == "black"
    assert meta.get_property(DM, f"{track}markers[1]/xmpDM:duration") == "12"
    assert meta.get_property(DM, f"{track}markers[2]/xmpDM:startTime") == "90"
    assert meta.get_property(DM, f"{track}markers[2]/xmpDM:comment") == "lowest 0.31"


def test_redaction_leaves_no_trace_of_the_text():
    secret = "a most confidential lighthouse"
    made = clip(prompt=secret, about={"note": secret}, redact=frozenset({"prompt"}))
    file = rendered(made)
    assert secret.encode() not in file.data
    assert shown(file)["regen:prompt"].status == "redacted"
    assert shown(file)["dc:description"].status == "redacted"
    assert b"blurry" in file.data  # the negative prompt was not asked for
    assert secret.encode() not in xmp_packet(SidecarOrder((), "/"), made)


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<xmpDM:videoAlphaMode>opaque</xmpDM:videoAlphaMode>", "not one of"),
        ("<xmpDM:videoFramerate>24</xmpDM:videoFramerate>", "no property"),
        ("<xmpMM:DocumentID>xmp.did:1</xmpMM:DocumentID>", "no uuid"),
        ("<dc:format>a</dc:format><dc:format>b</dc:format>", "twice"),
        ("<Iptc4xmpExt:DigitalSourceType>trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>", "no URI"),
        (
            '<xmpDM:startTimecode rdf:parseType="Resource"><xmpDM:timeFormat>16Timecode</xmpDM:timeFormat>'
            "<xmpDM:timeValue>00:00:00:00</xmpDM:timeValue></xmpDM:startTimecode>",
            "does not have",
        ),
        (
            '<xmpDM:startTimecode rdf:parseType="Resource"><xmpDM:timeFormat>2997DropTimecode</xmpDM:timeFormat>'
            "<xmpDM:timeValue>00:01:00:00</xmpDM:timeValue></xmpDM:startTimecode>",
            "does not exist",
        ),
        ("<dc:format>\x0b</dc:format>", "not valid XML"),
    ],
)
def test_the_checker_finds_what_is_wrong(xml, problem):
    found = check("xmp", document(xml))
    assert any(problem in each for each in found), found
    assert check("xmp", document("")) == []


def test_a_document_that_declares_entities_is_not_even_read():
    bomb = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a'  # cut short: reading it would say so
    assert check("xmp", bomb) == ["a document type declaration has no place in XMP"]


def test_a_name_that_is_no_xml_name_is_left_out():
    row = Row("regen:a b/>", "", "x")
    (file,) = WRITER.render([filled(clip(), row)], Options("{stem}.xmp"))
    assert b"a b" not in file.data
    assert file.warnings
