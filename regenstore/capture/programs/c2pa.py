"""C2PA (Content Credentials): which program or service says that it made a medium. Its signature is not verified.

Structure: C2PA technical specification 2.1, chapters 8 to 11: JUMBF boxes (ISO 19566-5), claims and assertions as CBOR
or JSON. OpenAI, Google, Adobe Firefly, Microsoft and others write it; none of them records the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from regenstore.capture import bounded_json
from regenstore.capture.captured import Captured, Level
from regenstore.capture.carriers.text import until_nul
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import cbor, settings
from regenstore.objects.bounded import Unparsable

SIGNATURE = "not verified"
AI_SOURCES = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "compositeSynthetic",
)
_MAX_BOXES, _MAX_DECODED, _MAX_DEPTH, _MAX_ACTIONS = 4096, 64, 12, 100
_MAX_LENGTH = 256 << 10
_TELLING = ("c2pa.claim", "c2pa.actions", "c2pa.metadata", "cawg.metadata", "stds.schema-org", "stds.iptc")
_MAKERS = (
    ("azure openai", "Microsoft"),
    ("openai", "OpenAI"),
    ("chatgpt", "OpenAI"),
    ("dall-e", "OpenAI"),
    ("dall·e", "OpenAI"),
    ("gpt-", "OpenAI"),
    ("firefly", "Adobe Firefly"),
    ("google", "Google"),
    ("bing image", "Microsoft"),
    ("microsoft", "Microsoft"),
    ("stability", "Stability AI"),
    ("black forest labs", "Black Forest Labs"),
    ("photoshop", "Adobe Photoshop"),
)


class _Box(NamedTuple):
    kind: bytes
    label: str
    """Of the box around it."""
    data: memoryview


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the manifests of a medium say: the last one is about the medium itself, the others about what it was
    made from."""
    for piece in pieces:
        if piece.carrier == "c2pa" and isinstance(piece.value, bytes):
            found = _claims(piece.value)
            if found is not None:
                return found
    return None


def _claims(data: bytes) -> Captured | None:
    generators: list[str] = []
    agents: list[str] = []
    sources: list[str] = []
    actions: list[str] = []
    facts: dict[str, Any] = {}
    for label, value in _assertions(data):
        if label.startswith("c2pa.claim"):
            generators += _generators(value)
            facts |= {name: value[key] for key, name in _FACTS if isinstance(value.get(key), str)}
        elif label.startswith("c2pa.actions"):
            for action in _tables(value.get("actions")):
                actions += _texts(action.get("action"))
                agents += _agents(action.get("softwareAgent"))
                sources += _source(action.get("digitalSourceType"))
            agents += [name for agent in _tables(value.get("softwareAgents")) for name in _agents(agent)]
        else:
            told = {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
            facts |= {settings.snake(key): text for key, text in told.items() if not key.startswith("@")}
            sources += _source(value.get("Iptc4xmpExt:DigitalSourceType"))
    if not generators:
        return None
    listed = {"claim_generators": generators, "software_agents": agents, "source_types": sources, "actions": actions}
    about = {name: _distinct(values) for name, values in listed.items() if values}
    missing = ("the prompt and all settings",) if set(sources) & set(AI_SOURCES) else ()
    name, version = _program([*reversed(generators), *reversed(agents)])
    return Captured(
        Level.PROVENANCE,
        name,
        version,
        about={"c2pa": to_recipe({**facts, **about, "signature": SIGNATURE})},
        missing=missing,
    )


_FACTS = (("dc:title", "title"), ("dc:format", "format"), ("instanceID", "instance"))


def _program(told: list[str]) -> tuple[str, str | None]:
    """Return the maker and version of what made a medium: the first known name, else the first one."""
    for name in told:
        for mark, maker in _MAKERS:
            if mark in name.lower():
                return maker, None
    name, _, version = told[0].rpartition(" ")
    return (name, version) if name and version[:1].isdigit() else (told[0], None)


def _assertions(data: bytes) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield the claims and assertions that tell of programs, with their labels."""
    decoded = 0
    for box in _boxes(memoryview(data), [0]):
        if box.kind in (b"cbor", b"json") and box.label.startswith(_TELLING) and len(box.data) <= _MAX_LENGTH:
            decoded += 1
            if decoded > _MAX_DECODED:
                return
            if isinstance(value := _decoded(box), dict):
                yield box.label, value


def _boxes(data: memoryview, seen: list[int], depth: int = 0) -> Iterator[_Box]:
    """Yield the content boxes of JUMBF. ``seen`` counts all boxes."""
    at, label = 0, ""
    while at + 8 <= len(data) and seen[0] < _MAX_BOXES:
        seen[0] += 1
        length, kind, start = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8]), at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = len(data) if length == 0 else at + length
        if end < start:
            return
        content = data[start:end]
        if kind == b"jumd":
            label = until_nul(bytes(content[17:273]))[0].decode("utf-8", "replace")
        elif kind == b"jumb" and depth < _MAX_DEPTH:
            yield from _boxes(content, seen, depth + 1)
        else:
            yield _Box(kind, label, content)
        at = end


def _decoded(box: _Box) -> Any:
    try:
        if box.kind == b"cbor":
            return cbor.parse(bytes(box.data))
        return bounded_json.parse(bytes(box.data).decode("utf-8", "replace"))
    except Unparsable:
        return None


def _source(uri: object) -> list[str]:
    return [text.rpartition("/")[2] for text in _texts(uri)]


def _generators(claim: dict[Any, Any]) -> list[str]:
    infos = claim.get("claim_generator_info")
    named = [name for info in _tables([infos] if isinstance(infos, dict) else infos) for name in _agents(info)]
    return named or _texts(claim.get("claim_generator")) or ["unnamed"]


def _agents(agent: object) -> list[str]:
    if not isinstance(agent, dict):
        return _texts(agent)
    parts = [agent.get("name"), agent.get("version")]
    return [" ".join(part for part in parts if isinstance(part, str))] if isinstance(parts[0], str) else []


def _tables(value: object) -> list[dict[Any, Any]]:
    return [each for each in value[:_MAX_ACTIONS] if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [settings.without_surrogates(value)] if isinstance(value, str) and value else []


def _distinct(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))[:_MAX_ACTIONS]
