"""What programs embed is read from every format that they write, whatever else the file holds."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from regenstore.capture.carriers.read import embedded
from regenstore.capture.embedded import Embedded
from tests.capture.written import (
    GRAPH,
    PIXELS,
    PROMPT,
    WORKFLOW,
    box,
    chunk,
    comfy_exif,
    exr,
    film,
    png_texts,
    saved,
    tiff,
    with_chunks,
    with_hidden,
)

PLAIN = saved("PNG")
INFOTEXT = "a café\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 7"
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def read(data: bytes) -> list[Embedded]:
    return embedded(io.BytesIO(data), strict=True)


def values(data: bytes, carrier: str) -> dict[str, Any]:
    return {piece.name: piece.value for piece in read(data) if piece.carrier == carrier}


# ------------------------------------------------------------------------------------------- PNG


def test_texts_of_png():
    assert read(PLAIN) == []
    assert read(saved("PNG", pnginfo=png_texts(GRAPH))) == [
        Embedded("png", "prompt", PROMPT),
        Embedded("png", "workflow", WORKFLOW),
    ]
    for text in (INFOTEXT, INFOTEXT + " 小", ""):
        for compressed in (False, True):
            data = saved("PNG", pnginfo=png_texts({"parameters": text}, compressed=compressed))
            assert read(data) == [Embedded("png", "parameters", text)]


def test_png_chunks_that_others_write():
    apng = [chunk(b"comf", name.encode() + b"\0" + text.encode("latin-1")) for name, text in GRAPH.items()]
    utf8 = chunk(b"tEXt", "parameters\0a café 小".encode())
    wrong_sum = chunk(b"tEXt", b"Comment\0kept")[:-4] + b"\0\0\0\0"
    c2pa = chunk(b"caBX", b"\0\0\0\x20jumb")
    xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.encode())
    magick = b"\nexif\n      %d\n" % len(comfy_exif()) + comfy_exif().hex().encode()
    profile = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(magick))
    data = with_chunks(with_chunks(PLAIN, utf8, wrong_sum, c2pa, xmp, profile), *apng, last=True)
    found = read(data)
    assert found[:4] == [
        Embedded("png", "parameters", "a café 小"),
        Embedded("png", "Comment", "kept"),
        Embedded("c2pa", "manifest", b"\0\0\0\x20jumb"),
        Embedded("xmp", "packet", XMP),
    ]
    assert values(data, "exif")["prompt"] == PROMPT
    assert found[-2:] == [Embedded("png", "prompt", PROMPT), Embedded("png", "workflow", WORKFLOW)]
    assert values(saved("PNG", exif=comfy_exif()), "exif")["workflow"] == WORKFLOW


def test_png_that_is_cut_off_or_lies():
    whole = saved("PNG", pnginfo=png_texts(GRAPH))
    first_ends = 33 + 12 + len("prompt\0") + len(PROMPT)
    assert read(whole[: first_ends + 20]) == [Embedded("png", "prompt", PROMPT)]
    assert read(whole[: first_ends - 10]) == []  # half a text is none
    bomb = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(20 << 20)))
    broken = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"x" * 99)[:-5])
    assert read(with_chunks(whole, bomb, broken, b"\x7f\xff\xff\xfftEXt")) == []
    assert read(with_chunks(whole, bomb, broken)) == read(whole)
    assert read(with_chunks(whole, b"\xff\xff\xff\xf8tEXt", last=True)) == read(whole)


# ------------------------------------------------------------------------------------------- the lowest bits


@pytest.mark.parametrize("form", ["pngcomp", "pnginfo", "rgbcomp", "rgbinfo"])
@pytest.mark.parametrize("size", [(60, 130), (500, 9), (3, 1500), (200, 300)])
def test_text_hidden_in_pixels(form, size):
    length = 7000 if size == (200, 300) else 9
    text = json.dumps({"Comment": '{"seed": 7}', "Software": "NovelAI", "x": PIXELS.tobytes().hex()[:length]})
    assert read(with_hidden(text, b"stealth_" + form.encode(), size)) == [Embedded("alpha", "stealth", text)]


def test_hidden_text_that_is_not_there():
    assert read(with_chunks(with_hidden("{}"), chunk(b"tEXt", b"Comment\0{}"))) == [Embedded("png", "Comment", "{}")]
    assert read(with_hidden("x" * 800, b"stealth_pnginfo", (60, 130))[:-400]) == []
    assert read(with_hidden("", b"stealth_pnginfo")) == []
    whole = with_hidden("{}")
    bits_flipped = with_chunks(whole[:33] + chunk(b"IDAT", zlib.compress(bytes(40 * 4 * 130 + 130))) + PLAIN[-12:])
    assert read(bits_flipped) == []
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 6, 0, 0, 0))
    assert read(whole[:8] + huge + whole[33:]) == []


# ------------------------------------------------------------------------------------------- EXIF


@pytest.mark.parametrize("form", ["WEBP", "JPEG", "AVIF", "PNG"])
def test_exif_of_comfyui(form):
    data = saved(form, exif=comfy_exif())
    assert values(data, "exif") == {"prompt": PROMPT, "workflow": WORKFLOW, "run": '{"a": 1}'}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "data",
    [
        b"UNICODE\0" + INFOTEXT.encode("utf-16-be"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16-le"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16"),
        b"UNICODE\0" + INFOTEXT.encode("utf-16-le") + b"\0\0",
        b"ASCII\0\0\0" + INFOTEXT.encode(),
        b"ASCII\0\0\0" + INFOTEXT.encode("latin-1"),
        bytes(8) + INFOTEXT.encode(),
        INFOTEXT.encode(),
    ],
)
def test_user_comment(order, data):
    """In the Exif part or beside it; in the byte order of the file or the other one."""
    for structure in (tiff({}, order, {0x9286: (7, data)}), tiff({0x9286: (2, data)}, order)):
        assert read(structure) == [Embedded("exif", "UserComment", INFOTEXT)]
        assert read(saved("JPEG", exif=b"Exif\0\0" + structure))[-1] == Embedded("exif", "UserComment", INFOTEXT)


def test_user_comments_in_odd_encodings():
    def comment(data: bytes, order: str = "<") -> Any:
        return read(tiff({}, order, {0x9286: (7, data)}))[0].value

    poem = "故人西辭黃鶴樓煙花三月下揚州孤帆遠影碧空盡唯見長江天際流"
    for codec in ("utf-16-le", "utf-16-be"):
        for order in "<>":
            assert comment(b"UNICODE\0" + poem.encode(codec), order) == poem
    assert comment(b"UNICODE\0" + b"Steps: 20, Seed: 12345") == "Steps: 20, Seed: 12345"  # says what it is not
    assert comment(b"JIS\0\0\0\0\0" + "猫".encode("iso2022_jp")) == "猫"
    assert comment(b"JIS\0\0\0\0\0" + "猫".encode()) == "猫"


def test_other_tags():
    data = tiff(
        {0x010F: (2, b"Camera\0"), 0x0131: (2, b"Fooocus v2\0"), 0x9C9C: (1, "ü\0".encode("utf-16-le"))},
        "<",
        {0x927C: (7, b"fooocus"), 0x9286: (7, b"x: {}")},
    )
    assert values(data, "exif") == {
        "Make": "Camera",
        "Software": "Fooocus v2",
        "XPComment": "ü",
        "MakerNote": b"fooocus",
        "UserComment": "x: {}",
    }
    assert read(tiff({0x010E: (2, b"Workflow:{}\0"), 0x02BC: (1, XMP.encode())})) == [
        Embedded("exif", "workflow", "{}"),
        Embedded("xmp", "packet", XMP),
    ]
    itself = bytearray(tiff({0x0131: (2, b"ring\0")}, ">", {0x9286: (7, b"once")}))
    itself[itself.rindex(b"\x87\x69") + 8 : itself.rindex(b"\x87\x69") + 12] = struct.pack(">I", 8)
    assert [piece.value for piece in read(bytes(itself))] == ["ring", "ring"]


# ------------------------------------------------------------------------------------------- JPEG, WebP, AVIF


@pytest.mark.parametrize("form", ["WEBP", "JPEG", "AVIF"])
def test_pictures_with_xmp(form):
    assert Embedded("xmp", "packet", XMP) in read(saved(form, xmp=XMP.encode()))


def test_segments_of_jpeg():
    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 255, marker, len(data) + 2) + data

    manifest = box(b"jumb", b"\0\0\0\x1ejumdc2pa" + bytes(range(200)))
    parts = [
        segment(0xEB, b"JP\0\1" + struct.pack(">I", n) + manifest[:8] + manifest[8 + 100 * (n - 1) : 8 + 100 * n])
        for n in (1, 2, 3)
    ]
    extension = b"http://ns.adobe.com/xmp/extension/\0" + bytes(32) + struct.pack(">I", 6)
    spread = [segment(0xE1, extension + struct.pack(">I", at) + b"<more>"[at : at + 3]) for at in (0, 3)]
    plain = saved("JPEG", comment="made by hand")
    data = plain[:2] + b"\xff" + b"".join(parts + spread) + plain[2:]
    assert read(data) == [
        Embedded("jpeg", "comment", "made by hand"),
        Embedded("xmp", "packet", "<more>"),
        Embedded("c2pa", "manifest", manifest),
    ]


# ------------------------------------------------------------------------------------------- MP4


@pytest.mark.parametrize("flags", ["", "+faststart", "+frag_keyframe+empty_moov"])
@pytest.mark.parametrize("form", ["mp4", "mov"])
def test_films_with_keys(form, flags):
    data = film(form, "mpeg4", GRAPH | {"comment": "c"}, movflags="use_metadata_tags" + flags)
    found = values(data, "mp4")
    assert found.pop("encoder").startswith("Lavf")
    assert found == GRAPH | {"comment": "c"}


@pytest.mark.parametrize("form", ["mp4", "mov", "ipod"])
def test_films_with_a_comment(form):
    old = json.dumps({"prompt": PROMPT, "workflow": json.loads(WORKFLOW)})
    assert values(film(form, "mpeg4", {"comment": old}), "mp4")["comment"] == old


def test_boxes_that_others_write():
    def value(text: bytes, form: int = 1) -> bytes:
        return box(b"data", struct.pack(">II", form, 0) + text)

    free_form = box(
        b"----", box(b"mean", bytes(4) + b"com.apple.iTunes") + box(b"name", bytes(4) + b"prompt") + value(b"{}")
    )
    items = box(b"\xa9cmt", value("ü".encode("utf-16-be"), 2)) + free_form + box(b"covr", value(b"\xff\xd8", 13))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(10))
    udta = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", items)) + box(b"XMP_", XMP.encode()))
    xmp = box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP.encode())
    c2pa = box(
        b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\0" + bytes(8) + b"jumb"
    )
    data = box(b"ftyp", b"isom") + c2pa + box(b"mdat", bytes(99), wide=True) + box(b"moov", udta, wide=True) + xmp
    assert read(data) == [
        Embedded("c2pa", "manifest", b"jumb"),
        Embedded("mp4", "comment", "ü"),
        Embedded("mp4", "prompt", "{}"),
        Embedded("xmp", "packet", XMP),
        Embedded("xmp", "packet", XMP),
    ]
    comfyui = box(b"uuid", b"comfyui_workflow" + json.dumps({"prompt": {"1": {"seed": 2**64 - 1}}, "n": None}).encode())
    assert values(box(b"ftyp", b"avif") + comfyui, "mp4") == {
        "prompt": '{"1": {"seed": 18446744073709551615}}',
        "n": "null",
    }
    jxl = b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"Exif", bytes(4) + tiff({0x0131: (2, b"a tool")})) + box(b"xml ", b"<x/>")
    assert read(jxl) == [Embedded("exif", "Software", "a tool"), Embedded("xmp", "packet", "<x/>")]


def test_iptc_fields():
    def field(number: int, text: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text

    iim = field(0, b"\0\4") + field(110, b"Made with Google AI") + field(120, "é".encode())
    resources = b"".join(
        b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
        for number, name, data in ((0x0425, b"\0\0", bytes(16)), (0x0404, b"\3abc", iim))
    )
    data = b"Photoshop 3.0\0" + resources
    plain = saved("JPEG")
    found = read(plain[:2] + struct.pack(">BBH", 255, 0xED, len(data) + 2) + data + plain[2:])
    assert found == [Embedded("iptc", "Credit", "Made with Google AI"), Embedded("iptc", "Caption", "é")]


def test_comments_of_gif():
    two = [PIXELS, PIXELS[::-1]]
    texts = [INFOTEXT * 20, "short"]
    pictures = [Image.fromarray(each).quantize(64) for each in two]
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], comment=texts[0].encode())
    assert Embedded("gif", "comment", texts[0]) in read(out.getvalue())
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    data = out.getvalue()[:-1] + b"!\xff\x0bXMP DataXMP" + XMP.encode() + trailer + b"!\xfe\5short\0;"
    assert read(data)[-2:] == [Embedded("xmp", "packet", XMP), Embedded("gif", "comment", "short")]


def test_attributes_of_exr():
    data = exr(GRAPH)
    assert values(data + bytes(50), "exr") == GRAPH
    assert list(values(data[:-3], "exr")) == ["prompt"]
    assert read(data[:8]) == read(data[:20]) == []


def test_headers_of_json():
    asset = json.dumps({"asset": {"version": "2.0", "extras": GRAPH | {"n": 1}}}).encode()
    glb = struct.pack("<4sIIII", b"glTF", 2, 20 + len(asset), len(asset), 0x4E4F534A) + asset
    assert values(glb, "gltf") == GRAPH | {"n": "1"}
    header = json.dumps({"__metadata__": GRAPH, "t": {"dtype": "F32"}}).encode()
    assert values(struct.pack("<Q", len(header)) + header + bytes(99), "safetensors") == GRAPH
    assert read(glb[:-5]) == read(struct.pack("<Q", 8) + b"{}[]null") == []


# ------------------------------------------------------------------------------------------- other files


def test_other_content_has_nothing():
    for data in (b"", b"\x89PNG", b"plain text", bytes(1000), PIXELS.tobytes()):
        assert read(data) == []
