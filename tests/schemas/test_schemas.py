"""The published schemas are those of the models, and real writers write what they tell."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jsonschema
import pytest

from regenstore.events.event import KINDS, Event, EventManifest
from regenstore.objects.hashing import hash_bytes
from regenstore.schemas.__main__ import schemas
from regenstore.schemas.printed import printed_models, read_printed
from regenstore.schemas.stored import STORED

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "schemas"
SOURCES = Path(__file__).parent.parent.parent / "regenstore"


def test_the_published_schemas_are_current() -> None:
    """Else run: python -m regenstore.schemas docs/schemas"""
    assert {path.name: path.read_text(encoding="ascii") for path in PUBLISHED.glob("*.json")} == schemas()


def test_every_schema_is_one() -> None:
    for path in PUBLISHED.glob("*.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_every_type_that_is_printed_has_a_model() -> None:
    """Commands name their types as constants."""
    named = set()
    for path in (SOURCES / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "emit_json":
                named |= {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
    assert {f"regenstore.{name}" for name in named if isinstance(name, str)} | {"regenstore.progress"} == set(
        printed_models()
    )


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"type": "regenstore.else"}', '{"type": "regenstore.check"}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_printed(text)


DATA = {
    "export-sidecar": {"files": 2},
    "export-dataset": {"dataset": "/out"},
    "generation": {
        "media": [
            {
                "path": "a.png",
                "key": f"key:{'a' * 64}",
                "seconds": 1.5,
                "outputs": {"main": str(hash_bytes(b""))},
            }
        ]
    },
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in DATA])
def test_events(kind: str) -> None:
    """Those of gc carry what gc prints."""
    manifest = EventManifest("/m.json", hash_bytes(b""), 0, "inside" if kind == "generation" else "")
    for each in (None, manifest):
        STORED["event"].model_validate_json(Event(kind, "/film", 1.0, each, DATA[kind]).to_bytes())
