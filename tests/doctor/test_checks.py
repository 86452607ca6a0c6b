"""doctor: every finding, provoked with real configuration, files and mounts."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.cli.doctor import _context
from regenstore.config import GitEnvironment
from regenstore.doctor import file_system
from regenstore.doctor.check import NOTE, OK, PROBLEM, WARNING, Diagnosis, examine
from regenstore.doctor.checks import CHECKS
from regenstore.objects.hashing import hash_bytes
from regenstore.refs.git import Git
from regenstore.refs.leases import lease
from regenstore.repository import Repository
from tests.conftest import BIN, Checkout
from tests.doctor.gallery import Gallery, flip, snapshot

Diagnose = Callable[..., list[Diagnosis]]


@pytest.fixture
def diagnose(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Diagnose:
    """The findings of some checks on the gallery, as the command would give them."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_")):
            monkeypatch.delenv(name)
    for name, value in gallery.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", [f"{BIN}/regenstore", "doctor"])

    def run(*names: str, **changed: object) -> list[Diagnosis]:
        chosen = [check for check in CHECKS if check.name in names]
        assert len(chosen) == len(names)
        repository = Repository.discover(str(gallery.path), GitEnvironment.read())
        context = dataclasses.replace(_context(repository), **changed)
        return list(examine(chosen, context))

    return run


def has(found: list[Diagnosis], level: str, text: str) -> bool:
    """Whether there is such a finding; every one that is not well says what to do."""
    assert all(f.remedy for f in found if f.level in (WARNING, PROBLEM))
    return any(f.level == level and text in f.message for f in found)


def test_all_is_well_and_nothing_changes(gallery: Gallery) -> None:
    before, store = snapshot(gallery.path / ".git"), snapshot(gallery.store)
    said = gallery.regenstore("doctor")
    assert "problem" not in said and "warning" not in said and "all is well" in said
    for check in ("versions", "git version", "git filter", "attributes", "hooks", "generators", "sandbox", "store"):
        assert f" {check}: " in said
    assert snapshot(gallery.store) == store and snapshot(gallery.path / ".git") == before


def test_versions(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("versions"), OK, "Python 3.")
    assert has(diagnose("git_version"), OK, "git version 2.")
    assert has(diagnose("git_blobs"), OK, "libgit2")
    gallery.git("config", "remote.origin.promisor", "true")
    assert has(diagnose("git_blobs"), NOTE, "partial clone")
    old = gallery.path.parent / "old-git"
    old.write_text("#!/bin/sh\necho git version 2.38.9\n")
    old.chmod(0o755)
    assert has(
        diagnose("git_version", git=Git(str(gallery.path), program=str(old))), PROBLEM, "2.39 or newer is needed"
    )


def test_the_filter_is_missing_foreign_or_broken(diagnose: Diagnose, gallery: Gallery) -> None:
    name = "filter.regenstore.process"
    assert has(diagnose("git_filter"), OK, "starts and answers")
    gallery.git("config", name, "git-lfs filter-process")
    assert has(diagnose("git_filter"), PROBLEM, "not regenstore's")
    gallery.git("config", name, "/nowhere/regenstore-filter process")
    found = diagnose("git_filter")
    assert has(found, NOTE, "another installation") and has(found, PROBLEM, "does not start")
    gallery.git("config", name, "true regenstore")
    assert has(diagnose("git_filter"), PROBLEM, "without an answer in the filter protocol")
    gallery.git("config", "--unset", name)
    assert has(diagnose("git_filter"), PROBLEM, "has no filter for regenstore")
    gallery.regenstore("init")
    gallery.git("config", "filter.regenstore.required", "false")
    gallery.git("config", "diff.regenstore.binary", "true")
    gallery.git("config", "--unset", "merge.regenstore.driver")
    found = diagnose("git_filter")
    assert has(found, PROBLEM, "would commit raw media")
    assert has(found, WARNING, "diff.regenstore.binary") and has(found, WARNING, "merge.regenstore.driver is not set")


def test_another_installation_that_works(diagnose: Diagnose, gallery: Gallery) -> None:
    other = gallery.path.parent / "elsewhere" / "regenstore-filter"
    other.parent.mkdir()
    other.symlink_to(f"{BIN}/regenstore-filter")
    gallery.git("config", "filter.regenstore.process", f"{other} process")
    found = diagnose("git_filter")
    assert has(found, NOTE, "another installation") and has(found, OK, "starts and answers")


def test_conversions(diagnose: Diagnose, gallery: Gallery) -> None:
    assert diagnose("conversions") == []
    gallery.git("config", "diff.regenstore.textconv", "cat")
    gallery.git("config", "diff.regenstore.command", "cat")
    gallery.git("config", "merge.renormalize", "yes")
    found = diagnose("conversions")
    assert [f.level for f in found] == [WARNING] * 3
    assert has(found, WARNING, "merge.renormalize") and has(found, WARNING, "textconv")
    assert has(found, WARNING, "diff.regenstore.command")


def test_attributes(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("attributes"), OK, "1 pattern is tracked, 14 paths")
    gallery.write(".gitattributes", "*.png filter=regenstore -text\n* text eol=lf\n")
    found = diagnose("attributes")
    assert has(found, NOTE, "lacks diff=regenstore merge=regenstore")
    assert has(found, WARNING, "and 13 more has text=set") and has(found, WARNING, "eol=lf")
    gallery.write(".gitattributes", "*.png filter=regenstore diff=regenstore merge=regenstore\n")
    found = diagnose("attributes")
    assert has(found, WARNING, "lacks -text") and has(found, WARNING, "text=unspecified")
    gallery.git("rm", "-q", "--cached", ".gitattributes")
    assert has(diagnose("attributes"), WARNING, ".gitattributes is not in Git's index")
    (gallery.path / ".gitattributes").unlink()
    assert has(diagnose("attributes"), NOTE, "no path is tracked yet")


def test_hooks(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("hooks"), NOTE, "there is no pre-commit hook")
    hook = gallery.write(".git/hooks/pre-commit", "#!/bin/sh\nexec make lint\n")
    assert has(diagnose("hooks"), WARNING, "not executable")
    hook.chmod(0o755)
    assert has(diagnose("hooks"), NOTE, "does not check recipes")
    hook.write_text("#!/bin/sh\n# regenstore hook\n")
    assert has(diagnose("hooks"), NOTE, "does not check recipes")
    gallery.git("config", "core.hooksPath", "shared")
    gallery.write("shared/pre-commit", '#!/bin/sh\nexec regenstore hook pre-commit "$@"\n').chmod(0o755)
    found = diagnose("hooks")
    assert has(found, NOTE, "core.hooksPath is shared") and has(found, OK, "checks recipes")


DECLARED = """
[generators.stamp]
version = "1"
command = ["tools/stamp", "{output}"]
media_type = "image/png"
"""


def test_generators(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("generators"), OK, "generators are installed")
    gallery.write("tools/stamp", "#!/bin/sh\n").chmod(0o755)
    gallery.write("regenstore.toml", DECLARED)
    assert has(diagnose("generators"), WARNING, "'stamp' is not trusted")
    gallery.regenstore("trust", "--yes")
    assert has(diagnose("generators"), OK, "'stamp' is trusted")
    record = Path(gallery.environment["XDG_CONFIG_HOME"]) / "regenstore" / "trusted.json"
    record.write_text("[]")
    assert has(diagnose("generators"), PROBLEM, "not a record of trusted generators")
    gallery.write("regenstore.toml", "[generators.stamp]\ncommand = 7\n")
    assert has(diagnose("generators"), PROBLEM, "regenstore.toml")


def test_a_plugin_that_fails_to_load(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "site" / "broken-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[regenstore.generators]\n'broken.one' = broken_module:NOTHING\n")
    done = gallery.run("regenstore", "doctor", check=False, PYTHONPATH=str(folder.parent))
    said = done.stdout.decode()
    assert done.returncode == 0, said
    assert "warning  generators: the plug-in" in said and "cannot be loaded" in said


def test_the_store(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("store"), OK, "the store is")
    assert has(diagnose("store", low_space=1 << 60), WARNING, "are free at")
    assert has(diagnose("store", kind_of=lambda path: "NFS"), WARNING, "the store is on NFS")
    (gallery.store / "results.sqlite").unlink()
    assert has(diagnose("database"), NOTE, "no result database")
    marker = gallery.store / "format.json"
    marker.chmod(0o644)
    marker.write_text('{"regenstore_store": 9, "features": {}}')
    assert has(diagnose("store"), PROBLEM, "has format 9")
    marker.write_text("{")
    assert has(diagnose("store"), PROBLEM, "not a store's format marker")
    gallery.git("config", "regenstore.store", str(gallery.path.parent / "nowhere"))
    assert has(diagnose("store"), WARNING, "does not exist yet")


def test_settings_that_nobody_reads(diagnose: Diagnose, gallery: Gallery) -> None:
    gallery.git("config", "regenstore.maxOutput", "3g")
    assert diagnose("settings") == []
    gallery.git("config", "regenstore.smugde", "place")
    (found,) = diagnose("settings")
    assert found.level == WARNING and "regenstore.smugde" in found.message and "regenstore.smudge?" in found.remedy


def test_the_sandbox_is_told_honestly(diagnose: Diagnose) -> None:
    for where, said in ((None, "is not installed"), ("/usr/bin/bwrap", "is installed (/usr/bin/bwrap)")):
        (found,) = diagnose("sandbox", bubblewrap=where)
        assert found.level == NOTE and said in found.message and "without a sandbox" in found.message


def test_the_database(diagnose: Diagnose, gallery: Gallery) -> None:
    assert has(diagnose("database"), OK, "is sound")
    path = gallery.store / "results.sqlite"
    (gallery.store / "results.sqlite.damaged-17").write_bytes(b"?")
    assert has(diagnose("database"), NOTE, "1 damaged databases were set aside")
    good = path.read_bytes()
    path.write_bytes(b"SQLite format 3\0" + b"\xa5" * 9000)
    assert has(diagnose("database"), PROBLEM, "is damaged")
    assert gallery.run("regenstore", "doctor", check=False).returncode == 1
    path.write_bytes(good)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    assert has(diagnose("database"), PROBLEM, "has version 99")


def test_repositories_that_cannot_be_reached(diagnose: Diagnose, gallery: Gallery) -> None:
    assert diagnose("repositories") == []
    shared, beside = gallery.path.parent / "shared", gallery.path.parent
    gallery.git("config", "regenstore.store", str(shared))
    gallery.regenstore("get")
    others = []
    for name in ("told", "silent"):
        other = Checkout(beside / name, gallery.environment)
        other.path.mkdir()
        other.git("init", "-q")
        other.git("config", "regenstore.store", str(shared))
        other.regenstore("init")
        others.append(other)
    assert has(diagnose("repositories"), OK, "3 of 3")
    others[0].regenstore("fsck")  # asks everybody
    for path in (shared / "repositories").glob("*.held"):
        if b"silent" in path.with_suffix(".json").read_bytes():
            path.unlink()
    for other in others:
        other.path.rename(other.path.with_name(other.path.name + "-away"))
    found = diagnose("repositories")
    assert has(found, WARNING, "told/.git uses this store and cannot be reached")
    assert has(found, WARNING, "silent/.git uses this store, and what it needs is unknown") and has(found, OK, "1 of 3")
    assert any(f"regenstore gc --forget-repository {beside}/told/.git" in f.remedy for f in found)


def test_what_takes_room_in_the_trash_and_the_quarantine(diagnose: Diagnose, gallery: Gallery) -> None:
    assert diagnose("kept_aside") == []
    zeros = hash_bytes(bytes(3_000_000))
    trashed = gallery.store / "trash" / "20260101T000000Z-aaaa" / "cache" / zeros.hex[:2] / zeros.hex[2:]
    trashed.parent.mkdir(parents=True)
    trashed.write_bytes(bytes(3_000_000))
    flip(gallery.stored("made/00.png"), 8)
    gallery.regenstore("fsck")
    found = diagnose("kept_aside")
    assert has(found, NOTE, "contents in the trash: 1, 3.0 MB") and has(found, NOTE, "bad files in the quarantine: 1")
    assert all(f.remedy for f in found)


def test_a_shared_store_on_a_full_and_a_read_only_disk(diagnose: Diagnose, gallery: Gallery, small: Path) -> None:
    gallery.store.rename(gallery.path / ".git" / "moved")
    subprocess.run(["cp", "-r", str(gallery.path / ".git" / "moved"), str(small / "store")], check=True)
    gallery.git("config", "regenstore.store", str(small / "store"))
    assert file_system.kind(str(small)) == "tmpfs"
    found = diagnose("store")
    assert has(found, WARNING, "are free at") and has(found, NOTE, "repositories may share")
    assert has(diagnose("linking"), NOTE, "copied")
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert has(diagnose("store"), PROBLEM, "cannot be written")
    assert has(diagnose("linking"), PROBLEM, "cannot write")


def test_linking(diagnose: Diagnose, gallery: Gallery) -> None:
    before = snapshot(gallery.path)
    (found,) = diagnose("linking")
    assert (found.level, "reflink" in found.message) in ((OK, True), (NOTE, False))
    assert snapshot(gallery.path) == before
    gallery.git("config", "regenstore.reflink", "false")
    assert has(diagnose("linking"), NOTE, "regenstore.reflink is off")


def test_reflinks_are_found_where_there_are_any(diagnose: Diagnose, gallery: Gallery, tmp_path: Path) -> None:
    image, folder = tmp_path / "disk", tmp_path / "disk-mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    for command in (
        ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mkfs.xfs here")
        if done.returncode:
            pytest.skip(f"no XFS can be mounted here: {done.stderr.decode().strip()[:200]}")
    try:
        clone = Checkout(folder / "film", gallery.environment)
        clone.path.mkdir()
        clone.git("init", "-q")
        clone.regenstore("init")
        assert "(reflink)" in clone.regenstore("doctor")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_was_left_behind(diagnose: Diagnose, gallery: Gallery) -> None:
    assert diagnose("left_behind") == []
    git = gallery.path / ".git"
    made = [gallery.store / "tmp" / "put-1-x", gallery.store / "leases" / "abc", git / "index.lock"]
    stage = git / "regenstore-stage-999999-ab"
    stage.mkdir()
    for path in made:
        path.touch()
    for path in [*made, stage]:
        os.utime(path, (1, 1))
    found = diagnose("left_behind")
    assert has(found, WARNING, "index.lock") and has(found, WARNING, "1 stage folders")
    assert has(found, NOTE, "1 old temp files") and has(found, NOTE, "1 leases")
    with lease(str(gallery.store / "leases"), "abc", lambda: None):
        os.utime(made[1], (1, 1))
        assert not has(diagnose("left_behind"), NOTE, "leases")


def test_settings_that_cannot_be_read(gallery: Gallery) -> None:
    gallery.git("config", "regenstore.budget", "much")
    done = gallery.run("regenstore", "doctor", check=False)
    assert done.returncode == 1 and b"problem  settings: regenstore.budget" in done.stdout


def test_a_failing_check_is_a_finding_and_ends_no_other(diagnose: Diagnose, gallery: Gallery) -> None:
    git = Git(str(gallery.path), program="/nowhere/git")
    assert has(diagnose("hooks", git=git), PROBLEM, "was not found")

    def broken(path: str) -> str:
        raise ValueError("no such magic")

    failed, after = diagnose("store", "database", kind_of=broken)
    assert failed.message == "the check of the store failed, which is a bug: ValueError: no such magic"
    assert failed.level == PROBLEM and failed.remedy and after.check == "database"
