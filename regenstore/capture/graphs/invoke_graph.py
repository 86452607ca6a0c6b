"""InvokeAI's graphs, ``{id, nodes: {ID: {id, type, …}}, edges}``, as recipes hold graphs.

Source: InvokeAI's ``services/shared/graph.py`` and its editor's ``getPrefixedId``. Identifiers of nodes end in random
characters that differ from run to run (``denoise_latents:x8Fq1LzT0b``); recipes have them without, and
``[workflow.ids]`` has the full ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from regenstore.capture.graphs import lifted, packed
from regenstore.capture.graphs.editor_state import Marking, fill, in_order, order_of
from regenstore.capture.graphs.graph import Graph
from regenstore.capture.graphs.widgets import Hole, Path, most
from regenstore.errors import FormatError

_RANDOM = re.compile(r"([A-Za-z_][\w-]*):[A-Za-z0-9_-]{6,36}")
_GRAPH_ID = "id"
_METADATA, _WORKFLOW = "invokeai_metadata", "invokeai_workflow"


class InvokeGraph(NamedTuple):
    """A graph with identifiers that do not vary."""

    graph: Graph
    edges: list[list[str]]
    """Source, its field, destination, its field."""
    ids: dict[str, str]
    """The recipe's identifiers of nodes -> InvokeAI's, where they differ."""
    graph_id: Any
    order: Any


def from_json(value: Any) -> InvokeGraph | None:
    """Return the graph of InvokeAI's JSON; None if it is anything else, or has what a recipe has no place for."""
    if not isinstance(value, dict) or not value.keys() <= {"id", "nodes", "edges"}:
        return None
    nodes, edges = value.get("nodes"), value.get("edges")
    if not isinstance(nodes, dict) or not nodes or not isinstance(edges, list):
        return None
    ours = _stable(nodes)
    found = {}
    for name, node in nodes.items():
        if not isinstance(node, dict) or not isinstance(node.get("type"), str) or node.get("id") != name:
            return None
        inputs = {key: each for key, each in node.items() if key not in ("id", "type")}
        found[ours[name]] = {"class_type": node["type"], "inputs": inputs}
    links = [_edge(edge, ours) for edge in edges]
    if any(link is None for link in links):
        return None
    renamed = {**value, "nodes": {ours[name]: node for name, node in nodes.items()}}
    ids = {ours[name]: name for name in nodes if ours[name] != name}
    return InvokeGraph(Graph(found), [link for link in links if link], ids, value.get("id"), order_of(renamed))


def pack(invoke: InvokeGraph, extra: Mapping[str, Any], shown: Mapping[str, tuple[str, str]]) -> dict[str, Any] | None:
    """Return the table ``[workflow]``; None if it would be too long. ``shown``: entries of the metadata -> the node and
    input that have the same value."""
    marking = Marking(invoke.graph)
    marked = {}
    for key, value in extra.items():
        holes: dict[Path, Hole] = {}
        if key == _METADATA:
            holes = {(name,): Hole(f"metadata.{name}", *place) for name, place in shown.items()}
        elif key == _WORKFLOW:
            holes = most(_fields(value, invoke))
        marked[key] = marking.mark(value, holes)
    table = packed.table({"order": invoke.order, "extra": marked})
    if table is None:
        return None
    values = {_GRAPH_ID: invoke.graph_id, **marking.values} if isinstance(invoke.graph_id, str) else marking.values
    return {**table, **({"values": values} if values else {}), **({"ids": invoke.ids} if invoke.ids else {})}


def restore(
    tables: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any], model: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return InvokeAI's graph and the further metadata of a recipe. Raises FormatError (``bad-recipe``)."""
    table = tables.get("workflow", {})
    nodes = lifted.rebuild(params, model)
    document = packed.document(table) if table else {}
    order = document.get("order")
    ids, values = table.get("ids", {}), table.get("values", {})
    edges = params.get("edges", [])
    if not all(isinstance(edge, list) and len(edge) == 4 for edge in edges):
        raise FormatError("bad-recipe", "expected four texts in each of 'edges' in [params]")
    full = {name: ids.get(name, name) for name in nodes}
    listed = {name: {"id": full[name], "type": node["class_type"], **node["inputs"]} for name, node in nodes.items()}
    made = [
        {
            "source": {"node_id": full.get(source, source), "field": out},
            "destination": {"node_id": full.get(target, target), "field": field},
        }
        for source, out, target, field in edges
    ]
    graph: dict[str, Any] = in_order({"id": values.get(_GRAPH_ID), "nodes": listed, "edges": made}, order)
    if graph["id"] is None and not (isinstance(order, dict) and "id" in order):
        del graph["id"]
    graph["nodes"] = {full[name]: node for name, node in graph["nodes"].items()}
    return graph, {key: fill(value, nodes, values) for key, value in document.get("extra", {}).items()}


def _stable(nodes: Mapping[str, Any]) -> dict[str, str]:
    """InvokeAI's identifiers -> those of the recipe, in the order of the graph."""
    taken = {name for name in nodes if not _RANDOM.fullmatch(name)}
    numbers: dict[str, int] = {}
    found = {}
    for name in nodes:
        random = _RANDOM.fullmatch(name)
        short = name if random is None else random[1]
        while random is not None and short in taken:
            numbers[random[1]] = numbers.get(random[1], 1) + 1
            short = f"{random[1]}_{numbers[random[1]]}"
        taken.add(short)
        found[name] = short
    return found


def _edge(edge: Any, ours: Mapping[str, str]) -> list[str] | None:
    if not isinstance(edge, dict) or edge.keys() != {"source", "destination"}:
        return None
    found = []
    for end in (edge["source"], edge["destination"]):
        if not isinstance(end, dict) or end.keys() != {"node_id", "field"}:
            return None
        node, field = end["node_id"], end["field"]
        if not isinstance(node, str) or not isinstance(field, str) or not f"{node}{field}".isprintable():
            return None
        found += [ours.get(node, node), field]
    return found


def _fields(workflow: Any, invoke: InvokeGraph) -> dict[Path, Hole]:
    """The values of fields in the editor's workflow that the graph has too."""
    ours = {full: name for name, full in invoke.ids.items()}
    nodes = workflow.get("nodes") if isinstance(workflow, dict) else None
    found: dict[Path, Hole] = {}
    for place, node in enumerate(nodes if isinstance(nodes, list) else []):
        data = node.get("data") if isinstance(node, dict) else None
        fields = data.get("inputs") if isinstance(data, dict) else None
        name = node.get("id") if isinstance(node, dict) else None
        name = ours.get(name, name) if isinstance(name, str) else ""
        if isinstance(fields, dict) and name in invoke.graph.nodes:
            known = invoke.graph.inputs(name)
            for key, field in fields.items():
                if isinstance(field, dict) and "value" in field and key in known:
                    found[("nodes", place, "data", "inputs", key, "value")] = Hole(f"{name}.{key}", name, key)
    return found
