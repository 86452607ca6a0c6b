"""The fields in which IPTC and EXIF say that a medium was made by artificial intelligence, and by which.

Sources: IPTC Photo Metadata Standard 2025.1 (``AISystemUsed``, ``AIPromptInformation``, …) and its terms for digital
source types; credits that Google and Meta write; EXIF of Black Forest Labs' reference code, and of xAI's Grok.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from regenstore.capture.captured import Captured, Level
from regenstore.capture.carriers.xmp import properties
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import settings
from regenstore.capture.programs.c2pa import AI_SOURCES

PIECES = ("packet", "credit", "make", "software", "artist", "originatingprogram", "imagedescription")
MAX_LENGTH = 1 << 20
_FIELDS = {
    "Iptc4xmpExt:AIPromptInformation": "prompt",
    "Iptc4xmpExt:AIPromptWriterName": "prompt_writer",
    "Iptc4xmpExt:AISystemUsed": "ai_system",
    "Iptc4xmpExt:AISystemVersionUsed": "ai_system_version",
    "Iptc4xmpExt:DigitalSourceType": "digital_source_type",
    "Iptc4xmpExt:DigitalImageGUID": "image_guid",
    "Iptc4xmpExt:DigImageGUID": "image_guid",
    "photoshop:Credit": "credit",
    "xmp:CreatorTool": "creator_tool",
}
_CREDITS = {
    "made with google ai": "Google AI",
    "edited with google ai": "Google AI",
    "imagined with ai": "Meta AI",
    "made with ai": "Meta AI",
}
_TOOLS = re.compile(
    r"\b(Midjourney|Adobe Firefly|DALL[-·]?E|Ideogram|Leonardo\.?Ai|Recraft|Krea|NightCafe|Stable Diffusion"
    r"|Bing Image Creator|Mochi Diffusion|Google Gemini|Grok)\b",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"Signature:\s*[A-Za-z0-9+/=]{20,4096}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what such fields say; None if none says that artificial intelligence took part."""
    about: dict[str, str] = {}
    for text in settings.texts(pieces, "packet"):
        about = {**_of_packet(properties(text[:MAX_LENGTH])), **about}
    for name in ("credit", "software", "make", "originatingprogram"):
        for text in settings.texts(pieces, name):
            about.setdefault(name if name != "originatingprogram" else "software", text[:1000])
    program = _program(about) or _by_exif(pieces, about)
    source = about.get("digital_source_type", "")
    if program is None and source not in AI_SOURCES and "prompt" not in about:
        return None
    level = Level.PROMPT if "prompt" in about else Level.PROVENANCE
    missing = ("the seed and all settings",) if level is Level.PROMPT else ("the prompt and all settings",)
    facts = {name: to_recipe(text) for name, text in about.items()}
    version = about.get("ai_system_version")
    return Captured(level, program or "an AI system", version, about=facts, missing=missing)


def _of_packet(found: Mapping[str, str | list[str]]) -> dict[str, str]:
    about = {}
    for name, field in _FIELDS.items():
        value = found.get(name)
        text = ", ".join(value) if isinstance(value, list) else value
        if text:
            about[field] = text.rstrip("/").rpartition("/")[2] if field == "digital_source_type" else text
    return about


def _program(about: Mapping[str, str]) -> str | None:
    if system := about.get("ai_system"):
        return settings.without_surrogates(system[:200])
    if by_credit := _CREDITS.get(about.get("credit", "").strip().lower()):
        return by_credit
    for name in ("creator_tool", "software", "credit"):
        if tool := _TOOLS.search(about.get(name, "")[:1000]):
            return tool[1]
    return None


def _by_exif(pieces: Sequence[Embedded], about: dict[str, str]) -> str | None:
    """Return the maker that EXIF names, and add what it says."""
    described = next(iter(settings.texts(pieces, "imagedescription")), "")
    if about.get("make") == "Black Forest Labs":
        if model := next(iter(settings.texts(pieces, "model")), None):
            about["ai_system_version"] = model
        if described:
            about["prompt"] = described
        return "Black Forest Labs"
    artist = next(iter(settings.texts(pieces, "artist")), "")
    if _UUID.fullmatch(artist) and _SIGNATURE.match(described):
        about["artist"] = artist
        return "Grok"
    return None
