"""The table ``[workflow]`` of a recipe: what a medium of ComfyUI holds beside the values of its graph.

It has the order of keys, the titles of nodes, and the editor's workflow with the other ``extra_pnginfo``, packed. What
varies between the media of one workflow is not in the packed text: there, widgets refer to the graph's inputs, and
what the editor shows and the graph does not have (the seed of the next run, the view's position) stands in ``values``,
one per line. So the text is the same for all these media, and Git stores it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from regenstore.capture.graphs import lifted, packed
from regenstore.capture.graphs.graph import Graph, is_link
from regenstore.capture.graphs.values import from_recipe, same, to_recipe
from regenstore.capture.graphs.widgets import HOLE, Hole, Path, Widgets

_EXACT = 2.0**53
_ORDER, _EXTRA = "order", "extra"


def pack(graph: Graph, extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table for a graph and its ``extra_pnginfo``; None if it would be too long."""
    marking = Marking(graph)
    widgets = Widgets(graph)
    document = {_ORDER: _order_of_nodes(graph), _EXTRA: {}}
    for key, value in extra.items():
        holes = widgets.holes(value) if key == "workflow" else {}
        document[_EXTRA][key] = marking.mark(value, holes)
    table = packed.table(document)
    return {**table, "values": marking.values} if table and marking.values else table


def restore(
    tables: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any], model: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the graph and the ``extra_pnginfo`` of a recipe, both in their own order of keys. Raises FormatError
    (``bad-recipe``)."""
    graph = lifted.rebuild(params, model)
    table = tables.get("workflow")
    if table is None:
        return graph, {}
    document = packed.document(table)
    graph = _in_order_of_nodes(graph, document.get(_ORDER))
    values = table.get("values", {})
    extra = document.get(_EXTRA, {})
    return graph, {key: fill(value, graph, values) for key, value in extra.items()}


# ------------------------------------------------------------------------------------------- order of keys


def _order_of_nodes(graph: Graph) -> dict[str, Any]:
    return {
        name: {
            key: [value] if key == "_meta" else order_of(value) for key, value in node.items() if key != "is_changed"
        }
        for name, node in graph.nodes.items()
    }


def order_of(value: Any) -> Any:
    """The keys of a value's tables; 0 where there are none."""
    if isinstance(value, dict):
        return {key: order_of(item) for key, item in value.items()}
    if isinstance(value, list):
        orders = [order_of(item) for item in value]
        return orders if any(orders) else 0
    return 0


def _in_order_of_nodes(nodes: dict[str, Any], order: Any) -> dict[str, Any]:
    """The nodes in an order, each with its title again."""
    found: dict[str, Any] = in_order(nodes, order)
    for name, node in found.items():
        keys = order.get(name) if isinstance(order, dict) else None
        if isinstance(keys, dict) and isinstance(keys.get("_meta"), list) and keys["_meta"]:
            titled = {**node, "_meta": keys["_meta"][0]}
            found[name] = {**{key: titled[key] for key in keys if key in titled}, **titled}
    return found


def in_order(value: Any, order: Any) -> Any:
    """A value with its keys in an order; keys that the order lacks come last."""
    if isinstance(value, dict) and isinstance(order, dict):
        known = {key: in_order(value[key], order[key]) for key in order if key in value}
        return {**known, **{key: item for key, item in value.items() if key not in known}}
    if isinstance(value, list) and isinstance(order, list) and len(value) == len(order):
        return [in_order(item, each) for item, each in zip(value, order, strict=True)]
    return value


# ------------------------------------------------------------------------------------------- what varies


class Marking:
    """Marks what varies in a value, and collects what only the editor has."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Any] = {}
        self.labels: set[str] = set()

    def mark(self, value: Any, holes: Mapping[Path, Hole]) -> Any:
        """Return a value with marks at the places that vary."""
        tree: dict[str | int, Any] = {}
        for path, hole in holes.items():
            branch = tree
            for key in path[:-1]:
                branch = branch.setdefault(key, {})
            branch[path[-1]] = hole
        return self.marked(value, tree, f'"{HOLE}"' in json.dumps(value))

    def marked(self, value: Any, tree: Any, escapes: bool) -> Any:
        """``tree``: the holes below; ``escapes``: whether an object somewhere has the mark's own name as a key."""
        if isinstance(tree, Hole):
            return {HOLE: self.hole(tree, value)}
        if tree is None and not escapes:
            return value
        tree = tree or {}
        if isinstance(value, list):
            return [self.marked(item, tree.get(place), escapes) for place, item in enumerate(value)]
        if isinstance(value, dict):
            found = {key: self.marked(item, tree.get(key), escapes) for key, item in value.items()}
            return {HOLE: found} if found.keys() == {HOLE} else found
        return value

    def hole(self, hole: Hole, value: Any) -> list[str]:
        label = hole.label.encode(errors="backslashreplace").decode()
        while label in self.labels:
            label += "'"
        self.labels.add(label)
        if hole.node is not None:
            known = _as_shown(self.graph.inputs(hole.node).get(hole.input))
            if not same(known, value):
                self.values[label] = _line(value)
            return [label, hole.node, hole.input]
        self.values[label] = _line(value)
        return [label]


def _line(value: Any) -> Any:
    """A value on one line, so that the order of keys stays."""
    return ["json", json.dumps(value)] if isinstance(value, (dict, list)) else to_recipe(value)


def fill(value: Any, graph: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """A value with its marks replaced by what they stand for."""
    if isinstance(value, list):
        return [fill(item, graph, values) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {HOLE}:
        return {key: fill(item, graph, values) for key, item in value.items()}
    marked = value[HOLE]
    if not isinstance(marked, list):
        return _fill_inside(marked, graph, values)
    label, *place = marked
    if label in values:
        return from_recipe(values[label], _none)
    try:
        found = graph[place[0]]["inputs"][place[1]]
    except (KeyError, IndexError, TypeError):
        return None
    return None if is_link(found) else _as_shown(found)


def _as_shown(value: Any) -> Any:
    """A literal as the editor writes it: in JavaScript, 1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


def _fill_inside(marked: Any, graph: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """A table that has the mark's own name as its only key."""
    return {key: fill(item, graph, values) for key, item in marked.items()} if isinstance(marked, dict) else marked


def _none(reference: list[Any]) -> None:
    return None
