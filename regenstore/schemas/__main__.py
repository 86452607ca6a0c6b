"""Write the JSON Schema of each model: ``python -m regenstore.schemas docs/schemas``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from regenstore.schemas.printed import printed_models
from regenstore.schemas.stored import STORED


def schemas() -> dict[str, str]:
    """The text of each schema, by file name."""
    printed = {f"json-{name.removeprefix('regenstore.')}": model for name, model in printed_models().items()}
    return {
        f"{name}.json": json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": model.__name__,
                **_published(model.model_json_schema(by_alias=True)),
            },
            indent=1,
        )
        + "\n"
        for name, model in {**printed, **STORED}.items()
    }


def _published(schema: Any) -> Any:
    """Prepare a schema for publication: without titles that only repeat names, and allowing additional fields, as
    later versions may add some."""
    if isinstance(schema, dict):
        kept = {name: value for name, value in schema.items() if name != "title" or isinstance(value, dict)}
        if kept.get("additionalProperties") is False:
            del kept["additionalProperties"]
        return {name: _published(value) for name, value in kept.items()}
    return [_published(each) for each in schema] if isinstance(schema, list) else schema


def write(folder: Path) -> None:
    """Write all schemas, and remove those of models that no longer exist."""
    folder.mkdir(exist_ok=True)
    texts = schemas()
    for old in set(os.listdir(folder)) - texts.keys():
        (folder / old).unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
