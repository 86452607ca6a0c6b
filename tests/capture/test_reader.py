"""From files, as ComfyUI and its savers write them, to the graph that was understood."""

from __future__ import annotations

import io
import json

import pytest

from regenstore.capture.captured import Level
from regenstore.capture.reader import read
from tests.capture.pictures import graph
from tests.capture.written import box, chunk, exif_values, exr, film, png_texts, saved, sound, with_chunks

PROMPT = json.dumps(graph(seed=7))
TAGS = {"prompt": PROMPT, "workflow": json.dumps({"nodes": [], "links": [], "version": 0.4})}
EXIF = exif_values(TAGS)
FILES = {
    "png": lambda: saved("PNG", pnginfo=png_texts(TAGS)),
    "apng": lambda: with_chunks(saved("PNG"), chunk(b"comf", b"prompt\0" + PROMPT.encode()), last=True),
    "webp": lambda: saved("WEBP", exif=EXIF),
    "jpeg": lambda: saved("JPEG", exif=EXIF),
    "avif": lambda: saved("AVIF", exif=EXIF),
    "avif of SaveImageAdvanced": lambda: (
        saved("AVIF") + box(b"uuid", b'comfyui_workflow{"prompt": %s}' % PROMPT.encode())
    ),
    "exr": lambda: exr(TAGS),
    "mp4": lambda: film("mp4", "mpeg4", TAGS, movflags="use_metadata_tags"),
    "mp4 of an older VHS": lambda: film("mp4", "mpeg4", {"comment": json.dumps({"prompt": PROMPT})}),
    "webm": lambda: film("webm", "libvpx-vp9", TAGS),
    "mkv": lambda: film("matroska", "mpeg4", TAGS),
    "flac": lambda: sound("flac", "flac", "s16", TAGS),
    "opus": lambda: sound("opus", "libopus", "flt", TAGS),
    "mp3": lambda: sound("mp3", "libmp3lame", "fltp", TAGS),
}


@pytest.mark.parametrize("form", FILES)
def test_graphs_of_comfyui(form):
    captured = read(io.BytesIO(FILES[form]())).captured
    assert captured is not None
    assert (captured.level, captured.generator, captured.params["seed"]) == (Level.GRAPH, "comfyui", 7)


def test_what_embeds_nothing():
    assert read(io.BytesIO(saved("PNG"))) == ([], None)
    assert read(io.BytesIO(saved("JPEG", comment="a holiday"))).captured is None
