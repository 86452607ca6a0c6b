"""The procedural generators: what every parameter promises."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from regenstore_procedural import mood, picture
from regenstore_procedural.declarations import (
    MOTIONS,
    PROCEDURAL_AUDIO,
    PROCEDURAL_IMAGE,
    PROCEDURAL_VIDEO,
    SOUNDS,
    STYLES,
)
from regenstore_procedural.picture import Camera, Picture

from regenstore.errors import RegenstoreError
from regenstore.generators.api import Cancelled, Item
from regenstore.generators.shared_params import AUDIO_TYPES, IMAGE_TYPES, VIDEO_TYPES
from regenstore.jobs.local import Slot
from regenstore.media import decode
from regenstore.media.rates import exact_rate
from regenstore.media.stills import read_still
from regenstore.media.types import HEAD, sniff
from tests.generators.making import Heard, digest, make

IMAGE, VIDEO, AUDIO = "procedural.image", "procedural.video", "procedural.audio"
SMALL = {"prompt": "a harbour at dusk", "width": 48, "height": 32}
SHORT = {**SMALL, "frames": 3}
BRIEF = {"prompt": "wind over dunes", "duration": 0.05, "sample_rate": 8000}
OF = {IMAGE: SMALL, VIDEO: SHORT, AUDIO: BRIEF}


def still(tmp_path, **params):
    return read_still(str(make(IMAGE, tmp_path, **{**SMALL, **params})))


def frames(path):
    return [decode.to_rgb(frame) for _, frame in decode.frames(str(path))]


def heard(path):
    return np.concatenate(list(decode.sound_blocks(str(path))), axis=1)


# ------------------------------------------------------------------------------------------- seed and prompt


@pytest.mark.parametrize("generator", [IMAGE, VIDEO, AUDIO])
def test_seeds_differ(tmp_path, generator):
    params = {**OF[generator], **({"style": "wind"} if generator == AUDIO else {})}
    seeds = [0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**60]
    found = {digest(make(generator, tmp_path, **{**params, "seed": seed})) for seed in seeds}
    assert len(found) == len(seeds)


@pytest.mark.parametrize("generator", [IMAGE, VIDEO, AUDIO])
@pytest.mark.parametrize("seed", [42, 2**64 - 1, 10**60, -(10**30)])
def test_a_seed_as_decimal_text_is_the_same_seed(tmp_path, generator, seed):
    one = make(generator, tmp_path, **{**OF[generator], "seed": seed})
    other = make(generator, tmp_path, **{**OF[generator], "seed": str(seed)})
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("style", [style for style in STYLES if style not in picture.EXACT])
def test_prompt_and_seed_change_the_picture_and_not_only_its_grain(tmp_path, style):
    plain = {"style": style, "grain": 0, "width": 96, "height": 54}
    seen = [
        still(tmp_path, **{**plain, **more}).astype(int)
        for more in ({}, {"prompt": "fire and snow at noon"}, {"seed": 1}, {"prompt": "a harbour at dusk, quick"})
    ]
    for place, one in enumerate(seen):
        assert one.std() > 5, "something is to be seen"
        for other in seen[place + 1 :]:
            assert np.abs(one - other).mean() > 2


def test_known_words_choose(tmp_path):
    def brightness(prompt):
        return still(tmp_path, prompt=prompt, style="landscape", grain=0).mean()

    assert brightness("bright sunny day") > brightness("midnight") + 30
    assert mood.mood_of("a stormy sea", "auto", 1).style == "seascape"
    assert mood.mood_of("Tokyo street, neon", "auto", 1).style == "skyline"
    assert mood.mood_of("a stormy sea", "nebula", 1).style == "nebula"


def test_any_words_can_be_drawn():
    """Known words in any combination, cameras and times far away; the seed is in the message."""
    tables = (mood.WORDS, mood.STYLES, mood.TRAITS)
    words = sorted({word for table in tables for known in table.values() for word in known.split()} | set(mood.HUES))
    for seed in range(40):
        chance = random.Random(seed)
        prompt = " ".join(chance.sample(words, chance.randrange(6)))
        size = chance.choice([(16, 16), (48, 32), (17, 71), (160, 16)])
        params = {"prompt": prompt, "seed": seed, "style": "auto", "grain": 0.4}
        camera = Camera(
            chance.choice([0, 0.3, -7, 900]),
            chance.choice([0, 0.1]),
            chance.choice([1, 1.3, 40]),
            chance.choice([0, 3.7, 1e5]),
        )
        pixels = Picture(params, *size).draw(camera, frame=seed)
        assert pixels.shape == (size[1], size[0], 3), f"seed {seed}: {prompt!r}"


@pytest.mark.parametrize(
    "prompt", ["", " ", "\n", "\0", "é\u0301 😀 \u202e", "x" * 100_000, "a\nb\tc", "'; drop table", "%s{0}"]
)
def test_odd_prompts_and_names(tmp_path, prompt):
    make(IMAGE, tmp_path, **{**SMALL, "prompt": prompt, "shot": prompt[:200]})
    make(IMAGE, tmp_path, **{**SMALL, "prompt": prompt, "shot": prompt[:200], "slate": True})
    make(AUDIO, tmp_path, **{**BRIEF, "prompt": prompt})


# ------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (16, 31), (101, 57), (8192, 16), (16, 8192)])
@pytest.mark.parametrize("style", STYLES)
def test_images_have_the_size_asked_for(tmp_path, size, style):
    assert still(tmp_path, style=style, width=size[0], height=size[1]).shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("size", "made"), [((16, 16), (16, 16)), ((17, 31), (18, 32)), ((8192, 16), (8192, 16)), ((16, 8191), (16, 8192))]
)
def test_videos_have_the_next_even_size(tmp_path, size, made):
    info = decode.inspect(str(make(VIDEO, tmp_path, prompt="x", style="grid", width=size[0], height=size[1], frames=2)))
    assert (info.width, info.height) == made


@pytest.mark.parametrize("style", [style for style in STYLES if style != "auto"])
def test_bands_meet_without_a_seam(style, monkeypatch):
    params = {"prompt": "storm lake fog snow forest", "seed": 3, "style": style, "grain": 0}
    whole = Picture(params, 96, 80).draw().astype(int)
    monkeypatch.setattr(picture, "BAND", 16 * 96)
    banded = Picture(params, 96, 80).draw().astype(int)
    away = np.abs(whole - banded)
    assert away.max() <= 3, f"rows {np.unique(np.argwhere(away > 3)[:, 0])}"


@pytest.mark.parametrize(
    ("generator", "media_types"), [(IMAGE, IMAGE_TYPES), (VIDEO, VIDEO_TYPES), (AUDIO, AUDIO_TYPES)]
)
def test_every_media_type_is_written(tmp_path, generator, media_types):
    for media_type in media_types:
        path = make(generator, tmp_path, media_type=media_type, **OF[generator])
        assert sniff(path.read_bytes()[:HEAD]) == media_type


@pytest.mark.parametrize("media_type", VIDEO_TYPES)
@pytest.mark.parametrize(
    ("fps", "count"), [(23.976, 25), (24, 1), (29.97, 31), (59.94, 61), (12.5, 7), (1, 2), (240, 5)]
)
def test_frames_and_rate_are_exact(tmp_path, media_type, fps, count):
    path = make(VIDEO, tmp_path, media_type=media_type, **{**SHORT, "frames": count, "fps": fps, "audio": True})
    info = decode.inspect(str(path))
    assert (info.rate, decode.frame_count(str(path)), len(frames(path))) == (exact_rate(fps), count, count)
    assert heard(path).shape == (2, int(count / exact_rate(fps) * 48_000 + 1 / 2))


# ------------------------------------------------------------------------------------------- motion and grain


def moved(path):
    seen = [pixels.astype(int) for pixels in frames(path)]
    return float(np.abs(seen[-1] - seen[0]).mean())


def test_things_move_unless_told_not_to(tmp_path):
    shot = {**SMALL, "style": "landscape", "frames": 6, "grain": 0, "quality": 0}
    at_rest = moved(make(VIDEO, tmp_path, **{**shot, "speed": 0}))
    assert at_rest == 0
    for motion in MOTIONS:
        if motion not in ("auto", "static"):
            assert moved(make(VIDEO, tmp_path, **{**shot, "motion": motion, "speed": 3})) > 0.5, motion


def test_the_first_frame_is_the_still(tmp_path):
    """So a picture can stand for its shot."""
    look = {"style": "skyline", "grain": 0, "motion": "static"}
    (first, *_) = frames(make(VIDEO, tmp_path, **{**SHORT, **look, "quality": 0}))
    del look["motion"]
    assert np.abs(first.astype(int) - still(tmp_path, **look)).mean() < 6  # 4:2:0


def test_grain(tmp_path):
    plain, fine, strong = (still(tmp_path, style="flow", grain=grain).astype(int) for grain in (0, 0.1, 1))
    assert 0 < np.abs(fine - plain).mean() < np.abs(strong - plain).mean() < 8


# ------------------------------------------------------------------------------------------- burn-in and slate

LOSSLESS = {"prompt": "x", "style": "bars", "width": 160, "height": 96, "quality": 0}


def changed(one, other):
    """Where two pictures differ: top, bottom, left, right of the area; None for nowhere."""
    rows, columns = np.nonzero(np.abs(one.astype(int) - other).max(axis=2) > 2)
    return (rows.min(), rows.max(), columns.min(), columns.max()) if rows.size else None


def test_timecode_runs_at_the_lower_right(tmp_path):
    plain = frames(make(VIDEO, tmp_path, frames=30, **LOSSLESS))
    marked = frames(make(VIDEO, tmp_path, frames=30, timecode="01:00:00:20", **LOSSLESS))
    later = frames(make(VIDEO, tmp_path, frames=3, timecode="01:00:01:05", **LOSSLESS))
    for without, with_timecode in zip(plain, marked):
        top, bottom, left, right = changed(without, with_timecode)
        assert top > 70
        assert left > 60
        assert right < 160
        assert bottom < 96
    for place in range(1, 30):
        assert changed(marked[place - 1], marked[place]) is not None, f"frame {place} shows the timecode before it"
    # Frame 9 from 01:00:00:20 at 24 is 01:00:01:05.
    np.testing.assert_array_equal(marked[9], later[0])
    np.testing.assert_array_equal(marked[11], later[2])


def test_shot_name_stands_at_the_lower_left(tmp_path):
    plain, marked = (still(tmp_path, style="bars", width=160, height=96, shot=shot) for shot in ("", "SH_010"))
    top, _, _, right = changed(plain, marked)
    assert top > 70
    assert right < 80
    assert changed(still(tmp_path, style="bars", width=160, height=96, shot="SH_020"), marked) is not None


def test_text_larger_than_the_picture_does_no_harm(tmp_path):
    everything = {"shot": "W" * 200, "timecode": "23:59:59:23", "width": 16, "height": 16}
    still(tmp_path, **everything)
    still(tmp_path, **everything, slate=True)
    make(VIDEO, tmp_path, **{**SHORT, **everything, "slate": True})


@pytest.mark.parametrize("generator", [IMAGE, VIDEO])
def test_wrong_timecode_is_refused(tmp_path, generator):
    with pytest.raises(ValueError, match="timecode '99:00'"):
        make(generator, tmp_path, **{**OF[generator], "timecode": "99:00"})


def test_the_slate_tells_prompt_and_seed_for_one_second(tmp_path):
    plain = frames(make(VIDEO, tmp_path, frames=30, fps=24, **LOSSLESS))
    slated = frames(make(VIDEO, tmp_path, frames=30, fps=24, slate=True, **LOSSLESS))
    different = [changed(one, other) is not None for one, other in zip(plain, slated)]
    assert different == [number < 24 for number in range(30)]
    big = {"style": "grid", "width": 480, "height": 270, "slate": True}
    base = still(tmp_path, **big)
    assert base.mean() < still(tmp_path, **{**big, "slate": False}).mean()
    for more in ({"prompt": "another text"}, {"seed": 7}, {"shot": "SH_010"}):
        assert changed(base, still(tmp_path, **{**big, **more})) is not None, more


# ------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("media_type", AUDIO_TYPES)
@pytest.mark.parametrize(
    ("rate", "channels", "bits"), [(8000, 1, 16), (11025, 2, 24), (44100, 1, 24), (48000, 2, 16), (192000, 2, 24)]
)
def test_sounds_have_the_form_asked_for(tmp_path, media_type, rate, channels, bits):
    form = {"sample_rate": rate, "channels": channels, "bits": bits, "duration": 0.123, "prompt": "rain"}
    path = make(AUDIO, tmp_path, media_type=media_type, **form)
    info = decode.inspect(str(path))
    assert (info.sample_rate, info.channels, info.bits) == (rate, channels, bits)
    assert heard(path).shape == (channels, round(0.123 * rate))


@pytest.mark.parametrize("style", SOUNDS)
def test_levels_hold(tmp_path, style):
    for level in (0, -6, -60):
        samples = heard(
            make(AUDIO, tmp_path, prompt="x", style=style, duration=1.5, sample_rate=22050, level=level, bits=24)
        )
        limit = 10 ** (level / 20)
        assert np.abs(samples).max() <= limit + 2**-23
        assert np.abs(samples).max() > limit * 0.1, "something is to be heard"
        flat = np.abs(samples) >= limit * 0.9999
        assert flat.mean() < 0.001, "it is clipped"


@pytest.mark.parametrize("style", SOUNDS)
def test_a_sound_is_the_same_however_long_it_goes_on(tmp_path, style):
    long, short = (
        heard(make(AUDIO, tmp_path, prompt="x", style=style, duration=duration, sample_rate=16000, channels=1))
        for duration in (2.5, 1.6)
    )
    end = int(1.5 * 16000)  # before the short one's fade
    np.testing.assert_array_equal(long[:, :end], short[:, :end])
    assert np.abs(long[:, 0]).max() < 0.05
    assert np.abs(long[:, -1]).max() < 0.05


def test_a_tone_has_its_pitch_and_a_beat_its_tempo(tmp_path):
    tone = heard(
        make(AUDIO, tmp_path, prompt="x", style="tone", frequency=1000, duration=1, sample_rate=16000, channels=1)
    )
    assert np.argmax(np.abs(np.fft.rfft(tone[0]))) == 1000
    one, other = (
        make(AUDIO, tmp_path, prompt="x", style="beat", tempo=tempo, duration=0.9, sample_rate=8000)
        for tempo in (60, 140)
    )
    assert digest(one) != digest(other)


# ------------------------------------------------------------------------------------------- ends of ranges

COSTLY = {("frames", 100_000), ("duration", 36_000)}
"""Ends that only the schema is asked about."""


def ends(declaration):
    for name, param in declaration.params.params.items():
        values = list(param.choices or ())
        values += [value for value in (param.minimum, param.maximum) if value is not None]
        values += [True, False] if param.type == "boolean" else []
        values += ["", "x" * min(param.max_length, 200)] if param.type == "string" and not param.choices else []
        for value in values:
            if name != "timecode":
                yield name, value


@pytest.mark.parametrize("declaration", [PROCEDURAL_IMAGE, PROCEDURAL_VIDEO, PROCEDURAL_AUDIO], ids=lambda d: d.name)
def test_both_ends_of_every_range_work(tmp_path, declaration):
    count = 0
    for name, value in ends(declaration):
        params = {**OF[declaration.name], name: value}
        assert declaration.estimate(declaration.params.check(params)).seconds > 0
        if name in ("width", "height"):
            params = {**params, "style": "bars", **({"height": 16} if name == "width" else {"width": 16})}
        if (name, value) not in COSTLY:
            assert make(declaration.name, tmp_path, **params).stat().st_size > 0, (name, value)
            count += 1
    assert count >= 20


@pytest.mark.parametrize("declaration", [PROCEDURAL_IMAGE, PROCEDURAL_VIDEO, PROCEDURAL_AUDIO], ids=lambda d: d.name)
def test_beyond_the_ends_is_refused(declaration):
    for name, param in declaration.params.params.items():
        wrong = [param.minimum - 1] if param.minimum is not None else []
        wrong += [param.maximum + 1] if param.maximum is not None else []
        wrong += ["no such choice"] if param.choices else []
        for value in wrong:
            with pytest.raises(RegenstoreError, match=name):
                declaration.params.check({**OF[declaration.name], name: value})


def test_estimates_grow_with_the_work():
    def seconds(declaration, **params):
        return declaration.estimate(declaration.params.check({"prompt": "x", **params})).seconds

    assert seconds(PROCEDURAL_IMAGE, width=4096, height=4096) > 5 * seconds(PROCEDURAL_IMAGE)
    assert seconds(PROCEDURAL_VIDEO, frames=960) > 8 * seconds(PROCEDURAL_VIDEO)
    assert seconds(PROCEDURAL_AUDIO, duration=3600) > 100 * seconds(PROCEDURAL_AUDIO, duration=1)


# ------------------------------------------------------------------------------------------- progress and cancelling


@pytest.mark.parametrize("generator", [IMAGE, VIDEO, AUDIO])
def test_progress_goes_up_to_the_end(tmp_path, generator):
    heard = Heard()
    more = {IMAGE: {"height": 200}, VIDEO: {}, AUDIO: {"duration": 9}}[generator]
    make(generator, tmp_path, context=heard, **{**OF[generator], **more})
    done = [part / total for part, total, _ in heard.reports]
    assert len(done) >= 2
    assert done == sorted(done)
    assert done[0] > 0
    assert done[-1] == 1


@pytest.mark.parametrize(
    ("generator", "more"),
    [
        (IMAGE, {"width": 8192, "height": 8192}),
        (VIDEO, {"frames": 100_000, "audio": True}),
        (AUDIO, {"duration": 36_000}),
    ],
)
@pytest.mark.parametrize("patience", [0, 2])
def test_a_cancelled_item_stops_at_once_and_leaves_nothing(tmp_path, generator, more, patience):
    heard, begun = Heard(patience), time.monotonic()
    with pytest.raises(Cancelled):
        make(generator, tmp_path, context=heard, **{**OF[generator], **more})
    assert len(heard.reports) == patience + 1
    assert time.monotonic() - begun < 10
    (folder,) = tmp_path.iterdir()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("generator", [IMAGE, VIDEO, AUDIO])
def test_an_item_cancelled_at_its_last_report_leaves_nothing(tmp_path, generator):
    whole = Heard()
    make(generator, tmp_path, context=whole, **OF[generator])
    out = tmp_path / "cancelled"
    out.mkdir()
    with pytest.raises(Cancelled):
        make(generator, out, context=Heard(len(whole.reports) - 1), **OF[generator])
    (folder,) = out.iterdir()
    assert list(folder.iterdir()) == []


def test_a_worker_cancels_a_long_video(tmp_path):
    slot = Slot(60.0, 1 << 30, {"PATH": os.environ["PATH"]})
    begun = []

    def progress(done: float, total: float, note: str) -> None:
        if not begun:
            begun.append(time.monotonic())
            threading.Timer(0.05, slot.cancel).start()

    params = PROCEDURAL_VIDEO.params.check({"prompt": "sea", "frames": 100_000, "width": 320, "height": 180})
    try:
        with pytest.raises(RegenstoreError) as caught:
            slot.run(PROCEDURAL_VIDEO, "", Item("long", params, {}, "video/mp4", str(tmp_path)), None, progress)
    finally:
        slot.close()
    assert caught.value.kind == "cancelled"
    assert time.monotonic() - begun[0] < 5
    assert list(Path(tmp_path).iterdir()) == []
