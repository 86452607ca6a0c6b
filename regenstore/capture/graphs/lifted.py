"""A graph as the parameters of a recipe, and the graph again.

Values that people know by a common name are written once, at the top; the node that uses one has a reference instead.
``rebuild`` gives the JSON values again; the order of keys is kept apart (``editor_state``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from regenstore.capture import bounded_json
from regenstore.capture.graphs.graph import Graph, LiteralInput
from regenstore.capture.graphs.model_names import FoundLora, FoundModel
from regenstore.capture.graphs.roles import Roles
from regenstore.capture.graphs.values import from_recipe, is_plain, same, to_recipe
from regenstore.errors import FormatError
from regenstore.objects import bounded, toml
from regenstore.objects.recipe import Output, Recipe

LEFT_OUT = frozenset({"_meta", "is_changed"})
"""Keys of nodes that do not change what the graph makes: titles, and hashes for the server's cache."""
_LIGHT, _FEW = 256 << 10, 8192
"""Characters and values of graphs that are within the limits in any case."""
_NODE, _INPUT = 600, 216
"""The least weight of a node without inputs, and of an input."""
_ROOM = 4 << 20
"""Weight that a recipe's parameters may have: other tables need some too."""


def lift(graph: Graph, roles: Roles, loras: list[FoundLora], main: list[FoundModel]) -> dict[str, Any]:
    """Return the ``params`` of a graph's recipe, with these values at the top. ``main``: where the graph names the
    recipe's model."""
    if not _is_ordinary(graph):
        return {"nodes": json.dumps({name: _node(node, {}) for name, node in graph.nodes.items()})}
    params: dict[str, Any] = {}
    replaced: dict[LiteralInput, list[Any]] = {}
    for name, places in roles.items():
        value = to_recipe(graph.value(places[0]))
        if not isinstance(value, list) and places[0] not in replaced:  # one value can be both width and height
            params[name] = value
            replaced |= {place: ["param", name] for place in places}
    loras = [each for each in loras if _has_one_separator(graph.value(each.name[0]))]
    if loras:
        params["loras"] = [_lora(graph, lora, position, replaced) for position, lora in enumerate(loras)]
    for each in main:
        if _has_one_separator(each.name):
            replaced.setdefault(each.place, ["model", "name", *_separator(each.name)])
    by_node: dict[str, dict[LiteralInput, list[Any]]] = {}
    for place, reference in replaced.items():
        by_node.setdefault(place.node, {})[place] = reference
    nodes = {name: _node(node, by_node.get(name, {})) for name, node in graph.nodes.items()}
    params["nodes"] = _nodes_within_limits(params, nodes)
    return params


def rebuild(params: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph in API format that a recipe describes. Raises FormatError (``bad-recipe``) if a reference leads
    nowhere."""
    nodes = nodes_of(params)
    return {name: from_recipe(node, lambda reference: follow(reference, params, model)) for name, node in nodes.items()}


def nodes_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the table of nodes. Raises FormatError (``bad-recipe``)."""
    nodes = params.get("nodes")
    if isinstance(nodes, str):
        try:
            nodes = bounded_json.parse(nodes)
        except bounded.Unparsable as error:
            raise FormatError("bad-recipe", f"'nodes' in [params] cannot be read: {error}") from None
    if not isinstance(nodes, Mapping):
        raise FormatError("bad-recipe", "expected a graph in [params.nodes], found none")
    return nodes


def follow(reference: list[Any], params: Mapping[str, Any], model: Mapping[str, Any]) -> Any:
    """Return the value that a reference stands for. Raises FormatError (``bad-recipe``)."""
    found: Any = {"param": params, "model": model, "lora": params.get("loras", [])}[reference[0]]
    separator = reference[-1] if reference[-1] == "\\" else None
    try:
        for key in reference[1 : -1 if separator else None]:
            found = found[key]
    except (KeyError, IndexError, TypeError):
        raise FormatError("bad-recipe", f"the reference {reference} leads to nothing in the recipe") from None
    if separator and isinstance(found, str):
        return found.replace("/", separator)
    return from_recipe(found, lambda inner: _no_chain(reference))


def _no_chain(reference: list[Any]) -> Any:
    raise FormatError("bad-recipe", f"the reference {reference} leads to another reference")


def _is_ordinary(graph: Graph) -> bool:
    """Return whether TOML can hold all keys."""
    for name, node in graph.nodes.items():
        inputs = node.get("inputs", {})
        if not (
            is_plain(name) and isinstance(inputs, dict) and all(map(is_plain, node)) and all(map(is_plain, inputs))
        ):
            return False
    return True


def _lora(graph: Graph, lora: FoundLora, position: int, replaced: dict[LiteralInput, list[Any]]) -> dict[str, Any]:
    """The entry of a LoRA; records which literals it replaces."""
    name = graph.value(lora.name[0])
    entry: dict[str, Any] = {"name": name.replace("\\", "/")}
    replaced |= {place: ["lora", position, "name", *_separator(name)] for place in lora.name}
    for key, places in (("strength", lora.strength), ("strength_clip", lora.clip)):
        if not places or isinstance(value := to_recipe(graph.value(places[0])), list):
            continue
        if key == "strength_clip" and "strength" in entry and same(entry["strength"], value):
            key = "strength"
        entry[key] = value
        replaced |= {place: ["lora", position, key] for place in places}
    return entry


def _separator(name: str) -> list[str]:
    """What a reference to a name needs in addition if the graph has it with a Windows separator."""
    return ["\\"] if "\\" in name else []


def _has_one_separator(name: str) -> bool:
    """Return whether a name can be written with ``/`` and be restored."""
    return isinstance(to_recipe(name), str) and not ("\\" in name and "/" in name)


def _node(node: Mapping[str, Any], replaced: Mapping[LiteralInput, list[Any]]) -> Any:
    table = to_recipe({key: value for key, value in node.items() if key not in LEFT_OUT}, -1)
    for place, reference in replaced.items():
        holder = table["inputs"]
        *way, last = (place.input, *place.path)
        for key in way:
            holder = holder[key]
        holder[last] = reference
    return table


def _nodes_within_limits(params: Mapping[str, Any], nodes: dict[str, Any]) -> dict[str, Any] | str:
    """The nodes as tables; as JSON in one text if they would be too heavy as tables."""
    text = json.dumps(nodes)
    if len(text) <= _LIGHT and text.count(",") + text.count(":") < _FEW:
        return nodes
    inputs = sum(len(node.get("inputs", ())) for node in nodes.values())
    if _NODE * len(nodes) + _INPUT * inputs > _ROOM:
        return text
    recipe = Recipe("comfyui", "1", Output("image/png"), params={**params, "nodes": nodes})
    return nodes if bounded.weight(toml.encode(recipe)) <= _ROOM else text
