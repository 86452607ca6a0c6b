"""The built-in generators give the same bytes always and everywhere."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
from regenstore_procedural.declarations import SOUNDS, STYLES

from regenstore.generators.shared_params import AUDIO_TYPES, IMAGE_TYPES, VIDEO_TYPES
from tests.generators import making
from tests.generators.making import make

IMAGE, VIDEO, AUDIO = "procedural.image", "procedural.video", "procedural.audio"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Every generator, encoder, style and operation, at sizes that are odd or no whole number of blocks."""
    folder = tmp_path_factory.mktemp("inputs")
    clip = make(VIDEO, folder, prompt="sea", width=98, height=66, frames=20, fps=23.976, audio=True)
    other = make(VIDEO, folder, media_type="video/x-matroska", prompt="hills", width=50, height=70, frames=9, fps=30)
    plate = make(IMAGE, folder, prompt="forest", width=111, height=73)
    rain = make(AUDIO, folder, prompt="rain", duration=0.4)
    drone = make(AUDIO, folder, media_type="audio/flac", prompt="x", style="drone", duration=0.3, sample_rate=44100)
    found = []

    def job(generator, media_type, inputs=(), **params):
        given = {name: str(path) for name, path in dict(inputs).items()}
        found.append({"generator": generator, "media_type": media_type, "inputs": given, "params": params})

    words = "a rainy night city with neon, embers, snow and fog"
    for width, height in ((16, 16), (101, 57)):
        for media_type in IMAGE_TYPES:
            job(IMAGE, media_type, prompt=words, width=width, height=height, slate=height > 50, timecode="01:02:03:04")
        for media_type in VIDEO_TYPES:
            job(
                VIDEO, media_type, prompt=words, width=width, height=height, frames=20, fps=29.97, audio=True, shot="A1"
            )
    # With x264's macroblock-tree this one differed from one run to the next.
    job(VIDEO, "video/mp4", prompt="storm", style="seascape", width=320, height=180, frames=24)
    for style in STYLES:
        job(IMAGE, "image/png", prompt="storm lake snow aurora lighthouse", style=style, width=133, height=71)
    for quality in (0, 51):
        job(VIDEO, "video/mp4", prompt="ink", width=86, height=50, frames=12, quality=quality)
    for number, style in enumerate(SOUNDS):
        job(AUDIO, AUDIO_TYPES[number % 2], prompt="z", style=style, duration=0.37, bits=(16, 24)[number // 2 % 2])
    for media_type in IMAGE_TYPES:
        job("derive.image", media_type, {"source": plate}, width=57, crop="101x59+3+5")
    job("derive.image", "image/png", {"source": clip}, operation="frame", frame=13)
    job("derive.image", "image/png", {"b": clip, "a": plate}, operation="contact_sheet", cell_width=65)
    for media_type in VIDEO_TYPES:
        job("derive.video", media_type, {"source": clip}, crop="51x37+3+5", first_frame=3, width=70)
    job("derive.video", "video/mp4", {"source": clip, "audio": rain}, operation="mux", width=60, height=60, fit="pad")
    job("derive.video", "video/mp4", {"s1": clip, "s2": other}, operation="concatenate", timecode="00:00:00:00")
    job("derive.video", "video/mp4", {"s1": plate, "s2": clip}, operation="stills", hold=2)
    job("derive.audio", "audio/wav", {"source": clip}, operation="extract", sample_rate=44100, gain=-3, fade_in=0.1)
    job("derive.audio", "audio/flac", {"s1": rain, "s2": drone}, operation="mix")
    job("derive.audio", "audio/wav", {"s1": rain, "s2": drone}, operation="concatenate", bits=24)
    return found


def digests_of(jobs, folder, **environment):
    done = subprocess.run(
        [sys.executable, making.__file__],
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.heavy
def test_the_same_bytes_in_every_process_and_order(jobs, tmp_path):
    """Nothing counts but the item: not what memory held before, threads, hashing, folder, or earlier items."""
    first = digests_of(jobs, tmp_path, MALLOC_PERTURB_="0", PYTHONHASHSEED="0")
    for memory, threads, hashes in ((85, 1, 1), (255, 4, 99)):
        folder = tmp_path / str(memory)
        folder.mkdir()
        order = list(range(len(jobs)))
        random.Random(memory).shuffle(order)
        settings = {"MALLOC_PERTURB_": memory, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": hashes, "HOME": folder}
        again = digests_of(
            [jobs[place] for place in order], folder, TZ="Asia/Tokyo", **{k: str(v) for k, v in settings.items()}
        )
        assert [jobs[place] for place, made in zip(order, again) if made != first[place]] == [], f"{memory}"
