"""What was understood of a medium's embedded metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How much of the way a medium was made its metadata tell."""

    GRAPH = "graph"
    """The exact graph that the program ran: everything but the contents of models and inputs."""
    PARAMETERS = "parameters"
    """Prompt, seed and settings as the program lists them; what they leave out is in ``missing``."""
    PROMPT = "prompt"
    """The prompt, and perhaps the model's name: not enough to run it again."""
    PROVENANCE = "provenance"
    """Only which program or service made the medium, or that one did."""


LEVELS: dict[str, str] = {
    Level.GRAPH: "exact graph",
    Level.PARAMETERS: "parameters",
    Level.PROMPT: "prompt only",
    Level.PROVENANCE: "provenance only",
}
"""The levels in words, the most telling first."""


@dataclass(frozen=True)
class ModelReference:
    """A model file that metadata name."""

    name: str
    """As the program names it, with ``/`` between folders."""
    role: str
    """``checkpoint``, ``diffusion_model``, ``lora``, ``vae``, ``text_encoder``, ``controlnet``, ``upscaler``,
    ``embedding`` or another folder name of the program's models."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Recorded hashes: ``sha256``, ``blake3``, ``autov1``, ``autov2``, ``autov3``, ``tensors`` (SwarmUI) -> lower-case
    hex digits."""


@dataclass(frozen=True)
class InputReference:
    """A file that a graph loads."""

    name: str
    """The input's name in the recipe."""
    file: str
    """The name that the program recorded."""
    sha256: str | None = None


@dataclass(frozen=True)
class Captured:
    """The reading of one medium. ``generator`` and ``params`` are those of its recipe at the levels ``graph`` and
    ``parameters``; at the others ``generator`` is None, and what is known is in ``about``."""

    level: Level
    program: str
    """The program's name as its users know it: ``ComfyUI``, ``InvokeAI``, ``Midjourney``."""
    program_version: str | None = None
    generator: str | None = None
    generator_version: str = "1"
    params: Mapping[str, Any] = field(default_factory=dict)
    """TOML values in the form of recipes: no null, integers of at most 64 bits with sign, finite floats."""
    models: tuple[ModelReference, ...] = ()
    inputs: tuple[InputReference, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further facts, for the recipe's ``[about.embedded]``; never part of its key."""
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further top-level tables of the recipe, such as ``workflow`` (the packed state of ComfyUI's editor)."""
    missing: tuple[str, ...] = ()
    """What a run still needs to know and the metadata do not tell, as short phrases for people."""
