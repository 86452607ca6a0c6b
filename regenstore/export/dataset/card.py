"""The dataset card (README.md), whose front matter declares the splits to ``datasets``.

``version`` within ``configs`` changes with every export: ``datasets`` keys its cache by the configuration, and would
otherwise keep returning the old rows. A split without samples is not listed, as empty patterns and patterns without
matches are errors there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.row import COLUMNS, STRUCTS, Row
from regenstore.export.dataset.splits import SPLITS

FOLDERS = {"video": "videos", "image": "images", "audio": "audio"}
"""Kind of media -> the folder that contains them."""
BUILDERS = {"video": "videofolder", "image": "imagefolder", "audio": "audiofolder"}
_TASKS = {"video": "text-to-video", "image": "text-to-image", "audio": "text-to-audio"}
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_DTYPES = {"string": "string", "int": "int64", "float": "float64"}

SLOWEST = 16.0
"""The lowest frame rate to which video models convert clips; Wan's."""


@dataclass
class Summary:
    """Statistics over all samples for the card, collected row by row."""

    models: Counter[str] = field(default_factory=Counter)
    loras: Counter[str] = field(default_factory=Counter)
    scenes: Counter[str] = field(default_factory=Counter)
    suffixes: dict[str, set[str]] = field(default_factory=dict)
    """Split -> file extensions of its media, with the dot."""
    rates: dict[str, set[float | None]] = field(default_factory=dict)
    """Split -> frame rates of its media."""
    frames: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Split -> fewest and most frames of its videos, at no more than 16 frames per second."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Width and height of media."""
    faces: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def add(self, row: Row, suffix: str) -> None:
        model = " ".join(filter(None, (row["model"], row["model_revision"]))) or row["generator"] or "imported media"
        self.models[model] += 1
        self.loras.update(lora["name"] for lora in row["loras"])
        self.scenes[row["scene_type"] or "none given"] += 1
        self.suffixes.setdefault(row["split"], set()).add(suffix)
        self.rates.setdefault(row["split"], set()).add(row["fps"])
        if row["frames"]:
            frames = int(row["frames"] * min(1.0, SLOWEST / (row["fps"] or SLOWEST)))
            least, most = self.frames.get(row["split"], (frames, frames))
            self.frames[row["split"]] = min(least, frames), max(most, frames)
        if row["width"] and row["height"]:
            self.sizes[row["width"], row["height"]] += 1
        self.faces += len(row["faces"])
        self.seconds += row["duration"] or 0.0
        self.bytes += row["size"]


def card(manifest: Manifest, summary: Summary, shards: Mapping[str, Sequence[str]], name: str, license: str) -> bytes:
    """The card. ``shards``: split -> names of its archives, for layouts that have them."""
    counts = manifest.counts
    splits = [split for split in SPLITS if counts.get(split)]
    total = sum(counts.values())
    size = next((label for bound, label in _SIZES if total < bound), "n>1M")
    head = [
        "---",
        f"license: {_yaml(license)}",
        f"pretty_name: {_yaml(name)}",
        f"task_categories: [{_TASKS.get(manifest.kind, 'other')}]",
        f"size_categories: [{_yaml(size)}]",
        "tags: [synthetic, regenstore]",
        "configs:",
        "- config_name: default",
        "  default: true",
        f"  version: {manifest.version}",
        "  data_files:",
    ]
    for split in splits:
        paths = ", ".join(_yaml(path) for path in _patterns(manifest, summary, shards, split))
        head.append(f"  - {{split: {split}, path: [{paths}]}}")
    if manifest.layout == "webdataset":
        head += _features(manifest.kind, sorted(set().union(*summary.suffixes.values())))
    body = _body(manifest, summary, name, splits, total)
    return ("\n".join([*head, "---", *body]) + "\n").encode()


def _patterns(manifest: Manifest, summary: Summary, shards: Mapping[str, Sequence[str]], split: str) -> Iterable[str]:
    if manifest.layout in ("zip-splits", "webdataset"):
        yield from shards[split]
        return
    yield f"{split}/metadata.parquet"
    for suffix in sorted(summary.suffixes[split]):
        yield f"{split}/{FOLDERS[manifest.kind]}/*{suffix}"


def _features(kind: str, suffixes: Sequence[str]) -> Iterable[str]:
    """Types of the fields in a shard's samples; ``datasets`` would otherwise guess them from the first five."""
    yield "dataset_info:"
    yield "  features:"
    for suffix in suffixes:
        yield f"  - {{name: {suffix[1:]}, dtype: {kind}}}"
    yield "  - {name: txt, dtype: string}"
    yield "  - name: json"
    yield "    struct:"
    for name, type_ in [
        *((column.name, column.type) for column in COLUMNS if column.name != "group"),
        ("recipe", "string"),
    ]:
        if type_ in _DTYPES:
            yield f"    - {{name: {name}, dtype: {_DTYPES[type_]}}}"
        elif type_ == "strings":
            yield f"    - {{name: {name}, list: string}}"
        else:
            parts = ", ".join(f"{{name: {part}, dtype: {_DTYPES[each]}}}" for part, each in STRUCTS[type_])
            yield f"    - name: {name}"
            yield f"      list: [{parts}]"
    yield "  - {name: __key__, dtype: string}"
    yield "  - {name: __url__, dtype: string}"


def _body(manifest: Manifest, summary: Summary, name: str, splits: Sequence[str], total: int) -> Iterable[str]:
    yield from ("", f"# {_plain(name)}", "")
    hours = f", {summary.seconds / 60:.1f} minutes" if summary.seconds else ""
    yield f"{total} generated {manifest.kind} samples{hours}, {summary.bytes / 1e6:.1f} MB, exported by regenstore"
    yield f"(version {manifest.version}" + (f", revision {manifest.revision}" if manifest.revision else "") + ")."
    yield from ("", "| split | samples |", "| --- | --- |")
    for split in splits:
        yield f"| {split} | {manifest.counts[split]} |"
    yield ""
    yield "Samples of one group (" + ", ".join(manifest.split.get("group_by", ())) + ") are never in two splits."
    for title, counted in (("model", summary.models), ("LoRA", summary.loras), ("scene type", summary.scenes)):
        if counted:
            yield from ("", f"| {title} | samples |", "| --- | --- |")
            for each, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:50]:
                yield f"| {_plain(each)} | {count} |"
    if manifest.filters:
        yield from ("", "Chosen by:", "", *(f"* `{_plain(shown)}`" for shown in manifest.filters))
    if summary.faces:
        yield from ("", f"`faces/` has {summary.faces} crops of detected faces, which may show people.")
    yield from ("", "## Loading", "", "```python")
    yield from _loading(manifest, sorted(set().union(*summary.suffixes.values())))
    yield "```"


def _loading(manifest: Manifest, suffixes: Sequence[str]) -> Iterable[str]:
    if manifest.layout == "webdataset":
        names = ", ".join(f'"{suffix[1:]}"' for suffix in suffixes)
        decode = '.decode("pil")' if manifest.kind == "image" else ""
        yield "import io"
        yield "import webdataset as wds"
        yield f'samples = wds.WebDataset("train-000000.tar", shardshuffle=False){decode}'
        yield f"media = (next(sample[name] for name in ({names},) if name in sample) for sample in samples)"
        if manifest.kind != "image":
            yield "import av  # pip install av"
            yield "opened = (av.open(io.BytesIO(data)) for data in media)"
    elif manifest.kind != "image":
        yield "# datasets decodes these with torchcodec: pip install 'datasets' torchcodec"
    yield "from datasets import load_dataset"
    builder = BUILDERS[manifest.kind]
    if manifest.layout == "zip-splits":
        yield f'dataset = load_dataset("{builder}", data_dir="PATH")  # or load_dataset("PATH")'
    else:
        yield 'dataset = load_dataset("PATH")' + ("  # of the unzipped folder" if manifest.layout == "zip" else "")


def _yaml(text: str) -> str:
    """Format a text as a YAML scalar; JSON strings are valid YAML."""
    return json.dumps(text)


def _plain(text: str) -> str:
    """Escape text for a Markdown table, so that none of it is markup."""
    return (
        " ".join("".join(c if c.isprintable() else " " for c in text).split())
        .replace("|", "\\|")
        .replace("`", "'")
        .replace("<", "&lt;")[:200]
    )
