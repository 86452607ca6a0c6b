"""Exporting a dataset of small videos: against copying or packing its files, and what an update of a few costs."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator

import av
import numpy as np

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.ground import Ground
from benchmarks.measure import Row, Sample, timed
from benchmarks.memory import peak
from benchmarks.trees import REGENSTORE, Shape, Tree

SIZE = 40_000
GOAL, GOAL_UPDATE, GOAL_GROWTH = 1.5, 0.05, 10.0
_PEERS = {"dir": "cp -r -t", "zip": "zip -0 -q -r", "zip-splits": "zip -0 -q -r", "webdataset": "tar -cf"}
LAYOUTS = tuple(_PEERS)


def rows(bench: Bench) -> Iterator[Row]:
    if why := bench.unavailable.get("zip"):
        yield Row("export of a dataset", "zip -0", GOAL, skipped=why)
        return
    shape = Shape(1000 if bench.quick else 10_000, SIZE)
    ground = bench.plain
    with bench.folder(ground, "dataset") as folder:
        tree = _film(ground, f"{folder}/film", shape)
        out = f"{folder}/out"
        export(tree, out, "dir")  # media are looked at for the first time
        for layout in LAYOUTS:
            yield from _layout(bench, tree, out, layout, shape)
        least = 1000 if bench.quick else 2500
        small, large = (_memory(ground, f"{folder}/{count}", count) for count in (least, 4 * least))
        work = f"peak memory of exporting {4 * least:,} samples, beside {least:,}"
        grown = (large - small) * 1024 / (3 * least)
        yield Row(work, "", GOAL_GROWTH, [grown], unit="KiB a sample", note=f"{small:.0f} and {large:.0f} MiB")


def _layout(bench: Bench, tree: Tree, base: str, layout: str, shape: Shape) -> Iterator[Row]:
    rounds = [_round(tree, f"{base}-{layout}{number}", layout, shape, number) for number in range(bench.rounds(5))]
    full, theirs, update = ([each[at] for each in rounds] for at in range(3))
    peer = " ".join(_PEERS[layout].split()[:2]) + " of the same files"
    yield Row.of_samples(f"export dataset --format {layout} of {shape}", peer, GOAL, full, theirs)
    work = f"the same with --update, 1 % changed ({layout})"
    yield Row.of_samples(work, "the whole export", GOAL_UPDATE, update, full)


def _round(tree: Tree, out: str, layout: str, shape: Shape, number: int) -> tuple[Sample, Sample, Sample]:
    """An export to a new place, the peer's copy of it, and an update."""
    full = _settled(tree, lambda: export(tree, out, layout))
    same, peer = out, f"{out}-peer"
    if layout != "dir":
        same = f"{out}-same"
        export(tree, same, "dir")
    if layout == "dir":
        os.mkdir(peer)
    theirs = _settled(tree, lambda: _run(*_PEERS[layout].split(), peer, ".", cwd=same))
    tree.run("regenstore", "tag", *_paths(shape)[::100], f"rating={number}")
    tree.git("add", ".")
    update = _settled(tree, lambda: export(tree, out, layout, "--update"))
    for path in (out, same, peer):
        shutil.rmtree(path, ignore_errors=True)
    for path in (f"{out}.zip", f"{peer}.zip", peer):
        if os.path.isfile(path):
            os.unlink(path)
    return full, theirs, update


def _run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def export(tree: Tree, out: str, layout: str, *more: str) -> None:
    """Export all media of a tree."""
    tree.run("regenstore", "export", "dataset", out, "--format", layout, *more)


def _settled(tree: Tree, action: Callable[[], object]) -> Sample:
    tree.ground.settle()
    return timed(action)


def _film(ground: Ground, path: str, shape: Shape) -> Tree:
    """A repository of films of that size, each with bytes of its own."""
    film = _small_film()
    tree = trees.begin(REGENSTORE, path, ground, shape, path)
    tree.run("regenstore", "track", "*.mp4")
    for name in _paths(shape):
        os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
        with open(f"{path}/{name}", "wb") as file:
            # An MP4 may end with a box that readers skip.
            file.write(
                film + struct.pack(">I4s", shape.size - len(film), b"free") + os.urandom(shape.size - len(film) - 8)
            )
    tree.git("add", ".")
    tree.git("commit", "-q", "-m", "films")
    return tree


def _paths(shape: Shape) -> list[str]:
    return [name.replace(".bin", ".mp4") for name in shape.names()]


def _small_film() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(4):
            pixels = np.full((48, 64, 3), 40 + 30 * index, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def _memory(ground: Ground, folder: str, count: int) -> float:
    """MiB at most while that many samples are exported."""
    tree = _film(ground, folder, Shape(count, SIZE))
    export(tree, f"{folder}-first", "webdataset")
    return peak(tree, "regenstore", "export", "dataset", f"{folder}-out", "--format", "webdataset")
