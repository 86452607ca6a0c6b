"""What is wrong with an XMP document: form, closed vocabularies, timecode, identifiers."""

from __future__ import annotations

import re

from regenstore.export.sidecar.writers.xmp import NAMESPACES, RDF, SOURCE_TYPE, TIME_FORMATS, VOCABULARY
from regenstore.media.timecode import Timebase
from tests.export.checks.grammar import Element, parse


def check(data: bytes) -> list[str]:
    """Problems of an XMP document: form, closed vocabularies, timecode, identifiers."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return ["a document type declaration has no place in XMP"]
    try:
        root = parse(data)
    except ValueError as error:
        return [str(error)]
    found = root.find(f"{{{RDF}}}RDF/{{{RDF}}}Description")
    if root.tag != "{adobe:ns:meta/}xmpmeta" or found is None:
        return ["no x:xmpmeta with rdf:RDF and rdf:Description"]
    problems = []
    prefixes = {uri: prefix for prefix, uri in NAMESPACES.items()}
    seen: set[str] = set()
    for element in found:
        uri, _, local = element.tag[1:].partition("}")
        name = f"{prefixes.get(uri, '?')}:{local}"
        if name in seen:
            problems.append(f"{name} is there twice")
        seen.add(name)
        target = VOCABULARY.get(name)
        if target is None and prefixes.get(uri) != "regen":
            problems.append(f"{name} is no property that is known")
        elif target is not None and target.kind == "choice" and element.text not in target.choices:
            problems.append(f"{name} is '{element.text}', not one of {', '.join(target.choices)}")
    return problems + _check_values(found)


def _check_values(found: Element) -> list[str]:
    problems = []
    media = f"{{{NAMESPACES['xmpDM']}}}"
    start = found.find(f"{media}startTimecode")
    if start is not None:
        form, text = start.findtext(f"{media}timeFormat"), start.findtext(f"{media}timeValue") or ""
        known = {word: key for key, word in TIME_FORMATS.items()}.get(form or "")
        if known is None:
            problems.append(f"xmpDM:timeFormat is '{form}', which XMP does not have")
        else:
            try:
                Timebase.of(known[0], 0, text, drop=known[1])
            except ValueError as error:
                problems.append(f"xmpDM:startTimecode: {error}")
            if known[1] != (";" in text) or (known[1] and ":" in text):
                problems.append(f"xmpDM:startTimecode: '{text}' has the wrong marks for {form}")
    size = found.find(f"{media}videoFrameSize")
    dimension = f"{{{NAMESPACES['stDim']}}}"
    if size is not None and not all((size.findtext(f"{dimension}{side}") or "").isdigit() for side in "wh"):
        problems.append("xmpDM:videoFrameSize: width and height have to be whole numbers")
    for name in ("DocumentID", "OriginalDocumentID", "InstanceID"):
        given = found.findtext(f"{{{NAMESPACES['xmpMM']}}}{name}")
        if given is not None and not re.fullmatch(r"uuid:[0-9a-f-]{36}", given):
            problems.append(f"xmpMM:{name}: '{given}' is no uuid: (xmp.did: is for XMP inside of files)")
    source = found.findtext(f"{{{NAMESPACES['Iptc4xmpExt']}}}DigitalSourceType")
    if source is not None and not source.startswith(SOURCE_TYPE):
        problems.append(f"Iptc4xmpExt:DigitalSourceType: '{source}' is no URI of IPTC's")
    return problems
