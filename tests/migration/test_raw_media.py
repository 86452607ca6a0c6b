"""Media that commits have themselves: their history rewritten to recipes."""

from __future__ import annotations

import json
from pathlib import Path

from regenstore.objects import toml
from tests.capture.pictures import INFOTEXT, png
from tests.conftest import Checkout, noise


def test_raw_media_in_history_become_recipes(environment: dict[str, str], tmp_path: Path) -> None:
    film = Checkout(tmp_path / "film", environment)
    film.path.mkdir()
    film.git("init", "-q")
    picture, first, second = png({"parameters": INFOTEXT}), noise("first", 300_000), noise("second", 90_000)
    film.write("a b.png", picture)
    film.write("m.bin", first)
    film.write("notes.txt", "text")
    film.commit("raw")
    film.write(".gitattributes", "*.txt text\n")
    film.write("m.bin", second)
    film.commit("attributes of others")
    film.git("rm", "-q", ".gitattributes")
    film.commit("and none")
    film.git("tag", "-a", "-m", "t", "v1", "HEAD~1")
    film.regenstore("init")
    film.regenstore("track", "*.png", "*.bin")
    film.git("add", ".gitattributes")
    film.git("commit", "-q", "-m", "tracked")
    old = film.git("rev-parse", "HEAD")
    film.git("checkout", "-q", "--detach")
    detached = film.run("regenstore", "migrate-from", "git", check=False)
    assert detached.returncode == 4 and b"HEAD is detached" in detached.stderr
    film.git("checkout", "-q", "main")
    shallow = Checkout(tmp_path / "shallow", environment)
    film.git("clone", "-q", "--depth", "2", f"file://{film.path}", str(shallow.path))
    shallow.regenstore("init")
    refused = shallow.run("regenstore", "migrate-from", "git", check=False)
    assert refused.returncode == 3 and b"git fetch --unshallow" in refused.stderr
    assert shallow.git("rev-parse", "HEAD") == old
    planned = json.loads(film.regenstore("adopt", "--git-history", "-n", "--json"))
    assert {(each["path"], each["size"]) for each in planned["files"]} == {
        ("a b.png", len(picture)), ("m.bin", 300_000), ("m.bin", 90_000),
    }  # fmt: skip
    assert film.git("rev-parse", "HEAD") == old
    told = json.loads(film.regenstore("migrate-from", "git", "--json"))
    assert told["commits"] == 4
    assert dict(line.split() for line in Path(told["map"]).read_text().splitlines())[old] == film.git(
        "rev-parse", "HEAD"
    )
    assert film.status() == ""
    assert toml.decode(film.blob("a b.png", "HEAD~3")).generator == "a1111"
    assert film.blob(".gitattributes", "HEAD~1") == film.blob(".gitattributes", "HEAD~3")
    for revision, data in (("HEAD", second), ("HEAD~3", first), ("v1", second)):
        commit = film.git("rev-parse", f"{revision}^{{commit}}")
        clone = Checkout(tmp_path / f"at-{revision.strip('~')}", environment)
        film.git("worktree", "add", "-q", str(clone.path), commit)
        assert clone.read("m.bin") == data
        assert clone.read("a b.png") == picture
        assert clone.status() == ""
        film.git("worktree", "remove", str(clone.path))
    assert "No commit" in film.regenstore("migrate-from", "git")
