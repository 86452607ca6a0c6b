"""What the header of a safetensors or GGUF file tells, read within limits.

safetensors: eight bytes with the header's length, then JSON: ``__metadata__``, and a shape for each tensor
(https://github.com/huggingface/safetensors). The metadata keys are those of the ModelSpec standard (``modelspec.…``)
and of kohya's trainers (``ss_…``, ``sshs_…``). GGUF: ``docs/gguf.md`` of ggml. Bad content of any kind tells nothing,
and raises nothing.
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from regenstore.capture import bounded_json
from regenstore.models.families import kind_and_base, named_base
from regenstore.models.indexed_model import ModelHeader
from regenstore.objects.bounded import Unparsable

MAX_LENGTH = 100_000_000
"""The longest header that the safetensors library accepts."""
_MAX_PARSED = 32 << 20
_MAX_TEXT = 1000
_KINDS = {"lora": "lora", "textual-inversion": "embedding", "controlnet": "controlnet", "vae": "vae"}
_ENCODERS = {"t5", "t5encoder", "llama", "qwen2vl", "qwen3", "qwen3vl", "gemma2", "gemma3", "mistral3"}
"""Architectures of GGUF files that ComfyUI loads as text encoders."""


def data_start(file: BinaryIO, size: int) -> int | None:
    """Return where the tensors begin in a safetensors file; None if it is not one. Raises OSError."""
    file.seek(0)
    head = file.read(9)
    if len(head) < 9 or head[8:] != b"{":
        return None
    (length,) = struct.unpack("<Q", head[:8])
    return 8 + length if 2 <= length <= min(size - 8, MAX_LENGTH) else None


def read_header(file: BinaryIO, size: int, start: int | None) -> ModelHeader:
    """Return what the header of a file tells. ``start``: what :func:`data_start` returned. Raises OSError."""
    if start is not None:
        if start > _MAX_PARSED:
            return ModelHeader()
        file.seek(8)
        return _safetensors(file.read(start - 8))
    file.seek(0)
    if file.read(4) == b"GGUF":
        return _gguf(file, size)
    return ModelHeader()


def _safetensors(data: bytes) -> ModelHeader:
    try:
        table = bounded_json.parse(data.decode())
    except (Unparsable, UnicodeDecodeError):
        return ModelHeader()
    if not isinstance(table, dict):
        return ModelHeader()
    metadata = table.pop("__metadata__", None)
    kind, base = kind_and_base({name: _shape(tensor) for name, tensor in table.items()})
    raw = metadata if isinstance(metadata, dict) else {}
    told = {name: value[:_MAX_TEXT] for name, value in raw.items() if isinstance(value, str)}
    architecture = told.get("modelspec.architecture", "")
    claimed = architecture or told.get("ss_base_model_version", "") or told.get("ss_sd_model_name", "")
    return ModelHeader(
        kind or _KINDS.get(architecture.partition("/")[2], ""),
        base or named_base(claimed),
        told.get("ss_output_name", ""),
        _hash_text(told.get("sshs_model_hash", "")),
    )


def _shape(tensor: Any) -> tuple[int, ...]:
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    return tuple(shape) if isinstance(shape, list) and all(type(each) is int for each in shape) else ()


def _hash_text(text: str) -> str:
    lowered = text.lower()
    return lowered if len(lowered) == 64 and all(digit in "0123456789abcdef" for digit in lowered) else ""


# ------------------------------------------------------------------------------------------- GGUF

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MAX_PAIRS = 1000


class _Malformed(Exception):
    pass


def _gguf(file: BinaryIO, size: int) -> ModelHeader:
    """``general.architecture`` comes first, or at least before long arrays, in every writer's order."""
    told: dict[str, str] = {}
    try:
        version, _tensors, pairs = _unpack(file, "<IQQ")
        if version not in (2, 3):
            return ModelHeader()
        for _ in range(min(pairs, _MAX_PAIRS)):
            key = _text(file)
            (kind,) = _unpack(file, "<I")
            if kind == _STRING:
                told[key] = _text(file)
            elif kind == _ARRAY or kind not in _WIDTHS:
                break  # vocabularies: what is wanted stands before them
            else:
                file.seek(_WIDTHS[kind], 1)
            if "general.architecture" in told and "general.type" in told:
                break
    except _Malformed:
        pass
    architecture = told.get("general.architecture", "")
    if not architecture:
        return ModelHeader()
    if architecture in _ENCODERS or told.get("general.type") == "mmproj":
        return ModelHeader("text_encoder", architecture)
    return ModelHeader("diffusion_model", named_base(architecture))


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    data = file.read(struct.calcsize(form))
    if len(data) != struct.calcsize(form):
        raise _Malformed
    return struct.unpack(form, data)


def _text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    if length > _MAX_TEXT * 64:
        raise _Malformed
    data = file.read(length)
    if len(data) != length:
        raise _Malformed
    return data[: _MAX_TEXT * 4].decode(errors="replace")[:_MAX_TEXT]
