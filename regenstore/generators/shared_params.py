"""Parameters shared by the generators of pictures, video and audio, so that they mean the same everywhere.

Defaults are part of each generator's contract version, so nothing here ever changes.
"""

from __future__ import annotations

from regenstore.generators.schema import Param

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/tiff")
VIDEO_TYPES = ("video/mp4", "video/quicktime", "video/x-matroska")
AUDIO_TYPES = ("audio/wav", "audio/flac")
RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
"""Samples per second."""
LEAST, MOST = 16, 8192
"""Smallest and largest side of a picture, in pixels."""
MEGABYTE = 1 << 20


def side(default: int, description: str) -> Param:
    """A width or height in pixels."""
    return Param(type="integer", description=description, default=default, minimum=LEAST, maximum=MOST)


SEED = Param(type="integer", description="variation; any whole number", default=0)
BURN_IN = {
    "shot": Param(type="string", description="shot name burnt in at the lower left", default="", max_length=200),
    "timecode": Param(
        type="string", description="start timecode HH:MM:SS:FF burnt in at the lower right", default="", max_length=16
    ),
}
QUALITY = Param(
    type="integer",
    description="x264's constant rate factor: 0 lossless, 18 fine, 28 small",
    default=18,
    minimum=0,
    maximum=51,
)
BITS = Param(type="integer", description="bits per sample", default=16, choices=(16, 24))
