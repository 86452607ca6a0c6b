"""Batches: names, all or nothing, the same bytes again."""

from __future__ import annotations

import os
from array import array
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from regenstore.errors import Conflict, InvalidInput, StorageError
from regenstore.export.media_facts import FRAMES, Measurements, measures
from regenstore.export.media_set import Medium
from regenstore.export.sidecar import deliver as delivering
from regenstore.export.sidecar.batch import SidecarOrder, refuse_collisions, render
from regenstore.export.sidecar.deliver import STAGE, deliver, existing
from regenstore.export.sidecar.exported import Exported
from regenstore.export.sidecar.library import FOLDER, Library
from regenstore.media.embed import embedded
from regenstore.media.frame_table import FrameMetrics
from regenstore.objects.fact_cache import ContentFacts
from regenstore.objects.hashing import hash_file
from regenstore.objects.recipe import Output, Recipe, Take
from tests.export.clips import clip
from tests.export.rendering import rendered

XMP = Library(None).load("xmp")


def quiet(path: str, done: float) -> None: ...


def nothing(path: str) -> bool:
    return False


@pytest.fixture
def medium(golden_file, tmp_path):
    """Gives a medium of the worktree ``film`` at a path, with a golden video's bytes in a store."""

    def make(path: str, golden: str = "r24.mp4", prompt: str = "sea", media_type: str = "video/mp4") -> Medium:
        stored = tmp_path / "store" / path.replace("/", "_")
        stored.parent.mkdir(exist_ok=True)
        stored.write_bytes(golden_file(golden).read_bytes())
        stored.chmod(0o444)
        digest, size = hash_file(str(stored))
        there = tmp_path / "film" / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(stored.read_bytes())
        recipe = Recipe("example", "1", Output(media_type, take=Take(digest, size)), params={"prompt": prompt})
        return Medium(path, recipe, digest, size, media_type, str(stored), recipe.key, created=1.7e9)

    return make


@pytest.fixture
def known(tmp_path):
    return Measurements(ContentFacts(str(tmp_path / "facts-store")))


@pytest.fixture
def film(tmp_path):
    (tmp_path / "film").mkdir()
    return str(tmp_path / "film")


def tree(folder) -> dict[str, bytes]:
    top = Path(folder)
    return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def test_sidecars_lie_beside_their_media_and_come_out_the_same(medium, known, film, tmp_path):
    media = [medium("shots/a.mp4"), medium("plates/b.mov", "r2997df.mov", media_type="video/quicktime")]
    order = SidecarOrder((XMP,), film)
    batch = render(order, media, known, quiet)
    done = deliver(batch, base=film, protected=nothing)
    assert sorted(os.path.relpath(path, film) for path in done.written) == ["plates/b.xmp", "shots/a.xmp"]
    before = tree(film)
    # Again, with nothing kept of what was found out: byte by byte the same, so nothing is written.
    again = render(order, media, Measurements(ContentFacts(str(tmp_path / "other-store"))), quiet)
    done = deliver(again, base=film, protected=nothing)
    assert (len(done.written), len(done.unchanged)) == (0, 2)
    assert tree(film) == before


def test_a_fresh_folder_appears_whole(medium, known, film, tmp_path):
    out = str(tmp_path / "new" / "out")
    order = SidecarOrder((XMP,), film, to=out, copy=True)
    deliver(render(order, [medium("shots/a.mp4")], known, quiet), base=out, protected=nothing)
    assert sorted(tree(out)) == ["a.mp4", "a.xmp"]
    assert os.stat(f"{out}/a.mp4").st_nlink == 1  # a program that writes into it changes nothing else
    assert os.access(f"{out}/a.mp4", os.W_OK)


def test_embedding_writes_into_the_copy_alone(medium, known, film, tmp_path):
    out = str(tmp_path / "out")
    given = medium("shots/a.mp4", prompt="a storm")
    before = Path(given.file).read_bytes()
    order = SidecarOrder((XMP,), film, to=out, embed=True)
    deliver(render(order, [given], known, quiet), base=out, protected=nothing)
    assert Path(given.file).read_bytes() == before
    assert Path(film, given.path).read_bytes() == before
    assert b"a storm" in Path(out, "a.mp4").read_bytes()


def test_embedding_adds_to_the_xmp_that_a_medium_has(medium, known, film, tmp_path):
    given, before = medium("a.mp4", prompt="a storm"), tmp_path / "before.mp4"
    foreign = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    foreign += (
        b'<r:Description r:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="theirs" dc:source="tape"/>'
    )
    before.write_bytes(b"".join(embedded(given.file, "video/mp4", foreign + b"</r:RDF></x:xmpmeta>").blocks()))
    digest, size = hash_file(str(before))
    order = SidecarOrder((XMP,), film, to=str(tmp_path / "out"), embed=True)
    batch = render(order, [replace(given, digest=digest, size=size, file=str(before))], known, quiet)
    made = b"".join(batch.files[0].blocks())
    assert b"a storm" in made and b'dc:title="theirs"' in made and b'dc:source="tape"' in made
    assert "a.mp4: its own XMP has other values, which stay: dc:title" in batch.warnings
    redacted = replace(order, redact=frozenset({"prompt"}))
    batch = render(redacted, [replace(given, digest=digest, size=size, file=str(before))], known, quiet)
    assert b"theirs" not in b"".join(batch.files[0].blocks())
    assert any("left out" in warning for warning in batch.warnings)


def test_what_has_no_place_for_xmp_is_copied_as_it_is(medium, known, film, tmp_path):
    given = medium("a.webm", "r23976.webm", media_type="video/webm")
    order = SidecarOrder((XMP,), film, to=str(tmp_path / "out"), embed=True)
    batch = render(order, [given], known, quiet)
    assert any("cannot hold XMP" in warning for warning in batch.warnings)
    deliver(batch, base=str(tmp_path / "out"), protected=nothing)
    assert (tmp_path / "out" / "a.webm").read_bytes() == Path(given.file).read_bytes()


def test_what_an_export_wrote_is_refreshed_and_nothing_else(medium, known, film, tmp_path):
    exported = Exported(known.facts)
    order = SidecarOrder((XMP,), film, to=str(tmp_path / "out"), copy=True)

    def export(prompt: str, golden: str = "r24.mp4", **given) -> tuple[int, int]:
        batch = render(order, [medium("a.mp4", golden, prompt=prompt)], known, quiet)
        done = deliver(batch, base=order.to, protected=nothing, exported=exported, **given)
        return len(done.written), len(done.unchanged)

    assert [export("one"), export("one"), export("two"), export("two", "r25.mp4")] == [(2, 0), (0, 2), (1, 1), (2, 0)]
    sidecar = tmp_path / "out" / "a.xmp"
    sidecar.write_bytes(sidecar.read_bytes() + b"<!-- mine -->")
    with pytest.raises(Conflict, match=r"a\.xmp") as caught:
        export("three", "r25.mp4")
    assert "--overwrite-foreign" in caught.value.hint
    assert b"mine" in sidecar.read_bytes()
    assert export("three", "r25.mp4", foreign=True) == (1, 1)
    sidecar.unlink()
    sidecar.mkdir()
    with pytest.raises(Conflict, match="not files"):
        export("three", "r25.mp4", foreign=True)


def test_foreign_files_are_overwritten_only_when_asked(medium, known, film):
    media = [medium("a.mp4"), medium("b.mp4")]
    Path(film, "b.xmp").write_text("mine")
    batch = render(SidecarOrder((XMP,), film), media, known, quiet)
    with pytest.raises(Conflict, match=r"b\.xmp") as caught:
        deliver(batch, base=film, protected=nothing)
    assert caught.value.kind == "exists"
    assert not Path(film, "a.xmp").exists()
    assert Path(film, "b.xmp").read_text() == "mine"
    deliver(batch, base=film, protected=nothing, foreign=True)
    assert Path(film, "b.xmp").read_text().startswith("<?xml")


def test_a_file_of_gits_is_never_overwritten(medium, known, film, tmp_path):
    (tmp_path / "film" / FOLDER).mkdir(parents=True)
    text = 'schema = "regenstore-sidecar-template/1"\nbase = "xmp"\n[[output]]\nwriter = "xmp"\nfile = "{stem}.mp4"\n'
    (tmp_path / "film" / FOLDER / "evil.toml").write_text(text)
    order = SidecarOrder((Library(film).load("evil"),), film)
    batch = render(order, [medium("a.mp4")], known, quiet)
    with pytest.raises(InvalidInput, match="file of Git's"):
        deliver(batch, base=film, protected=lambda path: path.endswith("a.mp4"), foreign=True)


@pytest.mark.parametrize(
    ("paths", "full_names", "to"),
    [
        (["a/x.png", "a/x.mp4"], False, None),
        (["a/x.mp4", "a/X.mp4"], False, None),
        (["a/x.mp4", "b/x.mp4"], False, "/out"),
        (["a/x.mp4", "b/x.mp4"], True, "/out"),
        (["a/u\u0308.mp4", "a/ü.mov"], False, None),
    ],
)
def test_names_that_collide_are_refused(paths, full_names, to):
    with pytest.raises(InvalidInput, match="would both write"):
        refuse_collisions(SidecarOrder((XMP,), "/film", to=to, full_names=full_names), paths)


@pytest.mark.parametrize(
    ("paths", "full_names", "to"),
    [(["a/x.png", "a/x.mp4"], True, None), (["a/x.mp4", "b/x.mp4"], False, None), (["a.mp4", "b.mp4"], False, "/o")],
)
def test_names_that_do_not_collide_are_fine(paths, full_names, to):
    refuse_collisions(SidecarOrder((XMP,), "/film", to=to, full_names=full_names), paths)


def test_full_names(medium, known, film):
    batch = render(SidecarOrder((XMP,), film, full_names=True), [medium("a.mp4")], known, quiet)
    assert [os.path.basename(file.target) for file in batch.files] == ["a.mp4.xmp"]


def test_what_fails_half_way_leaves_all_as_it_was(medium, known, film, monkeypatch):
    media = [medium(f"{name}.mp4") for name in "abc"]
    Path(film, "a.xmp").write_text("mine")
    batch = render(SidecarOrder((XMP,), film), media, known, quiet)
    before = tree(film)
    real, calls = delivering.swap.put, []

    def failing(source, target, was):
        calls.append(target)
        if target.endswith("c.xmp"):
            raise OSError(28, "no space left")
        real(source, target, was)

    monkeypatch.setattr(delivering.swap, "put", failing)
    with pytest.raises(StorageError, match="no space"):
        deliver(batch, base=film, protected=nothing, foreign=True)
    monkeypatch.undo()
    assert any(target.endswith("b.xmp") for target in calls)
    assert tree(film) == before
    assert not [name for name in os.listdir(film) if name.startswith(STAGE)]


@pytest.mark.parametrize("name", ["a.xmp", "c.xmp"], ids=["what was there", "nothing was there"])
def test_what_is_written_meanwhile_stays(medium, known, film, monkeypatch, name):
    media = [medium(f"{each}.mp4") for each in "abc"]
    Path(film, "a.xmp").write_text("mine")
    batch = render(SidecarOrder((XMP,), film), media, known, quiet)
    before = tree(film)
    real = delivering._fill

    def slow(*given):
        real(*given)
        Path(film, name).write_text("saved meanwhile")

    monkeypatch.setattr(delivering, "_fill", slow)
    with pytest.raises(Conflict, match="meanwhile"):
        deliver(batch, base=film, protected=nothing, foreign=True)
    assert Path(film, name).read_text() == "saved meanwhile"
    assert {path for path in tree(film) if path not in before} <= {name}


def test_nothing_is_written_through_a_link(medium, known, film, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    given = medium("shots/a.mp4")
    os.rename(f"{film}/shots", f"{film}/real")
    os.symlink(str(tmp_path / "elsewhere"), f"{film}/shots")
    batch = render(SidecarOrder((XMP,), film), [given], known, quiet)
    with pytest.raises(InvalidInput, match="symbolic link"):
        deliver(batch, base=film, protected=nothing)
    assert not os.listdir(tmp_path / "elsewhere")


def test_a_link_at_the_place_is_replaced_and_not_followed(medium, known, film, tmp_path):
    (tmp_path / "victim").write_text("mine")
    given = medium("a.mp4")
    os.symlink(str(tmp_path / "victim"), f"{film}/a.xmp")
    batch = render(SidecarOrder((XMP,), film), [given], known, quiet)
    assert len(existing(batch)[1]) == 1
    deliver(batch, base=film, protected=nothing, foreign=True)
    assert (tmp_path / "victim").read_text() == "mine"
    assert not os.path.islink(f"{film}/a.xmp")


def test_folders_are_kept_and_paths_are_those_of_other_machines(medium, known, film, tmp_path):
    media = [medium("a/x.mp4"), medium("b/x.mp4")]
    out = str(tmp_path / "out")
    templates = tuple(map(Library(None).load, ("nuke", "premiere")))
    order = SidecarOrder(templates, film, to=out, keep_folders=True, copy=True, maps=((out, "/Volumes/film"),))
    refuse_collisions(order, [each.path for each in media])
    batch = render(order, media, known, quiet)
    deliver(batch, base=out, protected=nothing)
    files = tree(out)
    assert sorted(files) == [f"{place}/x.{end}" for place in "ab" for end in ("mp4", "nk", "premiere.xml")]
    assert b'file "/Volumes/film/b/x.mp4"' in files["b/x.nk"] and b"project_directory" not in files["b/x.nk"]
    assert b"file://localhost/Volumes/film/a/x.mp4" in files["a/x.premiere.xml"]
    # Nuke measures nothing that nobody asked for, and one line says so for all of them.
    (told,) = (warning for warning in batch.warnings if "--frames" in warning)
    assert told.startswith("2 files: its frames were not measured") and "a/x.mp4, b/x.mp4" in told
    (script, _) = (file.data for file in render(replace(order, relative=True), media, known, quiet).files[2:4])
    assert b' file "x.mp4"\n' in script and rb'project_directory "\[python \{nuke.script_directory()\}]"' in script
    windows = replace(order, maps=((out, "P:/film"),))
    assert any(
        b"file://localhost/P:/film/a" in (file.data or b"") for file in render(windows, media, known, quiet).files
    )


def test_the_timecode_of_a_recipe_counts_where_the_file_has_none(medium, known, film):
    def timecode(golden: str, text: str, media_type: str = "video/mp4") -> bytes:
        given = medium("a.mp4", golden, media_type=media_type)
        given = replace(given, recipe=replace(given.recipe, params={"timecode": text}))
        return render(SidecarOrder((XMP,), film), [given], known, quiet).files[0].data

    assert b"<regen:timecode>10:00:00:00<" in timecode("r24.mp4", "10:00:00:00")
    assert b"<regen:timecode>" not in timecode("r24.mp4", "at noon")
    assert b"10:00:00:00" not in timecode("r2997df.mov", "10:00:00:00", "video/quicktime").partition(b"gen.params")[0]


def test_measuring_is_asked_for_by_templates_that_need_it(medium, known, film, tmp_path):
    measured = []

    def measure(path, media_type, told):
        measured.append(path)
        told(1.0)
        return FrameMetrics(12, {"blur": array("d", [1.0] * 12), "black": array("d", [1.0] * 12)})

    facts = ContentFacts(str(tmp_path / "facts-store"))
    given = medium("a.mp4")
    assert not SidecarOrder((XMP,), film).measures
    nuke, after_effects = map(Library(None).load, ("nuke", "aftereffects"))
    assert not SidecarOrder((nuke,), film).measures
    assert SidecarOrder((after_effects,), film).measures
    assert not SidecarOrder((after_effects,), film, no_measure=True).measures
    render(SidecarOrder((XMP,), film), [given], Measurements(facts, {FRAMES: measure}), quiet)
    assert not measured
    library = Library(film)
    library.create("sharp", "xmp")
    with open(library.path("sharp"), "a", encoding="utf-8") as file:
        file.write('[[field]]\ntarget = "regen:blur"\nsource = "metrics.blur.max"\n')
    order = SidecarOrder((library.load("sharp"),), film)
    (file,) = render(order, [given], Measurements(facts, {FRAMES: measure}), quiet).files
    assert b"<regen:blur>1.0</regen:blur>" in file.data
    render(order, [given], Measurements(facts, {FRAMES: measure}), quiet)
    assert len(measured) == 1  # kept
    # What was measured once is told by others, too.
    (file,) = render(SidecarOrder((XMP,), film), [given], Measurements(facts, {FRAMES: measure}), quiet).files
    assert b"xmpDM:markers" in file.data


@pytest.mark.parametrize("template", ["xmp", "nuke", "aftereffects"])
def test_an_mp4_of_sound_alone_stops_no_template(medium, film, tmp_path, template):
    voice = medium("voice.mp4")
    os.unlink(voice.file)
    with av.open(voice.file, "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 48000, 0
        file.mux([*stream.encode(frame), *stream.encode()])
    voice = replace(voice, digest=hash_file(voice.file)[0])
    known = Measurements(ContentFacts(str(tmp_path / "facts-store")), measures())
    order = SidecarOrder((Library(None).load(template),), film, measure=True)
    batch = render(order, [voice, medium("shot.mp4")], known, quiet)
    named = {os.path.basename(file.target).partition(".")[0] for file in batch.files}
    assert named >= ({"shot"} if template == "nuke" else {"voice", "shot"})  # Nuke reads pictures only


def test_a_medium_that_cannot_be_read_is_told(medium, known, film):
    given = medium("a.mp4")
    os.chmod(given.file, 0o644)
    Path(given.file).write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 100)
    with pytest.raises(InvalidInput, match=r"a\.mp4: .*(cannot|not readable)"):
        render(SidecarOrder((XMP,), film), [given], known, quiet)


def test_two_templates_with_one_name_and_other_contents_are_refused(medium, known, film):
    library = Library(film)
    library.create("mine", "xmp")
    with open(library.path("mine"), "a", encoding="utf-8") as file:
        file.write('[[field]]\ntarget = "dc:title"\nvalue = "other"\n')
    with pytest.raises(InvalidInput, match="with different contents"):
        render(SidecarOrder((XMP, library.load("mine")), film), [medium("a.mp4")], known, quiet)


def test_the_same_contents_of_two_templates_are_one_file(medium, known, film, tmp_path):
    same, mhl = replace(XMP, name="again"), Library(None).load("ascmhl")
    order = SidecarOrder((XMP, same, mhl), film, to=str(tmp_path / "out"))
    batch = render(order, [medium("b.mp4")], known, quiet)
    assert [os.path.basename(file.target) for file in batch.files[:1]] == ["b.xmp"]
    assert not [file.target for file in batch.files[1:] if not file.target.startswith(f"{order.to}/ascmhl/")]
    deliver(batch, base=order.to, protected=nothing)  # the manifest's own checker has nothing to object to


@pytest.mark.parametrize("template", ["xmp", "nuke", "otio", "resolve", "ale", "aftereffects", "premiere"])
def test_every_format_tells_all_parameters_and_labels(template):
    params = {"cfg": 4.5, "sampler_name": "euler_x", "shift": 7.125, "odd name": "odd-value"}
    params |= {"nested": {"deep": "deep-value"}}
    labels = {"scene_type": "night-walk", "failure_tags": ["six-fingers", "flicker"], "quality": 0.875, "note": "noted"}
    known = {"blur": [1.0] * 96}
    made = rendered(template, clip(params=params, about=labels, columns=known))
    told = b"".join(file.data.replace(b"\0", b"") for file in made).decode("utf-8", "replace")
    for text in ("4.5", "euler_x", "7.125", "odd-value", "deep-value", "night-walk", "six-fingers", "flicker", "0.875"):
        assert text in told
    redact = frozenset({"shift", "scene_type"})
    hidden = rendered(template, clip(params=params, about=labels, columns=known, redact=redact))
    told = b"".join(file.data.replace(b"\0", b"") for file in hidden).decode("utf-8", "replace")
    assert "7.125" not in told and "night-walk" not in told and "flicker" in told
