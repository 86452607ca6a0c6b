"""ComfyUI's API format, ``{id: {class_type, inputs}}``, as a graph that can be followed.

Source of the format: ComfyUI's ``execution.py`` and ``comfy_execution/graph_utils.py``. An input is a link if it is a
list of a node's id and the number of its output; anything else is a literal.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

_OUTPUTS = (re.compile(r"save|combine|export|send", re.I), re.compile(r"preview|output|show|display", re.I))


class LiteralInput(NamedTuple):
    """Where a literal stands in a graph."""

    node: str
    input: str
    path: tuple[str | int, ...] = ()
    """The keys and positions inside a literal that is a table or an array, as rgthree's Power Lora Loader has."""


def is_graph(value: Any) -> bool:
    """Return whether a JSON value is a graph in API format."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in value.values())
    )


class Graph:
    """A graph whose links can be followed, also where they lead in circles or nowhere."""

    def __init__(self, nodes: Mapping[str, Any]) -> None:
        self.nodes = nodes
        self._order: list[str] | None = None

    def inputs(self, node: str) -> dict[str, Any]:
        """Return the inputs of a node by name."""
        found = self.nodes[node].get("inputs")
        return found if isinstance(found, dict) else {}

    def class_of(self, node: str) -> str:
        """Return the class of a node."""
        return str(self.nodes[node]["class_type"])

    def source(self, value: Any) -> str | None:
        """Return the node that an input's value links to; None for literals, and for links to nodes that are absent."""
        return value[0] if is_link(value) and value[0] in self.nodes else None

    def links(self, node: str) -> Iterator[tuple[str, str]]:
        """Yield the names of the linked inputs of a node, and the nodes that they link to."""
        for name, value in self.inputs(node).items():
            source = self.source(value)
            if source is not None:
                yield name, source

    def value(self, place: LiteralInput) -> Any:
        """Return a literal."""
        found = self.inputs(place.node)[place.input]
        for key in place.path:
            found = found[key]
        return found

    def order(self) -> list[str]:
        """Return all nodes, each after those that it needs; first those that the main outputs need."""
        if self._order is None:
            self._order = self._sorted()
        return self._order

    def _sorted(self) -> list[str]:
        used = {source for node in self.nodes for _, source in self.links(node)}
        ends = sorted((node for node in self.nodes if node not in used), key=self._output_rank)
        done: dict[str, None] = {}
        seen: set[str] = set()
        for start in [*ends, *self.nodes]:
            if start in seen:
                continue
            seen.add(start)
            stack: list[tuple[str, Iterator[tuple[str, str]]]] = [(start, self.links(start))]
            while stack:
                node, rest = stack[-1]
                following = next((source for _, source in rest if source not in seen), None)
                if following is None:
                    done[node] = None
                    stack.pop()
                else:
                    seen.add(following)
                    stack.append((following, self.links(following)))
        return list(done)

    def _output_rank(self, node: str) -> int:
        name = self.class_of(node)
        return next((rank for rank, pattern in enumerate(_OUTPUTS) if pattern.search(name)), len(_OUTPUTS))


def enqueue(waiting: deque[str], seen: set[str], found: Iterable[str]) -> None:
    """Add nodes to a search, each once in all, however often it is linked to."""
    for node in found:
        if node not in seen:
            seen.add(node)
            waiting.append(node)


def is_link(value: Any) -> bool:
    """Return whether an input's value is a link, by ComfyUI's own rule."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) in (int, float)
