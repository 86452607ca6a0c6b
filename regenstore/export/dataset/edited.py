"""Files of a dataset in a folder that were edited by hand. An update keeps captions, the card and trainers'
configurations as they were edited; edited files that it has to replace or remove go to the folder ``edited``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.sinks import ASIDE, ExportedFile, Sink
from regenstore.fs import presence
from regenstore.objects.hashing import hash_bytes

CARD = "README.md"
_LISTS = ("llava.json", ".csv", ".txt", ".jsonl")
"""How the names of trainers' files end that list the samples, and so have to follow them."""
_OURS = ("configs", "dataset_info")
"""Entries of the card's front matter that loaders need up to date."""
_SHOWN = 5


@dataclass
class EditedFiles:
    """The edited files of an existing dataset, by path, and what was done with them."""

    out: str
    captions: dict[str, bytes] = field(default_factory=dict)
    """Key of the sample -> its caption."""
    described: dict[str, bytes] = field(default_factory=dict)
    """Name of a description -> its bytes."""
    kept: dict[str, str] = field(default_factory=dict)
    """Key of the sample, or name of the description -> where it stays as it was edited."""
    aside: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, out: str, previous: Manifest | None) -> EditedFiles:
        """Find them. Raises StorageError (``unreadable``)."""
        found = cls(out)
        if previous is None or not presence.is_folder(out):
            return found
        for key, entry in previous.samples.items():
            for stored in entry.files:
                if stored.path.endswith(".txt") and (data := _edited(out, stored)) is not None:
                    found.captions[key], found.kept[key] = data, stored.path
        texts = (each for each in previous.files if each.path in (CARD, "croissant.json") or "trainers/" in each.path)
        edited = ((each.path, _edited(out, each)) for each in texts)
        found.described = {path: data for path, data in edited if data is not None}
        found.kept |= {path: path for path in found.described}
        return found

    def is_caption(self, key: str, stored: ExportedFile) -> bool:
        return key in self.captions and stored.path.endswith(".txt")

    def put_caption(self, sink: Sink, key: str, name: str, ours: bytes) -> ExportedFile:
        """Put a sample's caption into a sink, as it was edited if it was."""
        if key not in self.captions:
            return sink.put_bytes(name, ours)
        self.kept[key] = name
        return _recorded(sink.put_bytes(name, self.captions[key]), ours)

    def put_description(self, sink: Sink, name: str, ours: bytes) -> ExportedFile:
        """Put a description into a sink: as it was edited, if that can stay."""
        edited = self.described.pop(name, None)
        if edited is None:
            return sink.put_bytes(name, ours)
        stays = None
        if name == CARD:
            stays = with_our_head(edited, ours)
        elif name.startswith("trainers/") and not name.endswith(_LISTS):
            stays = edited
        if stays is None:
            self._put_aside(sink, name, edited, name)
            return sink.put_bytes(name, ours)
        return _recorded(sink.put_bytes(name, stays), ours)

    def put_aside(self, sink: Sink, gone: Iterable[ExportedFile], key: str = "") -> None:
        """Keep the edited files among those that an update removes."""
        for stored in gone:
            edited = self.captions.get(key) if key else self.described.pop(stored.path, None)
            if edited is not None and (not key or stored.path.endswith(".txt")):
                self._put_aside(sink, stored.path, edited, key or stored.path)

    def _put_aside(self, sink: Sink, name: str, data: bytes, known_as: str) -> None:
        free, number = f"{ASIDE}/{name}", 1
        while presence.lstat(os.path.join(self.out, free)) is not None:
            number += 1
            free = f"{ASIDE}/{number}/{name}"
        sink.put_bytes(free, data)
        self.aside.append(free)
        self.kept.pop(known_as)

    def notes(self) -> list[str]:
        """What to tell the user."""
        kept = f"kept as edited by hand (the tables have the recipe's captions): {_some([*self.kept.values()])}"
        return [kept] * bool(self.kept) + [f"edited by hand, now in {_some(self.aside)}"] * bool(self.aside)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


def _edited(out: str, stored: ExportedFile) -> bytes | None:
    """The bytes of a file that is not as recorded; None if it is, or is gone."""
    path = os.path.join(out, stored.path)
    if stored.inside is not None or not presence.is_file(path):
        return None
    data = presence.read(path)
    return None if data is None or str(hash_bytes(data)) == stored.digest else data


def _recorded(put: ExportedFile, ours: bytes) -> ExportedFile:
    """The entry of an edited file in the manifest: what we would have written, so that it still counts as edited."""
    return replace(put, size=len(ours), digest=str(hash_bytes(ours)))


def with_our_head(edited: bytes, ours: bytes) -> bytes | None:
    """An edited card with what loaders need from ours; None if its front matter cannot be told apart."""
    theirs, body = _front(edited)
    new, _ = _front(ours)
    if theirs is None or new is None:
        return None
    made = [block for name, block in theirs.items() if name not in _OURS]
    made += [new[name] for name in _OURS if name in new]
    return b"---\n" + b"".join(made) + body


def _front(card: bytes) -> tuple[dict[str, bytes] | None, bytes]:
    """The entries of a card's front matter by name, and everything from its closing line on."""
    lines = card.splitlines(keepends=True)
    if not lines or lines[0].strip() != b"---":
        return None, card
    blocks: dict[str, bytes] = {}
    name = ""
    for at, line in enumerate(lines[1:], 1):
        if line.strip() == b"---":
            return blocks, b"".join(lines[at:])
        if line[:1] not in (b" ", b"-", b"\t", b"#", b"\n", b"\r"):
            name = line.partition(b":")[0].decode(errors="replace").strip()
        blocks[name] = blocks.get(name, b"") + line
    return None, card
