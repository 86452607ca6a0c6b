"""Ready-made configurations for trainers, with absolute paths to this dataset, written anew at each export.

Paths and options follow each trainer's documentation and source code. All of them read the flat folder of media with a
one-line caption beside each.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regenstore.errors import InvalidInput
from regenstore.export.dataset.card import FOLDERS
from regenstore.export.dataset.row import whole_text


@dataclass(frozen=True)
class Training:
    """The train split as trainers see it. ``samples`` yields (file name in the folder, caption), of all media or of
    those with one frame rate; it can be called repeatedly."""

    root: str
    """The dataset's final location, absolute."""
    kind: str
    samples: Callable[..., Iterator[tuple[str, str]]]
    rates: tuple[float, ...] = ()
    """The frame rates of the videos."""
    frames: tuple[int, int] | None = None
    """Fewest and most frames of the videos, at the lowest rate to which models convert them."""
    size: tuple[int, int] | None = None
    """The most frequent width and height."""

    @property
    def folder(self) -> str:
        return f"{self.root}/train/{FOLDERS[self.kind]}"

    def fitting(self, wanted: int, *, longest: bool = False) -> int:
        """The largest number of frames up to ``wanted`` that all clips have (or with ``longest``, any): 4n + 1, as
        video models need it."""
        there = wanted if self.frames is None else self.frames[longest]
        return max(1, (min(wanted, there) - 1) // 4 * 4 + 1)

    def resolution(self, area: int) -> list[int]:
        """Width and height for training: those of most samples, no larger than ``area``, in steps of 16."""
        width, height = self.size or (960, 544)
        scale = min(1.0, (area / (width * height)) ** 0.5)
        return [max(16, int(side * scale / 16 + 0.5) * 16) for side in (width, height)]


def _toml(values: Mapping[str, object]) -> str:
    import tomli_w

    return tomli_w.dumps(values)


def _musubi(given: Training) -> dict[str, str]:
    """It converts a clip by the rate of its whole dataset: with several rates, each is a dataset with a list."""
    general = {
        "resolution": given.resolution(960 * 544), "caption_extension": ".txt", "batch_size": 1, "enable_bucket": True,
    }  # fmt: skip
    cache = f"{given.root}/.cache-musubi"
    frames = {"target_frames": sorted({1, given.fitting(25)}), "frame_extraction": "head"}
    if given.kind == "image" or len(given.rates) < 2:
        dataset: dict[str, object] = {f"{given.kind}_directory": given.folder, "cache_directory": cache}
        if given.kind == "video":
            dataset |= frames | ({"source_fps": given.rates[0]} if given.rates else {})
        return {"musubi.toml": _toml({"general": general, "datasets": [dataset]})}
    files, datasets = {}, []
    for rate in given.rates:
        listed = ({"video_path": f"{given.folder}/{name}", "caption": caption} for name, caption in given.samples(rate))
        name = f"musubi-{rate:g}fps.jsonl"
        files[name] = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in listed)
        place = {"video_jsonl_file": f"{given.root}/trainers/{name}", "cache_directory": f"{cache}/{rate:g}fps"}
        datasets.append(place | frames | {"source_fps": rate})
    return {"musubi.toml": _toml({"general": general, "datasets": datasets}), **files}


def _sd_scripts(given: Training) -> dict[str, str]:
    subset = {"image_dir": given.folder, "num_repeats": 1}
    dataset = {"resolution": 1024, "batch_size": 1, "subsets": [subset]}
    return {"sd-scripts.toml": _toml({"general": {"caption_extension": ".txt"}, "datasets": [dataset]})}


def _diffusion_pipe(given: Training) -> dict[str, str]:
    values: dict[str, object] = {"resolutions": [512], "enable_ar_bucket": True}
    if given.kind == "video":
        values["frame_buckets"] = sorted({1, given.fitting(33), given.fitting(33, longest=True)})
    return {"diffusion-pipe.toml": _toml({**values, "directory": [{"path": given.folder, "num_repeats": 1}]})}


def _ai_toolkit(given: Training) -> dict[str, str]:
    frames = f"    num_frames: {given.fitting(41)}\n" if given.kind == "video" else ""
    # JSON strings are valid YAML, except for characters that YAML treats as line ends or unprintable.
    quoted = json.dumps(given.folder, ensure_ascii=False)
    folder = re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", quoted)
    text = f'datasets:\n  - folder_path: {folder}\n    caption_ext: "txt"\n{frames}'
    return {"ai-toolkit.yaml": text + "    resolution: [512, 768]\n"}


def _simpletuner(given: Training) -> dict[str, str]:
    entry: dict[str, object] = {
        "id": "train", "type": "local", "dataset_type": given.kind, "instance_data_dir": given.folder,
        "caption_strategy": "textfile", "resolution": 512, "resolution_type": "pixel_area",
        "cache_dir_vae": f"{given.root}/.cache-simpletuner/vae",
    }  # fmt: skip
    if given.kind == "video":
        entry["video"] = dict.fromkeys(("num_frames", "min_frames"), given.fitting(25))
    text_embeds = {
        "id": "text", "type": "local", "dataset_type": "text_embeds", "default": True,
        "cache_dir": f"{given.root}/.cache-simpletuner/text",
    }  # fmt: skip
    return {"simpletuner.json": json.dumps([entry, text_embeds], indent=1, ensure_ascii=False) + "\n"}


def _diffsynth(given: Training) -> dict[str, str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([given.kind, "prompt"])
    for name, caption in given.samples():
        writer.writerow([f"train/{FOLDERS[given.kind]}/{name}", caption])
    return {"diffsynth.csv": out.getvalue()}


def _finetrainers(given: Training) -> dict[str, str]:
    names, captions = io.StringIO(), io.StringIO()
    for name, caption in given.samples():
        names.write(f"train/{FOLDERS[given.kind]}/{name}\n")
        captions.write(caption + "\n")
    return {"videos.txt": names.getvalue(), "prompts.txt": captions.getvalue()}


def _llava(given: Training) -> dict[str, str]:
    records = [
        {
            "id": name.partition(".")[0],
            given.kind: f"train/{FOLDERS[given.kind]}/{name}",
            "conversations": [
                {"from": "human", "value": f"<{given.kind}>\nDescribe this {given.kind}."},
                {"from": "gpt", "value": caption},
            ],
        }
        for name, caption in given.samples()
    ]
    return {"llava.json": json.dumps(records, indent=0, ensure_ascii=False) + "\n"}


TRAINERS: dict[str, tuple[tuple[str, ...], Callable[[Training], dict[str, str]]]] = {
    "musubi": (("video", "image"), _musubi),
    "sd-scripts": (("image",), _sd_scripts),
    "diffusion-pipe": (("video", "image"), _diffusion_pipe),
    "ai-toolkit": (("video", "image"), _ai_toolkit),
    "simpletuner": (("video", "image"), _simpletuner),
    "diffsynth": (("video", "image"), _diffsynth),
    "finetrainers": (("video",), _finetrainers),
    "llava": (("video", "image"), _llava),
}
"""Name -> the kinds of media it trains on, and the function that writes its configuration."""
DEFAULT = tuple(name for name in TRAINERS if name != "llava")


def check(names: Sequence[str], folder: str) -> tuple[str, ...]:
    """The selected trainers, by default the usual ones. Raises InvalidInput (``bad-export``). Configurations are
    UTF-8 and contain the dataset's path; there are none if that path is not UTF-8."""
    for name in names:
        if name not in TRAINERS and name != "none":
            raise InvalidInput("bad-export", f"--trainer {name}: expected one of {', '.join(TRAINERS)}, none")
    if names and "none" not in names and whole_text(folder) != folder:
        raise InvalidInput("bad-export", f"--trainer {names[0]}: its configuration is UTF-8 and cannot hold {folder}")
    return () if "none" in names or whole_text(folder) != folder else tuple(names) or DEFAULT


def configurations(given: Training, names: Sequence[str]) -> dict[str, bytes]:
    """File name -> content, for trainers that support such media."""
    found: dict[str, bytes] = {}
    for name in names:
        kinds, write = TRAINERS[name]
        if given.kind in kinds:
            found.update({file: text.encode() for file, text in write(given).items()})
    return found
