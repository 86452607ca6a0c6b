"""What is wrong with a Final Cut Pro 7 XML document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from regenstore.export.sidecar.writers.xmeml import VOCABULARY
from regenstore.media.timecode import from_timecode
from tests.export.checks.grammar import Element, parse


def check(data: bytes) -> list[str]:
    """Problems of an xmeml document: what has to be there, references, rates, frame numbers."""
    try:
        root = parse(data)
    except ValueError as error:
        return [str(error)]
    if root.tag != "xmeml" or root.get("version") != "5":
        return ["no xmeml of version 5"]
    return [*_structure(root), *_rates(root), *_items(root)]


def _structure(root: Element) -> Iterator[str]:
    sequence = root.find("sequence")
    if sequence is None:
        yield "there is no sequence"
        return
    for path in ("name", "duration", "rate", "timecode", "media/video/format/samplecharacteristics/width"):
        if sequence.find(path) is None:
            yield f"the sequence has no {path}"
    for group in ("logginginfo", "comments", "labels"):
        for element in root.iter(group):
            yield from (
                f"<{group}> has no {inner.tag}" for inner in element if f"{group}.{inner.tag}" not in VOCABULARY
            )
    ids = [element.get("id") for element in root.iter("clipitem")]
    if len(set(ids)) != len(ids):
        yield "an id of a clipitem is there twice"
    defined = {file.get("id") for file in root.iter("file") if len(file)}
    yield from (f"file {file.get('id')} is not defined" for file in root.iter("file") if file.get("id") not in defined)
    yield from (
        f"a link goes to {link.text}, which is not there" for link in root.iter("linkclipref") if link.text not in ids
    )
    for file in root.iter("file"):
        if len(file) and not re.fullmatch(r"file://localhost/[!-~]+", file.findtext("pathurl") or ""):
            yield f"pathurl {file.findtext('pathurl')!r} is no file://localhost/ URL"


def _rate_of(parent: Element) -> Fraction | None:
    timebase, ntsc = parent.findtext("rate/timebase") or "", parent.findtext("rate/ntsc")
    if not re.fullmatch(r"[1-9]\d{0,3}", timebase) or ntsc not in ("TRUE", "FALSE"):
        return None
    return Fraction(int(timebase) * 1000, 1001) if ntsc == "TRUE" else Fraction(int(timebase))


def _rates(root: Element) -> Iterator[str]:
    for tag in ("sequence", "clipitem", "timecode"):
        if any(_rate_of(element) is None for element in root.iter(tag)):
            yield f"<{tag}> has no rate of timebase and ntsc"
    for timecode in root.iter("timecode"):
        rate, drop = _rate_of(timecode), timecode.findtext("displayformat") == "DF"
        if rate is None:
            continue
        text = timecode.findtext("string") or ""
        try:
            frame = from_timecode(text, rate, drop=drop)
        except ValueError as error:
            yield str(error)
            continue
        if str(frame) != timecode.findtext("frame"):
            yield f"timecode {text} is frame {frame}, not {timecode.findtext('frame')}"
        if drop != (";" in text):
            yield f"timecode {text} has the wrong marks for {timecode.findtext('displayformat')}"


def _items(root: Element) -> Iterator[str]:
    lengths = {file.get("id"): int(file.findtext("duration") or 0) for file in root.iter("file") if len(file)}
    for item in root.iter("clipitem"):
        numbers = [item.findtext(name) or "" for name in ("start", "end", "in", "out")]
        if not all(re.fullmatch(r"\d+", text) for text in numbers):
            yield f"<clipitem> {item.get('id')}: start, end, in and out have to be frame numbers"
            continue
        start, end, first, last = (int(text) for text in numbers)
        file = item.find("file")
        length = lengths.get(file.get("id"), 0) if file is not None else 0
        if end - start != last - first or last > length:
            yield f"<clipitem> {item.get('id')}: {first} to {last} does not fit {length} frames"
