"""Asks each program's module what the embedded metadata of a medium say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from regenstore.capture.captured import Captured, Level
from regenstore.capture.embedded import Embedded

_COMMENTS = ("usercomment", "comment", "description", "imagedescription", "xpcomment")
ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("comfyui", ("prompt", "workflow", "make", "model", *_COMMENTS)),
    ("invokeai", ("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "dream", *_COMMENTS)),
    ("swarmui", ("parameters", "prompt", "make", "model", "alpha", *_COMMENTS)),
    ("novelai", ("software", "source", "title", "alpha", *_COMMENTS)),
    ("fooocus", ("parameters", "fooocus_scheme", *_COMMENTS)),
    ("draw_things", ("xmp", *_COMMENTS)),
    ("stable_horde", ("parameters", *_COMMENTS)),
    ("easy_diffusion", ("parameters", "parameters-json", "generation_data", "seed", *_COMMENTS)),
    ("labelled", ("parameters", "caption", *_COMMENTS)),
    ("a1111", ("parameters", "alpha", "postprocessing", "extras", *_COMMENTS)),
    ("midjourney", ("xmp", "caption", *_COMMENTS)),
    ("iptc", ("xmp", "iptc", "make", "software", "artist")),
    ("c2pa", ("c2pa",)),
)
"""The modules, most telling first, each with the names of pieces (in lower case) or carriers that make it worth
asking. A module is imported only then."""
_LEVELS = list(Level)
_OF_TEXT = ("settings", "written", "infotext")
"""What [about] has to write the text of parameters again: a graph has no use for it."""


def understand(pieces: Sequence[Embedded], strict: bool = False) -> Captured | None:
    """Return what the pieces say: the most telling answer, with the facts of less telling ones, up to the first that
    has parameters. A graph, which names models, gets their hashes from parameters beside it. Never raises, whatever
    the pieces are; with ``strict``, for tests, unexpected exceptions pass."""
    names = {piece.name.lower() for piece in pieces} | {piece.carrier for piece in pieces}
    best: Captured | None = None
    for program, telling in ORDER:
        if names.isdisjoint(telling):
            continue
        found = _asked(program, pieces, strict)
        if found is None:
            continue
        best = found if best is None else _joined(best, found)
        if best.level is Level.PARAMETERS:
            break
    return best


def _asked(program: str, pieces: Sequence[Embedded], strict: bool) -> Captured | None:
    module: Any = import_module(f"regenstore.capture.programs.{program}")
    try:
        found: Captured | None = module.understand(pieces)
    except Exception:
        if strict:
            raise
        return None
    return found


def _joined(one: Captured, other: Captured) -> Captured:
    """Return the more telling of two, the earlier one if they are equal, with the other's facts."""
    better, lesser = (one, other) if _LEVELS.index(one.level) <= _LEVELS.index(other.level) else (other, one)
    about = dict(lesser.about)
    if lesser.level is Level.PARAMETERS:
        hashes = {_stem(model.name): model.hashes for model in lesser.models}
        known = [{**hashes.get(_stem(model.name), {}), **model.hashes} for model in better.models]
        models = tuple(replace(model, hashes=each) for model, each in zip(better.models, known, strict=True))
        better = replace(better, models=models)
        about = {name: value for name, value in about.items() if name not in _OF_TEXT}
        if not lesser.program.startswith((better.program, "AUTOMATIC1111")):
            about["front_end"] = " ".join(filter(None, (lesser.program, lesser.program_version)))
    return replace(better, about={**about, **better.about}, tables={**lesser.tables, **better.tables})


def _stem(name: str) -> str:
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return stem if suffix in ("safetensors", "ckpt", "pt", "pth", "bin", "gguf", "sft") else name.rpartition("/")[2]
