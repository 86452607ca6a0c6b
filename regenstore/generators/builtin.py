"""The built-in generators' declarations: pure data and estimates, importing nothing heavy.

``procedural.*`` draw pictures, videos and sounds from a prompt and a seed without any model; ``derive.*``
make proxies, cuts, frames, contact sheets and mixes of other media. Defaults are part of each contract
version and never change within it. Estimates were measured on one core of a 2-core machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regenstore.generators.api import Cost, Declaration, InputSlot
from regenstore.generators.schema import Param, ParamSchema

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/tiff")
VIDEO_TYPES = ("video/mp4", "video/quicktime", "video/x-matroska")
AUDIO_TYPES = ("audio/wav", "audio/flac")
STYLES = ("auto", "landscape", "seascape", "skyline", "nebula", "flow", "bars", "grid")
SOUNDS = ("auto", "ambience", "wind", "rain", "ocean", "fire", "tone", "drone", "beat", "noise")
MOTIONS = ("auto", "static", "pan-left", "pan-right", "push-in", "pull-out", "drift", "handheld")
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
LEAST, MOST = 16, 8192
"""Sizes of a side, in pixels."""
MEGABYTE = 1 << 20


def _side(default: int, description: str) -> Param:
    return Param(type="integer", description=description, default=default, minimum=LEAST, maximum=MOST)


_PROMPT = Param(type="string", description="what to show; known words choose style, light and weather")
_SEED = Param(type="integer", description="the variation; any whole number", default=0)
_BURN_IN = {
    "shot": Param(type="string", description="shot name burnt in at the lower left", default="", max_length=200),
    "timecode": Param(
        type="string", description="start timecode HH:MM:SS:FF burnt in at the lower right", default="", max_length=16
    ),
}
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
_CROP = Param(type="string", description="part to keep, as WIDTHxHEIGHT+X+Y in pixels", default="", max_length=64)
_QUALITY = Param(
    type="integer",
    description="x264's constant rate factor: 0 lossless, 18 fine, 28 small",
    default=18,
    minimum=0,
    maximum=51,
)
_BITS = Param(type="integer", description="bits per sample", default=16, choices=(16, 24))
_CHANNELS = Param(type="integer", description="number of channels", optional=True, minimum=1, maximum=8)
_SAMPLE_RATE = Param(type="integer", description="samples per second", optional=True, choices=RATES)
_SCALE_WIDTH = Param(
    type="integer",
    description="width to scale to; alone it keeps the aspect",
    optional=True,
    minimum=LEAST,
    maximum=MOST,
)
_SCALE_HEIGHT = Param(
    type="integer",
    description="height to scale to; alone it keeps the aspect",
    optional=True,
    minimum=LEAST,
    maximum=MOST,
)
_FIT = Param(
    type="string",
    description="how to meet width and height when both are given",
    default="contain",
    choices=("contain", "cover", "pad", "stretch"),
)
_START = Param(type="number", description="where to begin, in seconds", optional=True, minimum=0, maximum=1_000_000)
_DURATION = Param(type="number", description="how long, in seconds", optional=True, minimum=0.001, maximum=1_000_000)


def _share(params: Mapping[str, Any]) -> float:
    """How dear a style is, measured against a landscape, which ``auto`` may turn out to be."""
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


def _derived_image_cost(params: Mapping[str, Any]) -> Cost:
    if params["operation"] == "contact_sheet":
        return Cost(seconds=0.5 + 0.05 * int(params["count"]), memory=400 * MEGABYTE)
    pixels = int(params.get("width", 1920)) * int(params.get("height", 1080))
    return Cost(seconds=0.3 + pixels * 0.1e-6, memory=150 * MEGABYTE + pixels * 24)


def _derived_video_cost(params: Mapping[str, Any]) -> Cost:
    # The inputs are not known here: ten seconds of 1080p stand for a source of unknown length.
    frames = float(params.get("duration", 10.0)) * 25
    if "last_frame" in params:
        frames = max(1, int(params["last_frame"]) - int(params.get("first_frame", 0)) + 1)
    height = int(params.get("height", params.get("width", 1920) * 9 / 16))
    return Cost(seconds=0.3 + frames * (0.006 + height * height * 1.8 * 9e-9), memory=300 * MEGABYTE)


def _derived_audio_cost(params: Mapping[str, Any]) -> Cost:
    seconds = float(params.get("duration", 120.0))
    return Cost(seconds=0.2 + seconds * (0.02 if "sample_rate" in params else 0.004), memory=120 * MEGABYTE)


PROCEDURAL_IMAGE = Declaration(
    name="procedural.image",
    version="1",
    summary="A picture drawn from a prompt and a seed, without a model: previs plates, slates, test charts.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": _SEED,
            "width": _side(1280, "width in pixels"),
            "height": _side(720, "height in pixels"),
            **_LOOK,
            **_BURN_IN,
            "slate": Param(type="boolean", description="lay a slate with prompt, seed and size over it", default=False),
        }
    ),
    media_types=IMAGE_TYPES,
    implementation="regenstore.generators.procedural.image:ProceduralImage",
    estimate=_image_cost,
)

PROCEDURAL_VIDEO = Declaration(
    name="procedural.video",
    version="1",
    summary="A moving shot drawn from a prompt and a seed: water, clouds, rain and a camera move.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": _SEED,
            "width": _side(1280, "width in pixels; odd ones are rounded up, H.264 needs even sizes"),
            "height": _side(720, "height in pixels; odd ones are rounded up"),
            "frames": Param(type="integer", description="how many frames", default=96, minimum=1, maximum=100_000),
            "fps": _FPS,
            **_LOOK,
            "motion": Param(
                type="string", description="camera move; auto follows prompt and seed", default="auto", choices=MOTIONS
            ),
            "speed": Param(type="number", description="how fast everything moves", default=1, minimum=0, maximum=10),
            **_BURN_IN,
            "slate": Param(type="boolean", description="lay a slate over the first second", default=False),
            "audio": Param(type="boolean", description="add a sound track that follows the prompt", default=False),
            "quality": _QUALITY,
        }
    ),
    media_types=VIDEO_TYPES,
    implementation="regenstore.generators.procedural.video:ProceduralVideo",
    estimate=_video_cost,
)

PROCEDURAL_AUDIO = Declaration(
    name="procedural.audio",
    version="1",
    summary="A sound made from a prompt and a seed: wind, rain, sea, drones, tones and beats.",
    params=ParamSchema(
        {
            "prompt": _PROMPT,
            "seed": _SEED,
            "style": Param(
                type="string", description="kind of sound; auto follows the prompt", default="auto", choices=SOUNDS
            ),
            "duration": Param(type="number", description="length in seconds", default=5, minimum=0.01, maximum=36_000),
            "sample_rate": Param(type="integer", description="samples per second", default=48_000, choices=RATES),
            "channels": Param(type="integer", description="1 mono, 2 stereo", default=2, minimum=1, maximum=2),
            "bits": _BITS,
            "level": Param(
                type="number", description="peak level in dB below full scale", default=-6, minimum=-60, maximum=0
            ),
            "frequency": Param(
                type="number",
                description="pitch of a tone or drone in Hz; else the seed's",
                optional=True,
                minimum=20,
                maximum=20_000,
            ),
            "tempo": Param(
                type="number", description="beats per minute; else the seed's", optional=True, minimum=20, maximum=400
            ),
        }
    ),
    media_types=AUDIO_TYPES,
    implementation="regenstore.generators.procedural.audio:ProceduralAudio",
    estimate=_audio_cost,
)

DERIVE_IMAGE = Declaration(
    name="derive.image",
    version="1",
    summary="A picture from other media: crop and scale, one frame of a video, or a contact sheet.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="what to do",
                default="transform",
                choices=("transform", "frame", "contact_sheet"),
            ),
            "crop": _CROP,
            "width": _SCALE_WIDTH,
            "height": _SCALE_HEIGHT,
            "fit": _FIT,
            "frame": Param(
                type="integer", description="frame: its number, from 0", optional=True, minimum=0, maximum=10_000_000
            ),
            "time": Param(
                type="number", description="frame: its time in seconds", optional=True, minimum=0, maximum=1_000_000
            ),
            "columns": Param(
                type="integer", description="contact_sheet: pictures per row", default=4, minimum=1, maximum=64
            ),
            "count": Param(
                type="integer",
                description="contact_sheet: frames taken of a single video",
                default=12,
                minimum=1,
                maximum=1024,
            ),
            "cell_width": Param(
                type="integer", description="contact_sheet: width of one picture", default=320, minimum=16, maximum=2048
            ),
            "labels": Param(
                type="boolean", description="contact_sheet: names and times below the pictures", default=True
            ),
            **_BURN_IN,
        }
    ),
    media_types=IMAGE_TYPES,
    implementation="regenstore.generators.derive.image:DeriveImage",
    inputs={"source": InputSlot("the picture or video to work on", ("image", "video"), required=False)},
    more_inputs=InputSlot("contact_sheet: further pictures and videos", ("image", "video"), required=False),
    estimate=_derived_image_cost,
)

DERIVE_VIDEO = Declaration(
    name="derive.video",
    version="1",
    summary="A video from other media: proxy, cut, crop and scale; join videos; add sound; stills to video.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="what to do",
                default="transform",
                choices=("transform", "concatenate", "mux", "stills"),
            ),
            "start": _START,
            "duration": _DURATION,
            "first_frame": Param(
                type="integer", description="first frame to keep, from 0", optional=True, minimum=0, maximum=10_000_000
            ),
            "last_frame": Param(
                type="integer",
                description="last frame to keep, itself included",
                optional=True,
                minimum=0,
                maximum=10_000_000,
            ),
            "crop": _CROP,
            "width": _SCALE_WIDTH,
            "height": _SCALE_HEIGHT,
            "fit": _FIT,
            "audio": Param(type="boolean", description="keep the sound", default=True),
            "fps": Param(type="number", description="stills: frames per second", default=24, minimum=1, maximum=240),
            "hold": Param(
                type="integer", description="stills: frames per picture", default=1, minimum=1, maximum=100_000
            ),
            "quality": _QUALITY,
            **_BURN_IN,
        }
    ),
    media_types=VIDEO_TYPES,
    implementation="regenstore.generators.derive.video:DeriveVideo",
    inputs={
        "source": InputSlot("the video to work on", ("video", "image"), required=False),
        "audio": InputSlot("mux: the sound to add", ("audio", "video"), required=False),
    },
    more_inputs=InputSlot(
        "concatenate: videos; stills: pictures; in order of their names", ("video", "image"), required=False
    ),
    estimate=_derived_video_cost,
)

DERIVE_AUDIO = Declaration(
    name="derive.audio",
    version="1",
    summary="A sound from other media: cut, gain, fades, channels and rate; a video's track; join or mix.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="what to do",
                default="transform",
                choices=("transform", "extract", "mix", "concatenate"),
            ),
            "start": _START,
            "duration": _DURATION,
            "gain": Param(type="number", description="louder or softer, in dB", default=0, minimum=-96, maximum=48),
            "fade_in": Param(
                type="number", description="fade in over so many seconds", default=0, minimum=0, maximum=3600
            ),
            "fade_out": Param(
                type="number", description="fade out over so many seconds", default=0, minimum=0, maximum=3600
            ),
            "channels": _CHANNELS,
            "sample_rate": _SAMPLE_RATE,
            "bits": Param(
                type="integer", description="bits per sample; else the source's", optional=True, choices=(16, 24)
            ),
        }
    ),
    media_types=AUDIO_TYPES,
    implementation="regenstore.generators.derive.audio:DeriveAudio",
    inputs={"source": InputSlot("the sound, or a video with sound", ("audio", "video"), required=False)},
    more_inputs=InputSlot(
        "mix and concatenate: further sounds, in order of their names", ("audio", "video"), required=False
    ),
    estimate=_derived_audio_cost,
)
