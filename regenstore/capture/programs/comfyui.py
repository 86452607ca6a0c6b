"""What ComfyUI embeds: the graph that it ran (``prompt``), its editor's workflow (``workflow``), and further keys.

Sources: ComfyUI's ``nodes.py``, ``comfy_api/latest/_ui.py`` and ``video_types.py``; ComfyUI-VideoHelperSuite's
``nodes.py`` (older versions embed one ``comment`` with both). In EXIF, a tag's text is ``prompt:{…}``; Matroska has
names in upper case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture import bounded_json
from regenstore.capture.captured import Captured, Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs import editor_state, lifted, model_names, workflow_facts
from regenstore.capture.graphs.graph import Graph, is_graph
from regenstore.capture.graphs.infotext_hashes import hashes_by_name
from regenstore.capture.graphs.roles import find_roles
from regenstore.objects.bounded import Unparsable

PROGRAM = "ComfyUI"
_TAGGED = re.compile(r"\s*(\w[\w .-]{0,60}?)\s*:\s*(?=[{\[])")
_COMMENTS = ("comment", "usercomment", "description", "imagedescription")
"""Pieces in which some nodes put one JSON with both."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_PARAMS = 3 << 20
"""Characters: with its other tables, a recipe has at most 4 MiB."""


def understand(pieces: Sequence[Embedded], *, keep_workflow: bool = True) -> Captured | None:
    """Return the graph that ComfyUI embedded, or what its workflow tells. None for everything else. ``keep_workflow``:
    whether the recipe keeps the editor's state."""
    values = _json_pieces(pieces)
    graph, workflow = values.pop("prompt", None), values.get("workflow")
    if not is_graph(graph):
        return _of_workflow(values, keep_workflow) if _is_workflow(workflow) else None
    return _of_graph(Graph(graph), values, _infotext(pieces), keep_workflow)


def _of_graph(graph: Graph, extra: dict[str, Any], infotext: str, keep_workflow: bool) -> Captured:
    models = model_names.find_models(graph)
    main = model_names.find_main_model(graph, models)
    params = lifted.lift(
        graph, find_roles(graph), model_names.find_loras(graph, models), model_names.named_like(main, models)
    )
    nodes = params["nodes"]
    facts = workflow_facts.facts(extra.get("workflow"))
    if isinstance(nodes, str) and len(nodes) > _MAX_PARAMS:
        texts = {key: value for key, value in params.items() if key in ("prompt", "negative_prompt")}
        return Captured(
            Level.PROMPT,
            PROGRAM,
            facts.version,
            about={**facts.about, **texts},
            missing=(f"the graph, which is too large for a recipe ({len(nodes)} characters)",),
        )
    table = editor_state.pack(graph, extra) if keep_workflow else None
    return Captured(
        Level.GRAPH,
        PROGRAM,
        facts.version,
        generator="comfyui",
        params=params,
        models=_with_hashes(model_names.references(main, models, graph), infotext),
        inputs=model_names.find_inputs(graph, _file_hashes(graph)),
        about=facts.about,
        tables={} if table is None else {"workflow": table},
    )


def _of_workflow(extra: dict[str, Any], keep_workflow: bool) -> Captured:
    workflow = extra["workflow"]
    facts = workflow_facts.facts(workflow)
    table = editor_state.pack(Graph({}), extra) if keep_workflow else None
    return Captured(
        Level.PROMPT,
        PROGRAM,
        facts.version,
        about={**facts.about, **workflow_facts.texts(workflow)},
        tables={} if table is None else {"workflow": table},
        missing=("the graph that ran: open the workflow in ComfyUI and export it in API format",),
    )


def _json_pieces(pieces: Sequence[Embedded]) -> dict[str, Any]:
    """The JSON among the pieces, by the names that ComfyUI gave it. The first of a name counts."""
    found: dict[str, Any] = {}
    for piece in pieces:
        if not isinstance(piece.value, str):
            continue
        name, text = piece.name, piece.value
        tagged = _TAGGED.match(text) if piece.carrier == "exif" else None
        if tagged is not None:
            name, text = tagged[1], text[tagged.end() :]
        if name.lower() in ("prompt", "workflow", *_COMMENTS):
            name = name.lower()
        if name not in found and (value := _parsed(name, text)) is not None:
            found[name] = value
    for name in _COMMENTS:
        comment = found.get(name)
        if isinstance(comment, dict) and comment.keys() & {"prompt", "workflow"}:
            del found[name]
            for key, value in comment.items():
                found.setdefault(key, _parsed(key, value) if isinstance(value, str) else value)
    found.pop("parameters", None)
    return found


def _parsed(name: str, text: str) -> Any:
    """The value of a text of JSON; None for other texts. A graph or workflow may have been encoded twice."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        value = bounded_json.parse(text)
    except Unparsable:
        return None
    again = isinstance(value, str) and name in ("prompt", "workflow")
    return _parsed("", value) if again else value


def _is_workflow(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("nodes"), list)


def _file_hashes(graph: Graph) -> dict[str, str]:
    """The SHA-256 of the files that nodes loaded, which ComfyUI records as ``is_changed``."""
    found = {}
    for name, node in graph.nodes.items():
        changed = node.get("is_changed")
        value = changed[0] if isinstance(changed, list) and len(changed) == 1 else changed
        if isinstance(value, str) and _SHA256.fullmatch(value):
            found[name] = value
    return found


def _infotext(pieces: Sequence[Embedded]) -> str:
    """The parameters that some nodes embed in addition, in the form of A1111."""
    for piece in pieces:
        if piece.name in ("parameters", "UserComment") and isinstance(piece.value, str):
            return piece.value
    return ""


def _with_hashes(models: tuple[ModelReference, ...], infotext: str) -> tuple[ModelReference, ...]:
    hashes: Mapping[str, Mapping[str, str]] = hashes_by_name(infotext) if infotext else {}
    return tuple(replace(each, hashes=hashes.get(_stem(each.name), {})) for each in models)


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return re.sub(r"\.(safetensors|ckpt|pt|pth|bin|gguf|sft)\Z", "", base, flags=re.I)
