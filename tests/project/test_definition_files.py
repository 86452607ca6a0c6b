"""What a declared generator stands on: patterns, what lies beside a script, media, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.errors import FormatError, StorageError
from regenstore.generators.declared import DeclaredGenerator, read_declared
from regenstore.project import definition_files
from regenstore.refs.git import Git
from regenstore.refs.worktree_files import WorktreeFiles
from tests.conftest import Checkout, noise

DECLARED = """
[generators.paint]
version = "1"
command = ["sh", "{script}", "{{output}}"]
media_type = "image/png"
{files}
"""


@pytest.fixture
def studio(empty: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name, value in empty.environment.items():
        monkeypatch.setenv(name, value)
    empty.write("tools/make.sh", ". ./noise.sh\n")
    empty.write("tools/noise.sh", "noise=1\n")
    empty.write("tools/deep/table.csv", "1,2\n")
    empty.write("README.md", "hello\n")
    declare(empty)
    empty.commit("tools")
    return empty


def declare(studio: Checkout, files: str = "", script: str = "tools/make.sh") -> None:
    studio.write("regenstore.toml", DECLARED.format(files=f"files = {files}" if files else "", script=script))


def read(studio: Checkout) -> DeclaredGenerator:
    top = str(studio.path)
    return read_declared(top, WorktreeFiles(Git(top)), beside=True)["paint"]


def refused(studio: Checkout) -> str:
    with pytest.raises(FormatError) as caught:
        read(studio)
    assert caught.value.kind == "bad-declaration" and "generators.paint" in caught.value.message
    return caught.value.message


def names(found: DeclaredGenerator) -> list[str]:
    return [name for name, _ in found.files]


def test_a_script_stands_for_every_tracked_file_of_its_folder_and_below(studio: Checkout) -> None:
    studio.write("tools/draft.sh", "untracked")
    studio.write("tools/__pycache__/noise.pyc", "cache")
    found = read(studio)
    assert names(found) == ["sh", "tools/make.sh", "tools/deep/table.csv", "tools/noise.sh"]
    assert [name for name, _ in found.beside] == ["tools/draft.sh"]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda s: s.write("tools/noise.sh", "noise=2\n"), True),
        (lambda s: s.write("tools/deep/table.csv", "1,3\n"), True),
        (lambda s: (s.path / "tools" / "noise.sh").unlink(), True),
        (lambda s: s.git("rm", "-q", "tools/noise.sh"), True),
        (lambda s: (s.write("tools/new.sh", "x"), s.git("add", "-A")), True),
        (lambda s: (s.write("tools/new.sh", "x"), s.write("tools/__pycache__/a.pyc", "x")), False),
        (lambda s: (s.write("README.md", "bye\n"), s.git("add", "-A")), False),
        (lambda s: s.write("tools/.gitattributes", "*.txt text\n"), False),
        (lambda s: os.utime(s.path / "tools" / "noise.sh"), False),
    ],
    ids=range(9),
)
def test_what_changes_the_hash(studio: Checkout, change: Callable[[Checkout], object], counts: bool) -> None:
    before = read(studio).hash
    change(studio)
    assert (read(studio).hash != before) is counts


def test_links_are_followed_to_what_is_imported_by_them(studio: Checkout, tmp_path: Path) -> None:
    outside = tmp_path / "shared"
    outside.mkdir()
    (outside / "color.sh").write_text("red\n")
    (studio.path / "tools" / "color.sh").symlink_to(outside / "color.sh")
    (studio.path / "tools" / "shared").symlink_to(outside)
    studio.git("add", "-A")
    hashes = {read(studio).hash}
    (outside / "color.sh").write_text("blue\n")
    hashes.add(read(studio).hash)
    (outside / "more.sh").write_text("more\n")
    hashes.add(read(studio).hash)
    assert len(hashes) == 3
    real = studio.path / "src" / "make.sh"
    real.parent.mkdir()
    os.rename(studio.path / "tools" / "make.sh", real)
    (studio.path / "tools" / "make.sh").symlink_to("../src/make.sh")
    studio.write("src/beside.sh", "what Python would import from there")
    studio.git("add", "-A")
    assert "src/beside.sh" in names(read(studio)) and "tools/noise.sh" in names(read(studio))


def test_a_script_at_the_top_stands_for_all_that_is_no_medium(studio: Checkout) -> None:
    studio.write("make.sh", "x")
    studio.write("photo.png", b"\x89PNG\r\n\x1a\n" + noise("photo", 100))
    declare(studio, script="make.sh")
    studio.git("add", "-A")
    assert names(read(studio)) == [
        "sh",
        "make.sh",
        "README.md",
        "tools/deep/table.csv",
        "tools/make.sh",
        "tools/noise.sh",
    ]


def test_media_count_for_what_they_record_and_not_for_being_placed(studio: Checkout) -> None:
    lut = b"\x89PNG\r\n\x1a\n" + noise("lut", 5000)
    studio.write("tools/lut.png", lut)
    studio.regenstore(
        "new", "tools/made.png", "-g", "procedural.image", "-p", "prompt=x", "-p", "width=64", "-p", "height=48"
    )
    studio.commit("a table, and a medium that the tool is not made of")
    found = read(studio)
    assert "tools/lut.png" in names(found) and "tools/made.png" not in names(found)
    declare(studio, '["tools/*.png"]')
    named = read(studio)
    assert names(named)[2:] == ["tools/lut.png", "tools/made.png"]
    studio.regenstore("drop", "tools")
    assert studio.is_recipe("tools/lut.png") and read(studio).hash == named.hash
    studio.write("tools/lut.png", lut + b"edited")
    assert read(studio).hash != named.hash


def test_patterns_name_what_counts_tracked_or_not(studio: Checkout) -> None:
    studio.write("data/a.csv", "a")
    studio.write("data/deep/b.csv", "b")
    studio.write("data/[c].csv", "c")
    cases = {
        '["data/*.csv"]': ["data/[c].csv", "data/a.csv"],
        '["data/**"]': ["data/[c].csv", "data/a.csv", "data/deep/b.csv"],
        '["data"]': ["data/[c].csv", "data/a.csv", "data/deep/b.csv"],
        '["**/b.csv", "data/a.csv", "./data/?.csv"]': ["data/a.csv", "data/deep/b.csv"],
        '["data/[!x-z].csv"]': ["data/a.csv"],
        '["data/[[]c].csv"]': ["data/[c].csv"],
        "[]": [],
    }
    for patterns, expected in cases.items():
        declare(studio, patterns)
        assert names(read(studio))[2:] == expected, patterns
    declare(studio, '["data/**"]')
    before = read(studio).hash
    studio.write("tools/noise.sh", "who names files has named them all\n")
    assert read(studio).hash == before
    studio.write("data/deep/b.csv", "changed")
    assert read(studio).hash != before


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ('["/etc/*"]', "leads outside"),
        ('["../*"]', "leads outside"),
        ('["tools/../../x"]', "leads outside"),
        ('[".git/config"]', "leads outside"),
        ('[""]', "leads outside"),
        ('["nothing/**"]', "'nothing/**' matches nothing"),
        ('["tools/*.jpg"]', "matches nothing"),
        ('["out/**"]', "leads outside the worktree"),
        ('["tools/link.sh"]', "leads outside the worktree"),
        ('["tools/[z-a].sh"]', "is not a valid pattern"),
        ('"tools/**"', "files"),
        ("[3]", "files"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(studio: Checkout, tmp_path: Path, patterns: str, words: str) -> None:
    (studio.path / "out").symlink_to(tmp_path)
    (studio.path / "tools" / "link.sh").symlink_to("/etc/hostname")
    declare(studio, patterns)
    assert words in refused(studio)


def test_too_many_and_too_large_are_refused(studio: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(studio, '["tools/**"]')
    with (studio.path / "tools" / "model.bin").open("wb") as file:
        file.truncate(5 << 30)
    assert "over 4 GiB" in refused(studio) and "tools/model.bin" in refused(studio)
    monkeypatch.setattr(definition_files, "MOST_FILES", 2)
    assert "more than 2" in refused(studio)
    declare(studio)
    assert "more than 2; list the ones that it needs: files = [...]" in refused(studio)


def test_what_cannot_be_read_is_refused_by_its_name(studio: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def failing(path: str, *args: object, **more: object) -> int:
        if str(path).endswith("noise.sh"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(StorageError) as caught:
        read(studio)
    assert caught.value.kind == "unreadable" and "tools/noise.sh" in caught.value.message


def test_a_fifo_is_not_waited_for(studio: Checkout) -> None:
    os.mkfifo(studio.path / "tools" / "pipe")
    declare(studio, '["tools/**"]')
    assert ("tools/pipe", "a FIFO") in read(studio).files


def test_trust_names_what_changed_and_lasts_while_files_become_tracked(empty: Checkout) -> None:
    """Files are often trusted before they are added: adding them changes nothing of what was approved."""
    empty.write("tools/make.sh", 'printf "\\211PNG\\r\\n\\032\\n" > "$1"\n')
    empty.write("tools/noise.sh", "noise=1\n")
    declare(empty)
    assert "tools/noise.sh" in empty.regenstore("trust", "--yes")
    empty.regenstore("new", "a.png", "-g", "paint")
    empty.commit("tools and a picture")
    assert "Nothing to approve" in empty.regenstore("trust")
    assert json_verdict(empty) == "bytes"
    empty.write("tools/noise.sh", "noise=2\n")
    assert json_verdict(empty) == "untrusted-generator"
    done = empty.run("regenstore", "verify", "a.png", check=False)
    assert b"tools/noise.sh changed since you trusted it" in done.stderr
    shown = empty.run("regenstore", "trust", stdin=b"n\n", check=False).stdout.decode()
    assert "changed: tools/noise.sh changed since you trusted it" in shown
    empty.git("checkout", "-q", "--", ".")
    empty.git("rm", "-q", "--cached", "tools/noise.sh")
    assert json_verdict(empty) == "bytes"  # as it was first approved


def json_verdict(studio: Checkout) -> str:
    (row,) = json.loads(studio.run("regenstore", "verify", "a.png", "--json", check=False).stdout)["paths"]
    return str(row.get("tier", row.get("kind")))


def test_without_git_a_script_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "make.sh").write_text("x")
    (tmp_path / "regenstore.toml").write_text(DECLARED.format(files="", script="tools/make.sh"))
    found = read_declared(str(tmp_path), WorktreeFiles(Git(str(tmp_path))))["paint"]
    assert [name for name, _ in found.files] == ["sh", "tools/make.sh"]
    assert subprocess.run(["git", "status"], cwd=tmp_path, capture_output=True, check=False).returncode
