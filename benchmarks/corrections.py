"""How often a correction gives a take back, at what size and how fast:

    python -m benchmarks.corrections [--quick] [--torch PYTHON] [--seeds N] [--json FILE]

Without ``--torch``: media whose values differ by one in a few places, in every format; and the same frames
encoded by another number of threads. With it, an interpreter that has torch and diffusers: pictures by
diffusion pipelines (random weights) on one and on two threads.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, PngImagePlugin

from benchmarks import machine
from regenstore.media.correction import making
from regenstore.media.encode import MediaWriter, Sound
from regenstore.objects.corrector import SHARE

RATE = 44100


@dataclass
class Case:
    """Pairs of one kind, and what came of them."""

    name: str
    files: int = 0
    equal: int = 0
    shares: list[float] = field(default_factory=list)
    """Of those that differ and have a correction: its data as a part of the take."""
    sizes: list[int] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)
    making: list[float] = field(default_factory=list)
    applying: list[float] = field(default_factory=list)

    def add(self, base: bytes, take: bytes) -> None:
        self.files += 1
        self.sizes.append(len(take))
        if base == take:
            self.equal += 1
            return
        begun = time.perf_counter()
        found = making.make(base, take, int(len(take) * SHARE) - 200)
        self.making.append(time.perf_counter() - begun)
        if found is None:
            return
        begun = time.perf_counter()
        if making.apply(found, base, len(take)) != take:
            raise RuntimeError(f"{self.name}: the correction gave other bytes")
        self.applying.append(time.perf_counter() - begun)
        self.shares.append(len(found.data) / len(take))
        self.methods.add(found.method + (f" ({found.needs})" if found.needs else ""))

    def cells(self) -> list[str]:
        differ = self.files - self.equal
        share = f"{statistics.median(self.shares):.3%} ({max(self.shares):.3%})" if self.shares else ""
        return [
            self.name,
            str(self.files),
            str(self.equal),
            f"{len(self.shares)} of {differ}",
            f"{statistics.median(self.sizes) / 1000:,.0f} kB",
            share,
            ", ".join(sorted(self.methods)),
            f"{statistics.median(self.making):.2f}" if self.making else "",
            f"{statistics.median(self.applying):.2f}" if self.applying else "",
        ]


HEAD = ["case", "files", "equal", "corrected", "size", "correction: median (most)", "method", "make, s", "apply, s"]


# ------------------------------------------------------------------------------------------- off by one


def off_by_one(values: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The same values but for so many, which are one higher or lower."""
    rng = np.random.default_rng(seed)
    changed = values.copy()
    flat = changed.reshape(-1)
    at = rng.choice(flat.size, count, replace=False)
    flat[at] = np.where(flat[at] > 0, flat[at] - 1, flat[at] + 1)
    return changed


def picture(seed: int, width: int, height: int) -> np.ndarray:
    """Shapes, edges and a little noise: it compresses as a generated picture does."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for channel in range(3):
        plane = 128 + 50 * np.sin(x / 61 + channel + seed) + 40 * np.cos(y / 43 + x / 151) + rng.normal(0, 1.5, x.shape)
        plane += 40 * (((x // 97) + (y // 71)) % 2) - 20
        planes.append(plane)
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def comfy(pixels: np.ndarray) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 42, "steps": 20}}}))
    return saved(pixels, "PNG", pnginfo=text, compress_level=4)


def grey16(pixels: np.ndarray) -> bytes:
    return saved(pixels[..., 0].astype(np.uint16) * 256 + pixels[..., 1], "PNG")


def exr(pixels: np.ndarray) -> bytes:
    """Half floats, ZIP, as renderers write it; by FFmpeg's encoder."""
    linear = (pixels.astype(np.float32) / 255) ** 2.2
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(linear), format="gbrpf32le")
    context: Any = av.CodecContext.create("exr", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "gbrpf32le"
    context.time_base, context.thread_count = Fraction(1, 25), 1
    context.options = {"compression": "zip16", "format": "half"}
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


STILLS: dict[str, Callable[[np.ndarray], bytes]] = {
    "PNG as ComfyUI writes it": comfy,
    "PNG, optimize": lambda pixels: saved(pixels, "PNG", optimize=True),
    "PNG, 16-bit grey": grey16,
    "JPEG 93, 4:4:4": lambda pixels: saved(pixels, "JPEG", quality=93, subsampling=0),
    "JPEG 90, progressive": lambda pixels: saved(pixels, "JPEG", quality=90, progressive=True),
    "WebP, lossless": lambda pixels: saved(pixels, "WEBP", lossless=True),
    "WebP 92": lambda pixels: saved(pixels, "WEBP", quality=92),
    "TIFF, deflate": lambda pixels: saved(pixels, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, LZW": lambda pixels: saved(pixels, "TIFF", compression="tiff_lzw"),
    "TIFF, plain": lambda pixels: saved(pixels, "TIFF"),
    "EXR, half, ZIP": exr,
}


def still_cases(quick: bool) -> Iterator[Case]:
    width, height = (608, 416) if quick else (1216, 832)
    for name, write in STILLS.items():
        for count in (8, 300, 10_000):
            case = Case(f"{name}: {count:,} of {3 * width * height / 1e6:.1f} M values off by one")
            for seed in range(2 if quick else 4):
                pixels = picture(seed, width, height)
                case.add(write(off_by_one(pixels, count, seed)), write(pixels))
            yield case


def sound(levels: np.ndarray, media_type: str, bits: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/sound"
        with MediaWriter(path, media_type, sound=Sound(RATE, levels.shape[0], bits)) as writer:
            writer.samples((levels / 2 ** (bits - 1)).astype(np.float32))
        return Path(path).read_bytes()


def sound_cases(quick: bool) -> Iterator[Case]:
    seconds = 4 if quick else 20
    at = np.arange(RATE * seconds) / RATE
    for media_type, bits in (("audio/wav", 16), ("audio/wav", 24), ("audio/flac", 16), ("audio/flac", 24)):
        for count in (8, 300, 10_000):
            total = 2 * at.size
            case = Case(f"{media_type}, {bits} bits: {count:,} of {total / 1e6:.1f} M samples off by one")
            for seed in range(2 if quick else 4):
                rng = np.random.default_rng(seed)
                tones = [np.sin(2 * np.pi * pitch * at) * 0.3 for pitch in (220 + seed, 331)]
                levels = np.stack([tone + rng.normal(0, 0.01, at.size) for tone in tones]) * 2 ** (bits - 1)
                levels = np.rint(levels).astype(np.int32)
                case.add(sound(off_by_one(levels, count, seed), media_type, bits), sound(levels, media_type, bits))
            yield case


# ------------------------------------------------------------------------------------------- video


def film(frames: list[np.ndarray], codec: str, form: str, threads: int = 1, **options: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=24, options=options)
        context: Any = stream.codec_context
        context.width, context.height = frames[0].shape[1], frames[0].shape[0]
        context.pix_fmt = {"ffv1": "bgr0", "prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        context.thread_count = threads
        context.flags |= int(av.codec.context.Flags.bitexact)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


X265 = {"preset": "fast", "x265-params": "log-level=none"}
FILMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "x264, MP4": ("libx264", "mp4", {"preset": "veryfast"}),
    "x264, every frame a key frame, MP4": ("libx264", "mp4", {"preset": "veryfast", "g": "1"}),
    "x265, MP4": ("libx265", "mp4", X265),
    "VP9, WebM": ("libvpx-vp9", "webm", {"deadline": "realtime", "cpu-used": "6"}),
    "ProRes, MOV": ("prores_ks", "mov", {}),
    "MJPEG, MOV": ("mjpeg", "mov", {"q": "3"}),
    "FFV1, Matroska": ("ffv1", "matroska", {"level": "3"}),
}


def film_cases(quick: bool) -> Iterator[Case]:
    width, height, count = (320, 176, 48) if quick else (640, 352, 96)
    for name, (codec, form, options) in FILMS.items():
        near = Case(f"{name}: 3,000 values off by one in 1 of {count} frames")
        threads = Case(f"{name}: 2 threads, not 1")
        for seed in range(1 if quick else 2):
            first = picture(seed, width + count, height)
            frames = [np.ascontiguousarray(first[:, at : at + width]) for at in range(count)]
            changed = list(frames)
            changed[count // 2] = off_by_one(frames[count // 2], 3000, seed)
            try:
                take = film(frames, codec, form, **options)
                near.add(film(changed, codec, form, **options), take)
                if codec == "libx265":
                    options = {**options, "x265-params": "log-level=none:frame-threads=2:pools=2"}
                threads.add(film(frames, codec, form, threads=2, **options), take)
            except av.FFmpegError as error:
                near.name = threads.name = f"{name}: not to be had here ({error.__class__.__name__})"
        yield near
        yield threads


# ------------------------------------------------------------------------------------------- diffusion


WHERE = {
    "2": ("2", {}),
    "1": ("1", {}),
    "avx2": ("1", {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
}
"""Where pictures are made, by label: threads, and what of the processor's instructions is used."""
PAIRS = {("2", "1"): "2 threads, then 1", ("1", "avx2"): "this processor, then one with AVX2 only"}


def torch_cases(python: str, seeds: int) -> Iterator[Case]:
    script = str(Path(__file__).with_name("corrections_torch.py"))
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "bfloat16"):
            for label, (threads, environment) in WHERE.items():
                command = [python, script, folder, label, threads, dtype, str(seeds)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env={**os.environ, **environment})
        yield from pictures_of(Path(folder))


def pictures_of(folder: Path) -> Iterator[Case]:
    """Pairs of pictures that ``corrections_torch`` wrote."""
    for (first, second), words in PAIRS.items():
        for pipeline in ("latent", "pixels"):
            for dtype in ("float32", "bfloat16"):
                case, off, most = Case(""), [], 0
                for one in sorted(folder.glob(f"{pipeline}-{dtype}-*-{first}.png")):
                    two = one.with_name(one.name.replace(f"-{first}.png", f"-{second}.png"))
                    if not two.exists():
                        continue
                    far = np.abs(np.asarray(Image.open(one)).astype(int) - np.asarray(Image.open(two)))
                    off.append(np.count_nonzero(far) / far.size)
                    most = max(most, int(far.max()))
                    case.add(two.read_bytes(), one.read_bytes())
                if off:
                    case.name = f"diffusion in {pipeline}, {dtype}, PNG: {words}"
                    case.name += f" ({statistics.median(off):.2%} of values differ, by {most} at most)"
                    yield case


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corrections", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer media")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter that has torch and diffusers")
    parser.add_argument("--pictures", metavar="FOLDER", help="pictures that corrections_torch.py wrote before")
    parser.add_argument("--seeds", type=int, default=6, help="pictures of each pipeline")
    parser.add_argument("--json", metavar="FILE", help="write all measurements to a file")
    given = parser.parse_args()
    sources = [still_cases(given.quick), sound_cases(given.quick), film_cases(given.quick)]
    if given.torch:
        sources.append(torch_cases(given.torch, given.seeds))
    if given.pictures:
        sources.append(pictures_of(Path(given.pictures)))
    print(f"{machine.description()}\n\n| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    records = []
    for source in sources:
        for case in source:
            print(f"| {' | '.join(case.cells())} |", flush=True)
            records.append({**vars(case), "methods": sorted(case.methods)})
    if given.json:
        record = {"type": "regenstore-corrections", "version": 1, "machine": machine.description(), "cases": records}
        Path(given.json).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
