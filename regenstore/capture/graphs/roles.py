"""Which literals of a graph are its prompt, seed, steps and so on, found by following links.

Classes of nodes are not known by name, as custom ones are added every day: what an input is called and what it is
linked to decide. ComfyUI's conventions: a sampler has ``positive`` and ``negative`` or ``guider``, ``noise`` and
``sigmas``; a text encoder has ``text``, or ``clip_l`` and the like; a latent source has ``width`` and ``height``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from regenstore.capture.graphs.graph import Graph, LiteralInput, enqueue, is_link

Roles = dict[str, tuple[LiteralInput, ...]]
"""The common name of a value -> the places where the graph has it. Several places have equal values."""

SEEDS = ("seed", "noise_seed", "rand_seed", "global_seed")
_NUMBERS = (*SEEDS, "value", "int", "INT", "Number", "number", "Value", "Xi")
_CHOICES = {
    "sampler": ("sampler_name", "sampler"),
    "scheduler": ("scheduler", "scheduler_name"),
}
_SETTINGS = {
    "steps": ("steps",),
    "cfg": ("cfg", "cfg_scale", "guidance_scale"),
    "denoise": ("denoise", "denoise_strength"),
}
_TEXTS = (
    "populated_text", "text", "prompt", "positive_prompt", "text_g", "t5xxl", "text_l", "clip_g", "clip_l", "positive",
    "tags", "caption", "wildcard_text", "string", "value", "Text", "STRING", "text_positive", "text_a", "string_a",
    "string1", "string_1", "text1", "text_1", "llama", "bert", "mt5xl", "lyrics", "template", "text_b",
)  # fmt: skip
COMMON_NAMES: dict[str, tuple[str, ...]] = {
    "seed": SEEDS,
    "prompt": tuple(name for name in _TEXTS if name != "value"),
    "negative_prompt": ("negative_prompt", "negative", "text_negative", *(name for name in _TEXTS if name != "value")),
    **_SETTINGS,
    **_CHOICES,
}
"""The common name of a value -> what nodes call it."""
_NEGATIVE = re.compile(r"neg", re.I)
_ALIKE = re.compile(r"text_[gl]|clip_[gl]|t5xxl|llama|bert|mt5xl|prompt\d?|text\d?")
"""Inputs of one text encoder that often have the same text."""
_CONDITIONING = re.compile(r"cond|guider|embed|pipe|context|prompt|text|positive|noise_pred", re.I)
_NOT_TEXT = re.compile(
    r"^clip\d*$|clip_vision|model|vae|image|pixel|mask|control_net|latent|sample|video|audio|delimiter|separator|sigma|noise$",
    re.I,
)
_NOT_SIZE = re.compile(r"clip|vae|model|positive|negative|cond|control|mask|noise|guider|sampler|sigmas|text", re.I)
_MANY = 4096
"""Nodes looked at for one value."""


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, float) or is_whole(value)


def find_roles(graph: Graph) -> Roles:
    """Return the values of the graph's first sampler: the one that begins the picture, not those that refine it. Of a
    graph without one, those of its first nodes with a seed, a size and a text."""
    return _Search(graph).roles()


def find_sampler(graph: Graph) -> str | None:
    """Return the first sampler in execution order."""
    order = graph.order()
    for rank in (_is_sampler, _makes_media):
        found = next((node for node in order if rank(graph, node)), None)
        if found is not None:
            return found
    return None


def _is_sampler(graph: Graph, node: str) -> bool:
    inputs = graph.inputs(node)
    if is_link(inputs.get("guider")) or (is_link(inputs.get("noise")) and is_link(inputs.get("sigmas"))):
        return True
    seeded = any(name in inputs for name in SEEDS)
    runs = any(name in inputs for name in ("sampler_name", "steps", "sigmas", "sampler", "scheduler"))
    if is_link(inputs.get("positive")) or is_link(inputs.get("conditioning")):
        return seeded or (runs and "latent_image" in inputs)
    return seeded and runs and any(is_link(value) for value in inputs.values())


def _makes_media(graph: Graph, node: str) -> bool:
    """A node of a service: it has a seed and a text of its own."""
    inputs = graph.inputs(node)
    return any(name in inputs for name in SEEDS) and any(
        name in inputs for name in ("prompt", "text", "positive_prompt")
    )


class _Search:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def roles(self) -> Roles:
        sampler = find_sampler(self.graph)
        found: dict[str, LiteralInput | None] = {}
        if sampler is None:
            for node in self.graph.order():
                if "seed" not in found and (seed := self.setting([node], SEEDS, is_whole, _NUMBERS)):
                    found["seed"] = seed
                if "width" not in found:
                    found |= self.size_at(node)
        else:
            found = self.of_sampler(sampler)
        roles: Roles = {name: (place,) for name, place in found.items() if place is not None}
        if "prompt" in roles and roles.get("negative_prompt") == roles["prompt"]:
            del roles["negative_prompt"]
        for name in ("prompt", "negative_prompt"):
            if name in roles:
                roles[name] = self.alike(roles[name][0])
        return roles

    def of_sampler(self, sampler: str) -> dict[str, LiteralInput | None]:
        """The values of a sampler, or of the nodes that configure it."""
        around = [sampler, *self.linked(sampler, ("noise", "sampler", "sigmas", "guider", "options", "settings"))]
        around += [source for node in around[1:] for source in self.linked(node, ("sigmas", "noise"))]
        found: dict[str, LiteralInput | None] = {}
        found["prompt"] = self.text(sampler, negative=False)
        found["negative_prompt"] = self.text(sampler, negative=True)
        found["seed"] = self.setting(around, SEEDS, is_whole, _NUMBERS)
        for name, inputs in _SETTINGS.items():
            found[name] = self.setting(around, inputs, is_number, (*inputs, *_NUMBERS[4:]))
        for name, inputs in _CHOICES.items():
            found[name] = self.setting(around, inputs, is_text, (*inputs, "value"))
        found["guidance"] = self.guidance(sampler)
        return found | self.size(sampler)

    def linked(self, node: str, names: Iterable[str]) -> list[str]:
        inputs = self.graph.inputs(node)
        return [source for name in names if (source := self.graph.source(inputs.get(name)))]

    def setting(
        self, nodes: Sequence[str], names: Sequence[str], accept: Callable[[Any], bool], upstream: Sequence[str]
    ) -> LiteralInput | None:
        """The first literal of some names in some nodes, or what is linked to such an input."""
        for node in nodes:
            inputs = self.graph.inputs(node)
            for name in names:
                if name in inputs and (found := self.resolve(node, name, accept, upstream)):
                    return found
        return None

    def resolve(self, node: str, name: str, accept: Callable[[Any], bool], names: Sequence[str]) -> LiteralInput | None:
        """An input's literal, or the literal where its link begins: a primitive, a seed node, a text node."""
        value = self.graph.inputs(node)[name]
        if not is_link(value):
            return LiteralInput(node, name) if accept(value) else None
        waiting: deque[str] = deque()
        seen: set[str] = set()
        enqueue(waiting, seen, filter(None, [self.graph.source(value)]))
        while waiting and len(seen) < _MANY:
            node = waiting.popleft()
            inputs = self.graph.inputs(node)
            for each in names:
                if each in inputs and accept(inputs[each]):
                    return LiteralInput(node, each)
            following = [(each, link) for each, link in self.graph.links(node) if not _NOT_TEXT.search(each)]
            following.sort(key=lambda link: names.index(link[0]) if link[0] in names else len(names))
            enqueue(waiting, seen, (link for _, link in following))
        return None

    # -------------------------------------------------------------------------------------- texts

    def text(self, sampler: str, *, negative: bool) -> LiteralInput | None:
        """The first text on the way of a conditioning to the sampler. For the negative one, texts count only behind an
        input that is called so, or if they are called so themselves."""
        beside: LiteralInput | None = None
        waiting, seen = deque([(sampler, not negative)]), {sampler}
        while waiting and len(seen) < _MANY:
            node, counts = waiting.popleft()
            if negative and "zeroout" in self.graph.class_of(node).lower():
                return None
            sided = self.sided_links(node, negative=negative)
            following = [(source, True) for source in sided]
            if not sided:
                found = self.text_at(node, negative=negative, counts=counts)
                added_to = [source for name, source in self.graph.links(node) if name.startswith("conditioning")]
                if found is not None and not added_to:
                    return found
                beside = beside or found  # the node adds its text to another conditioning
                sources = added_to if found else self.conditioning_links(node, negative=negative)
                following = [(source, counts) for source in sources]
            for source, counted in following:
                if source not in seen:
                    seen.add(source)
                    waiting.append((source, counted))
        return beside

    def sided_links(self, node: str, *, negative: bool) -> list[str]:
        """What is linked to the inputs ``positive`` and the like, or ``negative``."""
        found = []
        for name, source in self.graph.links(node):
            if name == ("negative" if negative else "positive"):
                found.append(source)
        return found

    def conditioning_links(self, node: str, *, negative: bool) -> list[str]:
        links = [(name, source) for name, source in self.graph.links(node) if not _NOT_TEXT.search(name)]
        links = [
            (n, s) for n, s in links if bool(_NEGATIVE.search(n)) <= negative and not (negative and n == "positive")
        ]
        named = [source for name, source in links if _CONDITIONING.search(name)]
        return named or [source for _, source in links]

    def text_at(self, node: str, *, negative: bool, counts: bool) -> LiteralInput | None:
        inputs = self.graph.inputs(node)
        said = [name for name in inputs if _NEGATIVE.search(name) and name not in ("negative_cond",)]
        plain = [name for name in _TEXTS if name in inputs and name not in said]
        names = said if negative and said else plain if counts else []
        for name in names:
            value = inputs[name]
            if is_text(value) and not (name == "value" and _looks_like_choice(value)):
                return LiteralInput(node, name)
            if is_link(value):
                found = self.resolve(node, name, is_text, _TEXTS)
                if found is not None:
                    return found
        return None

    def alike(self, place: LiteralInput) -> tuple[LiteralInput, ...]:
        """A text encoder's inputs with the same text: they are one value."""
        inputs = self.graph.inputs(place.node)
        text = inputs[place.input]
        others = [
            LiteralInput(place.node, name)
            for name, value in inputs.items()
            if name != place.input and value == text and _ALIKE.fullmatch(name)
        ]
        return (place, *others) if text and _ALIKE.fullmatch(place.input) else (place,)

    # -------------------------------------------------------------------------------------- numbers

    def guidance(self, sampler: str) -> LiteralInput | None:
        """The distilled guidance, set in the sampler or on the way of its positive conditioning."""
        waiting, seen = deque([sampler]), {sampler}
        while waiting and len(seen) < _MANY:
            node = waiting.popleft()
            if "guidance" in self.graph.inputs(node):
                found = self.resolve(node, "guidance", is_number, ("guidance", *_NUMBERS[4:]))
                if found is not None:
                    return found
            following = self.sided_links(node, negative=False) or self.conditioning_links(node, negative=False)
            enqueue(waiting, seen, following)
        return None

    def size(self, sampler: str) -> dict[str, LiteralInput | None]:
        """Width, height and batch size of the latent that the sampler begins with."""
        inputs = self.graph.inputs(sampler)
        names = [n for n in ("latent_image", "latent", "latents", "samples", "image_embeds") if is_link(inputs.get(n))]
        waiting: deque[str] = deque()
        seen: set[str] = set()
        enqueue(waiting, seen, self.linked(sampler, names) or [sampler])
        while waiting and len(seen) < _MANY:
            node = waiting.popleft()
            found = self.size_at(node)
            if found:
                return found
            links = self.graph.links(node)
            enqueue(waiting, seen, (source for name, source in links if not _NOT_SIZE.search(name)))
        return {}

    def size_at(self, node: str) -> dict[str, LiteralInput | None]:
        inputs = self.graph.inputs(node)
        if not {"width", "height"} <= inputs.keys():
            return {}
        found: dict[str, LiteralInput | None] = {}
        for name in ("width", "height", "batch_size"):
            if name in inputs:
                found[name] = self.resolve(node, name, is_whole, (name, *_NUMBERS[4:]))
        return found if found["width"] and found["height"] else {}


def _looks_like_choice(text: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.]*|true|false|enable|disable", text))
