"""The assets of the demo's film project, in order of their dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PLACES = {
    "sea": "storm at dusk over the sea",
    "harbour": "calm sea at dawn, fog",
    "forest": "forest at night, rain",
    "city": "neon city at night, rain",
    "desert": "desert at sunset, dust",
    "summit": "snow mountains at dawn",
}
SHOTS = ("sh010", "sh020", "sh030", "sh040", "sh050", "sh060")
SOUNDS = {"wind": "wind over the sea, storm", "rain": "rain in a city at night", "drone": "dark drone, tension"}
REPAINTED = "refs/photo.png"
EDITED_SHOT = "shots/sh010.mp4"


class Asset(NamedTuple):
    """A ``regenstore new`` command of the demo."""

    path: str
    generator: str
    params: tuple[str, ...]
    inputs: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        words = [self.path, "-g", self.generator]
        for param in self.params:
            words += ["-p", param]
        for given in self.inputs:
            words += ["-i", given]
        return words


def originals(scale: float) -> Iterator[Asset]:
    """Plates, slates, shots and audio, generated from prompts and seeds."""
    width, height = int(960 * scale), int(540 * scale)
    small = (f"width={int(384 * scale)}", f"height={int(216 * scale)}")
    for seed, (place, prompt) in enumerate(PLACES.items(), start=40):
        size = (f"width={width}", f"height={height}")
        yield Asset(f"plates/{place}.png", "procedural.image", (f"prompt={prompt}", f"seed={seed}", *size))
    for shot, (place, prompt) in zip(SHOTS, PLACES.items()):
        more = ("shot=" + shot, "timecode=01:00:00:00", "frames=10", "fps=24")
        yield Asset(f"shots/{shot}.mp4", "procedural.video", (f"prompt={prompt}", "seed=7", *more, *small))
        if shot in SHOTS[:4]:
            slate = (f"prompt={prompt}", "seed=7", "slate=true", f"shot={shot} {place}", *small)
            yield Asset(f"slates/{shot}.png", "procedural.image", slate)
    for sound, prompt in SOUNDS.items():
        yield Asset(f"audio/{sound}.wav", "procedural.audio", (f"prompt={prompt}", "seed=3", "duration=4"))


def derived(scale: float) -> Iterator[Asset]:
    """Proxies, posters and a mix, derived from the originals."""
    for shot in SHOTS:
        source = (f"source=shots/{shot}.mp4",)
        yield Asset(f"proxies/{shot}.mp4", "derive.video", (f"height={int(180 * scale)}",), source)
    for shot in SHOTS[:3]:
        frame = ("operation=frame", "frame=6", "width=320")
        yield Asset(f"posters/{shot}.png", "derive.image", frame, (f"source=shots/{shot}.mp4",))
    sounds = tuple(f"{name}=audio/{name}.wav" for name in SOUNDS)
    yield Asset("audio/mix.wav", "derive.audio", ("operation=mix", "fade_in=0.5", "fade_out=1"), sounds)
    plates = tuple(f"p{number}=plates/{place}.png" for number, place in enumerate(PLACES))
    yield Asset("plates/contact.png", "derive.image", ("operation=contact_sheet", "columns=3"), plates)


def assembled() -> Iterator[Asset]:
    """The final cut with audio, made from derived media."""
    shots = tuple(f"{shot}=proxies/{shot}.mp4" for shot in SHOTS)
    yield Asset("cut/reel.mp4", "derive.video", ("operation=concatenate",), shots)
    yield Asset(
        "cut/sh010_sound.mp4", "derive.video", ("operation=mux",), ("source=shots/sh010.mp4", "audio=audio/mix.wav")
    )
