"""What a declared command runs with, as far as its own words tell; and what a plug-in is installed with."""

from __future__ import annotations

import os
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.generators.command import CommandGenerator
from regenstore.generators.command_environment import CommandEnvironment
from regenstore.generators.python_packages import Packages
from regenstore.objects.hash_cache import KnownHashes
from regenstore.objects.result import UNPINNED

DIGEST = "sha256:" + "a" * 64


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def fingerprint(top: Path, *argv: str | Path) -> dict[str, str]:
    return CommandEnvironment([str(one) for one in argv], str(top), KnownHashes()).fingerprint()


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_programs_by_name_behind_env_and_as_interpreters(
    tmp_path: Path, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bin_folder, "paint")
    script = program(tmp_path / "top", "make", "#!/usr/bin/env -S paint --fast\n")
    for argv in (
        ["/usr/bin/env", "A=b", "paint", "{output}"],
        [str(script), "{output}"],
        ["/usr/bin/env", "nice", "paint"],
    ):
        before = fingerprint(tmp_path / "top", *argv)
        assert before == fingerprint(tmp_path / "top", *argv)
        program(bin_folder, "paint", f"#!/bin/sh\n# a newer one for {argv}\n")
        assert fingerprint(tmp_path / "top", *argv) != before
    first = tmp_path / "first"
    program(first, "paint")  # another one is found first from now on
    before = fingerprint(tmp_path / "top", script)
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{os.environ['PATH']}")
    assert fingerprint(tmp_path / "top", script) != before
    (first / "paint").unlink()
    (bin_folder / "paint").unlink()
    assert "programs" in fingerprint(tmp_path / "top", script)  # gone: another environment, and no error


def site_packages(home: Path) -> Path:
    (found,) = home.glob("lib/python*/site-packages")
    return found


def install(site: Path, name: str, code: str = "x = 1\n") -> Path:
    """As an installer leaves it: the RECORD last."""
    import base64
    import hashlib

    (site / name).mkdir(exist_ok=True)
    module = site / name / "__init__.py"
    module.write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest()).rstrip(b"=").decode()
    rows = [f"{name}/__init__.py,sha256={digest},{len(code)}", f"{name}/__pycache__/x.pyc,,", f"{info.name}/RECORD,,"]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return module


CHANGES: dict[str, tuple[Callable[[Path, Path], object], bool]] = {
    "nothing": (lambda site, source: None, False),
    "a cache": (lambda site, source: (site / "dots" / "x.pyc").write_bytes(b"x"), False),
    "touched": (lambda site, source: os.utime(site / "dots" / "__init__.py"), False),
    "edited in place": (lambda site, source: (site / "dots" / "__init__.py").write_text("x = 2\n"), True),
    "longer": (lambda site, source: (site / "dots" / "__init__.py").write_text("x = 1000\n"), True),
    "deleted": (lambda site, source: (site / "dots" / "__init__.py").unlink(), True),
    "upgraded": (lambda site, source: install(site, "dots", "x = 3\n"), True),
    "another one": (lambda site, source: install(site, "lines"), True),
    "a loose module": (lambda site, source: (site / "loose.py").write_text("x = 1\n"), True),
    "an editable one's source": (lambda site, source: (source / "deep" / "noise.py").write_text("x = 2\n"), True),
    "what lies beside it": (lambda site, source: (source / "notes.txt").write_text(str(site)), False),
}


def test_packages_are_what_lies_on_the_disk(tmp_path: Path) -> None:
    site, source = tmp_path / "site-packages", tmp_path / "source"
    for name, (change, counts) in CHANGES.items():
        for folder in (site, source / "deep"):
            folder.mkdir(parents=True, exist_ok=True)
        install(site, "dots")
        (source / "deep" / "__init__.py").touch()
        (source / "deep" / "noise.py").write_text("x = 1\n")
        info = site / "edited-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Name: edited\nVersion: 1.0\n")
        (info / "RECORD").write_text("edited-1.0.dist-info/RECORD,,\n")
        (info / "direct_url.json").write_text(f'{{"url": "file://{source}", "dir_info": {{"editable": true}}}}')
        before = Packages(KnownHashes()).of([str(site)])
        change(site, source)
        after = Packages(KnownHashes()).of([str(site)])
        assert (after != before) is counts, name
        for left in (site / "loose.py", site / "lines-1.0.dist-info" / "RECORD"):
            left.unlink(missing_ok=True)


def test_only_what_is_asked_for_counts(tmp_path: Path) -> None:
    install(tmp_path, "dots")
    install(tmp_path, "lines")
    ours = {"dots"}.__contains__
    before = Packages(KnownHashes(), ours).of([str(tmp_path)])
    install(tmp_path, "lines", "x = 2\n")
    assert Packages(KnownHashes(), ours).of([str(tmp_path)]) == before and before.startswith("1 packages")
    install(tmp_path, "dots", "x = 2\n")
    assert Packages(KnownHashes(), ours).of([str(tmp_path)]) != before


def test_a_virtual_environment_belongs_to_a_command_and_to_a_script_in_it(tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin" / "python"
    tool = program(home / "bin", "tool", f"#!{python}\n")
    module = install(site_packages(home), "dots")
    for argv in ([python, "make.py"], [python, "-m", "dots"], [tool], ["/usr/bin/env", python]):
        before = fingerprint(tmp_path, *argv)
        assert "virtual environment" in before["python"] and before["packages"].startswith("1 packages"), argv
        module.write_text(module.read_text() + "# edited\n")
        assert fingerprint(tmp_path, *argv)["packages"] != before["packages"]
    broken = program(tmp_path / "bin", "python3", "#!/bin/sh\nexit 3\n")
    assert "did not answer" in fingerprint(tmp_path, broken)["python"]


def test_runners_choose_by_lock_files(tmp_path: Path, bin_folder: Path) -> None:
    top = tmp_path / "top"
    program(bin_folder, "npx")
    script = program(top / "web", "index.js", "x")
    before = fingerprint(top, "npx", "tsx", script)
    (top / "package-lock.json").write_text("{}")
    locked = fingerprint(top, "npx", "tsx", script)
    (top / "web" / "package.json").write_text("{}")
    assert len({before["locks"], locked["locks"], fingerprint(top, "npx", "tsx", script)["locks"]}) == 3
    assert "locks" not in fingerprint(top, sys.executable, script)


@pytest.mark.parametrize(
    ("argv", "pinned"),
    [
        (["docker", "run", "--rm", "studio/render:1.2", "{output}"], False),
        (["docker", "run", "studio/render"], False),
        (["podman", "run", f"studio/render@{DIGEST}", "render"], True),
        (["docker", "run", "studio/render@sha256:abc"], False),
        (["docker", "run", "{image}"], False),
        (["/usr/bin/env", "docker", "run", "studio/render"], False),
        (["apptainer", "exec", "image.sif", "render"], True),
        (["apptainer", "exec", "docker://studio/render", "render"], False),
    ],
    ids=range(8),
)
def test_an_image_is_named_by_its_digest_or_proves_nothing(
    tmp_path: Path, bin_folder: Path, argv: list[str], pinned: bool
) -> None:
    for name in ("docker", "podman", "apptainer"):
        program(bin_folder, name)
    (tmp_path / "image.sif").write_text("image")
    found = fingerprint(tmp_path, *(str(tmp_path / one) if one.endswith(".sif") else one for one in argv))
    assert (UNPINNED not in found) is pinned


def test_what_changes_while_a_program_runs_is_seen(tmp_path: Path) -> None:
    script = program(tmp_path, "make")
    options = {
        "argv": [str(script)],
        "hash": "h",
        "top": str(tmp_path),
        "files": {str(script): KnownHashes().of(str(script))},
    }
    running = CommandGenerator(options)
    assert running.fingerprint()["definition"] == "h"
    program(tmp_path, "make", "#!/bin/sh\n# another\n")
    assert "changed meanwhile" in running.fingerprint()["definition"]


def test_large_files_are_read_once_per_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large, kept = tmp_path / "model", tmp_path / "home" / "hashes.json"
    large.write_bytes(bytes(5 << 20))
    monkeypatch.setattr("regenstore.objects.hash_cache._SETTLED", -10.0)
    digest = KnownHashes(str(kept)).of(str(large))
    assert kept.exists()
    monkeypatch.setattr("regenstore.objects.hash_cache.hash_fd", None)  # reading it again would fail
    assert KnownHashes(str(kept)).of(str(large)) == digest
    kept.write_text("damaged")
    with pytest.raises(TypeError):
        KnownHashes(str(kept)).of(str(large))
    monkeypatch.undo()
    other = KnownHashes(str(kept))
    assert other.of(str(large)) == digest
    os.utime(large)  # just now: not remembered, whatever the clock's grain
    large.write_bytes(b"\1" + bytes((5 << 20) - 1))
    assert other.of(str(large)) != digest
