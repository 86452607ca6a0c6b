"""Ready-made configurations of trainers, with absolute paths of this dataset: written anew at each export.

Where each one looks, and what it takes, is as its own documentation and source say; they all read the flat
folder of media with a one-line caption beside each.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from regenstore.errors import InvalidInput
from regenstore.export.dataset.card import FOLDERS
from regenstore.export.dataset.row import whole_text


@dataclass(frozen=True)
class Training:
    """The train split, as trainers see it. ``samples`` gives (file name in the folder, caption) again and again."""

    root: str
    """Where the dataset will lie, absolute."""
    kind: str
    samples: Callable[[], Iterator[tuple[str, str]]]
    fps: float | None = None
    """Frames per second, where all samples have the same."""

    @property
    def folder(self) -> str:
        return f"{self.root}/train/{FOLDERS[self.kind]}"


def _quoted(text: str) -> str:
    """A string of TOML, JSON and YAML alike."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _musubi(given: Training) -> dict[str, str]:
    lines = ["[general]", 'caption_extension = ".txt"', "batch_size = 1", "enable_bucket = true", "", "[[datasets]]"]
    lines.append(f"{given.kind}_directory = {_quoted(given.folder)}")
    lines.append(f"cache_directory = {_quoted(given.root + '/.cache-musubi')}")
    if given.kind == "video":
        lines += ["target_frames = [1, 25]", 'frame_extraction = "head"']
        if given.fps:
            lines.append(f"source_fps = {float(given.fps)!r}")
    return {"musubi.toml": "\n".join(lines) + "\n"}


def _sd_scripts(given: Training) -> dict[str, str]:
    text = (
        '[general]\ncaption_extension = ".txt"\n\n[[datasets]]\nresolution = 1024\nbatch_size = 1\n\n'
        f"[[datasets.subsets]]\nimage_dir = {_quoted(given.folder)}\nnum_repeats = 1\n"
    )
    return {"sd-scripts.toml": text}


def _diffusion_pipe(given: Training) -> dict[str, str]:
    frames = "frame_buckets = [1, 33]\n" if given.kind == "video" else ""
    text = f"resolutions = [512]\nenable_ar_bucket = true\n{frames}\n[[directory]]\npath = {_quoted(given.folder)}\n"
    return {"diffusion-pipe.toml": text + "num_repeats = 1\n"}


def _ai_toolkit(given: Training) -> dict[str, str]:
    frames = "    num_frames: 41\n" if given.kind == "video" else ""
    text = f'datasets:\n  - folder_path: {_quoted(given.folder)}\n    caption_ext: "txt"\n{frames}'
    return {"ai-toolkit.yaml": text + "    resolution: [512, 768]\n"}


def _simpletuner(given: Training) -> dict[str, str]:
    entry: dict[str, object] = {
        "id": "train", "type": "local", "dataset_type": given.kind, "instance_data_dir": given.folder,
        "caption_strategy": "textfile", "resolution": 512, "resolution_type": "pixel_area",
        "cache_dir_vae": f"{given.root}/.cache-simpletuner/vae",
    }  # fmt: skip
    if given.kind == "video":
        entry["video"] = {"num_frames": 25, "min_frames": 25}
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
"""Name -> kinds of media that it trains on, and what writes its configuration."""
DEFAULT = tuple(name for name in TRAINERS if name != "llava")


def check(names: Sequence[str], folder: str) -> tuple[str, ...]:
    """The trainers that were asked for, else the usual ones; raises InvalidInput (``bad-export``). Configurations
    name the dataset's folder and are UTF-8: where the folder's path is not, there are none."""
    for name in names:
        if name not in TRAINERS and name != "none":
            raise InvalidInput("bad-export", f"--trainer {name}: expected one of {', '.join(TRAINERS)}, none")
    if names and "none" not in names and whole_text(folder) != folder:
        raise InvalidInput("bad-export", f"--trainer {names[0]}: its configuration is UTF-8, and cannot name {folder}")
    return () if "none" in names or whole_text(folder) != folder else tuple(names) or DEFAULT


def configurations(given: Training, names: Sequence[str]) -> dict[str, bytes]:
    """File name -> contents, for those that train on such media."""
    found: dict[str, bytes] = {}
    for name in names:
        kinds, write = TRAINERS[name]
        if given.kind in kinds:
            found.update({file: text.encode() for file, text in write(given).items()})
    return found
