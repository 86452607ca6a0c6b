"""Derived media at the ends of their parameters, with inputs that will not do, and when they are cancelled."""

from __future__ import annotations

import random

import av
import pytest

from regenstore.generators.api import Cancelled
from regenstore.generators.derive import image
from regenstore.generators.derive.declarations import DERIVE_AUDIO, DERIVE_IMAGE, DERIVE_VIDEO
from regenstore.media.stills import read_still, write_still
from tests.generators.making import Heard, make
from tests.media import made

IMAGE, VIDEO, AUDIO = "derive.image", "derive.video", "derive.audio"
RED = (255, 0, 0)


@pytest.fixture
def plate(tmp_path):
    write_still(str(tmp_path / "plate"), made.quarters(), "image/png")
    return tmp_path / "plate"


@pytest.fixture
def shot(tmp_path):
    """Three frames of 64x48."""
    return made.still_video(tmp_path / "shot", made.quarters(), 3)


@pytest.fixture
def noise(tmp_path):
    return made.sound_file(tmp_path / "noise", made.levels(16_000, 2), 8000)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return made.sounding_video(tmp_path_factory.mktemp("clip") / "clip", 150)


# ------------------------------------------------------------------------------------------- ends of ranges

USES = {IMAGE: DERIVE_IMAGE, VIDEO: DERIVE_VIDEO, AUDIO: DERIVE_AUDIO}
OPERATIONS = {
    "frame": "frame", "time": "frame", "columns": "contact_sheet", "count": "contact_sheet",
    "cell_width": "contact_sheet", "labels": "contact_sheet", "fps": "stills", "hold": "stills",
}  # fmt: skip
COSTLY = {("hold", 100_000)}


@pytest.mark.parametrize("generator", [IMAGE, VIDEO, AUDIO])
def test_both_ends_of_every_range_work_or_say_why_not(tmp_path, clip, shot, generator):
    worked = refused = 0
    source = {"source": clip if generator == AUDIO else shot, "audio": clip}
    for name, param in USES[generator].params.params.items():
        values = [*(param.choices or ()), *(v for v in (param.minimum, param.maximum) if v is not None)]
        values += [True, False] if param.type == "boolean" else []
        for value in values:
            params = {"operation": OPERATIONS.get(name, "transform"), name: value}
            if name in ("width", "height"):  # 8192 by as much would take long
                params |= {"fit": "stretch", "width": 16, "height": 16, name: value}
            checked = USES[generator].params.check(params)
            assert USES[generator].estimate(checked).seconds > 0
            if (name, value) in COSTLY:
                continue
            inputs = source if params["operation"] == "mux" else {"source": source["source"]}
            try:
                assert make(generator, tmp_path, inputs, **params).stat().st_size > 0, (name, value)
                worked += 1
            except ValueError as error:
                assert type(error) is ValueError
                assert name in ("start", "first_frame", "frame", "time"), (name, value, str(error))
                assert "'source'" in str(error)
                refused += 1
    assert worked >= 15
    assert refused <= 2


# ------------------------------------------------------------------------------------------- what will not do


def refusal(tmp_path, generator, inputs, **params):
    """The message of a refused item, which leaves no file."""
    out = tmp_path / "refused"
    out.mkdir(exist_ok=True)
    with pytest.raises(ValueError) as caught:
        make(generator, out, inputs, **params)
    assert type(caught.value) is ValueError, repr(caught.value)
    assert not [path for folder in out.iterdir() for path in folder.iterdir()]
    assert str(tmp_path) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("generator", "operation"),
    [
        (generator, operation)
        for generator, declaration in USES.items()
        for operation in declaration.params.params["operation"].choices
    ],
)
def test_every_operation_names_the_input_that_will_not_do(tmp_path, clip, generator, operation):
    assert "input" in refusal(tmp_path, generator, {}, operation=operation)
    text = tmp_path / "text"
    text.write_text("hello\n" * 100)
    (tmp_path / "empty").touch()
    tone = made.sound_file(tmp_path / "tone", made.levels(100))
    quiet = made.numbered_video(tmp_path / "quiet", 2)
    for wrong in (text, tmp_path / "empty", tmp_path / "missing", tmp_path, quiet if generator == AUDIO else tone):
        inputs = {"source": wrong} | ({"audio": clip} if operation == "mux" else {})
        assert "the input 'source'" in refusal(tmp_path, generator, inputs, operation=operation)
    if operation in ("mix", "concatenate", "contact_sheet", "stills"):
        good = tone if generator == AUDIO else quiet
        assert "the input 'b'" in refusal(tmp_path, generator, {"a": good, "b": text}, operation=operation)
    if operation == "mux":
        assert "'audio'" in refusal(tmp_path, generator, {"source": quiet}, operation=operation)
        assert "'audio'" in refusal(tmp_path, generator, {"source": quiet, "audio": quiet}, operation=operation)


@pytest.mark.parametrize(
    ("generator", "params", "words"),
    [
        (IMAGE, {"crop": "10x10"}, "crop '10x10'"),
        (IMAGE, {"crop": "65x48+0+0"}, "64x48"),
        (VIDEO, {"crop": "64x48+1+0"}, "64x48"),
        (IMAGE, {"operation": "frame", "frame": 3}, "no frame 3: it has 3"),
        (IMAGE, {"operation": "frame", "time": 100}, "no frame 2400"),
        (IMAGE, {"operation": "frame", "time": 0, "frame": 0}, "not both"),
        (VIDEO, {"first_frame": 3}, "frame 3 of 3"),
        (VIDEO, {"first_frame": 2, "last_frame": 1}, "would be empty"),
        (VIDEO, {"start": 4}, "of 3"),
        (VIDEO, {"start": 0, "first_frame": 0}, "not both"),
        (VIDEO, {"timecode": "1"}, "timecode '1'"),
        (IMAGE, {"crop": "1x48+0+0", "width": 8192}, "a side can have at most"),
        (VIDEO, {"crop": "64x1+0+0", "height": 8192}, "a side can have at most"),
    ],
)
def test_parameters_that_do_not_go_together(tmp_path, shot, generator, params, words):
    assert words in refusal(tmp_path, generator, {"source": shot}, **params)


def test_a_picture_of_any_length_is_kept_where_it_is_not_scaled(tmp_path):
    write_still(str(tmp_path / "long"), made.flat(17_000, 4, RED), "image/png")
    made_of = {"source": tmp_path / "long"}
    assert read_still(str(make(IMAGE, tmp_path, made_of))).shape == (4, 17_000, 3)
    assert "17000x4" in refusal(tmp_path, IMAGE, made_of, height=16)


def test_a_video_whose_kept_frames_are_damaged(tmp_path):
    """The index tells of frames, and none of those that are wanted can be decoded."""
    path = made.numbered_video(tmp_path / "v", 600)
    with av.open(str(path)) as file:
        late = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size and packet.pts >= 200 * 512]
    data = bytearray(path.read_bytes())
    for place, size in late:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)
    assert "the input 'source'" in refusal(tmp_path, VIDEO, {"source": path}, first_frame=590)


def test_a_cut_beyond_the_sound(tmp_path, noise):
    for media_type in ("audio/wav", "audio/flac"):
        assert "'source'" in refusal(tmp_path, AUDIO, {"source": noise}, start=2, media_type=media_type)


def test_sheets_beyond_memory_are_refused(tmp_path, monkeypatch):
    write_still(str(tmp_path / "tall"), made.flat(16, 4000, RED), "image/png")
    inputs = {"s": tmp_path / "tall"}
    assert "contact sheet" in refusal(tmp_path, IMAGE, inputs, operation="contact_sheet", cell_width=2048)
    monkeypatch.setattr(image, "LARGEST", 1_000_000)
    make(IMAGE, tmp_path, inputs, operation="contact_sheet", cell_width=32)
    inputs |= {f"s{number}": tmp_path / "tall" for number in range(6)}
    assert "contact sheet" in refusal(tmp_path, IMAGE, inputs, operation="contact_sheet", cell_width=32)


def test_damaged_inputs_give_a_result_or_a_clear_error(tmp_path, clip, plate):
    """Bytes changed or cut off at random places; the seed is in the message."""
    sources = [clip, plate, made.sound_file(tmp_path / "s", made.levels(2000)), made.numbered_video(tmp_path / "v", 9)]
    for media_type in ("image/jpeg", "image/webp", "image/tiff"):
        sources.append(tmp_path / media_type[6:])
        write_still(str(sources[-1]), made.quarters(), media_type)
    for media_type in ("video/x-matroska", "video/quicktime"):
        sources.append(made.numbered_video(tmp_path / media_type[6:], 9, media_type=media_type))
    sources.append(made.sound_file(tmp_path / "f", made.levels(2000), media_type="audio/flac"))
    uses = [
        (IMAGE, "transform"),
        (IMAGE, "contact_sheet"),
        (VIDEO, "transform"),
        (VIDEO, "concatenate"),
        (AUDIO, "mix"),
    ]
    for seed in range(120):
        chance = random.Random(seed)
        data = bytearray(chance.choice(sources[1:]).read_bytes())
        if chance.random() < 0.3:
            data = data[: chance.randrange(len(data))]
        for _ in range(chance.choice([0, 1, 4, 30])):
            if data:
                data[chance.randrange(min(len(data), chance.choice([80, 600, 10**6])))] = chance.choice(
                    [0, 255, 128, 7]
                )
        (tmp_path / "damaged").write_bytes(data)
        generator, operation = chance.choice(uses)
        try:
            make(generator, tmp_path, {"source": tmp_path / "damaged"}, operation=operation)
        except ValueError as error:
            assert type(error) is ValueError, f"seed {seed}: {error!r}"
            assert "'source'" in str(error), f"seed {seed}: {error}"


# ------------------------------------------------------------------------------------------- progress and cancelling

RUNS = [
    (IMAGE, {"operation": "transform"}),
    (IMAGE, {"operation": "contact_sheet"}),
    (VIDEO, {"operation": "transform"}),
    (VIDEO, {"operation": "concatenate"}),
    (VIDEO, {"operation": "mux"}),
    (VIDEO, {"operation": "stills", "hold": 100_000}),
    (AUDIO, {"operation": "extract"}),
    (AUDIO, {"operation": "mix"}),
]


@pytest.mark.parametrize(("generator", "params"), RUNS)
def test_progress_and_cancelling(tmp_path, clip, generator, params):
    inputs = {"source": clip} | ({"audio": clip} if params["operation"] == "mux" else {})
    if "hold" not in params:
        context = Heard()
        make(generator, tmp_path, inputs, context=context, **params)
        assert len(context.reports) >= 2
        assert context.reports[-1][0] == context.reports[-1][1], "the last report says that all is done"
    for patience in (0, 1):
        out = tmp_path / f"after-{patience}"
        out.mkdir()
        context = Heard(patience)
        with pytest.raises(Cancelled):
            make(generator, out, inputs, context=context, **params)
        assert len(context.reports) == patience + 1
        (folder,) = out.iterdir()
        assert list(folder.iterdir()) == []
