"""Declarations of the ``derive.*`` generators.

Pure data and estimates, without heavy imports. Defaults are part of each contract version and never change within it.
The estimates were measured on one core of a 2-core machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regenstore.generators.api import Cost, Declaration, InputSlot
from regenstore.generators.schema import Param, ParamSchema
from regenstore.generators.shared_params import (
    AUDIO_TYPES,
    BURN_IN,
    IMAGE_TYPES,
    LEAST,
    MEGABYTE,
    MOST,
    QUALITY,
    RATES,
    VIDEO_TYPES,
)

_CROP = Param(type="string", description="part to keep, as WIDTHxHEIGHT+X+Y in pixels", default="", max_length=64)
_CHANNELS = Param(type="integer", description="number of channels", optional=True, minimum=1, maximum=8)
_SAMPLE_RATE = Param(type="integer", description="samples per second", optional=True, choices=RATES)
_SCALE_WIDTH = Param(
    type="integer",
    description="width to scale to; alone, it keeps the aspect ratio",
    optional=True,
    minimum=LEAST,
    maximum=MOST,
)
_SCALE_HEIGHT = Param(
    type="integer",
    description="height to scale to; alone, it keeps the aspect ratio",
    optional=True,
    minimum=LEAST,
    maximum=MOST,
)
_FIT = Param(
    type="string",
    description="how to fit the picture when both width and height are given",
    default="contain",
    choices=("contain", "cover", "pad", "stretch"),
)
_START = Param(type="number", description="start, in seconds", optional=True, minimum=0, maximum=1_000_000)
_DURATION = Param(type="number", description="duration, in seconds", optional=True, minimum=0.001, maximum=1_000_000)


def _image_cost(params: Mapping[str, Any]) -> Cost:
    if params["operation"] == "contact_sheet":
        return Cost(seconds=0.5 + 0.05 * int(params["count"]), memory=400 * MEGABYTE)
    pixels = int(params.get("width", 1920)) * int(params.get("height", 1080))
    return Cost(seconds=0.3 + pixels * 0.1e-6, memory=150 * MEGABYTE + pixels * 24)


def _video_cost(params: Mapping[str, Any]) -> Cost:
    # The inputs are unknown here; assume ten seconds of 1080p.
    frames = float(params.get("duration", 10.0)) * 25
    if "last_frame" in params:
        frames = max(1, int(params["last_frame"]) - int(params.get("first_frame", 0)) + 1)
    height = int(params.get("height", params.get("width", 1920) * 9 / 16))
    return Cost(seconds=0.3 + frames * (0.006 + height * height * 1.8 * 9e-9), memory=300 * MEGABYTE)


def _audio_cost(params: Mapping[str, Any]) -> Cost:
    seconds = float(params.get("duration", 120.0))
    return Cost(seconds=0.2 + seconds * (0.02 if "sample_rate" in params else 0.004), memory=120 * MEGABYTE)


DERIVE_IMAGE = Declaration(
    name="derive.image",
    version="1",
    summary="Derive a picture: crop and scale, extract a video frame, or make a contact sheet.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="operation",
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
                description="contact_sheet: number of frames from a single video",
                default=12,
                minimum=1,
                maximum=1024,
            ),
            "cell_width": Param(
                type="integer", description="contact_sheet: width of one picture", default=320, minimum=16, maximum=2048
            ),
            "labels": Param(
                type="boolean", description="contact_sheet: show names and times below the pictures", default=True
            ),
            **BURN_IN,
        }
    ),
    media_types=IMAGE_TYPES,
    implementation="regenstore.generators.derive.image:DeriveImage",
    inputs={"source": InputSlot("the picture or video to work on", ("image", "video"), required=False)},
    more_inputs=InputSlot("contact_sheet: further pictures and videos", ("image", "video"), required=False),
    estimate=_image_cost,
)

DERIVE_VIDEO = Declaration(
    name="derive.video",
    version="1",
    summary="Derive a video: proxy, cut, crop and scale; join videos; add audio; stills to video.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="operation",
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
                description="last frame to keep (inclusive)",
                optional=True,
                minimum=0,
                maximum=10_000_000,
            ),
            "crop": _CROP,
            "width": _SCALE_WIDTH,
            "height": _SCALE_HEIGHT,
            "fit": _FIT,
            "audio": Param(type="boolean", description="keep the audio", default=True),
            "fps": Param(type="number", description="stills: frames per second", default=24, minimum=1, maximum=240),
            "hold": Param(
                type="integer", description="stills: frames per picture", default=1, minimum=1, maximum=100_000
            ),
            "quality": QUALITY,
            **BURN_IN,
        }
    ),
    media_types=VIDEO_TYPES,
    implementation="regenstore.generators.derive.video:DeriveVideo",
    inputs={
        "source": InputSlot("the video to work on", ("video", "image"), required=False),
        "audio": InputSlot("mux: the audio to add", ("audio", "video"), required=False),
    },
    more_inputs=InputSlot(
        "concatenate: videos; stills: pictures; in order of their names", ("video", "image"), required=False
    ),
    estimate=_video_cost,
)

DERIVE_AUDIO = Declaration(
    name="derive.audio",
    version="1",
    summary="Derive audio: cut, gain, fades, channels and rate; extract a video's track; join or mix.",
    params=ParamSchema(
        {
            "operation": Param(
                type="string",
                description="operation",
                default="transform",
                choices=("transform", "extract", "mix", "concatenate"),
            ),
            "start": _START,
            "duration": _DURATION,
            "gain": Param(type="number", description="gain in dB", default=0, minimum=-96, maximum=48),
            "fade_in": Param(
                type="number", description="length of the fade-in, in seconds", default=0, minimum=0, maximum=3600
            ),
            "fade_out": Param(
                type="number", description="length of the fade-out, in seconds", default=0, minimum=0, maximum=3600
            ),
            "channels": _CHANNELS,
            "sample_rate": _SAMPLE_RATE,
            "bits": Param(
                type="integer", description="bits per sample; default: as the source", optional=True, choices=(16, 24)
            ),
        }
    ),
    media_types=AUDIO_TYPES,
    implementation="regenstore.generators.derive.audio:DeriveAudio",
    inputs={"source": InputSlot("the audio, or a video with audio", ("audio", "video"), required=False)},
    more_inputs=InputSlot(
        "mix and concatenate: further audio, in order of the inputs' names", ("audio", "video"), required=False
    ),
    estimate=_audio_cost,
)
