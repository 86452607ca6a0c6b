"""Media with embedded metadata, made by the libraries and in the ways that programs make them."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from collections.abc import Mapping
from tempfile import NamedTemporaryFile
from typing import Any

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1, "text": 'ein "Häuschen" \\ 小'}}})
WORKFLOW = json.dumps({"nodes": [{"id": 3}], "extra": {"ds": {"scale": 0.5}}})
GRAPH = {"prompt": PROMPT, "workflow": WORKFLOW}
PIXELS = np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def saved(form: str, pixels: Any = PIXELS, **options: Any) -> bytes:
    """A picture by Pillow."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def png_texts(texts: Mapping[str, str], *, compressed: bool = False) -> PngInfo:
    """tEXt, or iTXt for what is not Latin-1, as Pillow chooses."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text, zip=compressed)
    return info


def exif_values(texts: Mapping[str, str]) -> bytes:
    """ComfyUI's values for WebP: Model, and the tags from Make downwards."""
    exif = Image.Exif()
    for tag, (name, text) in zip((0x0110, 0x010F, 0x010E), texts.items()):
        exif[tag] = f"{name}:{text}"
    return exif.tobytes()


def comfy_exif() -> bytes:
    return exif_values(GRAPH | {"run": '{"a": 1}'})


def tiff(
    entries: Mapping[int, tuple[int, bytes]], order: str = ">", exif_part: Mapping[int, tuple[int, bytes]] | None = None
) -> bytes:
    """A TIFF structure: tag -> type (whose values have one byte) and data."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    first = dict(entries)
    main_length = 2 + 12 * (len(first) + (exif_part is not None)) + 4
    exif_at = 8 + main_length
    exif_length = 2 + 12 * len(exif_part) + 4 if exif_part is not None else 0
    data_at, data = exif_at + exif_length, b""

    def directory(tags: Mapping[int, tuple[int, bytes]], pointer: bool) -> bytes:
        nonlocal data
        found = struct.pack(order + "H", len(tags) + pointer)
        for tag, (form, value) in tags.items():
            if len(value) <= 4:
                found += struct.pack(order + "HHI", tag, form, len(value)) + value.ljust(4, b"\0")
            else:
                found += struct.pack(order + "HHII", tag, form, len(value), data_at + len(data))
                data += value
        if pointer:
            found += struct.pack(order + "HHII", 0x8769, 4, 1, exif_at)
        return found + bytes(4)

    body = directory(first, exif_part is not None)
    if exif_part is not None:
        body += directory(exif_part, False)
    return head + struct.pack(order + "I", 8) + body + data


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(png: bytes, *chunks: bytes, last: bool = False) -> bytes:
    """A PNG with more chunks, after its header or before its end."""
    at = len(png) - 12 if last else 33
    return png[:at] + b"".join(chunks) + png[at:]


def box(kind: bytes, data: bytes, *, wide: bool = False) -> bytes:
    """A box of ISO base media."""
    return (
        struct.pack(">I4sQ", 1, kind, len(data) + 16) + data
        if wide
        else struct.pack(">I4s", len(data) + 8, kind) + data
    )


def exr(texts: Mapping[str, str]) -> bytes:
    """The header of an OpenEXR picture, as ComfyUI extends it."""

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(data)) + data

    attributes = b"".join(attribute(name, "string", text.encode()) for name, text in texts.items())
    return b"\x76\x2f\x31\x01\2\0\0\0" + attribute("compression", "compression", b"\3") + attributes + b"\0"


def with_hidden(text: str, magic: bytes = b"stealth_pngcomp", size: tuple[int, int] = (40, 130)) -> bytes:
    """A picture with text in its lowest bits, as NovelAI and the extensions of A1111 hide it."""
    payload = gzip.compress(text.encode(), mtime=0) if magic.endswith(b"comp") else text.encode()
    bits = np.unpackbits(np.frombuffer(magic + struct.pack(">I", 8 * len(payload)) + payload, np.uint8))
    pixels = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    where = slice(3, 4) if b"png" in magic else slice(0, 3)
    columns = pixels[:, :, where].transpose(1, 0, 2).reshape(-1)
    columns[: len(bits)] = columns[: len(bits)] & 254 | bits
    pixels[:, :, where] = columns.reshape(size[0], size[1], -1).transpose(1, 0, 2)
    return saved("PNG", pixels if b"png" in magic else np.ascontiguousarray(pixels[:, :, :3]))


def film(form: str, codec: str, tags: Mapping[str, str], frames: int = 3, **options: str) -> bytes:
    """A film by FFmpeg's libraries, which rewrite some films at the end: into a file, not into memory."""
    with NamedTemporaryFile() as out, av.open(out.name, "w", format=form, options=options) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(PIXELS, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode())
        container.close()
        return out.read()


def sound(form: str, codec: str, layout: str, tags: Mapping[str, str]) -> bytes:
    """A sound by FFmpeg's libraries."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=48000, layout="mono")
        values = np.zeros((1, stream.codec_context.frame_size or 960))
        frame = av.AudioFrame.from_ndarray(values.astype("float32" if "flt" in layout else "int16"), layout, "mono")
        frame.rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()
