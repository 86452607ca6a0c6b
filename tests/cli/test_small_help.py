"""record --add, ls-files, install --hooks, uninstall's warning, show in a bare repository, misspelt tables."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.gitfilter.install import HOOKS, hook_script
from regenstore.objects.content_store import ContentStore
from tests.conftest import DISK, MEMORY, Checkout

SEA = "plates/sea.png"


def test_what_a_merge_left_unrecorded_is_recorded_and_added_in_one_step(film: Checkout) -> None:
    film.git("switch", "-q", "-c", "ada")
    film.regenstore("set", SEA, "seed=8")
    film.commit("seed")
    film.git("switch", "-q", "-c", "ben", "main")
    film.regenstore("set", SEA, "prompt=calm")
    film.commit("prompt")
    film.git("merge", "-q", "--no-edit", "ada")
    assert "unrecorded" in film.regenstore("status")
    film.regenstore("record", "--add")
    assert film.status() == f"M  {SEA}"
    film.git("commit", "-q", "-m", "recorded")
    assert "unrecorded" not in film.regenstore("status")
    assert film.regenstore("record") == "Nothing is unrecorded\n"


def test_ls_files_and_show_in_a_bare_repository(film: Checkout) -> None:
    plates = Checkout(film.path / "plates", film.environment)
    assert SEA in film.regenstore("ls-files").split("\n")
    assert plates.regenstore("ls-files", "-z", "sea.png") == "sea.png\0"
    film.git("clone", "-q", "--bare", ".", "../hub.git")
    hub = Checkout(film.path.parent / "hub.git", film.environment)
    assert hub.regenstore("show", f"main:{SEA}").encode() == film.blob(SEA)
    assert hub.run("regenstore", "show", SEA, check=False).returncode == 3


def test_hooks_are_set_up_and_those_of_others_stay(film: Checkout) -> None:
    shipped = Path(__file__).parents[2] / "hooks"
    assert all((shipped / name).read_bytes() == hook_script(name) for name in HOOKS)
    film.write(".git/hooks/pre-push", "#!/bin/sh\n").chmod(0o755)
    said = film.regenstore("install", "--local", "--hooks")
    assert os.access(film.path / ".git/hooks/pre-commit", os.X_OK)
    assert film.read(".git/hooks/pre-push") == b"#!/bin/sh\n" and "regenstore hook pre-push || exit 1" in said
    assert b"git add -A" in film.run("regenstore", "uninstall", "--local").stderr


def test_a_misspelt_table_is_named(film: Checkout) -> None:
    film.write("regenstore.toml", '[generatrs.x]\nversion = "1"\n')
    assert b"[generatrs] is not a known table; did you mean [generators]?" in film.run("regenstore", "trust").stderr
    assert "Did you mean [generators]?" in film.run("regenstore", "doctor", check=False).stdout.decode()


def test_a_tree_of_the_store_on_another_disk_is_refused_at_once(tmp_path: Path) -> None:
    disks = [disk for disk in (DISK, MEMORY) if os.path.isdir(disk) and os.stat(disk).st_dev != tmp_path.stat().st_dev]
    if not disks:
        pytest.skip("there is no other disk here")
    other = tempfile.mkdtemp(dir=disks[0])
    try:
        store = ContentStore(str(tmp_path / "store"))
        os.makedirs(store.root)
        os.symlink(other, f"{store.root}/vault")
        with pytest.raises(StorageError, match="vault is on another disk"):
            store.prepare()
    finally:
        shutil.rmtree(other)
