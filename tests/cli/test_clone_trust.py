"""clone and trust."""

from __future__ import annotations

import shutil

from tests.conftest import Checkout

DECLARED = """
[generators.stamp]
version = "1"
command = ["tools/stamp", "{output}", "{word}"]
media_type = "image/png"
[generators.stamp.params.word]
type = "string"
"""
STAMP = '#!/bin/sh\nprintf \'\\211PNG\\r\\n\\032\\n%s\' "$2" > "$1"\n'


def declare(film: Checkout) -> None:
    film.write("regenstore.toml", DECLARED)
    film.write("tools/stamp", STAMP).chmod(0o755)


def test_clone_has_media_from_generating_and_from_a_shared_store(film: Checkout) -> None:
    above = Checkout(film.path.parent, film.environment)
    above.regenstore("clone", "-q", "film", "film2")
    second = Checkout(above.path / "film2", film.environment)
    assert second.read("plates/sea.png") == film.read("plates/sea.png")
    assert second.read("refs/photo.png") == film.read("refs/photo.png")  # from the origin's store
    digest = second.blob("refs/photo.png").partition(b"blake3:")[2][:64].decode()
    theirs, ours = (next(each.store.glob(f"*/{digest[:2]}/{digest[2:]}")) for each in (film, second))
    assert not theirs.samefile(ours)
    assert second.status() == ""
    above.regenstore("clone", "--store", str(film.path / ".git/regenstore"), "-q", "film", "film3")
    third = Checkout(above.path / "film3", film.environment)
    assert third.read("refs/photo.png") == film.read("refs/photo.png")
    assert third.status() == ""
    above.regenstore("clone", "-q", "film3", "film4")  # its origin's store is that of the first
    fourth = Checkout(above.path / "film4", film.environment)
    assert fourth.read("refs/photo.png") == film.read("refs/photo.png")
    shutil.rmtree(fourth.store / "vault")
    (fourth.path / "refs/photo.png").unlink()
    fourth.regenstore("get", "--local", "refs/photo.png")
    assert fourth.read("refs/photo.png") == film.read("refs/photo.png")
    shutil.rmtree(fourth.store / "vault")
    theirs.chmod(0o644)
    theirs.write_bytes(b"damaged in its place".ljust(theirs.stat().st_size, b"."))
    (fourth.path / "refs/photo.png").unlink()
    told = fourth.run("regenstore", "get", "refs/photo.png", check=False)
    assert told.returncode == 3 and b"does not have the bytes" in told.stderr and b"regenstore get" not in told.stderr


def test_a_global_install_serves_a_plain_git_clone(film: Checkout) -> None:
    film.regenstore("install")
    above = Checkout(film.path.parent, film.environment)
    above.git("clone", "-q", "film", "plain")
    plain = Checkout(above.path / "plain", film.environment)
    assert plain.read("plates/sea.png") == film.read("plates/sea.png")
    assert plain.status() == ""


def test_get_after_a_late_install(film: Checkout) -> None:
    above = Checkout(film.path.parent, film.environment)
    above.git("clone", "-q", "film", "late")
    late = Checkout(above.path / "late", film.environment)
    assert late.is_recipe("plates/sea.png")
    late.regenstore("init")
    late.regenstore("get", "plates")
    assert late.read("plates/sea.png") == film.read("plates/sea.png")
    assert late.status() == ""


def test_a_declared_generator_runs_only_after_trust(film: Checkout) -> None:
    declare(film)
    done = film.run("regenstore", "new", "a.png", "-g", "stamp", "-p", "word=$(id)", check=False)
    assert done.returncode == 5 and b"not trusted" in done.stderr
    assert b"stays as it was" in done.stderr and not (film.path / "a.png").exists()
    assert "not trusted yet" in film.regenstore("generators")
    refused = film.run("regenstore", "trust", stdin=b"n\n", check=False)
    assert refused.returncode == 5
    assert b"tools/stamp" in refused.stdout
    film.regenstore("trust", "--yes")
    film.regenstore("new", "a.png", "-g", "stamp", "-p", "word=$(id)")  # the same command again
    assert film.read("a.png") == b"\x89PNG\r\n\x1a\n$(id)"
    film.commit("stamped")
    assert "Nothing to approve" in film.regenstore("trust")


def test_a_changed_script_needs_trust_again_and_a_clone_brings_none(film: Checkout, tmp_path) -> None:
    declare(film)
    film.regenstore("trust", "--yes", "stamp")
    film.regenstore("new", "a.png", "-g", "stamp", "-p", "word=one")
    film.commit("stamped")
    film.write("tools/stamp", STAMP + "# changed\n").chmod(0o755)
    done = film.run("regenstore", "set", "a.png", "word=two", check=False)
    assert done.returncode == 5
    assert not film.is_recipe("a.png") and film.status() == " M tools/stamp"
    film.git("checkout", "-q", "--", "tools/stamp")
    film.regenstore("set", "a.png", "word=two")
    film.git("checkout", "-q", "--", ".")
    other = dict(film.environment) | {"XDG_CONFIG_HOME": str(tmp_path / "other"), "HOME": str(tmp_path / "other")}
    above = Checkout(film.path.parent, other)
    (tmp_path / "other").mkdir()
    shutil.rmtree(film.store)  # else the clone would have the medium from there
    said = above.run("regenstore", "clone", "-q", "film", "stranger")
    assert b"not trusted" in said.stderr
    assert Checkout(above.path / "stranger", other).is_recipe("a.png")


def test_revoking_and_unknown_names(film: Checkout) -> None:
    declare(film)
    film.regenstore("trust", "--yes")
    film.regenstore("trust", "--revoke", "stamp")
    assert film.run("regenstore", "new", "b.png", "-g", "stamp", "-p", "word=x", check=False).returncode == 5
    done = film.run("regenstore", "trust", "nobody", check=False)
    assert done.returncode == 3 and b"nobody" in done.stderr


def test_a_bad_declaration_names_file_and_field(film: Checkout) -> None:
    for text, word in {
        "[generators.x": "not valid TOML",
        '[generators.x]\nversion = "1"\ncommand = []\nmedia_type = "image/png"\n': "command",
        '[generators.x]\nversion = "1"\ncommand = ["a"]\nmedia_type = "image/png"\nshell = true\n': "shell",
        '[generators."procedural.image"]\nversion = "1"\ncommand = ["a"]\nmedia_type = "image/png"\n': "built-in",
    }.items():
        film.write("regenstore.toml", text)
        done = film.run("regenstore", "generators", check=False)
        assert done.returncode == 7 and b"regenstore.toml" in done.stderr and word.encode() in done.stderr, done.stderr
