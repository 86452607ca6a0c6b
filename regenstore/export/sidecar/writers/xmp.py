"""XMP: sidecars for Adobe's scripts, asset managers and exiftool, and the packet to embed in media.

Sources: XMP Specification part 1 (RDF form) and part 2 (Dynamic Media), IPTC Photo Metadata 2025.1 for the AI
properties. One ``rdf:Description`` has all properties as elements, in the template's order.
"""

from __future__ import annotations

import re
import uuid
from array import array
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.export.sidecar.xml_document import Element, child, new, to_bytes
from regenstore.media.timecode import decimal_rate, from_timecode, to_timecode

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpDM": "http://ns.adobe.com/xmp/1.0/DynamicMedia/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "regen": "https://ns.regenstore.org/1.0/",
}
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SPACES = {
    **NAMESPACES, "x": "adobe:ns:meta/", "rdf": RDF, "xml": "http://www.w3.org/XML/1998/namespace",
}  # fmt: skip
_ID_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACES["regen"])
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"

PIXEL_DEPTHS = ("8Int", "16Int", "24Int", "32Int", "32Float", "Other")
COLOR_SPACES = ("sRGB", "CCIR-601", "CCIR-709")
FIELD_ORDERS = ("Upper", "Lower", "Progressive")
ALPHA_MODES = ("straight", "pre-multiplied", "none")
SAMPLE_TYPES = ("8Int", "16Int", "24Int", "32Int", "32Float", "Compressed", "Packed", "Other")
CHANNEL_TYPES = ("Mono", "Stereo", "5.1", "7.1", "16 Channel", "Other")
TIME_FORMATS = {
    (Fraction(24000, 1001), False): "23976Timecode",
    (Fraction(24), False): "24Timecode",
    (Fraction(25), False): "25Timecode",
    (Fraction(30000, 1001), True): "2997DropTimecode",
    (Fraction(30000, 1001), False): "2997NonDropTimecode",
    (Fraction(30), False): "30Timecode",
    (Fraction(50), False): "50Timecode",
    (Fraction(60000, 1001), True): "5994DropTimecode",
    (Fraction(60000, 1001), False): "5994NonDropTimecode",
    (Fraction(60), False): "60Timecode",
}

_COLOR_NAMES: Mapping[object, str] = {
    "rec709": "CCIR-709",
    "srgb": "sRGB",
    "rec601-525": "CCIR-601",
    "rec601-625": "CCIR-601",
}
_TEXT, _INTEGER, _LIST = Target("text"), Target("integer"), Target("list")
VOCABULARY: Mapping[str, Target] = {
    "dc:title": Target("text", note="in the default language"),
    "dc:description": Target("text", note="in the default language"),
    "dc:rights": Target("text", note="in the default language"),
    "dc:format": Target("text", note="media type"),
    "dc:identifier": _TEXT,
    "dc:source": _TEXT,
    "dc:creator": Target("list", note="in order"),
    "dc:subject": Target("list", note="keywords"),
    "xmp:CreateDate": Target("time"),
    "xmp:ModifyDate": Target("time"),
    "xmp:MetadataDate": Target("time"),
    "xmp:CreatorTool": _TEXT,
    "xmp:Label": _TEXT,
    "xmp:Rating": Target("number", note="-1 (rejected) to 5"),
    "xmpMM:DocumentID": Target("text", note="derived from the content's digest: a uuid: of its own"),
    "xmpMM:OriginalDocumentID": Target("text", note="likewise"),
    "xmpDM:videoFrameRate": Target("fraction", note="six decimals"),
    "xmpDM:videoFrameSize": Target("list", note="width and height"),
    "xmpDM:videoPixelAspectRatio": Target("fraction"),
    "xmpDM:videoPixelDepth": Target("choice", PIXEL_DEPTHS, "or bits per component"),
    "xmpDM:videoColorSpace": Target("choice", COLOR_SPACES, "or a name of color.name"),
    "xmpDM:videoFieldOrder": Target("choice", FIELD_ORDERS),
    "xmpDM:videoAlphaMode": Target("choice", ALPHA_MODES, "or whether there is an alpha channel"),
    "xmpDM:videoCompressor": _TEXT,
    "xmpDM:duration": Target("fraction", note="seconds; written as whole frames"),
    "xmpDM:startTimecode": Target("text", note="only at rates that XMP has a name for"),
    "xmpDM:startTimeScale": _INTEGER,
    "xmpDM:startTimeSampleSize": _INTEGER,
    "xmpDM:audioSampleRate": _INTEGER,
    "xmpDM:audioSampleType": Target("choice", SAMPLE_TYPES, "or bits per sample"),
    "xmpDM:audioChannelType": Target("choice", CHANNEL_TYPES, "or the number of channels"),
    "xmpDM:audioCompressor": _TEXT,
    "xmpDM:scene": _TEXT,
    "xmpDM:shotName": _TEXT,
    "xmpDM:shotNumber": _TEXT,
    "xmpDM:takeNumber": _INTEGER,
    "xmpDM:tapeName": Target("text", note="reel"),
    "xmpDM:projectName": _TEXT,
    "xmpDM:logComment": _TEXT,
    "xmpDM:comment": _TEXT,
    "xmpDM:good": Target("boolean"),
    "xmpDM:Tracks": Target("any", note="markers at black, frozen and doubtful spans"),
    "photoshop:Instructions": _TEXT,
    "photoshop:Headline": _TEXT,
    "tiff:ImageWidth": _INTEGER,
    "tiff:ImageLength": _INTEGER,
    "Iptc4xmpExt:AISystemUsed": _TEXT,
    "Iptc4xmpExt:AISystemVersionUsed": _TEXT,
    "Iptc4xmpExt:AIPromptInformation": _TEXT,
    "Iptc4xmpExt:AIPromptWriterName": _TEXT,
    "Iptc4xmpExt:DigitalSourceType": Target("text", note="an IPTC term, as full URI or its last word"),
    "Iptc4xmpExt:PersonInImage": _LIST,
    "regen:*": Target("any", note="regenstore's own namespace: any name of letters, digits, - and _"),
}
_SHAPES = {"dc:title": "Alt", "dc:description": "Alt", "dc:rights": "Alt", "dc:creator": "Seq"}
_OWN_NAME = re.compile(r"regen:[A-Za-z_][\w.-]*", re.ASCII)


class XmpWriter:
    """See :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

    name = "xmp"
    scope: Scope = "clip"

    def vocabulary(self) -> Mapping[str, Target]:
        return VOCABULARY

    def settings(self) -> Mapping[str, Target]:
        return {}

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        (each,) = filled
        rows, warnings, problems = [], [], []
        root, description = document()
        for row in each.rows:
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            try:
                done = _property(description, row, each.clip)
            except _Misfit as reason:
                problems.append(f"{row.target}: {reason}")
                done = row.written(None, "missing")
            except _LeftOut as reason:
                warnings.append(f"{row.target} is omitted: {reason}")
                done = row.written(None, "missing", str(reason))
            rows.append(done)
        data = to_bytes(root, indent=" ")
        return [Rendered(options.name_for(each.clip), data, tuple(rows), tuple(warnings), tuple(problems))]


WRITER = XmpWriter()


def document() -> tuple[Element, Element]:
    """An XMP document (also the body of an embedded packet), and the element in it for the properties."""
    root, rdf = new(_tag("x:xmpmeta"), {"x": _SPACES["x"]}), new(_tag("rdf:RDF"), {"rdf": RDF})
    description = new(_tag("rdf:Description"), {"rdf": RDF, **NAMESPACES}, **{_tag("rdf:about"): ""})
    root.append(rdf)
    rdf.append(description)
    return root, description


def _tag(name: str) -> str:
    """A name such as ``dc:title`` in lxml's notation."""
    prefix, _, local = name.partition(":")
    return f"{{{_SPACES[prefix]}}}{local}"


# ------------------------------------------------------------------------------------------- one property


class _LeftOut(Exception):
    """Raised for a value that this property cannot express; the text says why."""


class _Misfit(Exception):
    """Raised for a value of the template that this property cannot have; the text says why."""


def _property(description: Element, row: Row, clip: Clip) -> Row:
    """Write a row and return it as written. Raises _Misfit, and _LeftOut for values without a form here."""
    special, target = _SPECIAL.get(row.target), VOCABULARY.get(row.target)
    if special is None and target is None and not _OWN_NAME.fullmatch(row.target):
        raise _LeftOut("not a valid XML name")
    made = child(description, _tag(row.target))
    try:
        if special is not None:
            return row.written(special(made, row.value, clip))
    except (_Misfit, _LeftOut):
        description.remove(made)
        raise
    shape = _SHAPES.get(row.target)
    if isinstance(row.value, tuple) or (target is not None and target.kind == "list"):
        items = row.value if isinstance(row.value, tuple) else (row.value,)
        cleaned = [xml_legal(text_of(item)) for item in items]
        _array(made, shape or "Bag", [text for text, _ in cleaned])
        return _shown(row, ", ".join(text for text, _ in cleaned), any(changed for _, changed in cleaned))
    text, changed = xml_legal(text_of(row.value))
    if shape == "Alt":
        _array(made, shape, [text])
    else:
        made.text = text
    return _shown(row, text, changed)


def _shown(row: Row, text: str, changed: bool) -> Row:
    if not changed:
        return row.written(text)
    return row.written(text, "sanitised", "characters not allowed in XML became U+FFFD")


def _struct(element: Element, **parts: object) -> None:
    """Write named fields in the Dynamic Media namespace; empty ones are omitted."""
    element.set(_tag("rdf:parseType"), "Resource")
    for name, value in parts.items():
        if value != "":
            child(element, _tag(f"xmpDM:{name}"), str(value))


def _array(element: Element, kind: str, items: Sequence[str]) -> None:
    language = {_tag("xml:lang"): "x-default"} if kind == "Alt" else {}
    inner = child(element, _tag(f"rdf:{kind}"))
    for item in items:
        child(inner, _tag("rdf:li"), item, **language)


_Special = Callable[[Element, Value, Clip], str]
"""Writes a value into its element, and returns it as text for display. Raises _Misfit, _LeftOut."""


def _choice(names: Sequence[str], meant: Mapping[object, str] | None = None) -> _Special:
    """A property with a closed vocabulary; ``meant`` maps context values to its terms."""

    def write(element: Element, value: Value, clip: Clip) -> str:
        text = text_of(value)
        word = next((name for name in names if name.lower() == text.lower()), None)
        if word is None and not isinstance(value, array):
            word = (meant or {}).get(value)
        if word is None:
            raise _LeftOut(f"XMP has no term for '{text}' (its terms: {', '.join(names)})")
        element.text = word
        return word

    return write


def _frame_rate(element: Element, value: Value, clip: Clip) -> str:
    if not isinstance(value, (Fraction, int)) or value <= 0:
        raise _LeftOut("no frame rate")
    text = decimal_rate(Fraction(value))
    element.text = text
    return text


def _frame_size(element: Element, value: Value, clip: Clip) -> str:
    if not isinstance(value, tuple) or len(value) != 2:
        raise _LeftOut("not a width and a height")
    width, height = (text_of(each) for each in value)
    if not (width.isdigit() and height.isdigit()):
        raise _Misfit("width and height must be integers")
    element.set(_tag("rdf:parseType"), "Resource")
    for name, text in (("w", width), ("h", height), ("unit", "pixel")):
        child(element, _tag(f"stDim:{name}"), text)
    return f"{width} x {height} pixel"


def _aspect(element: Element, value: Value, clip: Clip) -> str:
    if not isinstance(value, (Fraction, int)):
        raise _LeftOut("not a fraction")
    text = f"{Fraction(value).numerator}/{Fraction(value).denominator}"
    element.text = text
    return text


def _depth(element: Element, value: Value, clip: Clip) -> str:
    """Bits per component in XMP's terms: 10 and 12 bits are 'Other'."""
    video = clip.info.video
    if isinstance(value, int) and not isinstance(value, bool):
        floating = video is not None and video.floating
        word = "32Float" if floating and value == 32 else f"{value}Int" if value in (8, 16, 24, 32) else "Other"
        element.text = word
        return word
    return _choice(PIXEL_DEPTHS)(element, value, clip)


def _alpha(element: Element, value: Value, clip: Clip) -> str:
    if value is True and clip.info.container not in ("png", "webp", "avif"):
        raise _LeftOut("the file does not say whether its alpha is straight")
    return _choice(ALPHA_MODES, {True: "straight", False: "none"})(element, value, clip)


def _duration(element: Element, value: Value, clip: Clip) -> str:
    base = clip.timebase
    if base is not None and clip.info.video is not None and not clip.info.video.variable:
        count, scale = base.frames * base.rate.denominator, Fraction(1, base.rate.numerator)
    elif isinstance(value, (Fraction, int)):
        count, scale = Fraction(value).numerator, Fraction(1, Fraction(value).denominator)
    else:
        raise _LeftOut("not a number of seconds")
    _struct(element, value=count, scale=f"{scale.numerator}/{scale.denominator}")
    return f"{count} x {scale.numerator}/{scale.denominator} s"


def _start_timecode(element: Element, value: Value, clip: Clip) -> str:
    base = clip.timebase
    if base is None:
        raise _LeftOut("no frame rate")
    form = TIME_FORMATS.get((base.rate, base.drop))
    if form is None:
        raise _LeftOut(f"XMP has no timecode at {decimal_rate(base.rate, 3)} frames per second")
    try:
        text = to_timecode(from_timecode(text_of(value), base.rate, drop=base.drop), base.rate, drop=base.drop)
    except ValueError as error:
        raise _Misfit(str(error)) from None
    # Part 2: drop-frame timecode uses semicolons throughout.
    text = text.replace(":", ";") if base.drop else text
    _struct(element, timeFormat=form, timeValue=text)
    return text


def _sample_type(element: Element, value: Value, clip: Clip) -> str:
    track = clip.info.audio[0] if clip.info.audio else None
    if isinstance(value, int) and not isinstance(value, bool):
        floating = track is not None and track.sample_format.startswith(("flt", "dbl"))
        word = "32Float" if floating and value == 32 else f"{value}Int" if value in (8, 16, 24, 32) else "Other"
        element.text = word
        return word
    return _choice(SAMPLE_TYPES)(element, value, clip)


def _tracks(element: Element, value: Value, clip: Clip) -> str:
    base = clip.timebase
    if base is None or not clip.markers:
        raise _LeftOut("nothing to mark")
    rate = f"f{base.rate.numerator}" + (f"s{base.rate.denominator}" if base.rate.denominator != 1 else "")
    track = child(child(element, _tag("rdf:Bag")), _tag("rdf:li"))
    _struct(track, trackName="regenstore", trackType="Comment", frameRate=rate)
    listed = child(child(track, _tag("xmpDM:markers")), _tag("rdf:Seq"))
    for each in clip.markers:
        told = {"name": each.name, "comment": each.comment, "type": "Comment"}
        _struct(child(listed, _tag("rdf:li")), startTime=each.first, duration=each.frames, **told)
    return f"{len(clip.markers)} markers"


def document_id(digest: str) -> str:
    """A deterministic ``uuid:`` for a content; ``xmp.did:`` is only for XMP embedded in files (part 3)."""
    return f"uuid:{uuid.uuid5(_ID_SPACE, digest)}"


def _document_id(element: Element, value: Value, clip: Clip) -> str:
    text = text_of(value)
    text = document_id(text) if text.startswith("blake3:") else text
    if not re.fullmatch(r"uuid:[0-9a-f-]{36}", text):
        raise _Misfit(f"'{text}' is not a uuid: (xmp.did: is only for XMP embedded in files)")
    element.text = text
    return text


def _source_type(element: Element, value: Value, clip: Clip) -> str:
    """IPTC requires the full URI; a template may give its last word."""
    word = text_of(value)
    uri = word if word.startswith(SOURCE_TYPE) else SOURCE_TYPE + word
    if not re.fullmatch(re.escape(SOURCE_TYPE) + "[A-Za-z]+", uri):
        raise _LeftOut(f"'{word}' is not one of IPTC's digital source types")
    element.text = uri
    return uri


_SPECIAL: Mapping[str, _Special] = {
    "xmpMM:DocumentID": _document_id,
    "xmpMM:OriginalDocumentID": _document_id,
    "xmpDM:videoFrameRate": _frame_rate,
    "xmpDM:videoFrameSize": _frame_size,
    "xmpDM:videoPixelAspectRatio": _aspect,
    "xmpDM:videoPixelDepth": _depth,
    "xmpDM:videoColorSpace": _choice(COLOR_SPACES, _COLOR_NAMES),
    "xmpDM:videoFieldOrder": _choice(FIELD_ORDERS),
    "xmpDM:videoAlphaMode": _alpha,
    "xmpDM:duration": _duration,
    "xmpDM:startTimecode": _start_timecode,
    "xmpDM:audioSampleType": _sample_type,
    "xmpDM:audioChannelType": _choice(CHANNEL_TYPES, {1: "Mono", 2: "Stereo", 6: "5.1", 8: "7.1", 16: "16 Channel"}),
    "xmpDM:Tracks": _tracks,
    "Iptc4xmpExt:DigitalSourceType": _source_type,
}
