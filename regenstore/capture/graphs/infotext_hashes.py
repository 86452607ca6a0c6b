"""Hashes of models in A1111's infotext: some nodes of ComfyUI embed one beside the graph, which names files only."""

from __future__ import annotations

import re
from typing import Any

from regenstore.capture import bounded_json
from regenstore.objects.bounded import Unparsable

_MODEL = re.compile(r"\bModel hash: ([0-9a-fA-F]{8,64})\b")
_NAME = re.compile(r"\bModel: \"?([^,\"\n]+)")
_LORAS = re.compile(r"\b(?:Lora|TI) hashes: \"([^\"\n]*)\"")
_TABLE = re.compile(r"\bHashes: (\{[^{}\n]*\})")
_KINDS = {8: "autov1", 10: "autov2", 12: "autov3", 64: "sha256"}


def hashes_by_name(infotext: str) -> dict[str, dict[str, str]]:
    """Return the hashes by the names of the files, without folders and extensions."""
    found: dict[str, dict[str, str]] = {}
    model, name = _MODEL.search(infotext), _NAME.search(infotext)
    if model and name:
        _add(found, name[1], model[1])
    for pair in ",".join(_LORAS.findall(infotext)).split(","):
        each, _, value = pair.rpartition(":")
        _add(found, each, value)
    table = _TABLE.search(infotext)
    for each, value in _entries(table[1] if table else "{}").items():
        _, _, short = each.rpartition(":")
        _add(found, name[1] if each == "model" and name else short, value)
    return found


def _entries(text: str) -> dict[str, Any]:
    try:
        value = bounded_json.parse(text)
    except Unparsable:
        return {}
    return value if isinstance(value, dict) else {}


def _add(found: dict[str, dict[str, str]], name: str, value: Any) -> None:
    digits = value.strip().lower().removeprefix("0x") if isinstance(value, str) else ""
    kind = _KINDS.get(len(digits))
    if kind and re.fullmatch(r"[0-9a-f]+", digits):
        base = name.strip().replace("\\", "/").rpartition("/")[2]
        stem = re.sub(r"\.(safetensors|ckpt|pt|pth|bin|gguf|sft)\Z", "", base)
        found.setdefault(stem, {})[kind] = digits
