"""Setting one value of a captured graph: at the top, where it has a common name, or in one of its nodes.

A name is a parameter (``seed``), or an input of a node: ``seed@12`` or ``12.seed``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from regenstore.capture.graphs import lifted
from regenstore.capture.graphs.graph import is_link
from regenstore.capture.graphs.roles import COMMON_NAMES
from regenstore.capture.graphs.values import WORDS, from_recipe, to_recipe
from regenstore.errors import InvalidInput


class NodeValue(NamedTuple):
    """An input of a node that a name can mean."""

    node: str
    kind: str
    """The class of the node."""
    input: str
    value: Any
    lifted: bool
    """Whether the value stands at the top, under the name itself."""


def candidates(params: Mapping[str, Any], name: str) -> list[NodeValue]:
    """Return the literals that a name can mean, the one at the top first. Raises FormatError (``bad-recipe``)."""
    found = []
    names = (name, *COMMON_NAMES.get(name, ()))
    for node, kind, inputs in _nodes(params):
        for key, value in inputs.items():
            here = _is_reference(value, "param") and value[1:] == [name]
            if here or (key in names and not is_link(value) and (key == name or not _is_reference(value))):
                found.append(NodeValue(node, kind, key, _shown(value, params), here))
    return sorted(found, key=lambda each: not each.lifted)


def present(params: Mapping[str, Any], name: str) -> Any:
    """Return the value that a name has now. Raises as :func:`assign` does."""
    if name in params and name != "nodes":
        return params[name]
    nodes = {node: table for node, table in lifted.nodes_of(params).items() if isinstance(table, Mapping)}
    node, key = _place(params, nodes, name)
    return _shown(nodes[node]["inputs"][key], params)


def assign(params: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return parameters with another value: at the top if the name stands there, else in the only node that it can
    mean. Raises InvalidInput: ``ambiguous-parameter`` with a list of the nodes, ``unknown-parameter``; FormatError."""
    changed = {key: each for key, each in params.items() if key != "nodes"}
    nodes = {node: dict(table) for node, table in lifted.nodes_of(params).items() if isinstance(table, Mapping)}
    new = to_recipe(value)
    if name in changed:
        return {**params, name: new}
    node, key = _place(params, nodes, name)
    inputs = dict(nodes[node]["inputs"])
    held = inputs[key]
    if _is_reference(held, "param") and _uses(nodes, held) == 1:
        return {**params, held[1]: new}
    if _is_reference(held, "lora") and held[1] < len(changed["loras"]):
        loras = [dict(each) for each in changed["loras"]]
        if _uses(nodes, held) == 1 or held[2] == "name":
            loras[held[1]][held[2]] = new
            return {**params, "loras": loras}
    if _is_reference(held, "model"):
        raise InvalidInput("unknown-parameter", f"'{name}' is the recipe's model", hint="Change the recipe's model.")
    inputs[key] = new
    nodes[node]["inputs"] = inputs
    whole: Any = {**lifted.nodes_of(params), **nodes}
    return {**params, "nodes": json.dumps(whole) if isinstance(params["nodes"], str) else whole}


def _place(params: Mapping[str, Any], nodes: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The node and the input that a name means."""
    for node, key in _named_nodes(name):
        if node in nodes:
            inputs = nodes[node].get("inputs", {})
            literal = [
                each for each in (key, *COMMON_NAMES.get(key, ())) if each in inputs and not is_link(inputs[each])
            ]
            if literal:
                return node, literal[0]
            known = ", ".join(each for each, value in inputs.items() if not is_link(value)) or "none"
            raise InvalidInput("unknown-parameter", f"node {node} has no value '{key}'", hint=f"Its values: {known}.")
    found = candidates(params, name)
    if len(found) == 1:
        return found[0].node, found[0].input
    if not found:
        raise InvalidInput(
            "unknown-parameter", f"the graph has no value '{name}'", hint="'regenstore show' lists them."
        )
    lines = "\n".join(f"    {each.input}@{each.node} = {each.value!r:.60} ({each.kind})" for each in found)
    raise InvalidInput("ambiguous-parameter", f"several nodes have '{name}':\n{lines}")


def _named_nodes(name: str) -> Iterator[tuple[str, str]]:
    """Node and input that a name can stand for."""
    key, mark, node = name.rpartition("@")
    if mark:
        yield node, key
    node, mark, key = name.rpartition(".")
    if mark:
        yield node, key


def _nodes(params: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, node in lifted.nodes_of(params).items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if isinstance(inputs, Mapping):
            yield name, str(node.get("class_type")), inputs


def _uses(nodes: Mapping[str, Any], reference: list[Any]) -> int:
    return json.dumps(nodes).count(json.dumps(reference))


def _is_reference(value: Any, word: str | None = None) -> bool:
    if not (isinstance(value, list) and value and isinstance(value[0], str) and value[0] in WORDS):
        return False
    return value[0] != "json" if word is None else value[0] == word


def _shown(value: Any, params: Mapping[str, Any]) -> Any:
    if _is_reference(value, "model"):
        return "the recipe's model"
    return from_recipe(value, lambda reference: lifted.follow(reference, params, {}))
