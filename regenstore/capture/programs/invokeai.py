"""What InvokeAI embeds: ``invokeai_metadata``, ``invokeai_graph`` and ``invokeai_workflow``; before version 3,
``sd-metadata`` and ``Dream``.

Sources: InvokeAI's ``services/image_files/image_files_disk.py``, ``invocations/metadata.py`` and, for the older ones,
``backend/image_util/pngwriter.py`` and ``args.py``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from regenstore.capture import bounded_json
from regenstore.capture.captured import Captured, InputReference, Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs import invoke_graph, lifted
from regenstore.capture.graphs.graph import Graph, LiteralInput
from regenstore.capture.graphs.invoke_graph import InvokeGraph
from regenstore.capture.graphs.model_names import FoundLora
from regenstore.capture.graphs.roles import Roles, find_roles
from regenstore.capture.graphs.values import same, to_recipe
from regenstore.objects.bounded import Unparsable

PROGRAM = "InvokeAI"
_METADATA, _GRAPH, _WORKFLOW = "invokeai_metadata", "invokeai_graph", "invokeai_workflow"
_NAMES = {
    "prompt": ("positive_prompt", "prompt", "value", "positive_style_prompt", "style"),
    "negative_prompt": ("negative_prompt", "prompt", "value", "negative_style_prompt", "style"),
    "seed": ("seed", "value"),
    "steps": ("steps", "num_steps"),
    "cfg": ("cfg_scale",),
    "scheduler": ("scheduler",),
    "width": ("width",),
    "height": ("height",),
    "guidance": ("guidance",),
    "clip_skip": ("clip_skip",),
}
"""The common name -> the metadata's own name, and what else nodes call it."""
_MODEL_ROLES = {
    "main": "checkpoint", "lora": "lora", "vae": "vae", "controlnet": "controlnet", "embedding": "embedding",
    "ip_adapter": "ipadapter", "spandrel_image_to_image": "upscaler",
}  # fmt: skip
_ENCODER = re.compile(r"encoder|clip_embed")
_FLAG = re.compile(r"""(?:^|\s)(--[a-z_]\w*|-[A-Za-z])[ =]?("[^"]*"|'[^']*'|[^\s-]\S*|-?[\d.]+)?(?=\s|$)""")
_FLAGS = {
    "-s": "steps", "-S": "seed", "-W": "width", "-H": "height", "-C": "cfg", "-A": "sampler", "-f": "denoise",
    "--steps": "steps", "--seed": "seed", "--width": "width", "--height": "height", "--cfg_scale": "cfg",
    "--sampler": "sampler", "--strength": "denoise",
}  # fmt: skip
_MOST = 100
_OLD_NAMES = {"cfg_scale": "cfg", "strength": "denoise"}
_WITHOUT_GRAPH = ("the graph that ran",)
_OLD = ("the models by hash", "the random source")


def understand(pieces: Sequence[Embedded], *, keep_workflow: bool = True) -> Captured | None:
    """Return the graph or the parameters that InvokeAI embedded; None for everything else."""
    texts = {piece.name: piece.value for piece in pieces if isinstance(piece.value, str)}
    metadata, value, workflow = (_parsed(texts.get(name)) for name in (_METADATA, _GRAPH, _WORKFLOW))
    invoke = invoke_graph.from_json(value)
    told = metadata if isinstance(metadata, dict) else {}
    if invoke is not None:
        extra = {_METADATA: metadata, _WORKFLOW: workflow}
        extra = {name: each for name, each in extra.items() if each is not None}
        return _of_graph(invoke, told, extra, keep_workflow)
    if told:
        return _of_metadata(told)
    old = _parsed(texts.get("sd-metadata"))
    if isinstance(old, dict) and (found := _of_old_metadata(old)):
        return found
    return _of_dream(texts["Dream"]) if "Dream" in texts else None


def _of_graph(
    invoke: InvokeGraph, metadata: dict[str, Any], extra: dict[str, Any], keep_workflow: bool
) -> Captured | None:
    graph = invoke.graph
    recorded = metadata or _recorded(graph)
    roles = _roles(graph, recorded)
    params = {**lifted.lift(graph, roles, _loras(graph), []), "edges": invoke.edges}
    shown = {
        _NAMES[name][0]: (place[0].node, place[0].input) for name, place in roles.items() if _NAMES[name][0] in metadata
    }
    table = invoke_graph.pack(invoke, extra, shown) if keep_workflow else None
    return Captured(
        Level.GRAPH,
        PROGRAM,
        _version(metadata),
        generator="invokeai",
        params=params,
        models=_models([recorded, graph.nodes]),
        inputs=_inputs(graph),
        tables={} if table is None else {"workflow": table},
    )


def _recorded(graph: Graph) -> dict[str, Any]:
    """What the graph itself puts into the metadata."""
    return next((graph.inputs(node) for node in graph.nodes if graph.class_of(node) == "core_metadata"), {})


def _roles(graph: Graph, recorded: Mapping[str, Any]) -> Roles:
    """The places of the recorded values. Older graphs have each of them several times."""
    roles: Roles = {}
    taken: set[LiteralInput] = set()
    for name, inputs in _NAMES.items():
        value = recorded.get(inputs[0])
        if value is None or isinstance(value, (dict, list)):
            continue
        sided = name if recorded.get("negative_prompt") == recorded.get("positive_prompt") else ""
        found = [
            place
            for place in _places(graph, inputs)
            if place not in taken and same(graph.value(place), value) and _is_of(place, graph, name, sided)
        ]
        if found:
            roles[name] = tuple(found)
            taken.update(found)
    if not roles:
        return {name: places for name, places in find_roles(graph).items() if name in _NAMES}
    return roles


def _places(graph: Graph, inputs: Sequence[str]) -> Iterator[LiteralInput]:
    """Where the graph has such inputs, its own record of them last."""
    for node in sorted(graph.nodes, key=lambda node: graph.class_of(node) == "core_metadata"):
        known = graph.inputs(node)
        yield from (LiteralInput(node, name) for name in inputs if name in known)


def _is_of(place: LiteralInput, graph: Graph, name: str, sided: str) -> bool:
    """Return whether a place can have a value of that name. ``sided``: whether two prompts are alike, so that only the
    places' names tell them apart."""
    if place.input == "value" and graph.class_of(place.node) not in ("string", "integer", "string_primitive"):
        return False
    negative = "neg" in f"{place.node} {place.input}".lower()
    if name == "negative_prompt":
        return negative or not sided
    return not negative


def _loras(graph: Graph) -> list[FoundLora]:
    """The LoRAs that nodes load; the graph's own record repeats them."""
    record = next((node for node in graph.nodes if graph.class_of(node) == "core_metadata"), None)
    listed = graph.inputs(record).get("loras") if record else None
    repeated = list(enumerate(listed))[:_MOST] if isinstance(listed, list) else []
    found: list[FoundLora] = []
    for node in graph.nodes:
        inputs = graph.inputs(node)
        name, weight = _name(inputs.get("lora")), inputs.get("weight")
        if name is None or not isinstance(weight, (int, float)) or len(found) == _MOST:
            continue
        names, weights = [LiteralInput(node, "lora", ("name",))], [LiteralInput(node, "weight")]
        for place, each in repeated:
            if isinstance(each, dict) and _name(each.get("model")) == name and same(each.get("weight"), weight):
                names.append(LiteralInput(str(record), "loras", (place, "model", "name")))
                weights.append(LiteralInput(str(record), "loras", (place, "weight")))
        found.append(FoundLora(tuple(names), tuple(weights)))
    return found


def _name(model: Any) -> str | None:
    name = model.get("name") if isinstance(model, dict) else None
    return name if isinstance(name, str) and isinstance(to_recipe(model), dict) else None


def _of_metadata(metadata: dict[str, Any]) -> Captured:
    params: dict[str, Any] = {}
    common = {inputs[0]: name for name, inputs in _NAMES.items()}
    for key, value in metadata.items():
        if value is None or _name(value) is not None or key in ("app_version", "loras"):
            continue
        if isinstance(to_recipe(key), str):
            params[common.get(key, key)] = to_recipe(value)
    listed = metadata.get("loras")
    loras = [
        {"name": name, "strength": to_recipe(each.get("weight", 1.0))}
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and (name := _name(each.get("model", each.get("lora"))))
    ]
    if loras:
        params["loras"] = loras
    return Captured(
        Level.PARAMETERS,
        PROGRAM,
        _version(metadata),
        generator="invokeai",
        params=params,
        models=_models([metadata]),
        missing=_WITHOUT_GRAPH,
    )


def _of_old_metadata(metadata: dict[str, Any]) -> Captured | None:
    """``sd-metadata`` of versions 1 and 2."""
    image = metadata.get("image")
    images = metadata.get("images")
    if not isinstance(image, dict):
        image = images[0] if isinstance(images, list) and images and isinstance(images[0], dict) else None
    if image is None:
        return None
    params: dict[str, Any] = {
        _OLD_NAMES.get(str(key), str(key)): to_recipe(value)
        for key, value in image.items()
        if value is not None and isinstance(to_recipe(key), str)
    }
    params["prompt"] = to_recipe(_old_prompt(image.get("prompt")))
    name, digest = metadata.get("model_weights"), metadata.get("model_hash")
    hashes = {"sha256": digest} if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) else {}
    known = isinstance(name, str) and isinstance(to_recipe(name), str)
    return Captured(
        Level.PARAMETERS,
        PROGRAM,
        _version(metadata),
        generator="invokeai",
        params=params,
        models=(ModelReference(str(name), "checkpoint", hashes),) if known else (),
        missing=() if hashes else _OLD[:1],
    )


def _old_prompt(prompt: Any) -> str:
    """One text, or several with weights: ``a cat:0.5 a dog:0.5``."""
    if not isinstance(prompt, list):
        return str(prompt or "")
    parts = [each for each in prompt if isinstance(each, dict)]
    if len(parts) == 1:
        return str(parts[0].get("prompt", ""))
    return " ".join(f"{each.get('prompt', '')}:{each.get('weight', 1)}" for each in parts)


def _of_dream(text: str) -> Captured | None:
    """The command line of version 1: ``"a cat" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms``."""
    found = re.match(r'\s*"((?:\\.|[^"\\])*)"', text)
    if found is None or not isinstance(to_recipe(found[1]), str):
        return None
    params: dict[str, Any] = {"prompt": re.sub(r"\\(.)", r"\1", found[1])}
    for flag, value in _FLAG.findall(text[found.end() :]):
        name = _FLAGS.get(flag, flag.lstrip("-") if flag.startswith("--") else flag)
        params[name] = _number(value.strip("\"'")) if value else True
    return Captured(Level.PARAMETERS, PROGRAM, None, generator="invokeai", params=params, missing=_OLD)


def _number(text: str) -> Any:
    if re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d{1,18}\.\d{0,18}", text) else to_recipe(text)


def _models(values: Sequence[Any]) -> tuple[ModelReference, ...]:
    """The models that values name, anywhere inside; the main one first."""
    found: dict[str, ModelReference] = {}
    for each in _identifiers(values):
        name, kind, digest = _name(each), each.get("type"), each.get("hash")
        if name is None or not name or len(name) > 1000:
            continue
        kind = kind if isinstance(kind, str) else "model"
        role = _MODEL_ROLES.get(kind, "text_encoder" if _ENCODER.search(kind) else kind)
        hash_kind, _, digits = digest.partition(":") if isinstance(digest, str) else ("", "", "")
        known = hash_kind in ("blake3", "sha256") and re.fullmatch(r"[0-9a-f]{64}", digits)
        reference = ModelReference(name, role, {hash_kind: digits} if known else {})
        if name not in found or not found[name].hashes:
            found[name] = reference
    return tuple(sorted(found.values(), key=lambda each: each.role != "checkpoint"))


def _identifiers(value: Any) -> Iterator[dict[str, Any]]:
    waiting = deque([value])
    while waiting:
        each = waiting.popleft()
        if isinstance(each, dict):
            if "name" in each and ("key" in each or "hash" in each):
                yield each
            else:
                waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _inputs(graph: Graph) -> tuple[InputReference, ...]:
    """The pictures that the graph loads, by the names in InvokeAI's gallery."""
    return tuple(
        InputReference(f"{node}.{name}", value["image_name"])
        for node in graph.nodes
        for name, value in graph.inputs(node).items()
        if isinstance(value, dict)
        and isinstance(value.get("image_name"), str)
        and isinstance(to_recipe(value["image_name"]), str)
    )


def _version(metadata: Mapping[str, Any]) -> str | None:
    version = metadata.get("app_version")
    return version if isinstance(version, str) and isinstance(to_recipe(version), str) and len(version) < 64 else None


def _parsed(text: str | None) -> Any:
    if text is None or not text.lstrip().startswith("{"):
        return None
    try:
        return bounded_json.parse(text)
    except Unparsable:
        return None
