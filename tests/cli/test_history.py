"""history: every content that a path has had, and bringing one back."""

from __future__ import annotations

import json
from typing import Any

from regenstore.objects import evicted
from regenstore.objects.evicted import Evicted
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import RecipeKey
from tests.conftest import Checkout, noise

SEA = "plates/sea.png"


def contents(film: Checkout, path: str = SEA) -> list[dict[str, Any]]:
    return json.loads(film.regenstore("history", path, "--json"))["contents"]


def digest_of(data: bytes) -> str:
    return str(hash_bytes(data))


def test_every_content_is_listed_and_comes_back(film: Checkout) -> None:
    first = film.read(SEA)
    film.git("switch", "-q", "-c", "side")
    film.regenstore("set", SEA, "seed=7")
    film.commit("Seven")
    film.regenstore("tag", SEA, "scene=one")
    film.commit("Only a label")
    seven = film.read(SEA)
    film.git("switch", "-q", "-")
    film.regenstore("set", SEA, "seed=8")  # never added: only the log and the database know it
    eight = film.read(SEA)
    film.regenstore("set", SEA, "seed=9")
    film.git("add", SEA)
    nine = film.read(SEA)
    painted = b"\x89PNG\r\n\x1a\n" + noise("painted", 3000)
    film.write(SEA, painted)
    film.regenstore("set", SEA, "seed=10", "--force")

    listed = contents(film)
    told = {each["digest"]: each for each in listed}
    assert [told[digest_of(each)]["from"] for each in (first, seven, eight, nine, painted)] == [
        "commit", "commit", "replaced", "index", "replaced",
    ]  # fmt: skip
    assert told[digest_of(seven)]["subject"] == "Seven"
    assert (listed[0]["from"], listed[0]["state"], listed[1]["digest"]) == ("pending", "placed", digest_of(nine))
    assert {each["state"] for each in listed[1:]} == {"stored"} and len(listed) == 6
    assert listed[0]["changes"] == [{"name": "seed", "before": 9, "after": 10}]
    assert told[digest_of(painted)]["key"] is None and listed[-1]["changes"] is None
    assert "seed 9 → 10" in film.regenstore("history", SEA)

    def take(data: bytes, *more: str, code: int = 0) -> str:
        done = film.run("regenstore", "history", SEA, "--take", digest_of(data)[7:19], *more, check=False)
        assert done.returncode == code, done.stderr.decode()
        return (done.stdout + done.stderr).decode()

    out = film.path / "refs" / "elsewhere.bin"
    ten = film.read(SEA)
    assert "would write" in take(painted, "-n") and film.read(SEA) == ten
    take(painted, "-o", str(out))
    assert out.read_bytes() == painted and film.read(SEA) == ten
    assert "already" in take(painted, "-o", str(out), code=4)
    take(eight)
    assert film.read(SEA) == eight and "seed = 8" in film.regenstore("show", SEA)
    film.write(SEA, other := b"\x89PNG\r\n\x1a\n" + noise("other", 2000))  # unrecorded: stored before it is replaced
    take(painted)
    assert film.read(SEA) == painted
    film.git("add", SEA)
    assert b"generator" not in film.blob(SEA) and digest_of(painted) in film.blob(SEA).decode()
    take(other)
    assert film.read(SEA) == other
    assert digest_of(ten) in {each["digest"] for each in contents(film)}


def test_a_path_that_is_gone_in_a_folder_of_a_linked_worktree(film: Checkout) -> None:
    photo = film.read("refs/photo.png")
    film.git("rm", "-q", "refs/photo.png")
    film.git("commit", "-q", "-m", "Without the photo")
    film.git("worktree", "add", "-q", "../linked", "-b", "linked")
    plates = Checkout(film.path.parent / "linked" / "plates", film.environment)
    assert [each["from"] for each in contents(plates, "../refs/photo.png")] == ["commit"]
    plates.regenstore("history", "../refs/photo.png", "--take", digest_of(photo))
    assert plates.read("../refs/photo.png") == photo
    plates.git("add", "../refs/photo.png")
    assert plates.blob("refs/photo.png") == film.blob("refs/photo.png", "HEAD~1")
    stored = next(film.path.glob(f".git/regenstore/*/{digest_of(photo)[7:9]}/{digest_of(photo)[9:]}"))
    trashed = film.path / f".git/regenstore/trash/20260101T000000Z-x/vault/{stored.parent.name}" / stored.name
    trashed.parent.mkdir(parents=True)
    stored.rename(trashed)
    assert [each["state"] for each in contents(film, "refs/photo.png")] == ["trash"]
    film.regenstore("history", "refs/photo.png", "--take", digest_of(photo), "-o", "../photo.png")
    assert (film.path.parent / "photo.png").read_bytes() == photo and not trashed.exists()
    stored.unlink()
    done = film.run("regenstore", "history", "refs/photo.png", "--take", digest_of(photo), check=False)
    assert done.returncode == 3 and b"git restore -s" in done.stderr
    for wrong, code in (("refs/never.png", 3), ("plates/sea.png", 2)):
        assert film.run("regenstore", "history", wrong, "--take", "0" * 64, check=False).returncode == code


def test_edits_that_were_added_and_never_committed(film: Checkout) -> None:
    shots = [b"\x89PNG\r\n\x1a\n" + noise(f"edit {number}", 2000) for number in range(3)]
    for data in shots:
        film.write("refs/photo.png", data)
        film.git("add", "-A")
        film.git("status")
    assert [each["digest"] for each in contents(film, "refs/photo.png")[:3]] == [*map(digest_of, reversed(shots))]
    logged = film.read(".git/regenstore-paths.jsonl").count(b"refs/photo.png")
    assert logged == 2 * len(shots)  # what it was, and what it became; not once more for each 'git status'


def test_damaged_lines_of_the_log_are_passed_over_and_manifests_of_gc_are_read(film: Checkout) -> None:
    named = b'"plates/sea.png"'
    lines = [b"{" + named, b'{"path": %b}' % named, b"[%b]" % named, b'{"path": %b, "when": "x", "recipe": ""}' % named]
    film.write(".git/regenstore-paths.jsonl", b"\n".join(lines))
    took = hash_bytes(b"took")
    key = RecipeKey.parse(film.regenstore("show", "--key", SEA).strip())
    record = Evicted(took, 4, "image/png", "evictable", "dead", None, key, "main", b"")
    evicted.write(str(film.path / ".git/regenstore"), "20260101T000000Z-x", [record])
    assert [(each["from"], each["state"]) for each in contents(film)] == [("commit", "placed"), ("gc", "gone")]
