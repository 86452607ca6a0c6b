"""``derive.video``: derive a video from other media. Frames are streamed: memory does not grow with length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from regenstore.generators.api import Item
from regenstore.generators.derive.geometry import Fitting, fitting, parse_crop
from regenstore.generators.derive.sources import all_named, fitted, named, only, picture, several
from regenstore.generators.implementation import InProcess, Tick
from regenstore.generators.overlay import burn_in
from regenstore.media import decode, sound
from regenstore.media.encode import Frame, MediaWriter, Samples, Sound
from regenstore.media.rates import exact_rate
from regenstore.media.stills import Pixels

Picture = Frame | Pixels


@dataclass(frozen=True)
class _Span:
    """A range of a source's frames: ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


class DeriveVideo(InProcess):
    """Operations: transform, concatenate, mux, stills."""

    name = "derive.video"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        operation = {"transform": _transform, "concatenate": _concatenate, "mux": _mux, "stills": _stills}
        operation[item.params["operation"]](item, path, tick)


# ------------------------------------------------------------------------------------------- operations


def _transform(item: Item, path: str, tick: Tick) -> None:
    source, what = only(item), named("source")
    info = _video(source, what)
    span = _span(item, info, source, what)
    track = _track(source, info, span, what) if item.params["audio"] and info.has_audio else None
    _write(item, path, info, _Source(source, what, span), track, tick)


def _mux(item: Item, path: str, tick: Tick) -> None:
    source, audio = only(item), only(item, "audio")
    info, heard = _video(source, named("source")), decode.inspect(audio, named("audio"))
    if not heard.has_audio:
        raise ValueError(f"{named('audio')} has no audio stream")
    span = _span(item, info, source, named("source"))
    _write(
        item, path, info, _Source(source, named("source"), span), _track(audio, heard, span, named("audio"), info), tick
    )


def _concatenate(item: Item, path: str, tick: Tick) -> None:
    """Join videos at the size and rate of the first; the others are letterboxed into it."""
    sources = several(item)
    infos = [_video(where, named(name)) for name, where in sources]
    first = infos[0]
    counts = [_count_at(where, info, first.rate, named(name)) for (name, where), info in zip(sources, infos)]
    size = fitting(first.width, first.height, item.params, even=True).outer
    heard = next((info for info in infos if info.has_audio), None) if item.params["audio"] else None
    format = None if heard is None else Sound(heard.sample_rate, heard.channels, heard.bits)

    def pictures() -> Iterator[Picture]:
        for (name, where), info, count in zip(sources, infos, counts):
            fit = fitting(info.width, info.height, {"width": size[0], "height": size[1], "fit": "pad"}, even=True)
            for frame in _at_rate(where, info, first.rate, count, named(name)):
                upright = decode.crop_frame(frame, None)
                yield upright if fit.inner == fit.outer else _framed(upright, fit)

    def blocks() -> Iterator[Samples]:
        assert heard is not None
        for (name, where), info, count in zip(sources, infos, counts):
            yield from _exactly(where, info, heard, count / first.rate, named(name))

    with MediaWriter(
        path, item.media_type, size=size, rate=first.rate, sound=format, quality=item.params["quality"]
    ) as writer:
        _interleave(
            writer,
            _stamped(pictures(), item, first.rate, Fitting(size, size)),
            None if heard is None else blocks(),
            sum(counts),
            first.rate,
            tick,
        )


def _stills(item: Item, path: str, tick: Tick) -> None:
    """Turn pictures into a video, holding each for ``hold`` frames."""
    sources = several(item)
    rate, hold = exact_rate(item.params["fps"]), int(item.params["hold"])
    name, where = sources[0]
    first = picture(where, name)
    size = fitting(first.shape[1], first.shape[0], item.params, even=True).outer

    def pictures() -> Iterator[Picture]:
        for name, where in sources:
            pixels = picture(where, name)[..., :3]
            wanted = {"width": size[0], "height": size[1], "fit": "pad"}
            ready = fitted(np.ascontiguousarray(pixels), fitting(pixels.shape[1], pixels.shape[0], wanted, even=True))
            for _ in range(hold):
                yield ready

    with MediaWriter(path, item.media_type, size=size, rate=rate, quality=item.params["quality"]) as writer:
        _interleave(writer, _stamped(pictures(), item, rate), None, len(sources) * hold, rate, tick)


# ------------------------------------------------------------------------------------------- parts of them


@dataclass(frozen=True)
class _Source:
    path: str
    what: str
    span: _Span


@dataclass(frozen=True)
class _Track:
    format: Sound
    blocks: Iterable[Samples]


def _video(path: str, what: str) -> decode.Info:
    info = decode.inspect(path, what)
    if not info.has_video:
        raise ValueError(f"{what} has no video stream")
    return info


def _span(item: Item, info: decode.Info, path: str, what: str) -> _Span:
    """The range of frames selected by start and duration, or first_frame and last_frame."""
    params, total = item.params, decode.frame_count(path, what)
    by_time, by_frame = {"start", "duration"} & params.keys(), {"first_frame", "last_frame"} & params.keys()
    if by_time and by_frame:
        raise ValueError("give start and duration, or first_frame and last_frame, not both")
    first, last = int(params.get("first_frame", 0)), int(params.get("last_frame", total - 1))
    if by_time:
        first = int(Fraction(str(params.get("start", 0))) * info.rate + Fraction(1, 2))
        if "duration" in params:
            last = first + max(1, int(Fraction(str(params["duration"])) * info.rate + Fraction(1, 2))) - 1
    last = min(last, total - 1)
    if first > last:
        raise ValueError(f"the cut of {what} would be empty: it begins at frame {first} of {total}")
    return _Span(first, last)


def _track(path: str, info: decode.Info, span: _Span, what: str, video: decode.Info | None = None) -> _Track:
    """The audio of a range of frames, padded with silence if it is shorter."""
    rate = (video or info).rate
    start = Fraction(0) if video is not None else span.first / rate
    length = int(span.count / rate * info.sample_rate + Fraction(1, 2))
    blocks = decode.sound_blocks(path, start=float(start), duration=float(span.count / rate), what=what)
    return _Track(Sound(info.sample_rate, info.channels, info.bits), _padded(blocks, info.channels, length))


def _padded(blocks: Iterable[Samples], channels: int, length: int) -> Iterator[Samples]:
    done = 0
    for block in blocks:
        part = block[:, : length - done]
        done += part.shape[1]
        if part.shape[1]:
            yield part
    while done < length:
        silence = min(length - done, 1 << 16)
        yield np.zeros((channels, silence), np.float32)
        done += silence


def _exactly(path: str, info: decode.Info, format: decode.Info, seconds: Fraction, what: str) -> Iterator[Samples]:
    """One source's audio in another's format, padded or cut to a length."""
    length = int(seconds * format.sample_rate + Fraction(1, 2))
    if not info.has_audio:
        return _padded((), format.channels, length)
    blocks: Iterable[Samples] = sound.remix(decode.sound_blocks(path, what=what), format.channels)
    return _padded(sound.resample(blocks, info.sample_rate, format.sample_rate), format.channels, length)


def _count_at(path: str, info: decode.Info, rate: Fraction, what: str) -> int:
    return max(1, int(decode.frame_count(path, what) * rate / info.rate + Fraction(1, 2)))


def _at_rate(path: str, info: decode.Info, rate: Fraction, count: int, what: str) -> Iterator[Frame]:
    """Yield ``count`` frames at another rate, repeating or skipping the source's: each is the nearest earlier one."""
    made = 0
    held: Frame | None = None
    for number, frame in decode.frames(path, what=what):
        held = frame
        while made < count and int(made * info.rate / rate) <= number:
            yield frame
            made += 1
    while held is not None and made < count:
        yield held
        made += 1


def _write(item: Item, path: str, info: decode.Info, source: _Source, track: _Track | None, tick: Tick) -> None:
    box = parse_crop(item.params["crop"], info.width, info.height)
    width, height = (info.width, info.height) if box is None else box[2:]
    fit = fitting(width, height, item.params, even=True)

    def pictures() -> Iterator[Picture]:
        for _, frame in decode.frames(source.path, first=source.span.first, last=source.span.last, what=source.what):
            part = decode.crop_frame(frame, box)
            yield part if fit.inner == fit.outer else _framed(part, fit)

    with MediaWriter(
        path,
        item.media_type,
        size=fit.outer,
        rate=info.rate,
        sound=None if track is None else track.format,
        quality=item.params["quality"],
    ) as writer:
        stamped = _stamped(pictures(), item, info.rate, fit)
        _interleave(writer, stamped, None if track is None else track.blocks, source.span.count, info.rate, tick)


def _framed(frame: Frame, fit: Fitting) -> Pixels:
    return fitted(decode.to_rgb(frame), fit)


def _stamped(pictures: Iterable[Picture], item: Item, rate: Fraction, fit: Fitting | None = None) -> Iterator[Picture]:
    """Burn shot name and timecode into the pictures if the recipe asks for it."""
    shot, timecode = item.params["shot"], item.params["timecode"]
    number = -1
    for number, shown in enumerate(pictures):
        if not shot and not timecode:
            yield shown
            continue
        pixels = (
            shown
            if isinstance(shown, np.ndarray)
            else decode.to_rgb(shown, *(fit.inner if fit is not None else (None, None)))
        )
        pixels = np.array(pixels)
        burn_in(pixels, shot, timecode, number, rate)
        yield pixels
    if number < 0:
        raise ValueError(f"no frame can be decoded in the selected part of {all_named(item)}")


def _interleave(
    writer: MediaWriter,
    pictures: Iterable[Picture],
    blocks: Iterable[Samples] | None,
    total: int,
    rate: Fraction,
    tick: Tick,
) -> None:
    """Write pictures, each followed by the audio up to its time, so that the file streams well."""
    track = iter(blocks) if blocks is not None else iter(())
    samples = 0
    for number, shown in enumerate(pictures):
        if isinstance(shown, np.ndarray):
            writer.picture(shown)
        else:
            writer.frame(shown)
        while writer.sound is not None and samples < (number + 1) / rate * writer.sound.rate:
            block = next(track, None)
            if block is None:
                break
            samples += block.shape[1]
            writer.samples(block)
        tick(number + 1, total, "frames")
    for block in track:
        writer.samples(block)
        tick(total, total, "sound")
