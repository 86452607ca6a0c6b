"""Which values of ComfyUI's editor workflow vary from run to run, and which inputs of the graph they show.

Sources: ComfyUI_frontend's ``litegraph`` and ``executionUtil`` (``graphToPrompt``), and workflows of many versions.
``widgets_values`` of a node are positional: newer editors list the widgets' names in the node's ``inputs``; in older
ones, the graph's inputs have the same order. A seed's widget is followed by one that says what happens after a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from regenstore.capture.graphs.graph import Graph, is_link
from regenstore.capture.graphs.values import same

HOLE = "$"
AFTER_RUN = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
_LARGE = 1 << 20
"""Integers from here on are taken for seeds."""
_LONG = 8
_MOST = 1000
_COMPARED = 500
"""Nodes with more values are not compared value by value."""

Path = tuple[str | int, ...]


class Hole(NamedTuple):
    """A place of the workflow whose value is not packed. Without a node it is only in ``values``."""

    label: str
    node: str | None = None
    input: str = ""


class Widgets:
    """The widgets of a workflow that belong to a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._around: dict[int, tuple[dict[Any, Any], dict[Any, Any]]] = {}
        """The links and nodes of a workflow or subgraph, by the identity of its table."""

    def holes(self, workflow: Any) -> dict[Path, Hole]:
        """Return the holes of an editor's workflow by path. Anything unexpected has none."""
        found: dict[Path, Hole] = {}
        if isinstance(workflow, dict):
            for path, node, name, around in _nodes(workflow):
                found |= self.of_node(path, node, name, around)
            found |= _numbers_below(("extra", "ds"), workflow)
        return most(found)

    def of_node(self, path: Path, node: dict[str, Any], name: str, around: Mapping[str, Any]) -> dict[Path, Hole]:
        found: dict[Path, Hole] = {}
        values = node.get("widgets_values")
        at = (*path, "widgets_values")
        inputs = self.graph.inputs(name) if name in self.graph.nodes else {}
        literals = {key: value for key, value in inputs.items() if not is_link(value)}
        if isinstance(values, dict):
            found |= {(*at, key): Hole(f"{name}.{key}", name, key) for key in values if key in literals}
        elif isinstance(values, list):
            shown = self.shown_inputs(node, name, values, literals, around)
            for place, (owner, key) in shown.items():
                found[(*at, place)] = Hole(f"{owner}.{key}", owner, key)
            for place, value in enumerate(values):
                if place not in shown and (_is_large(value) or _runs_on(values, place)):
                    found[(*at, place)] = Hole(f"{name}[{place}]")
        found |= self.repeated(at, values, name, literals, found)
        for inside, value in _leaves(node.get("properties")):
            if _is_large(value):
                found[(*path, "properties", *inside)] = Hole(f"{name}.properties.{'.'.join(map(str, inside))}")
        return found

    def shown_inputs(
        self,
        node: dict[str, Any],
        name: str,
        values: list[Any],
        literals: Mapping[str, Any],
        around: Mapping[str, Any],
    ) -> dict[int, tuple[str, str]]:
        """Which place shows which input of which node."""
        places = [place for place in range(len(values)) if not _runs_on(values, place - 1)]
        if node.get("type") == "PrimitiveNode":
            target = self.first_target(node, name, around)
            return {0: target} if target and values and self._has_literal(*target) else {}
        proxies = _proxies(node, name)
        if len(proxies) == len(places) and proxies:
            pairs = zip(places, proxies, strict=True)
            return {place: each for place, each in pairs if self._has_literal(*each)}
        named = _widget_names(node)
        if len(named) != len(places):
            known = set(named)
            named = [key for key in self.graph.inputs(name) if key in literals or key in known] if literals else []
        if len(named) == len(places):
            return {place: (name, key) for place, key in zip(places, named, strict=True) if key in literals}
        return self.by_value(name, values, places, literals)

    def by_value(
        self, name: str, values: list[Any], places: list[int], literals: Mapping[str, Any]
    ) -> dict[int, tuple[str, str]]:
        """Equal values in the same order."""
        found = {}
        keys = list(literals)
        for place in places if max(len(places), len(keys)) <= _COMPARED else ():
            for position, key in enumerate(keys):
                if same(values[place], literals[key]):
                    found[place] = (name, key)
                    del keys[: position + 1]
                    break
        return found

    def repeated(
        self, at: Path, values: Any, name: str, literals: Mapping[str, Any], known: Mapping[Path, Hole]
    ) -> dict[Path, Hole]:
        """Long texts and large numbers of the graph that a node shows once more."""
        found = {}
        notable = {key: value for key, value in literals.items() if _is_large(value) or _is_long(value)}
        for key, value in islice(_leaves(values), _COMPARED) if 0 < len(notable) <= _COMPARED else ():
            if (*at, *key) in known or not (_is_large(value) or _is_long(value)):
                continue
            shown = next((each for each, literal in notable.items() if same(literal, value)), None)
            if shown is not None:
                found[(*at, *key)] = Hole(f"{name}.{shown}", name, shown)
        return found

    def first_target(self, node: dict[str, Any], name: str, around: Mapping[str, Any]) -> tuple[str, str] | None:
        """The node and input that an editor's primitive gives its value to: the graph has it there."""
        if id(around) not in self._around:
            self._around[id(around)] = _links_and_nodes(around)
        links, nodes = self._around[id(around)]
        try:
            target, slot = links[node["outputs"][0]["links"][0]]
            prefix = name.removesuffix(str(node["id"]))
            return f"{prefix}{target}", str(nodes[target]["inputs"][slot]["name"])
        except (KeyError, IndexError, TypeError):
            return None

    def _has_literal(self, node: str, name: str) -> bool:
        if node not in self.graph.nodes:
            return False
        inputs = self.graph.inputs(node)
        return name in inputs and not is_link(inputs[name])


def _nodes(workflow: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any], str, Mapping[str, Any]]]:
    """Path, node, its name in the graph, and the workflow or subgraph around it. A node of a
    subgraph is called ``INSTANCE:NODE`` in the graph, and the first instance counts."""
    definitions = workflow.get("definitions")
    listed = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    subgraphs = {
        each["id"]: (("definitions", "subgraphs", place), each)
        for place, each in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    }
    waiting: list[tuple[Path, dict[str, Any], str]] = [((), workflow, "")]
    while waiting:
        path, graph, prefix = waiting.pop(0)
        nodes = graph.get("nodes")
        for place, node in enumerate(nodes if isinstance(nodes, list) else []):
            if not isinstance(node, dict) or not isinstance(node.get("id"), (int, str)):
                continue
            name = f"{prefix}{node['id']}"
            yield (*path, "nodes", place), node, name, graph
            kind = node.get("type")
            if isinstance(kind, str) and kind in subgraphs:
                below, subgraph = subgraphs.pop(kind)
                waiting.append((below, subgraph, f"{name}:"))
    for path, subgraph in subgraphs.values():
        waiting.append((path, subgraph, f"{subgraph['id']}:"))


def _widget_names(node: dict[str, Any]) -> list[str]:
    inputs = node.get("inputs")
    widgets = [each.get("widget") for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    return [each["name"] for each in widgets if isinstance(each, dict) and isinstance(each.get("name"), str)]


def _proxies(node: dict[str, Any], name: str) -> list[tuple[str, str]]:
    """The widgets inside a subgraph that its instance shows."""
    properties = node.get("properties")
    listed = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    return [
        (f"{name}:{each[0]}", each[1])
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, list) and len(each) >= 2 and isinstance(each[1], str)
    ]


def _links_and_nodes(around: Mapping[str, Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The node and the position of the input that each link leads to, and the nodes, by their numbers."""
    links, nodes = around.get("links"), around.get("nodes")
    ends = {}
    for link in links if isinstance(links, list) else []:
        try:
            if isinstance(link, dict):
                ends[link["id"]] = link["target_id"], link["target_slot"]
            else:
                ends[link[0]] = link[3], link[4]
        except (KeyError, IndexError, TypeError):
            continue
    found = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return ends, {node["id"]: node for node in found if isinstance(node.get("id"), (int, str))}


def most(holes: dict[Path, Hole]) -> dict[Path, Hole]:
    """As many holes as a recipe may have."""
    return dict(islice(holes.items(), _MOST))


def _runs_on(values: list[Any], place: int) -> bool:
    """Return whether the value at a place is a number that changes after each run."""
    return (
        0 <= place < len(values) - 1
        and isinstance(values[place], int)
        and not isinstance(values[place], bool)
        and values[place + 1] in AFTER_RUN
    )


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= _LARGE


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= _LONG


def _numbers_below(path: Path, workflow: dict[str, Any]) -> dict[Path, Hole]:
    found: Any = workflow
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    label = ".".join(map(str, path))
    return {
        (*path, *key): Hole(f"{label}.{'.'.join(map(str, key))}")
        for key, value in _leaves(found)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _leaves(value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            for path, leaf in _leaves(item):
                yield (key, *path), leaf
    elif isinstance(value, list):
        for place, item in enumerate(value):
            for path, leaf in _leaves(item):
                yield (place, *path), leaf
    else:
        yield (), value
