"""fsck looks at all that any root reaches, and finds bytes wherever they are on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regenstore.objects import toml
from regenstore.objects.corrections import Correction, Corrections
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from tests.conftest import Checkout, noise
from tests.doctor.gallery import OLD_PHOTO, PHOTO, Gallery, cut, digest_of, flip, snapshot

pytestmark = pytest.mark.heavy


def missing(told: dict) -> dict[str, str]:
    return {m["path"]: m["repair"] for m in told["missing"]}


@pytest.fixture
def branched(gallery: Gallery) -> Gallery:
    """A branch, a tag, a stash and a reflog each have a ``made/02.png`` of their own."""
    for number, place in enumerate(["branch", "tag", "stash", "reflog"]):
        gallery.git("checkout", "-q", "-b", place)
        gallery.regenstore("set", "made/02.png", f"seed={100 + number}")
        if place == "stash":
            gallery.git("stash", "-q")
        else:
            gallery.commit(place)
        if place == "tag":
            gallery.git("tag", "-a", "-m", "v1", "v1")
        gallery.git("checkout", "-q", "main")
        if place != "branch":
            gallery.git("branch", "-q", "-D", place)
    return gallery


REVISIONS = {"branch": "branch", "tag": "v1", "stash": "stash", "reflog": "HEAD@{1}"}


def test_takes_of_every_kind_of_root_are_looked_at(branched: Gallery) -> None:
    contents = {place: branched.stored("made/02.png", revision) for place, revision in REVISIONS.items()}
    assert len(set(contents.values())) == 4
    for path in contents.values():
        path.unlink()
    code, told = branched.fsck()
    assert code == 1 and [m["repair"] for m in told["missing"]] == ["untried"] * 4
    assert {m["path"] for m in told["missing"]} == {"made/02.png"}
    assert all(m["last_seen"].startswith("commit ") for m in told["missing"])
    roots = {m["digest"]: m["roots"] for m in told["missing"]}
    of = {place: roots[f"blake3:{path.parent.name}{path.name}"] for place, path in contents.items()}
    assert of["branch"][0] == "refs/heads/branch" and "refs/tags/v1" in of["tag"] and "refs/stash" in of["stash"]
    assert of["reflog"] and all("(reflog)" in name for name in of["reflog"])
    said = branched.run("regenstore", "fsck", check=False)
    assert b"held by refs/heads/branch" in said.stdout and b"'regenstore fsck --regenerate'" in said.stdout
    code, told = branched.fsck("--regenerate")
    assert code == 0 and sorted(d["what"] for d in told["done"]) == ["made again"] * 4
    assert all(hash_bytes(path.read_bytes()) == digest_of(path) for path in contents.values())


def test_only_this_worktree(branched: Gallery) -> None:
    branched.stored("made/02.png", "branch").unlink()
    assert branched.fsck("--worktree-only")[0] == 0
    assert branched.fsck()[0] == 1


def test_damage_in_another_branch_is_repaired(branched: Gallery) -> None:
    path = branched.stored("made/02.png", "v1")
    flip(path, 17)
    code, told = branched.fsck()
    assert code == 0 and [d["what"] for d in told["done"]] == ["quarantined", "made again"]
    assert hash_bytes(path.read_bytes()) == digest_of(path)


def test_what_is_proven_and_not_here_is_no_error(branched: Gallery) -> None:
    branched.git("checkout", "-q", "branch")
    branched.regenstore("verify", "made/02.png")
    path = branched.stored("made/02.png")
    branched.git("checkout", "-q", "main")
    path.unlink()
    code, told = branched.fsck()
    assert (code, told["can_be_made_again"], told["missing"]) == (0, 1, [])
    assert "1 take is not in the store and can be made again" in branched.regenstore("fsck")
    # What it is made from counts as well.
    branched.regenstore("verify", "proxy.png")
    for name in ("proxy.png", "made/00.png"):
        branched.stored(name).unlink()
        (branched.path / name).unlink()
    code, told = branched.fsck("--dry-run")
    assert missing(told) == {"made/00.png": "generate", "proxy.png": "generate"} and told["can_be_made_again"] == 1
    assert branched.fsck()[0] == 0


def test_imported_media_of_history_are_lost_and_named(gallery: Gallery) -> None:
    gallery.stored("old.png", "HEAD~1").unlink()
    code, told = gallery.fsck()
    (lost,) = told["missing"]
    short = gallery.git("rev-parse", "--short", "HEAD~1")
    assert code == 1 and (lost["path"], lost["repair"]) == ("old.png", "lost")
    assert lost["last_seen"].startswith(f"commit {short} of 20") and lost["roots"][0] == "HEAD"
    said = gallery.run("regenstore", "fsck", check=False).stdout.decode()
    assert f"missing: old.png ({gallery.take('old.png', 'HEAD~1').digest.short}, last seen in commit {short}" in said


def test_an_input_that_no_recipe_in_git_makes(gallery: Gallery) -> None:
    gallery.write("loose.png", b"\x89PNG\r\n\x1a\n" + noise("loose", 3000))
    shutil.copy(gallery.path / "made/03.png", gallery.path / "loose.png")
    gallery.regenstore("set", "made/03.png", "seed=50")
    gallery.regenstore("new", "small.png", "-g", "derive.image", "-i", "source=made/03.png", "-p", "width=16")
    source = gallery.stored("made/03.png")
    gallery.git("checkout", "-q", "--", "made/03.png")
    gallery.git("add", "small.png")
    gallery.git("commit", "-q", "-m", "made of what was never committed")
    (line,) = [line for line in gallery.blob("small.png").decode().splitlines() if line.startswith("digest = ")][:1]
    wanted = next(p for p in (gallery.store / "vault").glob("*/*") if p.parent.name + p.name in line)
    assert wanted != source
    (gallery.path / "loose.png").unlink()
    wanted.unlink()
    code, told = gallery.fsck()
    (found,) = told["missing"]
    assert "small.png, which needs it" in found["last_seen"] and found["path"] == "made/03.png"
    assert (code, found["repair"]) == (0, "generate") and wanted.exists()


def test_a_bad_recipe_on_another_branch(gallery: Gallery) -> None:
    gallery.git("checkout", "-q", "-b", "broken")
    text = gallery.blob("made/04.png").replace(b"width = 48", b"width = ")
    oid = gallery.run("git", "hash-object", "-w", "--stdin", stdin=text).stdout.strip().decode()
    gallery.git("update-index", "--cacheinfo", f"100644,{oid},made/04.png")
    gallery.git("commit", "-q", "-m", "broken")
    gallery.git("reset", "-q", "--hard", "main")
    gallery.git("checkout", "-q", "main")
    code, told = gallery.fsck()
    short = gallery.git("rev-parse", "--short", "broken@{1}")
    (found,) = told["invalid"]
    assert code == 1 and (found["path"], found["kind"]) == ("made/04.png", "bad-recipe")
    assert found["last_seen"].startswith(f"commit {short} of ")
    assert gallery.fsck("--worktree-only")[0] == 0


def test_git_itself_is_damaged(gallery: Gallery) -> None:
    (gallery.path / ".git/refs/heads/gone").write_text("1" * 40 + "\n")
    gallery.stored("made/05.png").unlink()
    code, told = gallery.fsck()
    assert told["problems"] and "only the recipes of this worktree" in told["problems"][0]
    assert missing(told) == {"made/05.png": "copy"} and gallery.stored("made/05.png").exists()
    assert code == 1


# ------------------------------------------------------------------------------------------- other places


def test_a_clone_takes_bytes_from_the_store_of_its_origin(gallery: Gallery) -> None:
    gallery.git("clone", "-q", "--no-checkout", str(gallery.path), str(gallery.path.parent / "clone"))
    clone = Gallery(gallery.path.parent / "clone", gallery.environment)
    clone.regenstore("init")
    clone.run("git", "checkout", "-q", "main", REGENSTORE_SMUDGE="place")
    assert clone.is_recipe("photo.png")
    code, told = clone.fsck()
    assert code == 0 and {m["repair"] for m in told["missing"]} == {"copy"}, told
    assert clone.stored("photo.png").read_bytes() == PHOTO
    assert clone.stored("old.png", "HEAD~1").read_bytes() == OLD_PHOTO
    assert clone.fsck()[1]["missing"] == []


def test_any_file_of_any_worktree_will_do(gallery: Gallery) -> None:
    other = gallery.path.parent / "linked"
    gallery.git("worktree", "add", "-q", "-b", "linked", str(other))
    (other / "kept somewhere.bak").write_bytes(OLD_PHOTO)
    path = gallery.stored("old.png", "HEAD~1")
    path.unlink()
    flip(gallery.stored("photo.png"), 4)
    (gallery.path / "photo.png").unlink()
    code, told = gallery.fsck()
    assert code == 0 and missing(told) == {"photo.png": "copy", "old.png": "copy"}, told
    assert path.read_bytes() == OLD_PHOTO and gallery.stored("photo.png").read_bytes() == PHOTO


def test_the_trash_counts_and_is_read(gallery: Gallery) -> None:
    trash = gallery.store / "trash" / "20260101T000000Z-aaaa"
    kept, copied = gallery.stored("photo.png"), gallery.stored("old.png", "HEAD~1")
    for path in (kept, copied):
        target = trash / path.relative_to(gallery.store)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    kept.unlink()
    flip(copied, 8)
    code, told = gallery.fsck()
    assert code == 0 and told["in_trash"] >= 1
    assert copied.parent.exists()
    gallery.regenstore("drop", "photo.png")
    gallery.regenstore("get", "photo.png")
    assert gallery.read("photo.png") == PHOTO
    flip(trash / copied.relative_to(gallery.store), 3)
    code, told = gallery.fsck()
    assert any("/trash/" in bad["path"] for bad in told["bad"])


def test_what_the_quarantine_holds_comes_back(gallery: Gallery) -> None:
    folder = gallery.store / "quarantine"
    folder.mkdir()
    path = gallery.stored("old.png", "HEAD~1")
    path.rename(folder / "vault-ab-something.1-abc")
    code, told = gallery.fsck()
    assert code == 0 and missing(told) == {"old.png": "copy"}
    assert path.read_bytes() == OLD_PHOTO and len(gallery.quarantine()) == 1


def test_another_repository_of_a_shared_store(gallery: Gallery, tmp_path: Path) -> None:
    shared = str(tmp_path / "shared")
    repositories = []
    for name in ("one", "two"):
        made = Checkout(tmp_path / name, gallery.environment)
        made.path.mkdir()
        made.git("init", "-q")
        made.git("config", "regenstore.store", shared)
        made.regenstore("init")
        made.regenstore("track", "*.png")
        made.write("photo.png", b"\x89PNG\r\n\x1a\n" + noise(name, 2000))
        made.commit(name)
        repositories.append(Gallery(made.path, made.environment))
    one, two = repositories
    assert one.fsck()[1]["recipes"] == 2
    two.stored("photo.png").unlink()
    code, told = one.fsck("--dry-run")
    assert code == 0 and [m["source"] for m in told["missing"]] == [str(two.path / "photo.png")]
    (two.path / "photo.png").unlink()
    code, told = one.fsck()
    (lost,) = told["missing"]
    assert code == 1 and (lost["path"], lost["repair"]) == ("photo.png", "lost")
    assert str(two.path) in lost["last_seen"] and "commit " in lost["last_seen"]
    two.path.rename(tmp_path / "away")
    code, told = one.fsck()
    assert code == 1 and "cannot be reached" in told["notes"][0] and len(told["missing"]) == 1


def test_a_damaged_correction_goes_to_the_quarantine(gallery: Gallery) -> None:
    kept = Corrections(str(gallery.store))
    take, base = gallery.take("made/00.png"), gallery.take("made/01.png")
    key = toml.decode(gallery.blob("made/00.png")).key
    assert key is not None
    for number in range(2):
        given = Digest(bytes([number]) * 32)
        kept.put(Correction(key, take.digest, take.size, given, base.size, "bytes", "", b"x" * 100))
    good, bad = map(Path, sorted(kept.paths()))
    assert gallery.fsck()[1]["bad"] == []
    flip(bad, 60)
    code, told = gallery.fsck()
    assert code == 0 and [b["path"] for b in told["bad"]] == [str(bad)] and good.exists() and not bad.exists()
    assert len(gallery.quarantine()) == 1 and gallery.fsck()[1]["bad"] == []


# ------------------------------------------------------------------------------------------- less work


def test_quick_does_not_read_contents_but_finds_what_is_short(gallery: Gallery) -> None:
    flip(gallery.stored("made/01.png"), 3)
    before = snapshot(gallery.store)
    code, told = gallery.fsck("--quick", "--dry-run")
    assert (code, told["bad"], told["missing"]) == (0, [], []) and snapshot(gallery.store) == before
    cut(gallery.stored("made/02.png"), 40)
    code, told = gallery.fsck("--quick")
    assert code == 0 and [d["what"] for d in told["done"]] == ["quarantined", "restored"], told
    code, told = gallery.fsck()
    assert code == 0 and len(told["bad"]) == 1


# ------------------------------------------------------------------------------------------- the format marker


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 90, b'{"regenstore_store": 1}'])
def test_a_damaged_format_marker_is_made_again(gallery: Gallery, damage: bytes) -> None:
    marker = gallery.store / "format.json"
    good = marker.read_bytes()
    marker.write_bytes(damage)
    flip(gallery.stored("made/06.png"), 5)
    before = snapshot(gallery.store)
    code, told = gallery.fsck("--dry-run")
    assert code == 0 and snapshot(gallery.store) == before and told["bad"][0]["path"] == str(marker)
    code, told = gallery.fsck()
    assert code == 0 and marker.read_bytes() == good and damage in gallery.quarantine(), told
    assert gallery.fsck()[1]["bad"] == [] and gallery.status() == ""


def test_a_newer_store_is_refused_and_left(gallery: Gallery) -> None:
    marker = gallery.store / "format.json"
    marker.write_bytes(b'{"regenstore_store": 2, "features": {}}')
    before = snapshot(gallery.store)
    assert gallery.run("regenstore", "fsck", check=False).returncode == 7
    assert snapshot(gallery.store) == before
