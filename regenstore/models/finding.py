"""Which model files a name or a hash refers to, and how sure that is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from regenstore.capture.captured import ModelReference
from regenstore.models.indexed_model import AUTOV1, AUTOV2, AUTOV3, IndexedModel
from regenstore.models.model_files import KINDS, SUFFIXES, folder_kind, name_below_folder

_ORDER = ("blake3", "sha256", "tensors", "autov2", "autov3", "autov1")
"""Kinds of hashes, the surest first."""
_LENGTHS = {"blake3": 64, "sha256": 64, "tensors": 64, "autov2": AUTOV2, "autov3": AUTOV3, "autov1": AUTOV1}
_HEX = frozenset("0123456789abcdef")
_SHORTEST = 8


class FoundModels(NamedTuple):
    """The files that a reference fits."""

    models: tuple[IndexedModel, ...] = ()
    by: str = ""
    """By what they were found: a kind of hash (``blake3``, ``sha256``, ``tensors``, ``autov2``, ``autov3``,
    ``autov1``), or ``name`` (the path ends so), ``case`` (but for upper and lower case), ``stem`` (without its
    extension) or ``alias`` (the name in the header)."""
    others: tuple[IndexedModel, ...] = ()
    """Files of that name that are not meant: a recorded hash differs."""

    @property
    def digest(self) -> str:
        """The digest that all files found have; empty if they differ, or if the way they were found is too weak."""
        digests = {each.hashes.blake3 for each in self.models}
        return digests.pop() if len(digests) == 1 and self.by != "autov1" else ""


def plain_hashes(reference: ModelReference) -> dict[str, str]:
    """Return the recorded hashes of a reference that have the form of their kind, the surest first."""
    lowered = {kind: reference.hashes.get(kind, "").lower().rpartition(":")[2].removeprefix("0x") for kind in _ORDER}
    return {kind: text for kind, text in lowered.items() if len(text) == _LENGTHS[kind] and _HEX.issuperset(text)}


class ModelFinder:
    """Finds models among those of an index, in which each has one path."""

    def __init__(self, models: Iterable[IndexedModel]) -> None:
        self._models = list(models)
        self._hashed: dict[str, dict[str, list[IndexedModel]]] = {}
        self._named: dict[str, list[IndexedModel]] | None = None

    def find(self, reference: ModelReference) -> FoundModels:
        """Return the files that a reference fits: those with its hashes; if it has none, those with its name. Several
        files that have the same hash are narrowed down by name, and files of the same name by what they are for."""
        asked = plain_hashes(reference)
        named = self.named(reference.name, reference.role)
        for kind, text in asked.items():
            there = [each for each in self._with(kind, text) if not _contradicts(each, asked)]
            if there:
                both = [each for each in there if each in named.models]
                if kind == "autov1" and both:
                    return FoundModels(tuple(both), named.by)  # 32 bits that collide, and the name
                return FoundModels(tuple(both or there), kind)
        others = tuple(each for each in named.models if _contradicts(each, asked))
        return FoundModels(tuple(each for each in named.models if each not in others), named.by, others)

    def named(self, name: str, role: str = "") -> FoundModels:
        """Return the files that a name fits, as programs write it: with or without folders and extension. Left out are
        those that are for something else than ``role``, and those of which the file at the path has changed. Raises
        StorageError (``unreadable``)."""
        name = name.replace("\\", "/").strip("/")
        if not name:
            return FoundModels()
        by, found = self._fitting(name, role)
        alike = [each for each in found if _kinds(each) & {_alike(role)}]
        whole = [each for each in alike or found if _is_whole_name(each.path, name)]
        return FoundModels(tuple(whole or alike or found), by)

    def by_digits(self, digits: str) -> FoundModels:
        """Return the files of which any hash begins with these hex digits, of which there must be at least 8."""
        text = digits.lower().partition(":")[2] or digits.lower().removeprefix("0x")
        if len(text) < _SHORTEST or not _HEX.issuperset(text):
            return FoundModels()
        for kind in ("blake3", "sha256", "tensors", "autov1"):
            found = [
                each for each in self._models if any(value.startswith(text) for value in _values(each, kind))
            ]  # fmt: skip
            if found:
                short = {("sha256", AUTOV2): "autov2", ("tensors", AUTOV3): "autov3"}.get((kind, len(text)), kind)
                return FoundModels(tuple(found), short)
        return FoundModels()

    def _with(self, kind: str, text: str) -> Sequence[IndexedModel]:
        known = self._hashed.get(kind)
        if known is None:
            known = self._hashed[kind] = {}
            for each in self._models:
                for value in set(_values(each, kind)):
                    known.setdefault(value, []).append(each)
        return known.get(text, ())

    def _fitting(self, name: str, role: str) -> tuple[str, list[IndexedModel]]:
        if self._named is None:
            self._named = {}
            for each in self._models:
                for key in {_stem(os.path.basename(each.path).lower()), each.header.alias.lower()} - {""}:
                    self._named.setdefault(key, []).append(each)
        lowered = name.lower()
        last = lowered.rpartition("/")[2]
        near = {each.path: each for key in (_stem(last), last) for each in self._named.get(key, ())}.values()
        paths = [(each, each.path.replace(os.sep, "/")) for each in near if not _is_for_other(each, role)]
        for by, fitting in (
            ("name", [each for each, path in paths if path.endswith("/" + name)]),
            ("case", [each for each, path in paths if path.lower().endswith("/" + lowered)]),
            ("stem", [each for each, path in paths if _stem(path.lower()).endswith("/" + lowered)]),
            ("alias", [each for each, _ in paths if each.header.alias.lower() == lowered]),
        ):
            if unchanged := [each for each in fitting if not each.changed()]:
                return by, unchanged
        return "", []


def _values(model: IndexedModel, kind: str) -> tuple[str, ...]:
    """All values of a kind that name a model."""
    hashes, recorded = model.hashes, model.header.addnet
    told: tuple[str, ...] = (getattr(hashes, kind),)
    if kind == "tensors":
        told = (hashes.tensors, recorded)
    elif kind == "autov3":
        # A1111 takes the recorded hash for LoRAs that have one, and that of the whole file for other formats.
        told = (hashes.autov3, recorded[:AUTOV3], "" if hashes.tensors else hashes.sha256[:AUTOV3])
    return tuple(filter(None, told))


def _contradicts(model: IndexedModel, asked: dict[str, str]) -> bool:
    return any((known := _values(model, kind)) and text not in known for kind, text in asked.items())


def _alike(kind: str) -> str:
    return "checkpoint" if kind == "diffusion_model" else kind  # programs load either as the other


def _kinds(model: IndexedModel) -> set[str]:
    """What a model is for, by its header and by its folder."""
    return {_alike(kind) for kind in (model.header.kind, folder_kind(model.path)) if kind}


def _is_for_other(model: IndexedModel, role: str) -> bool:
    kinds = _kinds(model)
    return bool(kinds) and role in KINDS and _alike(role) not in kinds


def _is_whole_name(path: str, name: str) -> bool:
    """Whether a name has all folders below the model folder, as ComfyUI writes it."""
    return name_below_folder(path).lower() in (name.lower(), name.lower() + os.path.splitext(path)[1].lower())


def _stem(path: str) -> str:
    """A path without the extension of a model; others, as in ``style_v1.5``, are part of the name."""
    stem, suffix = os.path.splitext(path)
    return stem if suffix[1:].lower() in SUFFIXES else path
