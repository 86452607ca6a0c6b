"""``procedural.audio``: audio synthesised from a prompt and a seed, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from regenstore.generators.api import Item
from regenstore.generators.implementation import InProcess, MediaWriter, Samples, Sound, Tick
from regenstore_procedural.mood import words_of
from regenstore_procedural.randomness import Floats, hashed, sine, smooth, stream

BLOCK = 1 << 14
SOUNDS: dict[str, str] = {
    "wind": "wind windy storm gale breeze desert mountain mountains blizzard snow air",
    "rain": "rain rainy drizzle downpour wet monsoon shower",
    "ocean": "sea ocean waves wave beach coast surf shore harbour harbor tide lake",
    "fire": "fire flames burning campfire embers lava inferno",
    "drone": "drone dark tension space nebula cosmic horror suspense night deep alien fog",
    "tone": "tone sine beep test calibration bell",
    "beat": "beat rhythm drums music techno pulse city neon club march",
    "noise": "noise static hiss white radio",
    "ambience": "ambience ambient room forest quiet calm air room-tone",
}
Walk = NDArray[np.float64]


class ProceduralAudio(InProcess):
    """Synthesises WAV or FLAC; the peak stays below ``level``."""

    name = "procedural.audio"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        params = item.params
        rate, channels = int(params["sample_rate"]), int(params["channels"])
        total = max(1, round(float(params["duration"]) * rate))
        scape = Soundscape(
            str(params["prompt"]),
            int(params["seed"]),
            str(params["style"]),
            rate,
            channels,
            frequency=params.get("frequency"),
            tempo=params.get("tempo"),
        )
        level = np.float32(10 ** (float(params["level"]) / 20))
        done = 0
        with MediaWriter(path, item.media_type, sound=Sound(rate, channels, int(params["bits"]))) as writer:
            for block in scape.blocks(total):
                writer.samples(block * level)
                done += block.shape[1]
                tick(done, total, "samples")


class Soundscape:
    """An endless sound, with samples from -1 to 1. Block n depends on n alone, and blocks join without a seam."""

    def __init__(
        self,
        prompt: str,
        seed: int,
        style: str,
        rate: int,
        channels: int,
        frequency: float | None = None,
        tempo: float | None = None,
    ) -> None:
        self.rate, self.channels = rate, channels
        self.names = (prompt, seed)
        self.style = _style(prompt) if style == "auto" else style
        chance = hashed("pitch", *self.names)
        base = {"drone": 55.0, "tone": 440.0, "beat": 110.0}.get(self.style, 110.0)
        self.frequency = float(frequency) if frequency else base * 2 ** (round(chance * 12) / 12)
        self.tempo = float(tempo) if tempo else 80 + round(hashed("tempo", *self.names) * 60)
        self.minor = hashed("mode", *self.names) < 0.6

    def blocks(self, total: int) -> Iterator[Samples]:
        """Yield ``total`` samples, with short fades at both ends to avoid clicks."""
        fade = min(total // 4, self.rate // 50) or 1
        for first in range(0, total, BLOCK):
            count = min(BLOCK, total - first)
            at = np.arange(first, first + count, dtype=np.float64)
            ends = np.clip(np.minimum(at + 1, total - at) / fade, 0, 1).astype(np.float32)
            planes = [self._channel(channel, first, count) * ends for channel in range(self.channels)]
            yield np.clip(np.stack(planes), -1, 1)

    def _channel(self, channel: int, first: int, count: int) -> Floats:
        seconds = np.arange(first, first + count, dtype=np.float64) / self.rate
        if self.style == "noise":
            return self._white(channel, first, count) * np.float32(0.9)
        if self.style == "tone":
            return sine(seconds * self.frequency) * np.float32(0.95)
        if self.style == "drone":
            return self._drone(channel, seconds) + self._coloured(channel, first, count, 400) * np.float32(0.05)
        if self.style == "beat":
            return self._beat(channel, seconds, first, count)
        return self._weather(channel, seconds, first, count)

    def _weather(self, channel: int, seconds: Walk, first: int, count: int) -> Floats:
        if self.style == "wind":
            gust = self._slow("gust", seconds, 0.35) * np.float32(0.6) + np.float32(0.4)
            low, high = self._coloured(channel, first, count, 260), self._coloured(channel, first, count, 900)
            return (low * np.float32(0.9) + high * gust * np.float32(0.5)) * (np.float32(0.35) + gust * np.float32(0.6))
        if self.style == "ocean":
            swell = self._slow("swell", seconds, 0.14)
            swell = swell * swell
            foam = self._coloured(channel, first, count, 5200) * swell * np.float32(0.55)
            return foam + self._coloured(channel, first, count, 180) * (np.float32(0.35) + swell * np.float32(0.35))
        if self.style == "rain":
            hiss = self._coloured(channel, first, count, 9000) * np.float32(0.30)
            return hiss + self._drops(channel, first, count, 90.0, 0.004) * np.float32(0.5)
        if self.style == "fire":
            roar = self._coloured(channel, first, count, 240) * np.float32(0.4)
            return roar + self._drops(channel, first, count, 14.0, 0.003) * np.float32(0.8)
        air = self._coloured(channel, first, count, 320) * np.float32(0.35)
        return air * (np.float32(0.6) + self._slow("air", seconds, 0.2) * np.float32(0.4))

    def _drone(self, channel: int, seconds: Walk) -> Floats:
        total = np.zeros(seconds.shape, np.float32)
        third = 6 / 5 if self.minor else 5 / 4
        for place, ratio in enumerate((0.5, 1.0, 1.5, 2.0, 2 * third, 3.0)):
            detune = 1 + 0.0016 * (hashed("detune", *self.names, place, channel) - 0.5)
            swell = self._slow(f"part{place}", seconds, 0.07 + 0.02 * place)
            total += sine(seconds * self.frequency * ratio * detune) * swell * np.float32(0.34 / (1 + place * 0.55))
        return total

    def _beat(self, channel: int, seconds: Walk, first: int, count: int) -> Floats:
        beat = seconds * self.tempo / 60
        part = beat - np.floor(beat)
        kick_time = part * 60 / self.tempo
        drop = _decay(kick_time, 0.14)
        kick = sine(kick_time * 52 + drop * np.float32(1.6)) * _decay(kick_time, 0.32)
        back = ((np.floor(beat) % 2) == 1).astype(np.float32)
        snare = self._white(channel, first, count) * _decay(kick_time, 0.12) * back
        half = beat * 2 - np.floor(beat * 2)
        hat = self._white(channel + 7, first, count) * _decay(half * 30 / self.tempo, 0.035)
        steps = (1.0, 1.0, 6 / 5 if self.minor else 5 / 4, 3 / 2, 4 / 3, 3 / 2, 1.0, 9 / 8)
        ratio = np.array(steps)[np.floor(beat / 2).astype(np.int64) % len(steps)]
        bass = sine(seconds * (self.frequency * 0.5) * ratio) * _decay(kick_time, 0.6)
        mixed: Floats = kick * np.float32(0.55) + snare * np.float32(0.22) + hat * np.float32(0.09)
        return mixed + bass * np.float32(0.28)

    # -------------------------------------------------------------------------------- materials

    def _white(self, channel: int, first: int, count: int) -> Floats:
        """Noise as a function of the sample number, drawn in aligned blocks."""
        return self._aligned(("white", channel), first, count, BLOCK)

    def _aligned(self, names: tuple[object, ...], first: int, count: int, size: int) -> Floats:
        parts = []
        place, end = first, first + count
        while place < end:
            block, inside = divmod(place, size)
            values = stream("sound", *self.names, *names, block).random(size, np.float32) * 2 - 1
            take = min(end - place, size - inside)
            parts.append(values[inside : inside + take])
            place += take
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _coloured(self, channel: int, first: int, count: int, cutoff: float) -> Floats:
        """Noise below a cutoff frequency: random values at that rate, interpolated smoothly, in two octaves."""
        total = np.zeros(count, np.float32)
        for octave, weight in ((1.0, 0.62), (2.3, 0.38)):
            step = max(1.0, self.rate / (cutoff * octave * 2))
            place = np.arange(first, first + count, dtype=np.float64) / step
            index = np.floor(place).astype(np.int64)
            low = int(index[0])
            values = self._aligned(("colour", channel, cutoff, octave), low, int(index[-1]) - low + 2, 4096)
            part = smooth(0, 1, (place - index).astype(np.float32))
            left = values.take(index - low)
            total += (left + (values.take(index - low + 1) - left) * part) * np.float32(weight)
        return total

    def _slow(self, name: str, seconds: Walk, rate: float) -> Floats:
        """A slow movement between 0 and 1, the same in every channel."""
        place = seconds * rate * 2
        index = np.floor(place).astype(np.int64)
        low = int(index[0])
        values = self._aligned((name,), low, int(index[-1]) - low + 2, 256) * np.float32(0.5) + np.float32(0.5)
        part = smooth(0, 1, (place - index).astype(np.float32))
        left = values.take(index - low)
        return (left + (values.take(index - low + 1) - left) * part).astype(np.float32)

    def _drops(self, channel: int, first: int, count: int, per_second: float, length: float) -> Floats:
        """Short clicks at random times: rain drops, crackle. A click may have begun before the block."""
        out = np.zeros(count, np.float32)
        tail = int(length * 5 * self.rate) + 1
        shape = _decay(np.arange(tail) / self.rate, length * 2)
        for second in range((first - tail) // self.rate, (first + count) // self.rate + 1):
            random = stream("drops", *self.names, channel, second)
            drawn = int(per_second * (0.6 + 0.8 * random.random()))
            places = (random.random(drawn) * self.rate).astype(np.int64) + second * self.rate
            powers = (random.random(drawn) ** 2).astype(np.float32)
            pitch = random.random(drawn) * 2500 + 900
            for place, power, frequency in zip(places, powers, pitch):
                start, end = max(first, int(place)), min(first + count, int(place) + tail)
                if start < end:
                    inside = np.arange(start - int(place), end - int(place))
                    ring = sine(inside * (float(frequency) / self.rate)) * shape[inside]
                    out[start - first : end - first] += ring * power
        return out


def _decay(seconds: Walk, length: float) -> Floats:
    """A decay from 1 to almost nothing after ``length``: a rational curve, exact on every processor."""
    x = 1 / (1 + np.maximum(seconds, 0) * (3.5 / length))
    return (x * x * x).astype(np.float32)


def _style(prompt: str) -> str:
    words = words_of(prompt)
    counts = {style: sum(word in known.split() for word in words) for style, known in SOUNDS.items()}
    best = max(counts, key=lambda style: counts[style])
    return best if counts[best] else "ambience"
