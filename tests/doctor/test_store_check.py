"""fsck on real damage: what can be had comes back, what cannot is named, and no byte is deleted."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time

import pytest

from regenstore.doctor import quarantine, store_scan
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from tests.conftest import fresh_seed
from tests.doctor.gallery import OLD_PHOTO, PHOTO, Gallery, cut, digest_of, flip, snapshot

COPY = """
[generators.copy]
version = "1"
command = ["tools/copy", "{input.source}", "{output}"]
media_type = "image/png"
[generators.copy.inputs.source]
"""


def whole(gallery: Gallery) -> None:
    """All generated media of the index are in the store, with their right bytes."""
    for name in [*gallery.made, "proxy.png"]:
        take = gallery.take(name)
        assert hash_bytes(gallery.stored(name).read_bytes()) == take.digest, name
    assert gallery.status() == ""


def test_a_sound_store_is_left_alone(gallery: Gallery) -> None:
    gallery.fsck()  # keeps what the recipes say, for the next time
    before = snapshot(gallery.store)
    code, told = gallery.fsck()
    assert (code, told["well"], told["bad"], told["missing"], told["done"]) == (0, True, [], [], [])
    assert told["contents"] == 16 and told["database"]["state"] == "sound"
    assert snapshot(gallery.store) == before


def test_damaged_generated_media_come_back(gallery: Gallery) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = random.Random(seed)
    names = ["proxy.png", "made/00.png", *rng.sample(gallery.made[1:], 4)]  # the first needs the second
    bad = []
    for name, kind in zip(names, ["flip", "flip", "cut", "empty", "longer", "flip"], strict=True):
        path = gallery.stored(name)
        (gallery.path / name).unlink()
        size = path.stat().st_size
        if kind == "flip":
            flip(path, rng.randrange(size))
        elif kind == "longer":
            path.chmod(0o644)
            path.write_bytes(path.read_bytes() + b"\0")
        else:
            cut(path, 0 if kind == "empty" else rng.randrange(1, size))
        bad.append(path.read_bytes())
    code, told = gallery.fsck()
    assert code == 0 and told["well"], told
    assert sorted(gallery.quarantine()) == sorted(bad)
    assert sorted(d["subject"] for d in told["done"] if d["what"] == "made again") == sorted(names)
    gallery.git("checkout", "--", ".")
    whole(gallery)
    assert gallery.fsck()[1]["bad"] == []


def test_what_only_the_database_knows_comes_back(gallery: Gallery) -> None:
    gallery.regenstore("set", "made/02.png", "seed=5")
    (variant,) = [p for p in (gallery.store / "vault").glob("*/*") if p.read_bytes() == gallery.read("made/02.png")]
    gallery.git("checkout", "-q", "--", ".")  # it was not chosen: no recipe in Git records it
    flip(variant, 9)
    code, told = gallery.fsck()
    assert code == 0 and hash_bytes(variant.read_bytes()) == digest_of(variant)
    assert [m["last_seen"] for m in told["missing"]] == ["the result database"]


def test_imported_media_are_lost_and_named(gallery: Gallery) -> None:
    path = gallery.stored("photo.png")
    flip(path, 999)
    bad = path.read_bytes()
    (gallery.path / "photo.png").unlink()
    code, told = gallery.fsck()
    assert code == 1 and not told["well"]
    (missing,) = told["missing"]
    assert (missing["path"], missing["repair"], missing["last_seen"]) == ("photo.png", "lost", "Git's index and HEAD")
    assert gallery.quarantine() == [bad]
    assert not path.exists()
    (text,) = (gallery.store / "quarantine").glob("*.txt")
    said = text.read_text()
    assert f"from:  {path.relative_to(gallery.store)}\n" in said and "why:   wrong bytes\n" in said
    assert str(hash_bytes(PHOTO)) in said and str(hash_bytes(bad)) in said and "when:  20" in said
    assert gallery.fsck()[0] == 1  # still lost, and nothing more to do
    assert gallery.quarantine() == [bad]


def test_the_worktree_is_a_source(gallery: Gallery) -> None:
    path = gallery.stored("photo.png")
    cut(path, 100)
    code, told = gallery.fsck()
    assert code == 0 and [d["what"] for d in told["done"]] == ["quarantined", "restored"]
    assert path.read_bytes() == PHOTO
    assert gallery.status() == ""


def test_inputs_that_come_back_from_the_worktree_count(gallery: Gallery) -> None:
    gallery.write("regenstore.toml", COPY)
    gallery.write("tools/copy", '#!/bin/sh\ncat "$1" > "$2"; printf ! >> "$2"\n').chmod(0o755)
    gallery.regenstore("trust", "--yes")
    gallery.regenstore("new", "copy.png", "-g", "copy", "-i", "source=photo.png")
    gallery.commit("copy")
    for name in ("copy.png", "photo.png"):
        gallery.stored(name).unlink()
    (gallery.path / "copy.png").unlink()
    code, told = gallery.fsck()
    assert {m["path"]: m["repair"] for m in told["missing"]} == {"copy.png": "generate", "photo.png": "copy"}
    assert code == 0 and gallery.stored("copy.png").read_bytes() == PHOTO + b"!"


def test_what_only_history_records_is_found(gallery: Gallery) -> None:
    generated, imported = gallery.stored("made/01.png", "HEAD~1"), gallery.stored("old.png", "HEAD~1")
    assert generated != gallery.stored("made/01.png")
    flip(generated, 50)
    flip(imported, 50)
    code, told = gallery.fsck()
    assert code == 1
    assert {m["path"]: m["repair"] for m in told["missing"]} == {"made/01.png": "generate", "old.png": "lost"}
    first = gallery.git("rev-parse", "--short", "HEAD~1")
    assert all(m["last_seen"].startswith(f"commit {first} of ") for m in told["missing"])
    assert all("refs/heads/main" in m["roots"] for m in told["missing"])
    assert hash_bytes(generated.read_bytes()) == digest_of(generated)
    assert not imported.exists() and hash_bytes(OLD_PHOTO) == digest_of(imported)


def test_a_tenth_of_the_store_is_gone(gallery: Gallery) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = random.Random(seed)
    gallery.regenstore("drop")
    contents = sorted((gallery.store / "vault").glob("*/*"))
    wanted = {gallery.stored(name) for name in [*gallery.made, "proxy.png", "photo.png"]}
    gone = [path for path in contents if path in wanted]
    gone = rng.sample(gone, max(2, len(contents) // 10))
    for path in gone:
        path.unlink()
    imported = gallery.stored("photo.png") in gone
    code, told = gallery.fsck()
    assert len(told["missing"]) == len(gone)
    assert code == (1 if imported else 0)
    assert [m["path"] for m in told["missing"] if m["repair"] == "lost"] == (["photo.png"] if imported else [])
    whole(gallery)


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--no-repair"]])
def test_looking_changes_nothing(gallery: Gallery, arguments: list[str]) -> None:
    flip(gallery.stored("made/03.png"), 10)
    gallery.stored("made/04.png").unlink()
    (gallery.path / "made/04.png").unlink()
    cut(gallery.store / "results.sqlite", 5000)
    (gallery.store / "vault" / "stray").write_bytes(b"?")
    old = gallery.store / "tmp" / "put-1-old"
    old.write_bytes(b"?")
    os.utime(old, (0, 0))
    before, tree = snapshot(gallery.store), snapshot(gallery.path)
    code, told = gallery.fsck(*arguments)
    after = snapshot(gallery.store)
    own = {name for name in after if name.startswith("leases/")}  # this process still runs
    assert {name: held for name, held in after.items() if name not in own} == before
    assert {name: held for name, held in snapshot(gallery.path).items() if "/leases/" not in name} == tree
    assert told["done"] == [] and told["database"]["state"] == "damaged" and told["leftovers"] == 1
    assert {m["path"]: m["repair"] for m in told["missing"]} == {"made/03.png": "copy", "made/04.png": "generate"}
    assert code == (0 if arguments == ["--dry-run"] else 1)
    code, told = gallery.fsck()
    assert code == 0, told
    gallery.git("checkout", "--", ".")
    whole(gallery)


def test_a_damaged_database_is_kept_and_made_again(gallery: Gallery) -> None:
    path = gallery.store / "results.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    path.write_bytes(data)
    code, told = gallery.fsck()
    assert code == 0 and told["database"]["state"] == "damaged" and told["database"]["problems"], told
    (kept,) = gallery.store.glob("results.sqlite.damaged-*")
    assert kept.read_bytes() == bytes(data)
    code, told = gallery.fsck()
    assert code == 0 and told["database"] == {"state": "sound", "problems": [], "outputs_without_bytes": 0}
    whole(gallery)


def test_stray_files_and_wrong_names(gallery: Gallery) -> None:
    vault = gallery.store / "vault"
    good = gallery.stored("made/05.png")
    lost = gallery.stored("old.png", "HEAD~1")
    misnamed = good.with_name("0" * 62)
    lost.rename(misnamed)  # the only copy of imported media, under another content's name
    backup = good.with_name(good.name + ".bak")
    shutil.copy(good, backup)
    (vault / "notes.txt").write_text("mine")
    (vault / "ab").mkdir(exist_ok=True)
    (vault / "ab" / "link").symlink_to("nowhere")
    (vault / "ab" / ("1" * 62)).mkdir()
    (gallery.store / "cache" / "folder").mkdir()
    before = good.stat()
    code, told = gallery.fsck()
    assert code == 0, (told["done"], told["missing"])
    assert lost.read_bytes() == OLD_PHOTO and not misnamed.exists()
    left = sorted(p.name for p in (gallery.store / "quarantine").iterdir() if p.suffix != ".txt")
    assert len(left) == 5
    assert [d["what"] for d in told["done"]] == ["renamed", *["quarantined"] * 5]
    assert (good.stat().st_ino, good.stat().st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    assert gallery.fsck()[1]["bad"] == []


def test_good_bytes_that_come_meanwhile_are_not_touched(gallery: Gallery) -> None:
    store = ContentStore(str(gallery.store))
    path = gallery.stored("made/06.png")
    good = path.read_bytes()
    flip(path, 3)
    (bad,) = store_scan.scan(store, lambda _: None).bad
    store.put_bytes(good, digest_of(path))
    assert quarantine.confine(store, bad, time.time()) is None
    assert path.read_bytes() == good and gallery.quarantine() == []
    path.unlink()
    assert quarantine.confine(store, bad, time.time()) is None
    assert store_scan.look(str(path), "vault", digest_of(path)) is None  # gone is no error


def test_good_bytes_that_come_at_the_same_moment_stay(gallery: Gallery) -> None:
    store = ContentStore(str(gallery.store))
    path = gallery.stored("made/06.png")
    good = path.read_bytes()
    for _ in range(60):
        flip(path, 3)
        bad = store_scan.look(str(path), "vault", digest_of(path))
        assert bad is not None
        both = threading.Barrier(2)

        def put(both: threading.Barrier = both) -> None:
            both.wait()
            store.put_bytes(good, digest_of(path))

        other = threading.Thread(target=put)
        other.start()
        both.wait()
        quarantine.confine(store, bad, time.time())
        other.join()
        assert path.read_bytes() == good
    assert good not in gallery.quarantine()


def test_bad_bytes_that_cannot_be_moved_away_are_not_overwritten(gallery: Gallery) -> None:
    path, photo = gallery.stored("made/06.png"), gallery.stored("photo.png")
    flip(path, 3)
    flip(photo, 3)
    bad = path.read_bytes(), photo.read_bytes()
    (gallery.store / "quarantine").write_text("in the way")
    code, told = gallery.fsck()
    assert code == 1 and not any(done["ok"] for done in told["done"])
    assert (path.read_bytes(), photo.read_bytes()) == bad
    (gallery.store / "quarantine").unlink()
    assert gallery.fsck()[0] == 0
    assert sorted(gallery.quarantine()) == sorted(bad)
    assert photo.read_bytes() == PHOTO


def test_running_beside_a_busy_store(gallery: Gallery) -> None:
    """Contents that are replaced and removed while they are read are no damage."""
    store = ContentStore(str(gallery.store))
    paths = [gallery.stored(name) for name in gallery.made]
    datas = {path: path.read_bytes() for path in paths}
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for path in paths:
                path.unlink(missing_ok=True)
                store.put_bytes(datas[path], digest_of(path))

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(40):
            assert store_scan.scan(ContentStore(store.root), lambda _: None).bad == []
    finally:
        stop.set()
        worker.join()


def test_bad_recipes_and_what_cannot_be_made(gallery: Gallery) -> None:
    text = gallery.blob("made/07.png").replace(b"procedural.image", b"procedural.gone")
    gallery.write("made/07.png", text)
    gallery.git("add", "made/07.png")
    gallery.stored("made/07.png", "HEAD").unlink()
    gallery.write("marked.png", b"<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    gallery.git("add", "marked.png")
    code, told = gallery.fsck("--dry-run")
    (missing,) = told["missing"]
    assert code == 1 and missing["path"] == "made/07.png"
    assert [(i["path"], i["kind"]) for i in told["invalid"]] == [("marked.png", "conflict-markers")]
    gallery.git("rm", "-q", "-f", "marked.png")
    gallery.git("reset", "-q", "--hard")
    gallery.git("commit", "-q", "--allow-empty", "-m", "x")
    whole_code, told = gallery.fsck()
    assert whole_code == 0, told
    wrong = gallery.blob("made/08.png").replace(b"size = ", b"size = 1")
    gallery.write("made/08.png", wrong)
    gallery.git("add", "made/08.png")
    code, told = gallery.fsck()
    assert code == 1 and "size" in told["invalid"][0]["message"]


def test_leftovers_are_cleared(gallery: Gallery) -> None:
    temp, lease = gallery.store / "tmp" / "run-1-old", gallery.store / "leases" / "abc"
    temp.mkdir()
    (temp / "main").write_bytes(b"half")
    young = gallery.store / "tmp" / "put-2-young"
    young.write_bytes(b"at work")
    lease.write_bytes(b"")
    stage = gallery.path / ".git" / "regenstore-stage-999999-ab"
    stage.mkdir()
    (stage / "owner").touch()
    for path in (temp / "main", temp, lease, stage / "owner", stage):
        os.utime(path, (1, 1))
    code, told = gallery.fsck()
    assert code == 0 and told["leftovers"] == 3
    assert not temp.exists() and not lease.exists() and not stage.exists() and young.exists()


def test_a_repository_without_anything(tmp_path, environment) -> None:
    empty = Gallery(tmp_path / "new", environment)
    empty.path.mkdir()
    empty.git("init", "-q")
    code, told = empty.fsck()
    assert code == 0 and told["contents"] == 0 and told["database"]["state"] == "none"
    assert not empty.store.exists()
