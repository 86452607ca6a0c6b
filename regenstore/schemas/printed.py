"""The models of ``--json`` output by their ``type``, and parsing of such records."""

from __future__ import annotations

from typing import get_args

from pydantic import JsonValue, TypeAdapter

from regenstore.schemas import (
    printed_exports,
    printed_finding,
    printed_model_files,
    printed_paths,
    printed_remotes,
    printed_store,
)
from regenstore.schemas.parts import Record

_MODULES = (printed_exports, printed_finding, printed_model_files, printed_paths, printed_remotes, printed_store)


def printed_models() -> dict[str, type[Record]]:
    """All models by their ``type``."""
    found: dict[str, type[Record]] = {}
    for model in (each for module in _MODULES for each in vars(module).values()):
        if isinstance(model, type) and issubclass(model, Record) and "type" in model.model_fields:
            (name,) = get_args(model.model_fields["type"].annotation)
            found[name] = model
    return dict(sorted(found.items()))


def read_printed(text: str | bytes) -> Record:
    """Parse a record printed by a command. Raises ValueError for anything else."""
    told = TypeAdapter(dict[str, JsonValue]).validate_json(text)
    model = printed_models().get(str(told.get("type")))
    if model is None:
        raise ValueError(f"no record of regenstore's: {told.get('type')!r}")
    return model.model_validate_json(text)
