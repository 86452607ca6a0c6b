"""XMP inside of media: foreign readers find it, and nothing else of the file is another."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from pathlib import Path

import av
import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin

from regenstore.export.sidecar.batch import SidecarOrder, xmp_packet
from regenstore.export.sidecar.xmp_merging import merged
from regenstore.media.embed import UUID, embedded, packet, xmp_of
from regenstore.media.probe import probe
from tests.export.clips import HOSTILE, LONG, clip
from tests.export.conftest import GOLDEN
from tests.export.golden import png

WRITABLE = [name for name in GOLDEN if name.endswith((".mp4", ".mov"))]
TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".png": "image/png", ".jpg": "image/jpeg",
         ".webp": "image/webp", ".tif": "image/tiff"}  # fmt: skip


def document(prompt: str = "a lighthouse") -> bytes:
    return xmp_packet(SidecarOrder((), "/"), clip(prompt=prompt))


def put(source: Path, target: Path, xmp: bytes) -> Path:
    made = embedded(str(source), TYPES[source.suffix], xmp)
    target.write_bytes(b"".join(made.blocks()))
    assert target.stat().st_size == made.size
    return target


def packets(path: Path) -> list[tuple]:
    """Every packet of every track, with its times: what a decoder gets."""
    with av.open(str(path)) as file:
        return [(p.stream.index, p.pts, p.dts, p.duration, bytes(p)) for p in file.demux() if p.size]


def exiftool(path: Path) -> dict:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (apt: libimage-exiftool-perl)")
    done = subprocess.run(["exiftool", "-j", "-G1", "-struct", str(path)], capture_output=True, check=False)
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize("name", WRITABLE)
def test_tracks_timecode_and_pictures_stay_to_the_byte(name, golden_file, tmp_path):
    source = golden_file(name)
    target = put(source, tmp_path / name, document())
    assert packets(target) == packets(source)
    assert probe(str(target), TYPES[source.suffix]) == probe(str(source), TYPES[source.suffix])


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["r2997df.mov", "r24.mp4", "hevc_pq.mp4", "prores.mov"])
def test_foreign_readers_find_it_and_a_second_one_replaces_it(name, golden_file, tmp_path):
    first = put(golden_file(name), tmp_path / f"one{Path(name).suffix}", document("first words"))
    second = put(first, tmp_path / f"two{Path(name).suffix}", document("second words"))
    assert exiftool(first)["XMP-regen:Prompt"] == "first words"
    found = exiftool(second)
    assert found["XMP-regen:Prompt"] == "second words"
    assert "Warning" not in found
    assert packets(second) == packets(first)


@pytest.mark.heavy
@pytest.mark.parametrize("prompt", [HOSTILE, LONG])
def test_exiftool_reads_it_in_stills(prompt, tmp_path):
    plain = png(tmp_path / "a.png")
    Image.open(plain).save(tmp_path / "a.jpg")
    for source in (plain, tmp_path / "a.jpg"):
        found = exiftool(put(source, tmp_path / f"out{source.suffix}", document(prompt)))
        assert str(found["XMP-regen:Seed"]) == "1234567890123456789012"


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["r2997df.mov", "r24.mp4"])
def test_adobes_own_library_finds_it(name, golden_file, tmp_path):
    try:
        from libxmp import XMPFiles
    except Exception as error:  # the library that it binds to may be missing
        pytest.skip(f"python-xmp-toolkit or libexempi is not installed ({error.__class__.__name__})")
    file = XMPFiles(file_path=str(put(golden_file(name), tmp_path / name, document())))
    meta = file.get_xmp()
    file.close_file()
    assert meta.get_property("https://ns.regenstore.org/1.0/", "prompt") == "a lighthouse"


@pytest.mark.parametrize("prompt", [HOSTILE, LONG])
def test_png_and_jpeg(prompt, tmp_path):
    plain = png(tmp_path / "a.png", srgb=True)
    Image.open(plain).save(tmp_path / "a.jpg", quality=90)
    for source in (plain, tmp_path / "a.jpg"):
        target = put(source, tmp_path / f"out{source.suffix}", document(prompt))
        with Image.open(source) as before, Image.open(target) as after:
            assert before.tobytes() == after.tobytes()
            assert b"regen:prompt" in after.info["xmp"]
        again = put(target, tmp_path / f"again{source.suffix}", document(prompt))
        assert again.read_bytes() == target.read_bytes()


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (37, 21), **how) -> Path:
    """Chance, so that a shifted byte shows."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    data = random.Random(str(path)).randbytes(size[0] * size[1] * channels)
    made = Image.frombytes(mode, size, data)
    more = [made.rotate(180)] if how.get("save_all") else []
    made.save(path, **how, **({"append_images": more} if more else {}))
    return path


MADE = {
    "lossy.webp": {},
    "lossless.webp": {"lossless": True},
    "alpha.webp": {"mode": "RGBA", "lossless": True},
    "lossy alpha.webp": {"mode": "RGBA"},
    "moving.webp": {"save_all": True, "lossless": True},
    "profiled.webp": {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()},
    "with xmp.webp": {"xmp": b"<x:xmpmeta>old</x:xmpmeta>"},
    "plain.tif": {},
    "packed.tif": {"compression": "tiff_lzw", "mode": "L"},
    "pages.tif": {"save_all": True},
    "big-endian.tif": {"mode": "I;16B"},
    "odd.tif": {"mode": "L", "size": (7, 9)},
}


def frames_of(path: Path) -> list[bytes]:
    with Image.open(path) as opened:
        return [frame.tobytes() for frame in ImageSequence.Iterator(opened)]


@pytest.mark.parametrize("name", MADE)
def test_webp_and_tiff(name, tmp_path):
    how = dict(MADE[name])
    if how.get("mode") == "I;16B":
        source = tmp_path / name
        pixels = random.Random(1).randbytes(2 * 6 * 4)
        tags = [(256, 6), (257, 4), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 4), (279, len(pixels))]
        entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
        head = b"MM\0*" + struct.pack(">I", 8 + len(pixels))
        source.write_bytes(head + pixels + struct.pack(">H", len(tags)) + entries + bytes(4))
    else:
        source = picture(tmp_path / name, **how)
    xmp = document()
    target = put(source, tmp_path / f"out{source.suffix}", xmp)
    assert frames_of(target) == frames_of(source)
    with Image.open(target) as after, Image.open(source) as before:
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        told = after.info["xmp"] if source.suffix == ".webp" else after.tag_v2[700]
        assert b"regen:prompt" in told and b"old" not in told.partition(b"</x:xmpmeta")[0][:200]
    again = put(target, tmp_path / f"again{source.suffix}", document("other words"))
    assert frames_of(again) == frames_of(source)
    assert again.read_bytes().count(b"XMP ") <= 1 or source.suffix != ".webp"


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in MADE if name != "big-endian.tif"])
def test_exiftool_reads_webp_and_tiff(name, tmp_path):
    source = picture(tmp_path / name, **MADE[name])
    target = put(source, tmp_path / f"out{source.suffix}", document("first words"))
    for path, words in ((target, "first words"), (put(target, tmp_path / f"b{source.suffix}", document("two")), "two")):
        found = exiftool(path)
        assert found["XMP-regen:Prompt"] == words
        assert "Warning" not in found and "ExifTool:Warning" not in found and "Error" not in found


@pytest.mark.parametrize("name", ["lossy.webp", "alpha.webp", "plain.tif"])
def test_damaged_stills_are_refused_or_pass_untouched(name, tmp_path):
    whole = picture(tmp_path / name, **MADE[name]).read_bytes()
    media_type = TYPES[Path(name).suffix]
    for length in (0, 3, 11, 20, 29, len(whole) // 2):
        (tmp_path / "cut").write_bytes(whole[:length])
        if name.endswith(".webp") or length < 8:
            with pytest.raises(ValueError, match=r"not a WebP|ends|not a TIFF"):
                embedded(str(tmp_path / "cut"), media_type, document())
    (tmp_path / "cut").write_bytes(b"II+\0" + whole[4:])
    with pytest.raises(ValueError, match=r"not a WebP|BigTIFF"):
        embedded(str(tmp_path / "cut"), media_type, document())


def test_a_jpeg_has_room_for_64_kib(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="longer than a JPEG segment"):
        embedded(str(tmp_path / "a.jpg"), "image/jpeg", document("x" * 40_000))


FOREIGN = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:regen="https://ns.regenstore.org/1.0/" xmp:CreatorTool="Lightroom"
 regen:seed="1" dc:format="video/mp4" lr:hierarchicalSubject="a|b"><regen:prompt>old words</regen:prompt>
<dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>hand-written</rdf:li></rdf:Bag></dc:subject></rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_foreign_xmp_stays_and_ours_is_added():
    made, conflicts = merged(document("new words"), FOREIGN)
    assert conflicts == ("xmp:CreatorTool",)  # dc:format is the same, in another notation
    text = made.decode()
    for kept in ('"Lightroom"', '"a|b"', "hand-written", "<regen:prompt>new words<", "<rdf:li>night<"):
        assert kept in text
    assert text.count("<rdf:li>sea<") == 1 and "old words" not in text and 'regen:seed="1"' not in text
    assert text.count('rdf:about="uuid:1"') == 2
    assert merged(document("new words"), made)[1] == ("xmp:CreatorTool",)
    for broken in (b"<x:xmpmeta>old</x:xmpmeta>", b"", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"):
        with pytest.raises(ValueError):
            merged(document(), broken)


@pytest.mark.parametrize("suffix", TYPES)
def test_xmp_of_every_format_is_read(suffix, tmp_path):
    source = tmp_path / f"a{suffix}"
    if suffix in (".mp4", ".mov"):
        source.write_bytes(box(b"ftyp", b"qt  \0\0\0\0") + box(b"moov", box(b"mvhd", b"\0" * 100)))
    else:
        Image.new("RGB", (8, 8)).save(source)
    assert xmp_of(str(source), TYPES[suffix]) is None
    xmp = document()
    assert xmp_of(str(put(source, tmp_path / f"b{suffix}", xmp)), TYPES[suffix]) == packet(xmp)


def test_compressed_xmp_of_a_png(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", FOREIGN.decode(), zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    assert xmp_of(str(tmp_path / "a.png"), "image/png") == FOREIGN


def box(kind: bytes, body: bytes, *, open_ended: bool = False) -> bytes:
    return struct.pack(">I4s", 0 if open_ended else 8 + len(body), kind) + body


def test_odd_but_legal_box_structures(tmp_path):
    """An open-ended last box gets its length; the index of fragments stays the last box."""
    path = tmp_path / "a.mp4"
    head = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", box(b"mvhd", b"\0" * 100))
    path.write_bytes(head + box(b"mdat", b"pixels", open_ended=True))
    made = b"".join(embedded(str(path), "video/mp4", b"<x:xmpmeta/>").blocks())
    assert made == head + box(b"mdat", b"pixels") + box(b"uuid", UUID + packet(b"<x:xmpmeta/>"))
    path.write_bytes(head + box(b"mfra", b"index"))
    made = b"".join(embedded(str(path), "video/mp4", b"<x:xmpmeta/>").blocks())
    assert made.endswith(box(b"mfra", b"index"))


def test_quicktime_user_data_is_kept(tmp_path):
    path = tmp_path / "a.mov"
    user = box(b"udta", box(b"\xa9nam", b"\0\x04\0\0name") + box(b"XMP_", b"old") + b"\0\0\0\0")
    path.write_bytes(box(b"ftyp", b"qt  \0\0\0\0") + box(b"moov", box(b"mvhd", b"\0" * 100) + user))
    made = b"".join(embedded(str(path), "video/quicktime", b"<x:xmpmeta/>").blocks())
    assert made.count(b"XMP_") == 1
    assert box(b"\xa9nam", b"\0\x04\0\0name") in made
    assert b"old" not in made


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("video/mp4", b""),
        ("video/mp4", b"\0\0\0\x08ftyp"),
        ("video/mp4", b"\xff\xff\xff\xffmoov"),
        ("video/quicktime", box(b"moov", b"\0\0\0\x40mvhd")),
        ("image/png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40),
        ("image/png", b"GIF89a"),
        ("image/jpeg", b"\xff\xd8\xff\xe0\xff\xff"),
        ("image/webp", b"RIFF"),
    ],
)
def test_damaged_files_are_refused(media_type, data, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(ValueError):
        b"".join(embedded(str(path), media_type, document()).blocks())
