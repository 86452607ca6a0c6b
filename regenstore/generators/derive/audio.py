"""``derive.audio``: derive audio from other media. Samples are streamed in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from regenstore.generators.api import Item
from regenstore.generators.derive.sources import all_named, named, only, several
from regenstore.generators.implementation import InProcess, Tick
from regenstore.media import decode, sound
from regenstore.media.encode import MediaWriter, Samples, Sound

BLOCK = 1 << 15


@dataclass(frozen=True)
class _Stream:
    """A stream of samples with its format and expected length."""

    blocks: Iterable[Samples]
    rate: int
    channels: int
    bits: int
    total: int


class DeriveAudio(InProcess):
    """Operations: transform and extract (one input), mix and concatenate (several)."""

    name = "derive.audio"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        operation = item.params["operation"]
        if operation in ("transform", "extract"):
            stream = _one(item, only(item), "source", tick)
        else:
            stream = _many(item, tick, join=operation == "concatenate")
        params = item.params
        blocks = sound.shaped(
            stream.blocks,
            rate=stream.rate,
            gain=float(params["gain"]),
            fade_in=float(params["fade_in"]),
            fade_out=float(params["fade_out"]),
            total=stream.total,
        )
        done = 0
        with MediaWriter(path, item.media_type, sound=Sound(stream.rate, stream.channels, stream.bits)) as writer:
            for block in blocks:
                writer.samples(block)
                done += block.shape[1]
                tick(min(done, stream.total), stream.total, "samples")
            if not done:
                raise ValueError(
                    f"the result would be empty: {all_named(item)} has no samples, or the cut begins after the end"
                )


def _heard(path: str, name: str) -> decode.Info:
    info = decode.inspect(path, named(name))
    if not info.has_audio:
        raise ValueError(f"{named(name)} has no audio stream")
    return info


def _one(item: Item, path: str, name: str, tick: Tick, like: decode.Info | None = None) -> _Stream:
    """One input, cut, in the channels and rate asked for; failing that, those of ``like``, else its own."""
    info = _heard(path, name)
    form = like or info
    params = item.params
    start, length = float(params.get("start", 0.0)), params.get("duration")
    channels, rate = int(params.get("channels", form.channels)), int(params.get("sample_rate", form.sample_rate))
    seconds = None if length is None else float(length)
    count = _count(path, start, seconds, name, tick)
    raw = decode.sound_blocks(path, start=start, duration=seconds, what=named(name))
    blocks = sound.resample(sound.remix(raw, channels), info.sample_rate, rate)
    total = -(-count * rate // info.sample_rate)
    return _Stream(blocks, rate, channels, int(params.get("bits", form.bits)), max(1, total))


def _count(path: str, start: float, length: float | None, name: str, tick: Tick) -> int:
    """The number of samples in a cut, counted by decoding, as containers round their durations."""
    count = 0
    for block in decode.sound_blocks(path, start=start, duration=length, what=named(name)):
        count += block.shape[1]
        tick(0, 1, "measuring")
    return count


def _many(item: Item, tick: Tick, *, join: bool) -> _Stream:
    """All inputs in the format of the first, joined or mixed."""
    sources = several(item)
    first = _heard(sources[0][1], sources[0][0])
    streams = [_one(item, path, name, tick, first) for name, path in sources]
    form = streams[0]
    if join:
        total = sum(stream.total for stream in streams)
        return _Stream(_after_each_other(streams), form.rate, form.channels, form.bits, total)
    blocks = sound.mixed([iter(stream.blocks) for stream in streams], form.channels, BLOCK)
    return _Stream(blocks, form.rate, form.channels, form.bits, max(stream.total for stream in streams))


def _after_each_other(streams: list[_Stream]) -> Iterator[Samples]:
    for stream in streams:
        yield from stream.blocks
