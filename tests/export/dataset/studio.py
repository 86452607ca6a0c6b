"""Samples for tests of datasets: real small videos and pictures with recipes made of values, without a repository."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from regenstore.export.dataset import exporting, places, splits
from regenstore.export.dataset.exporting import DatasetOutcome
from regenstore.export.dataset.order import DatasetOrder
from regenstore.export.dataset.selection import Limits
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import Chosen, Medium
from regenstore.fs.reflink import Linker
from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Input, Output, Recipe, Take


@cache
def small_video(frames: int = 4) -> bytes:
    """A film of 32 x 24 pixels, 12 frames per second."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(frames):
            pixels = np.full((24, 32, 3), 40 + 30 * index, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return out.getvalue()


def video(name: str) -> bytes:
    """The small film, with bytes of its own: an MP4 may end with a box that readers skip."""
    told = name.encode()
    return small_video() + struct.pack(">I4s", 8 + len(told), b"free") + told


def picture(name: str) -> bytes:
    """A picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (16, 12), tuple(hash_bytes(name.encode()).raw[:3])).save(out, "PNG")
    return out.getvalue()


@dataclass
class Studio:
    """Media in a folder, and exports of them."""

    folder: Path
    media: dict[str, Medium] = field(default_factory=dict)

    def add(
        self,
        path: str,
        *,
        about: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Medium] | None = None,
        content: str | None = None,
        **params: Any,
    ) -> Medium:
        """A sample at a path; ``content`` names its bytes where they are not its own."""
        kind = "image/png" if path.endswith(".png") else "video/mp4"
        data = (picture if kind == "image/png" else video)(content or path)
        file = self.folder / hash_bytes(data).hex
        file.write_bytes(data)
        digest = hash_bytes(data)
        recipe = Recipe(
            "example.video", "1", Output(kind, take=Take(digest, len(data)), seconds=1), params=params,
            inputs={name: Input(given.digest, given.path) for name, given in (inputs or {}).items()},
            about=dict(about or {}),
        )  # fmt: skip
        made = Medium(path, recipe, digest, len(data), kind, str(file), recipe.key, "exact", None, 1_700_000_000.0)
        self.media[path] = made
        return made

    def label(self, path: str, **about: Any) -> None:
        medium = self.media[path]
        self.media[path] = replace(medium, recipe=replace(medium.recipe, about={**medium.recipe.about, **about}))

    def order(self, out: Path, limits: Limits | None = None, **given: Any) -> DatasetOrder:
        shares = splits.parse_shares(given.pop("split", splits.DEFAULT))
        rules = given.pop("rules", None) or splits.Rules(shares, method="balanced")
        settings: dict[str, Any] = {"layout": "dir", "trainers": ("musubi", "diffsynth", "finetrainers"), **given}
        return DatasetOrder(str(out), limits=limits or Limits(), rules=rules, **settings)

    def export(
        self, out: Path, limits: Limits | None = None, *, media: Sequence[Medium] | None = None, **given: Any
    ) -> DatasetOutcome:
        (outcome,) = self.export_all(out, limits, media=media, **given).values()
        return outcome

    def export_all(
        self, out: Path, limits: Limits | None = None, *, media: Sequence[Medium] | None = None, **given: Any
    ) -> dict[str, DatasetOutcome]:
        """The same, where several kinds become several datasets: place -> outcome."""
        lost = given.pop("lost", ())
        prompt_of = given.pop("prompt_of", lambda _: None)
        order = self.order(out, limits, **given)
        known = Measurements(ContentFacts(str(self.folder / "store")))
        chosen = list(self.media.values()) if media is None else media
        with exporting.sample_rows(order, known, str(self.folder), prompt_of) as rows:
            by_path = {os.fsencode(medium.path): medium for medium in chosen}
            wanted, _ = exporting.select([Chosen(path, medium.recipe) for path, medium in by_path.items()], rows)
            for each in wanted:
                if os.fsdecode(each.path) not in lost:
                    rows.add(by_path[each.path])
            for path in lost:
                rows.keep_known(path)
            rows.keep()
            plans = [exporting.plan(*part, known) for part in places.parts(order, rows)]
            done = {plan.order.out: plan.run(Linker(), lambda _: None) for plan in plans}
        places.put_card(order.out)
        return done
