"""The index: nothing is hashed twice, nothing that was hashed is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regenstore.errors import StorageError
from regenstore.models import scan
from regenstore.models.index import ModelIndex
from tests.conftest import noise
from tests.models.files import safetensors


class Models:
    """A folder of models, and the index."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "models"
        self.file = home / "data" / "models.jsonl"
        self.hashed: list[str] = []
        self.problems: list[StorageError] = []

    @property
    def index(self) -> ModelIndex:
        """As another process reads it."""
        return ModelIndex(str(self.file))

    def write(self, name: str, text: str = "", lora: bool = False) -> Path:
        tensors = {"x.lora_down.weight": (1, 1)} if lora else {"w": (1, 1)}
        return safetensors(self.folder / name, tensors, weights=noise(text or name, 50))

    def scan(self, *folders: Path, again: bool = False) -> list[str]:
        """Scan, and return the names of the files that were hashed."""
        index = self.index
        found = scan.plan([str(folder) for folder in folders or (self.folder,)], index, again=again)
        self.problems = list(found.problems)
        done: list[str] = []

        def ended(file: scan.ModelFile, problem: StorageError | None) -> None:
            done.append(os.path.basename(file.paths[0]))
            if problem is not None:
                self.problems.append(problem)

        scan.carry_out(found, index, lambda file: None, lambda count: None, ended)
        assert self.index.models == index.models  # what it has in memory is what it wrote
        return sorted(done)

    def names(self) -> list[str]:
        return sorted(os.path.relpath(path, self.folder) for path in self.index.models)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


def test_a_file_is_hashed_once(models: Models) -> None:
    a, b = models.write("loras/a.safetensors"), models.write("checkpoints/b.safetensors")
    assert models.scan() == ["a.safetensors", "b.safetensors"] and models.scan() == []
    digest = models.index.models[str(a)].hashes.blake3
    a.rename(models.folder / "loras" / "moved.safetensors")
    b.write_bytes(b.read_bytes() + b"more")
    assert models.scan() == ["b.safetensors"]  # moved within the file system: known by its inode
    known = models.index.models
    assert known[str(models.folder / "loras" / "moved.safetensors")].hashes.blake3 == digest
    assert known[str(b)].kind == "checkpoint"  # by its folder
    assert models.scan(again=True) == ["b.safetensors", "moved.safetensors"]
    assert [each.path for each in scan.missing(models.index)] == [str(a)]
    stat = b.stat()
    os.utime(b, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert models.scan() == ["b.safetensors"]


def test_links_are_followed_and_each_file_is_hashed_once(models: Models, tmp_path: Path) -> None:
    target = safetensors(tmp_path / "elsewhere" / "deep" / "x.safetensors", {"w": (1,)})
    models.write("loras/a.safetensors")
    (models.folder / "more").symlink_to(tmp_path / "elsewhere")
    (models.folder / "loras" / "linked.safetensors").symlink_to(target)
    (models.folder / "loras" / "loop").symlink_to(models.folder)
    (models.folder / "loras" / "broken.safetensors").symlink_to(tmp_path / "gone")
    (models.folder / ".hidden").mkdir()
    (models.folder / ".hidden" / "h.safetensors").write_bytes(b"x")
    (models.folder / "empty.safetensors").touch()
    os.mkfifo(models.folder / "pipe.ckpt")
    assert models.scan() in (["a.safetensors", "linked.safetensors"], ["a.safetensors", "x.safetensors"])
    # Both paths are known, since a program may name either.
    assert models.names() == ["loras/a.safetensors", "loras/linked.safetensors", "more/deep/x.safetensors"]
    assert [error.kind for error in models.problems] == ["unreadable"]
    assert "broken.safetensors" in models.problems[0].message
    assert models.scan() == []


def test_a_file_that_changes_while_it_is_read_is_not_recorded(models: Models) -> None:
    path = models.write("a.safetensors")
    index = models.index
    found = scan.plan([str(models.folder)], index)
    problems: list[StorageError | None] = []
    scan.carry_out(
        found,
        index,
        lambda file: None,
        lambda count: path.write_bytes(b"another" * 9) and None,
        lambda file, problem: problems.append(problem),
    )
    assert [problem.kind for problem in problems if problem] == ["unreadable"] and models.names() == []


def test_what_was_hashed_before_an_interruption_stays(models: Models) -> None:
    for name in "abc":
        models.write(f"{name}.safetensors")
    index = models.index
    found = scan.plan([str(models.folder)], index)

    def began(file: scan.ModelFile) -> None:
        if file is found.hash[2]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.carry_out(found, index, began, lambda count: None, lambda file, problem: None)
    assert len(models.names()) == 2 and len(models.scan()) == 1


def test_damaged_lines_are_passed_over(models: Models) -> None:
    models.write("a.safetensors")
    models.write("b.safetensors")
    models.scan()
    first, second = models.file.read_bytes().splitlines()
    bad = [b'{"path": "/x"}', b"[1, 2]", b"null", b'{"path": 3}', b"\xff\x00", b"[" * 5000, first[:-9], b'"text"']
    for lines in (bad, [second.replace(b'"size": ', b'"size": "x", "y": ')], [second.replace(b"/", b"\\u0000", 1)]):
        models.file.write_bytes(b"\n".join([first, *lines]))  # no line end: cut off
        assert models.names() == ["a.safetensors"]
        models.write("c.safetensors")
        models.scan(models.folder / "c.safetensors")
        assert models.names() == ["a.safetensors", "c.safetensors"]  # the new line does not join the one cut off


def test_superseded_lines_are_removed(models: Models) -> None:
    path = models.write("a.safetensors")
    models.scan()
    line = models.file.read_bytes()
    models.file.write_bytes(line * 300)
    models.index.forget(["/not/there"])
    assert models.scan() == [] and models.file.read_bytes() == line
    models.index.forget([str(path)])
    assert models.names() == [] and models.scan() == ["a.safetensors"]


def test_paths_that_are_not_utf8_come_back(models: Models) -> None:
    models.folder.mkdir()
    odd = os.fsdecode(os.fsencode(models.folder) + b"/K\xf6ln.safetensors")
    safetensors(Path(odd), {"w": (1,)})
    models.scan()
    assert list(models.index.models) == [odd] and models.scan() == []


ADD = """
import sys
from regenstore.models.index import ModelIndex
from regenstore.models.indexed_model import FileState, IndexedModel, ModelHashes, ModelHeader
index = ModelIndex(sys.argv[1])
for number in range(80):
    path = f"/models/{sys.argv[2]}-{number}.ckpt"
    model = IndexedModel(path, FileState(1, number, 1, 1), ModelHashes("0" * 64, "1" * 64), ModelHeader())
    for _ in range(4):
        index.record([model])
    if number % 10 == 0:
        index.tidy()
"""


def test_two_processes_lose_nothing_while_the_file_is_written_anew(models: Models) -> None:
    """Each adds every line four times, and writes the file anew whenever most lines are superseded."""
    running = [subprocess.Popen([sys.executable, "-c", ADD, str(models.file), name]) for name in ("a", "b")]
    assert [each.wait() for each in running] == [0, 0]
    assert {path.split("/")[-1] for path in models.index.models} == {f"{n}-{i}.ckpt" for n in "ab" for i in range(80)}
    assert len(models.file.read_bytes().splitlines()) < 640  # it was written anew meanwhile
