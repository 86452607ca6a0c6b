"""Per-frame video measurements with FFmpeg's filters: one value per decoded frame and column.

Columns, with the FFmpeg filters they come from:

    time         seconds since the first frame, by the file's own timestamps
    motion       mean absolute difference from the previous frame, 0 to 100 (scdet, ``mafd``)
    scene_score  likelihood of a cut at this frame, 0 to 100 (scdet, ``score``)
    luma_avg     mean luma, 0 to 255 (signalstats, YAVG)
    luma_diff    mean luma difference from the previous frame, 0 to 255 (signalstats, YDIF)
    saturation   mean saturation, 0 to 181 (signalstats, SATAVG)
    blur         perceived blur, from about 1 (sharp) upwards (blurdetect)
    blockiness   strength of an 8-pixel block grid, from about 1 (none) upwards (blockdetect, native pixels)
    entropy      entropy of luma, 0 to 1 (entropy, normalized)
    black        1 for a black picture, 98 % of its pixels below 10 % luma (blackdetect); else 0
    frozen       1 within at least a quarter of a second without change (freezedetect, -60 dB); else 0

All but ``blockiness`` are measured on 8-bit pixels at a size of at most 960 x 540.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from av.filter import Graph

from regenstore.media.decode import stored_frames
from regenstore.media.frame_table import FrameMetrics

_BLOCK = "lavfi.block"
_KEYS = {
    "motion": "lavfi.scd.mafd",
    "scene_score": "lavfi.scd.score",
    "luma_avg": "lavfi.signalstats.YAVG",
    "luma_diff": "lavfi.signalstats.YDIF",
    "saturation": "lavfi.signalstats.SATAVG",
    "blur": "lavfi.blur",
    "blockiness": _BLOCK,
    "entropy": "lavfi.entropy.normalized_entropy.normal.Y",
}
_CHAIN = (
    ("scale", "w='min(960,iw)':h='min(540,ih)':force_original_aspect_ratio=decrease:force_divisible_by=2:flags=area"),
    ("format", "pix_fmts=yuv420p"),
    ("signalstats", ""),
    ("entropy", ""),
    ("scdet", ""),
    ("blurdetect", ""),
    ("freezedetect", "n=-60dB:d=0.25"),
    ("blackdetect", "d=0"),
)
_NOT_KNOWN = float("nan")


def measure(path: str, media_type: str, told: Callable[[float], None]) -> FrameMetrics:
    """Measure every frame of a video; ``told`` is called with the progress, 0 to 1. Raises ValueError if it cannot
    be read."""
    columns: dict[str, array[float]] = {name: array("d") for name in ("time", *_KEYS)}
    begun: dict[str, list[float]] = {"black": [], "frozen": []}
    ended: dict[str, list[float]] = {"black": [], "frozen": []}
    at: list[float] = []
    for seconds, values, done in _measured(path, media_type):
        at.append(seconds)
        columns["time"].append(seconds - at[0])
        for name, key in _KEYS.items():
            value = float(values.get(key, _NOT_KNOWN))
            columns[name].append(
                value if math.isfinite(value) else _NOT_KNOWN
            )  # in a picture without any edge, for instance
        for name, event in (("black", "lavfi.black"), ("frozen", "lavfi.freezedetect.freeze")):
            for times, edge in ((begun, "start"), (ended, "end")):
                if f"{event}_{edge}" in values:
                    times[name].append(float(values[f"{event}_{edge}"]))
        told(done)
    for name in begun:
        columns[name] = _within(at, begun[name], ended[name])
    told(1.0)
    return FrameMetrics(len(at), columns)


def _within(at: list[float], begun: list[float], ended: list[float]) -> array[float]:
    """1 for times inside a span, else 0. A span without an end lasts to the last frame."""
    inside = array("d", bytes(8 * len(at)))
    for number, start in enumerate(begun):
        end = ended[number] if number < len(ended) else float("inf")
        for frame, seconds in enumerate(at):
            # The filters print times with six digits.
            if start - 1e-5 <= seconds < end - 1e-5:
                inside[frame] = 1.0
    return inside


def _measured(path: str, what: str) -> Iterator[tuple[float, Mapping[str, str], float]]:
    """Every frame's time in seconds, what the filters say of it, and how much of the video is done."""
    graph: Graph | None = None
    blocks: deque[str] = deque()
    for frame, done in stored_frames(path, what):
        if graph is None:
            first, graph = frame, _graph(frame, _CHAIN)
        elif _shape(frame) != _shape(first):
            frame = _like(frame, first)
        blocks.append(_blockiness(frame))
        graph.push(frame)
        for seconds, values in _pulled(graph):
            yield seconds, {**values, _BLOCK: blocks.popleft()}, done
    if graph is not None:
        graph.push(None)
        for seconds, values in _pulled(graph):
            yield seconds, {**values, _BLOCK: blocks.popleft()}, 1.0


def _graph(frame: Any, chain: Sequence[tuple[str, str]], threads: int = 0) -> Graph:
    graph = Graph()
    graph.threads = threads
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    for name, arguments in chain:
        following = graph.add(name, arguments)
        last.link_to(following)
        last = following
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _blockiness(frame: Any) -> str:
    """blockdetect returns the mean over all frames so far; therefore each frame gets a separate filter."""
    graph = _graph(frame, (("blockdetect", ""),), threads=1)
    graph.push(frame)
    found: Any = graph.pull()
    return str(found.metadata.get(_BLOCK, "nan"))


def _pulled(graph: Graph) -> Iterator[tuple[float, Mapping[str, str]]]:
    while True:
        try:
            frame: Any = graph.pull()
        except (BlockingIOError, EOFError):
            return
        yield float(frame.pts * frame.time_base), frame.metadata


def _shape(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _like(frame: Any, first: Any) -> Any:
    """Convert a frame to the size and pixel format of the first; some streams change theirs midway."""
    other = frame.reformat(first.width, first.height, first.format.name)
    other.pts, other.time_base = frame.pts, frame.time_base
    return other
