"""What ``regenstore find`` knows of a recipe: its values by path, as text that can be searched without parsing it.

Each value is one line, ``path``, U+001F and the value as JSON, which contains neither that character nor a line end. So
a name, and a whole path, is found by searching for it with U+001F behind it. Lists give a line for each item. The
values of tables within ``params``, such as the nodes of a graph, are a text of their own: the recipes that one workflow
gave have most of them in common.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from regenstore.objects.recipe import Recipe

MARK = "\x1f"
LONGEST = 1 << 16
"""Characters of a text value that can be searched."""


_REFERENCES = ("param", "model", "lora")


class SearchText(NamedTuple):
    """The values of one recipe; ``nested`` are those of tables within its params."""

    own: str
    nested: str


def search_text(recipe: Recipe) -> SearchText:
    """Return the values of a recipe. Those that a recipe does not write down, such as defaults, are not among them."""
    own = list(_facts(recipe))
    nested: list[tuple[str, Any]] = []
    for name, value in recipe.params.items():
        (nested if isinstance(value, Mapping) else own).extend(_values(name, value))
    for name, given in recipe.inputs.items():
        own += [(f"inputs.{name}", given.path or ""), (f"inputs.{name}.digest", str(given.digest))]
    own += [pair for name, value in recipe.model.items() for pair in _values(f"model.{name}", value)]
    own += [pair for name, value in recipe.about.items() for pair in _values(f"about.{name}", value)]
    return SearchText(_lines(own), _lines(nested))


def values(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Yield the values in a text, or in several that follow each other, whose path is ``name`` or ends in it: where the
    name stands, and the value's text. That of a number or truth value is its JSON."""
    for found in re.finditer(f"{re.escape(name)}{MARK}(.*)", text):
        at, value = found.start(), found[1]
        if text[at - 1] in "\n.":
            if value[0] == '"':
                value = json.loads(value) if "\\" in value else value[1:-1]
            yield at, value


def typed_values(text: str, name: str) -> Iterator[Any]:
    """Yield the values of a name as they are in the recipe."""
    wanted = name + MARK
    at = text.find(wanted)
    while at > 0:
        end = text.find("\n", at)
        if text[at - 1] in "\n.":
            yield json.loads(text[at + len(wanted) : end])
        at = text.find(wanted, end)


def _facts(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """Yield what has a short name for ``find``, whatever program made the medium."""
    output, params = recipe.output, recipe.params
    yield "generator", recipe.generator or "imported"
    if recipe.generator is not None:
        yield "version", recipe.version
    yield "type", output.media_type
    if recipe.key is not None:
        yield "key", str(recipe.key)
    if output.take is not None:
        yield "digest", str(output.take.digest)
        yield "bytes", output.take.size
    if output.seconds is not None:
        yield "seconds", output.seconds
    yield from (("model", recipe.model["name"]) for _ in range("name" in recipe.model))
    yield from (("lora", name) for name in _loras(recipe))
    yield from (("input", given.path) for given in recipe.inputs.values() if given.path)
    yield from (("tag", tag) for tag in _listed(recipe.about.get("tags")))
    sides = [side for side in (params.get("width"), params.get("height")) if isinstance(side, int)]
    if len(sides) == 2:
        yield "size", max(sides)


def _loras(recipe: Recipe) -> Iterable[Any]:
    """The names of all LoRAs, whether they are listed as parameters or among the model's files."""
    named = [each.get("name") for each in _listed(recipe.params.get("loras")) if isinstance(each, Mapping)]
    files = recipe.model.get("files")
    for name, file in files.items() if isinstance(files, Mapping) else ():
        if isinstance(file, Mapping) and file.get("role") == "lora":
            named.append(name)
    return dict.fromkeys(name for name in named if isinstance(name, str))


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else () if value is None else (value,)


def _values(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values below a path, of which only single ones are left."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _values(f"{path}.{name}", each)
    elif isinstance(value, list | tuple):
        if path.startswith("nodes.") and _is_reference(value):
            return
        for each in value:
            yield from _values(path, each)
    else:
        yield path, value


def _is_reference(value: Sequence[Any]) -> bool:
    """Whether an input of a captured graph's node is a link, or a value that is elsewhere (docs/format.md, section
    10)."""
    if len(value) < 2 or not isinstance(value[0], str):
        return False
    return value[0] in _REFERENCES or (len(value) == 2 and isinstance(value[1], int))


def _lines(pairs: Iterable[tuple[str, Any]]) -> str:
    """The text of values; no two lines are equal."""
    written: dict[str, None] = {}
    for path, value in pairs:
        kept = value if isinstance(value, bool | int | float) else str(value)
        if isinstance(kept, str) and len(kept) > LONGEST:
            continue
        if path.isprintable():  # a name can be any text
            written[f"{path}{MARK}{json.dumps(kept, ensure_ascii=False)}"] = None
    return "".join(f"\n{line}" for line in written) + "\n" if written else ""
