"""Declarations of the procedural generators: pure data and estimates, without heavy imports.

They draw pictures, videos and audio from a prompt and a seed, without a model. Defaults are part of each contract
version and never change within it. The estimates were measured on one core of a 2-core machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regenstore.generators.api import Cost, Declaration, Param, ParamSchema
from regenstore.generators.shared_params import (
    AUDIO_TYPES,
    BITS,
    BURN_IN,
    IMAGE_TYPES,
    MEGABYTE,
    QUALITY,
    RATES,
    SEED,
    VIDEO_TYPES,
    side,
)

STYLES = ("auto", "landscape", "seascape", "skyline", "nebula", "flow", "bars", "grid")
SOUNDS = ("auto", "ambience", "wind", "rain", "ocean", "fire", "tone", "drone", "beat", "noise")
MOTIONS = ("auto", "static", "pan-left", "pan-right", "push-in", "pull-out", "drift", "handheld")

_PROMPT = Param(type="string", description="what to show; known words select style, light and weather")
_LOOK = {
    "style": Param(
        type="string", description="kind of picture; auto follows the prompt", default="auto", choices=STYLES
    ),
    "grain": Param(type="number", description="film grain, 0 for none", default=0.4, minimum=0, maximum=1),
}
_FPS = Param(
    type="number",
    description="frames per second; 23.976, 29.97 and 59.94 are exact",
    default=24,
    minimum=1,
    maximum=240,
)


def _share(params: Mapping[str, Any]) -> float:
    """A style's relative cost; a landscape is 1. ``auto`` counts as a landscape, which it may turn out to be."""
    return {"seascape": 0.6, "skyline": 0.6, "nebula": 0.7, "flow": 0.5, "bars": 0.1, "grid": 0.15}.get(
        params["style"], 1.0
    )


def _image_cost(params: Mapping[str, Any]) -> Cost:
    pixels = int(params["width"]) * int(params["height"])
    return Cost(seconds=0.15 + pixels * 0.5e-6 * _share(params), memory=120 * MEGABYTE + pixels * 12)


def _video_cost(params: Mapping[str, Any]) -> Cost:
    pixels = int(params["width"]) * int(params["height"])
    frames = int(params["frames"])
    each = 0.001 + (0.006 + pixels * 0.2e-6) * _share(params)
    return Cost(seconds=0.4 + frames * each, memory=160 * MEGABYTE + pixels * 120)


def _audio_cost(params: Mapping[str, Any]) -> Cost:
    samples = float(params["duration"]) * int(params["sample_rate"]) * int(params["channels"])
    return Cost(seconds=0.1 + samples * 0.08e-6, memory=120 * MEGABYTE)


PROCEDURAL_IMAGE = Declaration(
    name="procedural.image",
    version="1",
    summary="Draw a picture from a prompt and a seed, without a model: previs plates, slates, test charts.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": SEED,
            "width": side(1280, "width in pixels"),
            "height": side(720, "height in pixels"),
            **_LOOK,
            **BURN_IN,
            "slate": Param(type="boolean", description="overlay a slate with prompt, seed and size", default=False),
        }
    ),
    media_types=IMAGE_TYPES,
    implementation="regenstore_procedural.image:ProceduralImage",
    estimate=_image_cost,
)

PROCEDURAL_VIDEO = Declaration(
    name="procedural.video",
    version="1",
    summary="Draw a video from a prompt and a seed: moving water, clouds, rain, and a camera move.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": SEED,
            "width": side(1280, "width in pixels; odd values are rounded up, as H.264 needs even sizes"),
            "height": side(720, "height in pixels; odd values are rounded up"),
            "frames": Param(type="integer", description="number of frames", default=96, minimum=1, maximum=100_000),
            "fps": _FPS,
            **_LOOK,
            "motion": Param(
                type="string", description="camera move; auto follows prompt and seed", default="auto", choices=MOTIONS
            ),
            "speed": Param(type="number", description="speed of all movement", default=1, minimum=0, maximum=10),
            **BURN_IN,
            "slate": Param(type="boolean", description="overlay a slate on the first second", default=False),
            "audio": Param(type="boolean", description="add an audio track that follows the prompt", default=False),
            "quality": QUALITY,
        }
    ),
    media_types=VIDEO_TYPES,
    implementation="regenstore_procedural.video:ProceduralVideo",
    estimate=_video_cost,
)

PROCEDURAL_AUDIO = Declaration(
    name="procedural.audio",
    version="1",
    summary="Synthesise audio from a prompt and a seed: wind, rain, sea, drones, tones and beats.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": SEED,
            "style": Param(
                type="string", description="kind of sound; auto follows the prompt", default="auto", choices=SOUNDS
            ),
            "duration": Param(type="number", description="length in seconds", default=5, minimum=0.01, maximum=36_000),
            "sample_rate": Param(type="integer", description="samples per second", default=48_000, choices=RATES),
            "channels": Param(type="integer", description="1 mono, 2 stereo", default=2, minimum=1, maximum=2),
            "bits": BITS,
            "level": Param(
                type="number", description="peak level in dB below full scale", default=-6, minimum=-60, maximum=0
            ),
            "frequency": Param(
                type="number",
                description="pitch of a tone or drone in Hz; default: chosen by the seed",
                optional=True,
                minimum=20,
                maximum=20_000,
            ),
            "tempo": Param(
                type="number",
                description="beats per minute; default: chosen by the seed",
                optional=True,
                minimum=20,
                maximum=400,
            ),
        }
    ),
    media_types=AUDIO_TYPES,
    implementation="regenstore_procedural.audio:ProceduralAudio",
    estimate=_audio_cost,
)
