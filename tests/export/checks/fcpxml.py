"""What is wrong with an FCPXML document: a grammar of the subset that is written, references, whole frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from tests.export.checks.grammar import TEXT, Element, Model, parse, violations

_TIME = r"-?\d+(?:/[1-9]\d*)?s"
_WHOLE, _ID, _BIT = r"\d+", r"[A-Za-z_][\w.-]*", "[01]"
_SPAN = {"start": _TIME, "duration": _TIME}
GRAMMAR: Mapping[str, Model] = {
    "fcpxml": Model("resources,library,", {"version": r"1\.10"}),
    "resources": Model("(format,|asset,)+"),
    "format": Model(
        "",
        {"id": _ID, "frameDuration": _TIME, "width": _WHOLE, "height": _WHOLE},
        {
            "fieldOrder": "progressive|upper first|lower first",
            "paspH": _WHOLE,
            "paspV": _WHOLE,
            "colorSpace": r"\d+-\d+-\d+( \(Rec\. (601 \((NTSC|PAL)\)|709|2020( PQ| HLG)?)\))?",
        },
    ),
    "asset": Model(
        "(media-rep,)+(metadata,)?",
        {"id": _ID, "hasVideo": _BIT, "format": _ID, **_SPAN},
        {
            "name": TEXT,
            "hasAudio": _BIT,
            **dict.fromkeys(("videoSources", "audioSources", "audioChannels", "audioRate"), _WHOLE),
        },
    ),
    "media-rep": Model("", {"kind": "original-media|proxy-media", "src": r"file:///[!-~]+"}),
    "metadata": Model("(md,)*"),
    "md": Model("", {"key": r"com\.[!-~]+", "value": TEXT}, {"type": "string|boolean|integer|float|date|timecode"}),
    "library": Model("(event,)*"),
    "event": Model("(project,)*", {}, {"name": TEXT}),
    "project": Model("sequence,", {}, {"name": TEXT}),
    "sequence": Model(
        "(note,)?spine,(metadata,)?",
        {"format": _ID, "duration": _TIME, "tcStart": _TIME, "tcFormat": "DF|NDF"},
        {"audioLayout": "mono|stereo|surround", "audioRate": r"32k|44\.1k|48k|88\.2k|96k|176\.4k|192k"},
    ),
    "spine": Model("(asset-clip,)*"),
    "asset-clip": Model(
        "(note,)?(marker,|keyword,)*(metadata,)?",
        {"ref": _ID, "offset": _TIME, **_SPAN},
        {"name": TEXT, "tcFormat": "DF|NDF", "audioRole": TEXT},
    ),
    "note": Model(text=TEXT),
    "marker": Model("", {**_SPAN, "value": TEXT}, {"note": TEXT}),
    "keyword": Model("", {**_SPAN, "value": TEXT}),
}


def check(data: bytes) -> list[str]:
    """Problems of an FCPXML document: grammar of the subset that is written here, references, frames."""
    try:
        root = parse(data)
    except ValueError as error:
        return [str(error)]
    if b"<!DOCTYPE fcpxml>" not in data:
        return ["the document type is not fcpxml"]
    problems = list(violations(root, GRAMMAR, "fcpxml"))
    problems = problems or list(_references(root))
    return problems or list(_frames(root))


def _references(root: Element) -> Iterator[str]:
    named = [(element.get("id"), element.tag) for element in root.iter() if element.get("id") is not None]
    kinds = dict(named)
    if len(kinds) != len(named):
        yield "an id is there twice"
    for element in root.iter():
        for name, kind in (("ref", "asset"), ("format", "format")):
            aim = element.get(name)
            if aim is not None and kinds.get(aim) != kind:
                yield f"<{element.tag}> refers to {aim!r}, which is no {kind}"


def _frames(root: Element) -> Iterator[str]:
    """Every time a whole number of frames in 64 over 32 bits; the clip within its asset."""
    forms = {form.get("id", ""): seconds(form.get("frameDuration", "")) for form in root.iter("format")}
    if any(length <= 0 for length in forms.values()):
        yield "a frame lasts no time"
        return
    frame = next(iter(forms.values()))
    for element in root.iter():
        for name in ("start", "duration", "offset", "tcStart"):
            text = element.get(name)
            if text is None:
                continue
            if seconds(text) % frame:
                yield f"<{element.tag}> {name}={text!r} is no whole number of frames of {frame} s"
            numerator, _, denominator = text.rstrip("s").partition("/")
            if abs(int(numerator)) >= 1 << 63 or int(denominator or 1) >= 1 << 32:
                yield f"<{element.tag}> {name}={text!r} is too large"
    assets = {asset.get("id", ""): asset for asset in root.iter("asset")}
    for clip in root.iter("asset-clip"):
        within = assets[clip.get("ref", "")]
        first, last = (_begin_and_end(each) for each in (within, clip))
        if not first[0] <= last[0] <= last[1] <= first[1]:
            yield "a clip shows more than its asset has"
    for sequence in root.iter("sequence"):
        if sequence.get("tcFormat") == "DF" and frame not in (Fraction(1001, 30000), Fraction(1001, 60000)):
            yield "drop-frame timecode exists at 29.97 and 59.94 frames per second alone"


def _begin_and_end(element: Element) -> tuple[Fraction, Fraction]:
    start = seconds(element.get("start", "0s"))
    return start, start + seconds(element.get("duration", "0s"))


def seconds(text: str) -> Fraction:
    """A time of FCPXML. Raises ValueError for what is none."""
    match = re.fullmatch(_TIME, text)
    if match is None:
        raise ValueError(f"{text!r} is no time")
    return Fraction(text.rstrip("s"))
