"""Read still pictures in any common format; write them so that the bytes depend on the pixels only.

Every encoder setting is fixed; no time, software name or profile is written; pixels are 8-bit RGB or RGBA. That leaves
the codec library, which :func:`versions` names.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, features
from PIL import __version__ as pillow_version

Pixels = NDArray[np.uint8]
"""Rows x columns x 3 (RGB) or x 4 (RGBA)."""

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "image/png": ("PNG", {"compress_level": 4, "optimize": False}),
    "image/jpeg": ("JPEG", {"quality": 93, "subsampling": 0, "optimize": False, "progressive": False}),
    "image/webp": ("WEBP", {"quality": 92, "method": 4, "lossless": False, "exact": True}),
    # LZW, not deflate: zlib's output depends on the system's zlib, LZW's only on libtiff.
    "image/tiff": ("TIFF", {"compression": "tiff_lzw"}),
}
FORMATS = (
    "PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "AVIF", "TGA", "PPM", "JPEG2000", "PSD", "ICO", "SGI",
)  # fmt: skip
"""Formats read as stills. Pillow knows more, among them EPS, for which it would start Ghostscript."""
LONGEST = {"WEBP": 16383, "JPEG": 65500}
"""Largest side in pixels; the limits of other formats do not matter."""


MAX_PIXELS = 1 << 28
"""Largest picture to decode, in pixels: 1 GiB as RGBA. The size of a larger one is still read from its header."""
Image.MAX_IMAGE_PIXELS = None
"""Pillow would refuse large pictures when they are opened, and warn about some that are read without harm."""


def open_still(path: str) -> Image.Image:
    """Open a picture of one of :data:`FORMATS`, of any size; only its header is read. Close it after use."""
    return Image.open(path, formats=readable_formats())


def write_still(path: str, pixels: Pixels, media_type: str) -> None:
    """Encode 8-bit RGB or RGBA pixels. JPEG has no transparency: the picture is composited on black."""
    found = SETTINGS.get(media_type)
    if found is None:
        raise ValueError(f"cannot write a picture as {media_type} (known: {', '.join(SETTINGS)})")
    kind, options = found
    if max(pixels.shape[:2]) > LONGEST.get(kind, 1 << 31):
        raise ValueError(f"{kind} allows at most {LONGEST[kind]} pixels a side; use PNG or TIFF")
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if kind == "JPEG" and picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture).convert("RGB")
    with open(path, "wb") as file:
        picture.save(file, format=kind, **options)


def read_still(path: str, what: str = "picture") -> Pixels:
    """Read the first picture of a file, upright, as 8-bit RGB, or RGBA if any pixel is transparent."""
    try:
        with open_still(path) as opened:
            size = opened.size
            if size[0] * size[1] <= MAX_PIXELS:
                opened.load()
                picture = ImageOps.exif_transpose(opened)
    except Exception as error:  # a damaged file makes Pillow's plug-ins raise nearly anything
        raise ValueError(f"{what} is not a readable picture ({error.__class__.__name__})") from None
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{what} is too large to decode: {size[0]} x {size[1]} pixels, the limit is {MAX_PIXELS}")
    if picture.mode.startswith("I"):
        return _from_16_bit(np.asarray(picture))
    transparent = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "RGB")
    pixels = np.asarray(picture)
    if transparent and int(pixels[..., 3].min()) == 255:
        pixels = pixels[..., :3]
    return np.ascontiguousarray(pixels)


def _from_16_bit(grey: NDArray[Any]) -> Pixels:
    """Convert 16-bit grey by its rounded upper byte; Pillow's own conversion clips at 255."""
    levels = np.clip(grey.astype(np.int64), 0, 65535)
    eight = ((levels * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(eight[..., None], 3, axis=2)


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats of :data:`FORMATS` that this build of Pillow knows; naming others makes it fail."""
    Image.init()
    return tuple(form for form in FORMATS if form in Image.OPEN)


def scale_still(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale with Lanczos. Pillow uses fixed-point integers, so the result is the same on every processor."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def is_still(path: str) -> bool:
    """Whether Pillow recognises the file's content as a picture."""
    try:
        with open_still(path) as picture:
            return picture.format is not None
    except Exception:  # as in read_still
        return False


def versions() -> dict[str, str]:
    """The versions of all libraries that can change the bytes of a still picture."""
    found = {"pillow": pillow_version}
    for name in ("zlib", "zlib_ng", "libjpeg_turbo", "jpg", "webp", "libtiff", "freetype2", "raqm"):
        found[name] = str(features.version(name) or "none")
    return found
