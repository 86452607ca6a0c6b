"""export sidecar and template, as they are typed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL
from tests.conftest import Checkout
from tests.export.clips import HOSTILE
from tests.export.golden import Golden, make


def export(film: Checkout, *args: str, code: int = 0) -> str:
    done = film.run("regenstore", "export", "sidecar", *args, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


@pytest.fixture
def gallery(film: Checkout, tmp_path: Path) -> Checkout:
    """The film, with an imported clip that can be decoded in the place of the photo that cannot."""
    film.git("rm", "-q", "-f", "refs/photo.png")
    film.write("shots/sh010.mp4", make(Golden("clip.mp4", audio=True), tmp_path).read_bytes())
    film.commit("A clip")
    return film


def test_sidecars_beside_the_media(gallery: Checkout) -> None:
    said = export(gallery)
    assert "2 written" in said
    assert b"<regen:seed>42</regen:seed>" in gallery.read("plates/sea.xmp")
    assert b"<xmpDM:videoFrameRate>24.000000" in gallery.read("shots/sh010.xmp")
    assert sorted(gallery.status().splitlines()) == ["?? plates/sea.xmp", "?? shots/sh010.xmp"]
    assert "0 written, 2 unchanged" in export(gallery)
    gallery.commit("Sidecars")
    gallery.regenstore("set", "plates/sea.png", "seed=43")
    assert "1 written, 1 unchanged" in export(gallery)  # our own is refreshed, committed or not
    assert b"<regen:seed>43</regen:seed>" in gallery.read("plates/sea.xmp")
    gallery.write("plates/sea.xmp", "edited by hand")
    said = export(gallery, code=4)
    assert "plates/sea.xmp" in said and "--overwrite-foreign" in said
    assert gallery.read("plates/sea.xmp") == b"edited by hand"
    export(gallery, "--overwrite-foreign")
    assert b"<regen:seed>43</regen:seed>" in gallery.read("plates/sea.xmp")


def test_what_is_missing_is_made_first_within_the_budget(gallery: Checkout) -> None:
    gallery.regenstore("drop")
    sea = json.loads(gallery.regenstore("show", "--json", "plates/sea.png"))["output"]["digest"].removeprefix("blake3:")
    stored = next(gallery.store.glob(f"*/{sea[:2]}/{sea[2:]}"))
    os.unlink(stored)
    said = gallery.run("regenstore", "export", "sidecar", "plates", check=False, REGENSTORE_BUDGET="0")
    assert said.returncode == 5
    assert b"plates/sea.png" in said.stderr
    assert not (gallery.path / "plates/sea.xmp").exists()
    said = export(gallery, "plates")
    assert "run 'regenstore get' to place it" in said
    assert stored.exists()
    assert gallery.is_recipe("plates/sea.png")  # an export leaves the worktree as it is


def test_paths_globs_revisions_and_folders(gallery: Checkout, tmp_path: Path) -> None:
    first = gallery.git("rev-parse", "HEAD")
    gallery.regenstore("set", "plates/sea.png", "seed=9")
    gallery.commit("Another sea")
    out = str(tmp_path / "out")
    export(gallery, "**/*.png", "--to", out)
    assert os.listdir(out) == ["sea.xmp"]
    assert b"<regen:seed>9</regen:seed>" in Path(out, "sea.xmp").read_bytes()
    old = str(tmp_path / "old")
    export(gallery, "plates", "--rev", first, "--to", old, "--copy")
    assert sorted(os.listdir(old)) == ["sea.png", "sea.xmp"]
    assert b"<regen:seed>42</regen:seed>" in Path(old, "sea.xmp").read_bytes()
    assert Path(old, "sea.png").read_bytes() != gallery.read("plates/sea.png")
    export(gallery, "nowhere", code=3)
    export(gallery, "*.exr", code=3)
    export(gallery, "--rev", "nope", code=3)
    inside = Checkout(gallery.path / "plates", gallery.environment)
    assert "sea.xmp" in export(inside, "sea.png")


def test_a_preview_writes_nothing_and_shows_everything(gallery: Checkout) -> None:
    gallery.write("plates/sea.xmp", "mine")
    said = export(gallery, "--preview")
    assert "overwrites" in said
    assert "verdict: valid" in said
    assert "gen.seed" in said
    assert gallery.read("plates/sea.xmp") == b"mine"
    assert not (gallery.path / "shots/sh010.xmp").exists()
    # Progress goes to standard error, as JSON lines of its own.
    told = json.loads(gallery.regenstore("export", "sidecar", "--preview", "--json", "plates"))
    assert told["type"] == "regenstore.export-sidecar-preview"
    (file,) = told["files"]
    assert file["state"] == "overwrites"
    assert {"target": "regen:seed", "source": "gen.seed", "value": "42", "status": "ok", "note": None} in file["fields"]
    assert file["text"].startswith("<?xml")
    assert "-mine" in export(gallery, "--preview", "--diff", "plates")


def test_colliding_stems_are_refused_before_anything_is_made(gallery: Checkout) -> None:
    gallery.regenstore("new", "plates/sea.mp4", "-g", "procedural.video", "-p", "prompt=x", "-p", "frames=2", *SMALL)
    said = export(gallery, code=2)
    assert "plates/sea.mp4" in said
    assert "--full-names" in said
    assert not list(gallery.path.rglob("*.xmp"))
    export(gallery, "--full-names")
    assert sorted(p.name for p in gallery.path.rglob("*.xmp")) == ["sea.mp4.xmp", "sea.png.xmp", "sh010.mp4.xmp"]


def test_embedding_needs_a_folder_and_leaves_store_and_worktree_alone(gallery: Checkout, tmp_path: Path) -> None:
    assert "--to DIR" in export(gallery, "--embed", code=2)
    before = gallery.read("shots/sh010.mp4")
    out = tmp_path / "out"
    export(gallery, "--embed", "--to", str(out), "--redact", "prompt,seed")
    assert b"xmpmeta" in (out / "sh010.mp4").read_bytes()
    assert b"storm at dusk" not in (out / "sea.png").read_bytes()
    assert gallery.read("shots/sh010.mp4") == before
    assert gallery.status() == ""
    gallery.regenstore("fsck")


def test_a_slip_in_what_to_redact_is_refused(gallery: Checkout) -> None:
    said = export(gallery, "plates", "--redact", "promt", code=2)
    assert "did you mean 'prompt'" in said
    assert not list(gallery.path.rglob("*.xmp"))


def test_what_was_edited_and_what_is_gone(gallery: Checkout) -> None:
    gallery.regenstore("new", "plates/other.png", "-g", "procedural.image", "-p", "prompt=x", *SMALL)
    export(gallery, "plates/other.png")  # not added yet
    os.unlink(gallery.path / "plates/other.png")
    gallery.write("plates/sea.png", gallery.read("plates/sea.png") + b"painted over")
    said = export(gallery, "plates", code=3)
    assert "run 'git add' on it first" in said
    gallery.git("add", "plates/sea.png")
    export(gallery, "plates")
    assert b"regen:edited_from" in gallery.read("plates/sea.xmp")
    assert b"<regen:seed>" not in gallery.read("plates/sea.xmp")  # no recipe made these bytes


def test_a_hostile_prompt_goes_all_the_way(gallery: Checkout) -> None:
    prompt = HOSTILE.replace("\x00", "")  # no argument has one
    gallery.regenstore("set", "plates/sea.png", f"prompt={prompt}")
    export(gallery, "plates")
    assert "[python {import os; os.system('touch /tmp/owned')}]" in gallery.read("plates/sea.xmp").decode()
    said = export(gallery, "plates", "--preview")
    assert not [c for c in said if c in "\x0b\x1b\x07\u202e"]
    assert not os.path.exists("/tmp/owned")


def test_an_output_inside_of_git_is_refused(gallery: Checkout) -> None:
    assert "Git's" in export(gallery, "--to", ".git/hooks", code=2)
    assert "Git's" in export(gallery, "plates", "--to", "plates", "--copy", "--overwrite-foreign", code=2)


@pytest.mark.parametrize("args", [("--assume-color", "rec710"), ("--template", "xnp"), ("--start-frame", "-1")])
def test_bad_arguments_are_told(gallery: Checkout, args: tuple[str, ...]) -> None:
    done = gallery.run("regenstore", "export", "sidecar", *args, check=False)
    assert done.returncode in (2, 3)
    assert b"Traceback" not in done.stderr


def test_untagged_colours_are_told_and_assumed_on_request(gallery: Checkout) -> None:
    assert "states no colour space" in export(gallery, "shots", "--preview")
    export(gallery, "shots", "--assume-color", "rec709")
    text = gallery.read("shots/sh010.xmp")
    assert b"CCIR-709" in text
    assert b"<regen:color_assumed>true" in text


def template(film: Checkout, *args: str, code: int = 0) -> str:
    done = film.run("regenstore", "template", *args, check=False, GIT_EDITOR="true")
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def test_the_life_of_a_template(gallery: Checkout) -> None:
    assert "xmp" in template(gallery, "list")
    template(gallery, "new", "studio", "--from", "xmp")
    template(gallery, "new", "studio", code=4)
    assert "studio: fine" in template(gallery, "check")
    path = gallery.path / ".regenstore/templates/studio.toml"
    path.write_text(path.read_text() + '[[field]]\ntarget = "dc:rights"\nvalue = "CC0"\n')
    assert "dc:rights" in template(gallery, "show", "studio", "--resolved")
    export(gallery, "plates", "--template", "studio")
    assert b"CC0" in gallery.read("plates/sea.xmp")
    path.write_text(path.read_text().replace("dc:rights", "dc:right"))
    assert "did you mean 'dc:rights'" in template(gallery, "check", "studio", code=1)
    assert "did you mean 'dc:rights'" in export(gallery, "plates", "--template", "studio", code=2)
    assert "1 problem:" in template(gallery, "list")
    told = json.loads(template(gallery, "list", "--json"))
    assert {row["name"]: bool(row["problems"]) for row in told["templates"]}["studio"]
    template(gallery, "edit", "studio", code=1)  # the editor is 'true', and the check objects
    template(gallery, "delete", "studio")
    template(gallery, "show", "studio", code=3)
    template(gallery, "delete", "xmp", code=3)
    assert "built in" in template(gallery, "edit", "xmp", code=2)


def test_a_template_is_tried_on_a_medium(gallery: Checkout) -> None:
    pytest.importorskip("jinja2", reason="Jinja2 is not installed (extra: templates)")
    assert re.search(r"^gen\.seed +42$", template(gallery, "fields", "plates/sea.png"), re.M)
    told = json.loads(template(gallery, "fields", "plates", "--json"))
    assert told["media"][0]["fields"]["gen.seed"] == "42"
    text = 'schema = "regenstore-sidecar-template/1"\n[output]\nwriter = "text"\nfile = "{stem}.json"\ntext = \'%s\'\n'
    path = gallery.path / ".regenstore/templates/list.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text % '{"shot": {{ about.shot|js }}}')
    said = template(gallery, "check", "list", "--on", "plates")
    assert "line 1: plates/sea.png has no about.shot" in said and "list: fine" in said
    path.write_text(text % "{ {{ gen.seed }}")
    assert "not well-formed" in template(gallery, "check", "list", "--on", "plates/sea.png", code=1)
    assert not list(gallery.path.rglob("sea.json"))


def test_an_export_appends_to_its_own_asc_mhl(gallery: Checkout) -> None:
    def seal(*paths: str, code: int = 0) -> str:
        return export(gallery, *paths, "-t", "ascmhl", "--to", "out", "--copy", code=code)

    def generations() -> list[str]:
        return sorted(path.name[:4] for path in (gallery.path / "out/ascmhl").glob("*.mhl"))

    seal("plates")
    assert "0 written" in seal("plates")
    seal("shots")
    assert generations() == ["0001", "0002"]
    chain = gallery.read("out/ascmhl/ascmhl_chain.xml")
    assert chain.count(b"<hashlist ") == 2
    gallery.regenstore("set", "plates/sea.png", "seed=43")
    said = export(gallery, "plates", "-t", "ascmhl", "--to", "out", "--copy", "--overwrite-foreign", code=2)
    assert "seals sea.png with different contents" in said
    assert gallery.read("out/ascmhl/ascmhl_chain.xml") == chain
