"""``procedural.video``: a moving shot drawn from a prompt and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from regenstore.generators.api import Item
from regenstore.generators.implementation import InProcess, MediaWriter, Samples, Sound, Tick, burn_in, even, exact_rate
from regenstore_procedural.audio import Soundscape
from regenstore_procedural.picture import EXACT, Camera, Picture
from regenstore_procedural.randomness import hashed, sine
from regenstore_procedural.slate import lay_slate

SOUND_RATE = 48_000
_MOVES = ("pan-right", "push-in", "drift", "pan-left", "static")


class ProceduralVideo(InProcess):
    """Draws and encodes a video frame by frame."""

    name = "procedural.video"

    def make(self, item: Item, path: str, tick: Tick) -> None:
        params = item.params
        size = (even(params["width"]), even(params["height"]))
        rate, frames = exact_rate(float(params["fps"])), int(params["frames"])
        picture = Picture(params, *size)
        move = _move(item, picture)
        sound = Sound(SOUND_RATE, 2) if params["audio"] else None
        track = _track(item, frames, rate) if sound is not None else iter(())
        heard = 0
        with MediaWriter(path, item.media_type, size=size, rate=rate, sound=sound, quality=params["quality"]) as writer:
            for number in range(frames):
                seconds = float(number / rate)
                pixels = picture.draw(camera(move, seconds * float(params["speed"]), item), frame=number)
                if params["slate"] and seconds < 1.0:
                    lay_slate(pixels, item)
                burn_in(pixels, params["shot"], params["timecode"], number, rate)
                writer.picture(pixels)
                while sound is not None and heard < (number + 1) / rate * SOUND_RATE:
                    block = next(track, None)
                    if block is None:
                        break
                    heard += block.shape[1]
                    writer.samples(block)
                tick(number + 1, frames, "frames")
            for block in track:
                writer.samples(block)


def _move(item: Item, picture: Picture) -> str:
    if item.params["motion"] != "auto":
        return str(item.params["motion"])
    if picture.mood.style in EXACT:
        return "static"
    return _MOVES[int(hashed("motion", item.params["prompt"], item.params["seed"]) * len(_MOVES))]


def camera(move: str, seconds: float, item: Item) -> Camera:
    """The camera ``seconds`` into its move."""
    x = y = 0.0
    zoom = 1.0
    if move in ("pan-left", "pan-right"):
        x = 0.06 * seconds * (1 if move == "pan-right" else -1)
    elif move == "push-in":
        zoom = 1.0 + 0.035 * seconds
    elif move == "pull-out":
        zoom = 1.0 + 0.30 / (1.0 + 0.12 * seconds)
    elif move in ("drift", "handheld"):
        scale, speed = (0.05, 0.03) if move == "drift" else (0.012, 0.35)
        phase = hashed("phase", item.params["prompt"], item.params["seed"])
        x = scale * float(sine(seconds * speed + phase))
        y = scale * 0.4 * float(sine(seconds * speed * 1.37 + phase * 3))
        zoom = 1.05 if move == "handheld" else 1.0 + 0.01 * seconds
    return Camera(x, y, zoom, seconds)


def _track(item: Item, frames: int, rate: Fraction) -> Iterator[Samples]:
    total = int(frames / rate * SOUND_RATE + Fraction(1, 2))
    scape = Soundscape(str(item.params["prompt"]), int(item.params["seed"]), "auto", SOUND_RATE, 2)
    level = np.float32(0.5)
    for block in scape.blocks(total):
        yield block * level
