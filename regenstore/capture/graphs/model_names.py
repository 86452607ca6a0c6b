"""The model files, LoRAs and inputs that a graph names. ComfyUI records their names only, no hashes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from regenstore.capture.captured import InputReference, ModelReference
from regenstore.capture.graphs.graph import Graph, LiteralInput, enqueue, is_link
from regenstore.capture.graphs.roles import find_sampler, is_number, is_text
from regenstore.capture.graphs.values import to_recipe

MAIN_ROLES = ("checkpoint", "diffusion_model")
_FILE = re.compile(r"[^\n]{1,1024}\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx|pkl|engine)", re.I)
_MEDIUM = re.compile(
    r"[^\n]{1,1024}\.(png|jpe?g|webp|avif|gif|bmp|tiff?|exr|mp4|webm|mkv|mov|avi|m4v|wav|mp3|flac|ogg|opus|m4a|latent|glb|obj|"
    r"gltf|npz)( \[(input|output|temp)\])?",
    re.I,
)
_BY_INPUT = (
    (re.compile(r"ckpt|checkpoint", re.I), "checkpoint"),
    (re.compile(r"lora(_name)?_?\d*|lora_.*_name|lora_name.*", re.I), "lora"),
    (re.compile(r"unet|diffusion_model", re.I), "diffusion_model"),
    (re.compile(r"vae_name|vae", re.I), "vae"),
    (re.compile(r"control_?net", re.I), "controlnet"),
    (re.compile(r"style_model", re.I), "style_model"),
    (re.compile(r"clip_vision", re.I), "clip_vision"),
    (re.compile(r"ip_?adapter", re.I), "ipadapter"),
    (re.compile(r"gligen", re.I), "gligen"),
    (re.compile(r"hypernetwork", re.I), "hypernetwork"),
)
_BY_CLASS = (
    (re.compile(r"clip_?vision", re.I), "clip_vision"),
    (re.compile(r"lora", re.I), "lora"),
    (re.compile(r"vae", re.I), "vae"),
    (re.compile(r"control_?net", re.I), "controlnet"),
    (re.compile(r"upscale", re.I), "upscaler"),
    (re.compile(r"clip|t5|text_?encoder|llm", re.I), "text_encoder"),
    (re.compile(r"ip_?adapter", re.I), "ipadapter"),
    (re.compile(r"checkpoint", re.I), "checkpoint"),
    (re.compile(r"unet|diffusion|(video|hy3d|dit)modelloader|gguf", re.I), "diffusion_model"),
)
_SURE = re.compile(
    r"(base_|refiner_)?ckpt_name|unet_name|lora_name(_?\d+)?|vae_name|clip_name\d*|control_net_name|style_model_name|gligen_name|"
    r"hypernetwork_name"
)
_EMBEDDING = re.compile(r"embedding:([\w.\-/\\]+)")
_UNSET = {"", "none", "default", "baked vae", "pixel_space"}
_LONGEST, _MOST = 1000, 1000
_STRENGTHS = (
    "strength_model",
    "strength",
    "lora_strength",
    "model_strength",
    "model_weight",
    "lora_wt",
    "lora_weight",
    "model_str",
)
_CLIP_STRENGTHS = ("strength_clip", "strengthTwo", "clip_strength", "clip_weight", "lora_clip", "clip_str")


class FoundModel(NamedTuple):
    """A literal that names a model file."""

    place: LiteralInput
    name: str
    role: str


class FoundLora(NamedTuple):
    """A LoRA with the places of its name and of its strengths; several places have equal values."""

    name: tuple[LiteralInput, ...]
    strength: tuple[LiteralInput, ...]
    clip: tuple[LiteralInput, ...] = ()


def find_models(graph: Graph) -> list[FoundModel]:
    """Return the literals that name model files, in the graph's order; what is switched off is left out."""
    found = (
        FoundModel(place, value, role)
        for place, value in _texts(graph)
        if value.lower() not in _UNSET and _is_name(value) and (role := _role(graph, place, value))
    )
    return list(islice(found, _MOST))


def find_main_model(graph: Graph, models: list[FoundModel]) -> FoundModel | None:
    """Return the model that the first sampler runs: the nearest one on the way of its ``model``."""
    able = {each.place.node: each for each in reversed(models) if each.role in MAIN_ROLES}
    sampler = find_sampler(graph)
    waiting: deque[str] = deque()
    seen: set[str] = set()
    enqueue(waiting, seen, filter(None, [sampler]))
    while waiting:
        node = waiting.popleft()
        if node in able:
            return able[node]
        links = sorted(graph.links(node), key=_model_link_rank)
        enqueue(waiting, seen, (source for _, source in links))
    return next(iter([each for each in models if each.role in MAIN_ROLES] or models), None)


def _model_link_rank(link: tuple[str, str]) -> int:
    name = link[0]
    return 0 if "model" in name else 1 if name in ("guider", "unet", "pipe", "basic_pipe") else 2


def named_like(main: FoundModel | None, models: list[FoundModel]) -> list[FoundModel]:
    """Return the places where the graph names the main model."""
    return [each for each in models if main and each.name == main.name and each.place.input == main.place.input]


def references(main: FoundModel | None, models: list[FoundModel], graph: Graph) -> tuple[ModelReference, ...]:
    """Return each file once, the main one first, and the embeddings that texts name."""
    found: dict[str, ModelReference] = {}
    for each in [*([main] if main else []), *models]:
        name = each.name.replace("\\", "/")
        found.setdefault(name, ModelReference(name, each.role))
    for _, text in _texts(graph):
        for name in _EMBEDDING.findall(text):
            name = name.replace("\\", "/").rstrip(".")
            found.setdefault(name, ModelReference(name, "embedding"))
    return tuple(found.values())[:_MOST]


def find_loras(graph: Graph, models: list[FoundModel]) -> list[FoundLora]:
    """Return the LoRAs, in the graph's order."""
    found = []
    for each in models:
        if each.role != "lora":
            continue
        inputs = graph.inputs(each.place.node)
        holder: Any = inputs if not each.place.path else graph.value(each.place._replace(path=each.place.path[:-1]))
        strength, clip = (_strength(holder, each.place, names) for names in (_STRENGTHS, _CLIP_STRENGTHS))
        found.append(FoundLora((each.place,), strength, clip))
    return found


def find_inputs(graph: Graph, hashes: dict[str, str]) -> tuple[InputReference, ...]:
    """Return the media that the graph loads. The name of an input is ``NODE.INPUT``; ``hashes`` has the SHA-256 of
    nodes' files."""
    found = []
    for node in graph.nodes:
        kind = graph.class_of(node).lower()
        if "save" in kind:
            continue
        named = [name for name, value in graph.inputs(node).items() if is_text(value) and _is_medium(value)]
        sha256 = hashes.get(node) if len(named) == 1 else None
        found += [InputReference(f"{node}.{name}", graph.inputs(node)[name], sha256) for name in named]
    return tuple(found[:_MOST])


def _texts(graph: Graph) -> Iterator[tuple[LiteralInput, str]]:
    for node in graph.nodes:
        for name, value in graph.inputs(node).items():
            if is_text(value):
                yield LiteralInput(node, name), value
            elif isinstance(value, dict) and value.get("on", True) is not False and isinstance(to_recipe(value), dict):
                for key, inner in value.items():
                    if is_text(inner):
                        yield LiteralInput(node, name, (key,)), inner


def _is_name(value: str) -> bool:
    return len(value) <= _LONGEST and isinstance(to_recipe(value), str)


def _is_medium(value: str) -> bool:
    return bool(_MEDIUM.fullmatch(value)) and _is_name(value)


def _role(graph: Graph, place: LiteralInput, value: str) -> str | None:
    if not (_FILE.fullmatch(value) or _SURE.fullmatch(place.input)):
        return None
    name, kind = str((place.path or (place.input,))[-1]), graph.class_of(place.node)
    if re.fullmatch(r"clip_name\d*", name) and "vision" in kind.lower():
        return "clip_vision"
    by_input = next((role for pattern, role in _BY_INPUT if pattern.search(name)), None)
    if by_input or re.fullmatch(r"clip_name\d*|t5_name|text_encoder\w*", name):
        return by_input or "text_encoder"
    return next((role for pattern, role in _BY_CLASS if pattern.search(kind)), "model")


def _strength(inputs: Any, place: LiteralInput, names: tuple[str, ...]) -> tuple[LiteralInput, ...]:
    number = re.search(r"_?\d+\Z", str((place.path or (place.input,))[-1]))
    for name in names:
        full = name + (number[0] if number else "")
        value = inputs.get(full)
        if is_number(value) and not is_link(value):
            return (LiteralInput(place.node, place.input if place.path else full, (full,) if place.path else ()),)
    return ()
