"""Still pictures: reading any that Pillow knows, writing ones whose bytes depend on the pixels only.

Every encoder setting is fixed here, no time, software name or profile is written, and pixels are 8-bit
RGB or RGBA. What remains is the codec library itself, which :func:`versions` names.
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
    # LZW and not deflate: zlib's output depends on the system's zlib, LZW's only on libtiff.
    "image/tiff": ("TIFF", {"compression": "tiff_lzw"}),
}
FORMATS = (
    "PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "DIB", "AVIF", "TGA", "PPM", "JPEG2000", "PSD", "ICO", "SGI",
)  # fmt: skip
"""What is read as a still. Pillow knows more, among them EPS, for which it would start Ghostscript."""
LONGEST = {"WEBP": 16383, "JPEG": 65500}
"""Pixels a side at most; the other formats have no bound that matters."""


MAX_PIXELS = 1 << 28
"""The largest picture that is decoded: 1 GiB as RGBA. The size of a larger one is still read from its header."""
Image.MAX_IMAGE_PIXELS = None
"""Pillow would refuse large pictures when they are opened, and warn about some that are read without harm."""


def open_still(path: str) -> Image.Image:
    """Open a picture of one of :data:`FORMATS`, of any size; only its header is read. Close it after use."""
    return Image.open(path, formats=readable_formats())


def write_still(path: str, pixels: Pixels, media_type: str) -> None:
    """Encode 8-bit RGB or RGBA pixels. JPEG has no transparency: it is put on black."""
    found = SETTINGS.get(media_type)
    if found is None:
        raise ValueError(f"cannot write a picture as {media_type} (known: {', '.join(SETTINGS)})")
    kind, options = found
    if max(pixels.shape[:2]) > LONGEST.get(kind, 1 << 31):
        raise ValueError(f"{kind} ends at {LONGEST[kind]} pixels a side; write PNG or TIFF")
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if kind == "JPEG" and picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture).convert("RGB")
    with open(path, "wb") as file:
        picture.save(file, format=kind, **options)


def read_still(path: str, what: str = "picture") -> Pixels:
    """The first picture in the file, upright, as 8-bit RGB (RGBA when it is transparent somewhere)."""
    try:
        with open_still(path) as opened:
            size = opened.size
            if size[0] * size[1] <= MAX_PIXELS:
                opened.load()
                picture = ImageOps.exif_transpose(opened)
    except Exception as error:  # a damaged file makes Pillow's plug-ins raise nearly anything
        raise ValueError(f"{what} is no picture that can be read ({error.__class__.__name__})") from None
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{what} is too large to decode: {size[0]} x {size[1]} pixels, {MAX_PIXELS} at most")
    if picture.mode.startswith("I"):
        return _from_16_bit(np.asarray(picture))
    transparent = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "RGB")
    pixels = np.asarray(picture)
    if transparent and int(pixels[..., 3].min()) == 255:
        pixels = pixels[..., :3]
    return np.ascontiguousarray(pixels)


def _from_16_bit(grey: NDArray[Any]) -> Pixels:
    """Pillow's own conversion of 16-bit grey clips at 255; take the upper byte, rounded."""
    levels = np.clip(grey.astype(np.int64), 0, 65535)
    eight = ((levels * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(eight[..., None], 3, axis=2)


@cache
def readable_formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this build of Pillow knows; it stumbles over the others."""
    Image.init()
    return tuple(form for form in FORMATS if form in Image.OPEN)


def scale_still(pixels: Pixels, width: int, height: int) -> Pixels:
    """Lanczos scaling. Pillow does it in fixed-point integers, so it is the same on every processor."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def is_still(path: str) -> bool:
    """Whether Pillow takes the file for a picture, by its content."""
    try:
        with open_still(path) as picture:
            return picture.format is not None
    except Exception:  # as in read_still
        return False


def versions() -> dict[str, str]:
    """Every library that may change the bytes of a still picture."""
    found = {"pillow": pillow_version}
    for name in ("zlib", "zlib_ng", "libjpeg_turbo", "jpg", "webp", "libtiff", "freetype2", "raqm"):
        found[name] = str(features.version(name) or "none")
    return found
