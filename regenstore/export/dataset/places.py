"""Split an export by kind of media, as loaders read one kind per dataset. Several kinds become separate datasets:
``OUT/video``, ``OUT/image`` and ``OUT/audio`` (for ``OUT.zip``: ``OUT-video.zip`` and so on)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from regenstore.errors import Conflict, InvalidInput
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset.card import FOLDERS
from regenstore.export.dataset.edited import CARD
from regenstore.export.dataset.order import DatasetOrder
from regenstore.export.dataset.sample_rows import KINDS, SampleRows
from regenstore.export.media_set import RecipePath
from regenstore.fs import durable, presence
from regenstore.media.types import kind


def place_of(out: str, each: str) -> str:
    """The location of the dataset for one kind."""
    return f"{out.removesuffix('.zip')}-{each}.zip" if out.endswith(".zip") else os.path.join(out, each)


def datasets_at(out: str) -> list[str]:
    """The datasets per kind at a location, if it is not a dataset itself; else just the location."""
    found = [place for each in KINDS if os.path.lexists(place := place_of(out, each))]
    if found and os.path.lexists(out) and (not os.path.isdir(out) or manifests.is_dataset(out)):
        found = []
    return [place for place in found if manifests.is_dataset(place)] or [out]


def put_card(out: str) -> None:
    """Say in a README how to load each of the datasets in a folder: one card cannot declare several kinds to loaders.
    Any other README there stays. Raises StorageError."""
    kinds = [each for each in KINDS if place_of(out, each) in datasets_at(out)]
    if not kinds or out.endswith(".zip"):
        return
    path = os.path.join(out, CARD)
    cards = [_card(some) for count in range(1, len(KINDS) + 1) for some in combinations(KINDS, count)]
    there = presence.read(path) if presence.lstat(path) is not None else None
    if there in (None, *cards) and there != _card(kinds):
        durable.write_file(path, _card(kinds))


def _card(kinds: Sequence[str]) -> bytes:
    calls = "\n".join(f'{FOLDERS[each]} = load_dataset("PATH/{each}")' for each in kinds)
    cards = "\n".join(f"* [{each}]({each}/{CARD})" for each in kinds)
    return f"""# Datasets by kind of media

Loaders read one kind of media per dataset, so each kind has a folder, which is a dataset with a card of its own:

{cards}

## Loading

```python
from datasets import load_dataset
{calls}
```
""".encode()


def parts(order: DatasetOrder, rows: SampleRows) -> list[tuple[DatasetOrder, SampleRows]]:
    """Split an order into one per dataset, each with its samples. Raises InvalidInput (``bad-export``), and Conflict
    (``exists``) if the location holds something else."""
    now = datasets_at(order.out)
    there = [each for each in KINDS if place_of(order.out, each) in now]
    kinds = [each for each in KINDS if any(kind(sample.medium.media_type) == each for sample in rows.samples)]
    if len(kinds) < 2 and not (order.update and there):
        return [(order, rows)]
    if not there:
        _refuse(order, kinds)
    gone = [each for each in there if each not in kinds and order.limits.kind in (None, each)]
    if order.update and gone:
        raise InvalidInput(
            "bad-export", f"no sample is left for {place_of(order.out, gone[0])}",
            hint="Remove that dataset, or select the kinds to update with --kind.",
        )  # fmt: skip
    name = f"{order.name} {{}}"
    return [
        (replace(order, out=place_of(order.out, each), name=name.format(each)), rows.of_kind(each)) for each in kinds
    ]


def _refuse(order: DatasetOrder, kinds: Sequence[str]) -> None:
    """Refuse to create datasets within something else."""
    told = " and ".join(kinds)
    if manifests.is_dataset(order.out):
        raise InvalidInput(
            "bad-export", f"{order.out} is a dataset of one kind of media, and these are {told}",
            hint="Select the kind with --kind, or choose another location.",
        )  # fmt: skip
    if os.path.isdir(order.out) and os.listdir(order.out):
        raise Conflict("exists", f"{order.out} is not a dataset of regenstore", hint="Choose another location.")


def outside_datasets(
    entries: Sequence[RecipePath], top: str, out: str, arguments: Sequence[bytes]
) -> tuple[list[RecipePath], list[str]]:
    """The entries without those that lie in datasets within the worktree ``top``, which are copies of others; also
    returns the folders of these datasets. Arguments inside a dataset other than ``out`` select its media after all."""
    own = os.fsencode(os.path.relpath(out, top))
    found = {b"": False}

    def inside(folder: bytes) -> bool:
        if folder not in found:
            place = os.path.join(top, os.fsdecode(folder))
            here = folder == own or manifests.is_dataset(place)
            meant = folder != own and any(each == folder or each.startswith(folder + b"/") for each in arguments)
            found[folder] = inside(os.path.dirname(folder)) or (here and not meant)
        return found[folder]

    kept = [entry for entry in entries if not inside(os.path.dirname(entry.path))]
    return kept, _topmost(folder for folder, here in found.items() if here)


def _topmost(folders: Iterable[bytes]) -> list[str]:
    there = set(folders)
    return [os.fsdecode(each) for each in sorted(there) if os.path.dirname(each) not in there]
