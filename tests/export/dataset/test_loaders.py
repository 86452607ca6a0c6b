"""Foreign loaders open every format unmodified: samples, splits, types and bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from array import array
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from regenstore.export.dataset import trainers
from regenstore.export.dataset.row import COLUMNS, sample_key
from regenstore.export.dataset.selection import Limits
from regenstore.export.media_facts import FACES, FRAMES
from regenstore.media.frame_table import FrameMetrics
from regenstore.objects.fact_cache import ContentFacts
from tests.export.dataset.conftest import HUGE_SEED
from tests.export.dataset.studio import Studio

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("datasets") is None, reason="'datasets' is not installed (extra: loaders)"),
    pytest.mark.filterwarnings("default"),  # of libraries that are not ours
]
COUNTS = {"train": 3, "validation": 2, "test": 2}


@pytest.fixture
def load(tmp_path: Path):
    """Runs a script in a process of its own, with a cache of its own and without network; gives what it prints
    last, as JSON. ``load_dataset`` keeps state per process."""

    def run(script: str, *args: object) -> Any:
        environment = {
            **os.environ,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "PYTHONWARNINGS": "ignore",
            "HOME": str(tmp_path / "home"),
        }
        head = "import json, os, sys\nargs = sys.argv[1:]\n"
        # Without the interpreter's own end, at which threads of streaming readers sometimes abort the process.
        tail = "\nsys.stdout.flush()\nos._exit(0)\n"
        done = subprocess.run(
            [sys.executable, "-c", head + script + tail, *map(str, args)], env=environment, cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


HF = """
from datasets import load_dataset, Video, Image
def shown(found, column="video", feature=Video):
    out = {}
    for split, rows in found.items():
        rows = rows.cast_column(column, feature(decode=False))
        out[split] = [{**row, column: None, "file": row[column]["path"]} for row in rows]
    return out
"""


def check_rows(found: dict[str, list[dict[str, Any]]], studio: Studio, places: dict[str, str]) -> None:
    """The rows that a loader gave are those of the samples, with their types."""
    assert {split: len(rows) for split, rows in found.items()} == COUNTS
    rows = {row["source"]: (split, row) for split, each in found.items() for row in each}
    for path, split in places.items():
        assert rows[path][0] == split == rows[path][1]["split"]
        assert rows[path][1]["key"] == sample_key(path)
        assert rows[path][1]["digest"] == str(studio.media[path].digest)
        assert rows[path][1]["file"].split("::")[0].endswith(sample_key(path) + ".mp4")
    assert rows["shots/a.mp4"][1]["seed"] == str(HUGE_SEED)
    assert rows["shots/a.mp4"][1]["characters"] == ["val"]
    assert rows["shots/b.mp4"][1]["prompt"] == "2024-01-01"
    assert rows["shots/c.mp4"][1]["prompt"] == "null"
    assert rows["shots/e.mp4"][1]["prompt"] is None and rows["shots/e.mp4"][1]["failure_tags"] == ["melted"]
    assert rows["shots/f.mp4"][1]["prompt"] == "1234567890123456"
    assert rows["shots/f.mp4"][1]["steps"] == 30 and rows["shots/a.mp4"][1]["steps"] is None
    assert rows["shots/g.mp4"][1]["loras"] == [{"name": "a", "weight": 0.5}, {"name": "b", "weight": 1.0}]


CALLS = {
    "by path": "load_dataset(args[0])",
    "folder builder": "load_dataset('videofolder', data_dir=args[0])",
    "streaming": "load_dataset(args[0], streaming=True)",
    "folder builder, streaming": "load_dataset('videofolder', data_dir=args[0], streaming=True)",
}


@pytest.mark.parametrize("calls", [("by path", "folder builder, streaming"), ("folder builder", "streaming")], ids=str)
@pytest.mark.parametrize("layout", ["dir", "zip", "zip-splits"])
def test_datasets(difficult: Studio, tmp_path: Path, places, load, layout, calls):
    """Null-only columns, empty lists, huge seeds, prompts that look like dates, a character called val."""
    out = tmp_path / ("set.zip" if layout == "zip" else "set")
    difficult.export(out, layout=layout, explicit=places)
    if layout == "zip":
        with zipfile.ZipFile(out) as archive:
            archive.extractall(tmp_path / "set")
        out = tmp_path / "set"
    asked = ", ".join(f"shown({CALLS[call]})" for call in calls)
    for found in load(HF + f"print(json.dumps([{asked}]))", out):
        check_rows(found, difficult, places)


def test_several_kinds_load_as_their_readme_says(difficult: Studio, tmp_path: Path, load):
    difficult.add("still.png", prompt="a still")
    difficult.export_all(tmp_path / "set")
    script = (tmp_path / "set" / "README.md").read_text().split("```")[1].removeprefix("python")
    script = script.replace('"PATH/', '"' + str(tmp_path / "set") + "/")
    counts = "print(json.dumps([sum(len(rows) for rows in each.values()) for each in (videos, images)]))"
    assert load(script + counts) == [7, 1]


def test_datasets_sees_an_update_despite_its_cache(difficult: Studio, tmp_path: Path, load):
    out = tmp_path / "set"
    difficult.export(out)
    count = HF + "print(json.dumps(sum(len(rows) for rows in load_dataset(args[0]).values())))"
    assert load(count, out) == 7
    difficult.add("shots/h.mp4", prompt="new")
    difficult.export(out, update=True)
    assert load(count, out) == 8


def test_datasets_loads_pictures(studio: Studio, tmp_path: Path, load):
    for index in range(10):
        studio.add(f"plates/{index}.png", prompt=f"plate {index}", seed=index)
    studio.export(tmp_path / "set", Limits(kind="image"))
    script = HF + "d = load_dataset(args[0])['train']; print(json.dumps([len(d), d[0]['image'].size, d[0]['text']]))"
    count, size, text = load(script, tmp_path / "set")
    assert (count, size) == (8, [16, 12]) and text.startswith("plate")


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_webdataset(difficult: Studio, tmp_path: Path, places, load, streaming):
    out = tmp_path / "set"
    difficult.export(out, layout="webdataset", explicit=places)
    script = HF + f"d = load_dataset(args[0], streaming={streaming})\n" + (
        "print(json.dumps({s: [r['json'] | {'file': r['__key__'] + '.mp4'} for r in "
        "rows.cast_column('mp4', Video(decode=False))] for s, rows in d.items()}))"
    )  # fmt: skip
    check_rows(load(script, out), difficult, places)


@pytest.mark.skipif(find_spec("webdataset") is None, reason="'webdataset' is not installed")
def test_webdataset_itself(difficult: Studio, tmp_path: Path, places, load):
    difficult.export(tmp_path / "set", layout="webdataset", explicit=places)
    script = """
import hashlib, webdataset as wds
out = {}
for split in ("train", "validation", "test"):
    for sample in wds.WebDataset(f"{args[0]}/{split}-000000.tar", shardshuffle=False).decode():
        out[sample["__key__"]] = [split, hashlib.sha256(sample["mp4"]).hexdigest(), sample["json"]["seed"]]
print(json.dumps(out))
"""
    import hashlib

    found = load(script, tmp_path / "set")
    for path, split in places.items():
        told = found[sample_key(path)]
        assert told[:2] == [split, hashlib.sha256(Path(difficult.media[path].file).read_bytes()).hexdigest()]
    assert found[sample_key("shots/a.mp4")][2] == str(HUGE_SEED)


@pytest.mark.skipif(find_spec("torch") is None, reason="'torch' is not installed")
@pytest.mark.parametrize("layout", ["dir", "webdataset"])
def test_a_torch_data_loader(difficult: Studio, tmp_path: Path, places, load, layout):
    difficult.export(tmp_path / "set", layout=layout, explicit=places)
    read = {
        "dir": "load_dataset(args[0])['train'].remove_columns('video').select_columns(['key', 'text', 'width'])",
        "webdataset": "wds.WebDataset(args[0] + '/train-000000.tar', shardshuffle=False).to_tuple('__key__', 'txt')",
    }[layout]
    script = (
        HF
        + f"""
import webdataset as wds
from torch.utils.data import DataLoader
keys = []
for batch in DataLoader({read}, batch_size=2, num_workers=0):
    keys += batch["key"] if isinstance(batch, dict) else batch[0]
print(json.dumps(sorted(keys)))
"""
    )
    assert load(script, tmp_path / "set") == sorted(
        sample_key(path) for path, split in places.items() if split == "train"
    )


@pytest.mark.skipif(find_spec("torch") is None, reason="'torch' is not installed")
def test_a_torch_data_loader_of_frames(difficult: Studio, tmp_path: Path, places, load):
    """Batches of decoded videos, from two worker processes."""
    difficult.export(tmp_path / "set", explicit=places)
    (tmp_path / "clips.py").write_text("""
import av, numpy, torch, pyarrow.parquet as pq
class Clips(torch.utils.data.Dataset):
    def __init__(self, split):
        self.split, self.rows = split, pq.read_table(split + "/metadata.parquet").to_pylist()
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, at):
        row = self.rows[at]
        with av.open(self.split + "/" + row["file_name"]) as file:
            frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        return {"key": row["key"], "text": row["text"], "pixels": torch.from_numpy(numpy.stack(frames))}
""")
    script = """
sys.path.insert(0, "")
from clips import Clips
from torch.utils.data import DataLoader
batches = list(DataLoader(Clips(args[0] + "/train"), batch_size=3, num_workers=2, shuffle=True))
print(json.dumps([sorted(batches[0]["key"]), list(batches[0]["pixels"].shape), str(batches[0]["pixels"].dtype)]))
"""
    keys, shape, dtype = load(script, tmp_path / "set")
    assert keys == sorted(sample_key(path) for path, split in places.items() if split == "train")
    assert (shape, dtype) == ([3, 4, 24, 32, 3], "torch.uint8")


@pytest.mark.skipif(find_spec("mlcroissant") is None, reason="'mlcroissant' is not installed")
@pytest.mark.parametrize("layout", ["dir", "zip-splits", "webdataset"])
def test_croissant(difficult: Studio, tmp_path: Path, places, load, layout):
    difficult.export(tmp_path / "set", layout=layout, explicit=places)
    script = """
import logging
logging.disable(logging.CRITICAL)
import mlcroissant as mlc
found = mlc.Dataset(args[0] + "/croissant.json")
text = lambda value: value.decode() if isinstance(value, bytes) else value
names = ("source", "split", "seed")
rows = [{name: text(row[f"samples/{name}"]) for name in names} for row in found.records("samples")]
print(json.dumps([rows, list(found.metadata.ctx.issues.errors), len(list(found.records("splits")))]))
"""
    rows, errors, splits = load(script, tmp_path / "set")
    assert errors == [] and splits == 3
    assert {row["source"]: row["split"] for row in rows} == places
    assert next(row["seed"] for row in rows if row["source"] == "shots/a.mp4") == str(HUGE_SEED)


@pytest.mark.skipif(find_spec("pandas") is None, reason="'pandas' is not installed")
def test_pandas_and_pyarrow(difficult: Studio, tmp_path: Path, places, load):
    difficult.export(tmp_path / "set", explicit=places)
    script = """
import pandas, pyarrow.parquet as pq
frame = pandas.read_parquet(args[0] + "/samples.parquet")
table = pq.read_table(args[0] + "/train/metadata.parquet")
lines = pandas.read_json(args[0] + "/samples.jsonl", lines=True, dtype=False, convert_dates=False)
seed = frame[frame.source == "shots/a.mp4"].seed.item()
print(json.dumps([len(frame), seed, table.num_rows, table.schema.names, len(lines)]))
"""
    rows, seed, train, names, lines = load(script, tmp_path / "set")
    assert (rows, seed, train, lines) == (7, str(HUGE_SEED), 3, 7)
    assert names == ["file_name", *(column.name for column in COLUMNS)]


@pytest.fixture
def measured(difficult: Studio) -> Studio:
    """Frames of some videos measured, and in one of them faces found."""
    facts = ContentFacts(str(difficult.folder / "store"))
    unknown = float("nan")
    for name, motion in (("a", [unknown, 0.5, 1.0, 2.0]), ("d", [unknown] * 4)):
        table = FrameMetrics(4, {"motion": array("d", motion), "black": array("d", [0.0] * 4)})
        facts.put(difficult.media[f"shots/{name}.mp4"].digest, FRAMES, 1, table.to_bytes())
    columns = {"face_count": [1.0, unknown, 1.0, 0.0], "face_confidence": [0.99, unknown, 0.95, unknown]}
    columns |= {f"face_{side}": [4.0, unknown, 8.0, unknown] for side in "xywh"}
    table = FrameMetrics(4, {name: array("d", values) for name, values in columns.items()})
    facts.put(difficult.media["shots/a.mp4"].digest, FACES, 2, table.to_bytes())
    return difficult


@pytest.mark.parametrize("layout", ["dir", "webdataset", "zip-splits"])
def test_frame_tables_and_crops_of_faces(measured: Studio, tmp_path: Path, places, load, layout):
    measured.export(tmp_path / "set", layout=layout, explicit=places)
    script = """
import pandas
from datasets import load_dataset
tables = load_dataset("csv", data_files=args[0] + "/frames/*.csv")["train"]
frame = pandas.read_csv(args[0] + "/frames/" + args[1] + ".csv")
faces = load_dataset("imagefolder", data_dir=args[0] + "/faces")["train"]
print(json.dumps([
    [len(tables), str(tables.features["motion"]), str(tables.features["si"]), sorted(set(tables["split"]))],
    [len(frame), float(frame.motion.sum()), int(frame.blur.isna().sum()), list(frame.frame)],
    [[row["key"], row["character"], row["frame"], row["confidence"], row["image"].size] for row in faces],
]))
"""
    key = sample_key("shots/a.mp4")
    tables, frame, faces = load(script, tmp_path / "set", key)
    assert tables == [8, "Value('float64')", "Value('float64')", ["train", "validation"]]
    assert frame == [4, 3.5, 4, [0, 1, 2, 3]]
    assert faces == [[key, "val", 0, 0.99, [256, 256]], [key, "val", 2, 0.95, [256, 256]]]


@pytest.mark.skipif(find_spec("mlcroissant") is None, reason="'mlcroissant' is not installed")
@pytest.mark.parametrize("layout", ["dir", "zip-splits", "webdataset"])
def test_croissant_of_frames_and_faces(measured: Studio, tmp_path: Path, places, load, layout):
    measured.export(tmp_path / "set", layout=layout, explicit=places)
    script = """
import logging
logging.disable(logging.CRITICAL)
import mlcroissant as mlc
found = mlc.Dataset(args[0] + "/croissant.json")
text = lambda value: value.decode() if isinstance(value, bytes) else value
faces = [[text(row["faces/key"]), row["faces/frame"], row["faces/confidence"]] for row in found.records("faces")]
crops = [[text(row["face-crops/name"]), row["face-crops/image"].size] for row in found.records("face-crops")]
frames = [[text(row["frames/key"]), row["frames/frame"], row["frames/black"]] for row in found.records("frames")]
print(json.dumps([list(found.metadata.ctx.issues.errors), sorted(faces), sorted(crops), sorted(frames)], default=str))
"""
    errors, faces, crops, frames = load(script, tmp_path / "set")
    key, other = sample_key("shots/a.mp4"), sample_key("shots/d.mp4")
    assert errors == []
    assert faces == [[key, 0, 0.99], [key, 2, 0.95]]
    assert crops == [[f"{key}-000000-0.jpg", [256, 256]], [f"{key}-000002-0.jpg", [256, 256]]]
    assert frames == sorted([sample, frame, 0.0] for sample in (key, other) for frame in range(4))


def listing(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        assert path.is_file()
        yield path.suffix


@pytest.mark.parametrize("kind", ["video", "image"])
def test_configurations_name_any_folder(kind: str):
    import tomllib

    root = '/a "b" \\ \x7f \x85 \u2028 ü #'
    found = trainers.configurations(trainers.Training(root, kind, lambda: iter([]), (23.976,)), trainers.DEFAULT)
    read = {name: tomllib.loads(data.decode()) for name, data in found.items() if name.endswith(".toml")}
    folder = f"{root}/train/{kind}s"
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    assert yaml.safe_load(found["ai-toolkit.yaml"])["datasets"][0]["folder_path"] == folder
    assert read["musubi.toml"]["datasets"][0][f"{kind}_directory"] == folder
    assert read["diffusion-pipe.toml"]["directory"] == [{"path": folder, "num_repeats": 1}]
    if kind == "video":
        assert read["musubi.toml"]["datasets"][0]["source_fps"] == 23.976
        assert read["diffusion-pipe.toml"]["frame_buckets"] == [1, 33]
    else:
        assert read["sd-scripts.toml"]["datasets"][0]["subsets"] == [{"image_dir": folder, "num_repeats": 1}]


def test_trainers_find_only_media_and_captions(difficult: Studio, tmp_path: Path, places):
    """As musubi-tuner and diffusion-pipe look: a flat folder, each medium with a caption of one line."""
    import tomllib

    difficult.export(tmp_path / "set", explicit=places)
    with open(tmp_path / "set" / "trainers" / "musubi.toml", "rb") as file:
        folder = Path(tomllib.load(file)["datasets"][0]["video_directory"])
    assert folder == tmp_path / "set" / "train" / "videos"
    suffixes = list(listing(folder))
    assert suffixes.count(".mp4") == suffixes.count(".txt") == suffixes.count(".json") == 3 == len(suffixes) / 3
    names = (tmp_path / "set" / "trainers" / "videos.txt").read_text().splitlines()
    captions = (tmp_path / "set" / "trainers" / "prompts.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(names) == len(captions) == 3
    assert all((tmp_path / "set" / name).is_file() for name in names)
