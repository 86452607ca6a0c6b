"""What an editor's workflow tells beside the graph: versions of ComfyUI and of packs of nodes, and texts.

Sources: ComfyUI_frontend writes ``cnr_id`` and ``ver`` (a pack in the registry of nodes and its version), or ``aux_id``
(``OWNER/REPOSITORY``) and a commit, into each node's ``properties``; ``extra.frontendVersion`` is its own version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from regenstore.capture.graphs.values import to_recipe

_VERSION_KEYS = ("comfy_version", "comfyui_version", "comfyVersion", "ComfyUI")
_TEXT_CLASSES = ("text", "prompt", "string")
_LONGEST, _MOST = 256, 200


class WorkflowFacts(NamedTuple):
    """The version of ComfyUI, if it is told, and entries for the recipe's ``[about]``."""

    version: str | None
    about: dict[str, Any]


def facts(workflow: Any) -> WorkflowFacts:
    """Return the facts that a workflow tells; none for what is not a workflow."""
    if not isinstance(workflow, dict):
        return WorkflowFacts(None, {})
    extra = workflow.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    version = next((extra[key] for key in _VERSION_KEYS if _is_short(extra.get(key))), None)
    about: dict[str, Any] = {}
    if _is_short(extra.get("frontendVersion")):
        about["frontend"] = extra["frontendVersion"]
    packs = _packs(workflow)
    if packs:
        about["node_packs"] = packs
    return WorkflowFacts(version, about)


def texts(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return the texts in a workflow's nodes as ``prompt``: one text, or an array of them."""
    found: dict[str, None] = {}
    for node in _nodes(workflow):
        kind = str(node.get("type")).lower()
        values = node.get("widgets_values")
        values = list(values.values()) if isinstance(values, dict) else values
        if not isinstance(values, list) or not any(word in kind for word in _TEXT_CLASSES):
            continue
        for value in values:
            if isinstance(value, str) and any(character.isspace() for character in value.strip()):
                found[value] = None
    told = [text for text in found if isinstance(to_recipe(text), str)][:_MOST]
    return {"prompt": told[0] if len(told) == 1 else told} if told else {}


def _packs(workflow: dict[str, Any]) -> dict[str, str]:
    """Packs of nodes with the versions or commits that the nodes were saved with."""
    found: dict[str, dict[str, None]] = {}
    for node in _nodes(workflow):
        properties = node.get("properties")
        if not isinstance(properties, dict):
            continue
        name: str | None = next(
            (properties[key] for key in ("cnr_id", "aux_id") if _is_short(properties.get(key))), None
        )
        version = properties.get("ver")
        if name is not None and len(found) < _MOST:
            versions = found.setdefault(name, {})
            if isinstance(version, str) and _is_short(version) and len(versions) < 8:
                versions[version] = None
    return {name: ", ".join(sorted(found[name])) for name in sorted(found)}


def _nodes(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    definitions = workflow.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    for graph in [workflow, *(subgraphs if isinstance(subgraphs, list) else [])]:
        nodes = graph.get("nodes") if isinstance(graph, dict) else None
        yield from [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and isinstance(to_recipe(value), str)
