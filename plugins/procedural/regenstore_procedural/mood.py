"""Interpret a prompt: its words decide style, light, weather, ground and palette.

Known words select and blend; every other word shifts the palette a little, so that no two prompts look the same. The
tables are data; nothing here draws.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass, field

from regenstore_procedural.canvas import Colour, blend, hex_colour
from regenstore_procedural.randomness import hashed

# Sky from the top to the horizon, light, haze, near ground.
LIGHTS: dict[str, str] = {
    "day": "1f5fa8 4b8ed0 8fc1e8 d9ebf2 fff3d2 b4d0e2 1c3336",
    "dawn": "27396b 6a6aa0 d8969a ffd9a8 ffe6b8 d6a7a6 1e2444",
    "dusk": "141a46 4b3577 c9506c ffb45e ffd284 c05c7c 120d2c",
    "golden": "3d6a9e 8fa6b8 e8bf8c ffe0a0 ffe9b0 dcb48c 2a2420",
    "night": "040817 0a1530 142a4e 2c4f7c dce8ff 1c3760 03060f",
    "storm": "151c25 28333e 465560 80949a c6d2d6 52636c 0a0f13",
    "fog": "93a1a9 adb9be c4cccd d8dcd9 fffbe8 c6cece 34454a",
    "neon": "06051a 180a3c 45125f b8307c ff5fb0 451a66 060310",
    "fire": "140505 3a0c08 8a2611 f57a2e ffb45a 7a2a18 0c0403",
    "space": "02030a 050818 0a0d24 141433 e8ecff 131338 020208",
    "aurora": "03101c 06202c 0a3a44 12625a dcffe8 123c48 020a0e",
    "toxic": "0c1a10 1e3a22 5c7a34 c8d070 f4ffb0 6a8250 08120a",
}
WORDS: dict[str, str] = {
    "day": "day noon morning bright sunny clear blue-sky summer spring midday afternoon",
    "dawn": "dawn sunrise daybreak pink early pastel",
    "dusk": "dusk sunset evening twilight purple magenta romantic",
    "golden": "golden gold amber warm autumn fall harvest savanna wheat",
    "night": "night midnight moon moonlit moonlight dark nocturne stars starry",
    "storm": "storm stormy thunder tempest hurricane gale rough rain rainy grey gray gloomy overcast lightning",
    "fog": "fog foggy mist misty haze hazy pale quiet silent winter blizzard",
    "neon": "neon cyberpunk synthwave vaporwave tokyo futuristic arcade",
    "fire": "fire inferno lava volcano burning flame flames ember embers apocalypse mars red",
    "space": "space nebula galaxy cosmic cosmos planet orbit universe interstellar stellar supernova",
    "aurora": "aurora borealis teal emerald northern arctic polar",
    "toxic": "alien toxic swamp acid poison green",
}
STYLES: dict[str, str] = {
    "landscape": "mountain mountains valley hill hills forest desert dune dunes canyon meadow field landscape tree "
    "trees pine pines woods jungle snow alps peak peaks cliff lake river volcano savanna steppe glacier road",
    "seascape": "sea ocean wave waves beach coast shore storm tide bay island lighthouse ship sail sailing "
    "harbour harbor surf maritime atlantic pacific seascape",
    "skyline": "city skyline street tower towers skyscraper skyscrapers urban building buildings town metropolis "
    "neon cyberpunk downtown tokyo york rooftop alley",
    "nebula": "space nebula galaxy stars cosmic cosmos planet orbit universe interstellar starfield spaceship "
    "supernova asteroid",
    "flow": "abstract flow marble silk liquid smoke fluid pattern texture swirl ink paint dream waves-of energy "
    "plasma fractal",
    "bars": "bars colorbars colourbars smpte testbars",
    "grid": "grid chart testchart calibration lens focus",
}
TRAITS: dict[str, str] = {
    "storm": "storm stormy thunder tempest hurricane gale rough lightning",
    "rain": "rain rainy storm stormy drizzle downpour tempest hurricane wet monsoon",
    "snow": "snow snowy blizzard snowfall winter snowing",
    "white": "snow snowy winter ice icy glacier arctic alps frozen",
    "fog": "fog foggy mist misty haze hazy smoke",
    "embers": "fire ember embers burning flames inferno volcano lava apocalypse",
    "forest": "forest tree trees pine pines woods jungle fir taiga",
    "desert": "desert dune dunes sand sahara canyon mars",
    "lake": "lake river reflection water pond fjord mirror wet bay harbour harbor",
    "planet": "planet orbit moon world earth saturn jupiter",
    "aurora": "aurora borealis",
    "calm": "calm still quiet serene peaceful gentle silent",
    "sunless": "overcast storm stormy gloomy rain rainy fog foggy",
    "lighthouse": "lighthouse island cliff coast",
    "road": "road",
}
GROUNDS: dict[str, str] = {
    "forest": "17372a",
    "desert": "c07a3e",
    "white": "e4edf5",
    "embers": "3a120a",
}
HUES: dict[str, float] = {
    "red": 0.0, "crimson": 0.97, "orange": 0.07, "yellow": 0.14, "green": 0.36, "teal": 0.48, "cyan": 0.52,
    "blue": 0.61, "indigo": 0.69, "violet": 0.76, "purple": 0.78, "magenta": 0.85, "pink": 0.92,
}  # fmt: skip


@dataclass(frozen=True)
class Mood:
    """The interpretation of a prompt. Colours are 0 to 1; traits are the words of the tables above that were found."""

    style: str
    sky: tuple[Colour, Colour, Colour, Colour]
    light: Colour
    haze: Colour
    near: Colour
    lights: dict[str, float] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    ground: Colour | None = None
    hue: float = 0.6

    def has(self, *traits: str) -> bool:
        return any(trait in self.traits for trait in traits)

    def lit_by(self, *lights: str) -> float:
        """The fraction of the light that comes from these lights, 0 to 1."""
        return sum(self.lights.get(light, 0.0) for light in lights)

    @property
    def dark(self) -> bool:
        return self.lit_by("night", "neon", "space", "aurora") > 0.5


def words_of(prompt: str) -> list[str]:
    """The words of a prompt in lower case, in order."""
    return re.findall(r"[^\W_]+", prompt.lower())


def _found(words: list[str], table: dict[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, known in table.items():
        count = sum(1 for word in words if word in known.split())
        if count:
            counts[name] = count
    return counts


def mood_of(prompt: str, style: str, seed: int) -> Mood:
    """Interpret a prompt. A ``style`` other than auto takes precedence; the seed decides what the prompt leaves
    open."""
    words = words_of(prompt)
    styles, lights, traits = _found(words, STYLES), _found(words, WORDS), _found(words, TRAITS)
    if style == "auto":
        style = max(styles, key=lambda name: styles[name]) if styles else _any_style(prompt)
    if not lights:
        lights = _usual_light(style, prompt, seed)
    whole = sum(lights.values())
    shares = {name: count / whole for name, count in lights.items()}
    colours = _blended(shares)
    colours = [_varied(colour, words) for colour in colours]
    ground = None
    for name, text in GROUNDS.items():
        if name in traits:
            ground = hex_colour(text) if ground is None else blend(ground, hex_colour(text), 0.5)
    hues = [HUES[word] for word in words if word in HUES]
    hue = hues[0] if hues else hashed("hue", prompt, seed)
    sky = (colours[0], colours[1], colours[2], colours[3])
    return Mood(style, sky, colours[4], colours[5], colours[6], shares, frozenset(traits), ground, hue)


def _any_style(prompt: str) -> str:
    choice = ("landscape", "seascape", "landscape", "flow", "skyline", "nebula")
    return choice[int(hashed("style", prompt) * len(choice))]


def _usual_light(style: str, prompt: str, seed: int) -> dict[str, int]:
    usual = {
        "landscape": ("day", "dawn", "dusk", "golden"),
        "seascape": ("day", "dusk", "dawn", "golden"),
        "skyline": ("dusk", "night", "dawn", "neon"),
        "nebula": ("space",),
    }.get(style, ("dusk", "dawn", "aurora", "golden", "neon", "day"))
    return {usual[int(hashed("light", prompt, seed) * len(usual))]: 1}


def _blended(shares: dict[str, float]) -> list[Colour]:
    mixed: list[Colour] = [(0.0, 0.0, 0.0)] * 7
    for name, share in shares.items():
        for place, text in enumerate(LIGHTS[name].split()):
            r, g, b = hex_colour(text)
            was = mixed[place]
            mixed[place] = (was[0] + r * share, was[1] + g * share, was[2] + b * share)
    return mixed


def _varied(colour: Colour, words: list[str]) -> Colour:
    """A colour varied by words: together they turn its hue by up to 14 degrees and change its saturation a little."""
    turn = strength = 0.0
    for word in words:
        turn += hashed("turn", word) - 0.5
        strength += hashed("strength", word) - 0.5
    count = max(1.0, len(words) ** 0.5)
    h, lightness, s = colorsys.rgb_to_hls(*colour)
    h = (h + 0.04 * max(-1.0, min(1.0, 2 * turn / count))) % 1.0
    s = max(0.0, min(1.0, s * (1 + 0.25 * max(-1.0, min(1.0, 2 * strength / count)))))
    return colorsys.hls_to_rgb(h, lightness, s)


def hue_colour(hue: float, lightness: float, saturation: float) -> Colour:
    """A colour by hue (turns), lightness and saturation."""
    return colorsys.hls_to_rgb(hue % 1.0, lightness, saturation)
