"""XMP: a sidecar for Adobe's scripts, asset managers and exiftool, and the packet that is embedded in media.

Sources: XMP Specification part 1 (RDF form) and part 2 (Dynamic Media), IPTC Photo Metadata 2025.1 for the AI
properties. One ``rdf:Description`` with all properties as elements, in the template's order, grouped as they
come; every text is escaped here and nowhere else.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.legal_text import xml_escape, xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Scope, Target
from regenstore.export.timebase import decimal_rate, from_timecode, to_timecode

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
    "xmpMM:DocumentID": Target("text", note="from the content's digest: a uuid: of its own"),
    "xmpMM:OriginalDocumentID": Target("text", note="likewise"),
    "xmpDM:videoFrameRate": Target("fraction", note="six decimals"),
    "xmpDM:videoFrameSize": Target("list", note="width and height"),
    "xmpDM:videoPixelAspectRatio": Target("fraction"),
    "xmpDM:videoPixelDepth": Target("choice", PIXEL_DEPTHS, "or bits per component"),
    "xmpDM:videoColorSpace": Target("choice", COLOR_SPACES, "or a name of color.name"),
    "xmpDM:videoFieldOrder": Target("choice", FIELD_ORDERS),
    "xmpDM:videoAlphaMode": Target("choice", ALPHA_MODES, "or whether there is alpha"),
    "xmpDM:videoCompressor": _TEXT,
    "xmpDM:duration": Target("fraction", note="seconds; written in whole frames"),
    "xmpDM:startTimecode": Target("text", note="rates that XMP has a word for"),
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
    "Iptc4xmpExt:DigitalSourceType": Target("text", note="a term of IPTC's, in full or its last word"),
    "Iptc4xmpExt:PersonInImage": _LIST,
    "regen:*": Target("any", note="regenstore's own namespace: any name of letters, digits, - and _"),
}
_SHAPES = {"dc:title": "Alt", "dc:description": "Alt", "dc:rights": "Alt", "dc:creator": "Seq"}
_OWN_NAME = re.compile(r"regen:[A-Za-z_][\w.-]*", re.ASCII)


class XmpWriter:
    """See :class:`regenstore.export.sidecar.writer.Writer`."""

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
        body = []
        for row in each.rows:
            if row.status in ("missing", "redacted"):
                rows.append(row)
                continue
            try:
                xml, done = _property(row, each.clip)
            except _Misfit as reason:
                problems.append(f"{row.target}: {reason}")
                xml, done = "", row.written(None, "missing")
            rows.append(done)
            if xml:
                body.append(xml)
            elif done.note:
                warnings.append(f"{done.target} is left out: {done.note}")
        data = document("".join(body))
        return [Rendered(options.name_for(each.clip), data, tuple(rows), tuple(warnings), tuple(problems))]


WRITER = XmpWriter()


def document(properties: str) -> bytes:
    """A complete XMP document (also the body of an embedded packet) with serialised properties."""
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n'
        f'  <rdf:Description rdf:about=""{spaces}>\n'
        f"{properties}"
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    )
    return text.encode()


# ------------------------------------------------------------------------------------------- one property


class _LeftOut(Exception):
    """A value that this property has no form for; the text says why."""


class _Misfit(Exception):
    """A value of the template's that this property cannot have; the text says why."""


def _property(row: Row, clip: Clip) -> tuple[str, Row]:
    """The XML of a row, and the row as written; no XML where it is left out. Raises _Misfit."""
    special = _SPECIAL.get(row.target)
    try:
        if special is not None:
            inner, shown = special(row.value, clip)
            return _element(row.target, inner), row.written(shown)
        target = VOCABULARY.get(row.target)
        if target is None and not _OWN_NAME.fullmatch(row.target):
            raise _LeftOut("no XML name")
        if isinstance(row.value, tuple) or (target is not None and target.kind == "list"):
            items = row.value if isinstance(row.value, tuple) else (row.value,)
            cleaned = [xml_legal(text_of(item)) for item in items]
            inner = _array(_SHAPES.get(row.target, "Bag"), [text for text, _ in cleaned])
            return _element(row.target, inner), _shown(
                row, ", ".join(t for t, _ in cleaned), any(c for _, c in cleaned)
            )
        text, changed = xml_legal(text_of(row.value))
        inner = _array("Alt", [text]) if _SHAPES.get(row.target) == "Alt" else xml_escape(text)
        return _element(row.target, inner), _shown(row, text, changed)
    except _LeftOut as reason:
        return "", row.written(None, "missing", str(reason))


def _shown(row: Row, text: str, changed: bool) -> Row:
    if not changed:
        return row.written(text)
    return row.written(text, "sanitised", "characters that XML does not allow became U+FFFD")


def _element(name: str, inner: str) -> str:
    attribute = (
        ' rdf:parseType="Resource"' if inner.startswith("\n    <") and not inner.startswith("\n    <rdf:") else ""
    )
    end = "\n   " if inner.startswith("\n") else ""
    return f"   <{name}{attribute}>{inner}{end}</{name}>\n"


def _struct(*parts: tuple[str, str]) -> str:
    return "".join(f"\n    <{name}>{xml_escape(text)}</{name}>" for name, text in parts)


def _array(kind: str, items: Sequence[str]) -> str:
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    inner = "".join(f"<rdf:li{language}>{xml_escape(item)}</rdf:li>" for item in items)
    return f"\n    <rdf:{kind}>{inner}</rdf:{kind}>"


def _choice(
    names: Sequence[str], meant: Mapping[object, str] | None = None
) -> Callable[[Value, Clip], tuple[str, str]]:
    """A property with a closed vocabulary; ``meant`` maps context values to its words."""

    def write(value: Value, clip: Clip) -> tuple[str, str]:
        text = text_of(value)
        word = next((name for name in names if name.lower() == text.lower()), None) or (meant or {}).get(value)
        if word is None:
            raise _LeftOut(f"XMP has no word for '{text}' (it has {', '.join(names)})")
        return word, word

    return write


def _frame_rate(value: Value, clip: Clip) -> tuple[str, str]:
    if not isinstance(value, (Fraction, int)) or value <= 0:
        raise _LeftOut("no frame rate")
    text = decimal_rate(Fraction(value))
    return text, text


def _frame_size(value: Value, clip: Clip) -> tuple[str, str]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise _LeftOut("not a width and a height")
    width, height = (text_of(each) for each in value)
    if not (width.isdigit() and height.isdigit()):
        raise _Misfit("width and height have to be whole numbers")
    inner = _struct(("stDim:w", width), ("stDim:h", height), ("stDim:unit", "pixel"))
    return inner, f"{width} x {height} pixel"


def _aspect(value: Value, clip: Clip) -> tuple[str, str]:
    if not isinstance(value, (Fraction, int)):
        raise _LeftOut("not a fraction")
    text = f"{Fraction(value).numerator}/{Fraction(value).denominator}"
    return text, text


def _depth(value: Value, clip: Clip) -> tuple[str, str]:
    """Bits per component as XMP has them: 10 and 12 bits are 'Other'."""
    video = clip.info.video
    if isinstance(value, int) and not isinstance(value, bool):
        floating = video is not None and video.floating
        word = "32Float" if floating and value == 32 else f"{value}Int" if value in (8, 16, 24, 32) else "Other"
        return word, word
    return _choice(PIXEL_DEPTHS)(value, clip)


def _alpha(value: Value, clip: Clip) -> tuple[str, str]:
    if value is True and clip.info.container not in ("png", "webp", "avif"):
        raise _LeftOut("the file does not say whether its alpha is straight")
    return _choice(ALPHA_MODES, {True: "straight", False: "none"})(value, clip)


def _duration(value: Value, clip: Clip) -> tuple[str, str]:
    base = clip.timebase
    if base is not None and clip.info.video is not None and not clip.info.video.variable:
        count, scale = base.frames * base.rate.denominator, Fraction(1, base.rate.numerator)
    elif isinstance(value, (Fraction, int)):
        count, scale = Fraction(value).numerator, Fraction(1, Fraction(value).denominator)
    else:
        raise _LeftOut("not a number of seconds")
    parts = (("xmpDM:value", str(count)), ("xmpDM:scale", f"{scale.numerator}/{scale.denominator}"))
    return _struct(*parts), f"{count} x {parts[1][1]} s"


def _start_timecode(value: Value, clip: Clip) -> tuple[str, str]:
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
    # Part 2: drop-frame is spelt with semicolons throughout.
    text = text.replace(":", ";") if base.drop else text
    return _struct(("xmpDM:timeFormat", form), ("xmpDM:timeValue", text)), text


def _sample_type(value: Value, clip: Clip) -> tuple[str, str]:
    track = clip.info.audio[0] if clip.info.audio else None
    if isinstance(value, int) and not isinstance(value, bool):
        floating = track is not None and track.sample_format.startswith(("flt", "dbl"))
        word = "32Float" if floating and value == 32 else f"{value}Int" if value in (8, 16, 24, 32) else "Other"
        return word, word
    return _choice(SAMPLE_TYPES)(value, clip)


def _tracks(value: Value, clip: Clip) -> tuple[str, str]:
    base = clip.timebase
    if base is None or not clip.markers:
        raise _LeftOut("nothing to mark")
    rate = f"f{base.rate.numerator}" + (f"s{base.rate.denominator}" if base.rate.denominator != 1 else "")
    items = []
    for marker in clip.markers:
        parts = {"startTime": marker.first, "duration": marker.frames, "name": marker.name, "comment": marker.comment}
        told = {name: xml_legal(str(text))[0] for name, text in {**parts, "type": "Comment"}.items() if text != ""}
        inner = "".join(f"<xmpDM:{name}>{xml_escape(text)}</xmpDM:{name}>" for name, text in told.items())
        items.append(f'<rdf:li rdf:parseType="Resource">{inner}</rdf:li>')
    track = (
        "<xmpDM:trackName>regenstore</xmpDM:trackName><xmpDM:trackType>Comment</xmpDM:trackType>"
        f"<xmpDM:frameRate>{rate}</xmpDM:frameRate>"
        f"<xmpDM:markers><rdf:Seq>{''.join(items)}</rdf:Seq></xmpDM:markers>"
    )
    xml = f'\n    <rdf:Bag><rdf:li rdf:parseType="Resource">{track}</rdf:li></rdf:Bag>'
    return xml, f"{len(items)} markers"


def document_id(digest: str) -> str:
    """A deterministic ``uuid:`` for a content; ``xmp.did:`` is for XMP inside of files alone (part 3)."""
    return f"uuid:{uuid.uuid5(_ID_SPACE, digest)}"


def _document_id(value: Value, clip: Clip) -> tuple[str, str]:
    text = text_of(value)
    text = document_id(text) if text.startswith("blake3:") else text
    if not re.fullmatch(r"uuid:[0-9a-f-]{36}", text):
        raise _Misfit(f"'{text}' is no uuid: (xmp.did: is for XMP inside of files)")
    return text, text


def _source_type(value: Value, clip: Clip) -> tuple[str, str]:
    """IPTC wants the whole URI; a template may give its last word."""
    word = text_of(value)
    uri = word if word.startswith(SOURCE_TYPE) else SOURCE_TYPE + word
    if not re.fullmatch(re.escape(SOURCE_TYPE) + "[A-Za-z]+", uri):
        raise _LeftOut(f"'{word}' is no term of IPTC's digital source types")
    return uri, uri


_SPECIAL: Mapping[str, Callable[[Value, Clip], tuple[str, str]]] = {
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
