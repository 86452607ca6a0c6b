"""Files that are written by the caller itself or by processes for it: the same files, and the same errors."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from regenstore.errors import FormatError, StorageError
from regenstore.export.dataset import file_writing
from regenstore.export.dataset.file_writing import FileWriter
from regenstore.fs.reflink import Linker


@pytest.fixture(params=[0, 3, 1000], ids=["processes", "both", "alone"])
def writer(request: pytest.FixtureRequest):
    made = FileWriter(Linker(), alone=request.param)
    yield made
    made.stop()


def test_what_is_written_is_there(writer: FileWriter, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(70_000))
    for number in range(40):
        writer.write(str(tmp_path / f"{number}.txt"), b"%d " % number * number)
        writer.copy(str(tmp_path / f"{number}.bin"), str(source), 70_000)
    writer.settle()
    for number in range(40):
        assert (tmp_path / f"{number}.txt").read_bytes() == b"%d " % number * number
        assert (tmp_path / f"{number}.bin").read_bytes() == source.read_bytes()
    writer.write(str(tmp_path / "0.txt"), b"once more")
    writer.settle()
    assert (tmp_path / "0.txt").read_bytes() == b"once more"


def work(writer: FileWriter, folder: Path, source: Path, size: int) -> None:
    """Much of it, of which the fifth job fails."""
    for number in range(5000):
        if number == 5:
            writer.copy(str(folder / "failing"), str(source), size)
        writer.write(str(folder / f"{number}"), b"x" * 1000)
    writer.settle()


def test_a_source_of_another_size(writer: FileWriter, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(b"12345")
    with pytest.raises(FormatError, match="recorded size") as caught:
        work(writer, tmp_path, source, 6)
    assert caught.value.kind == "bad-dataset"
    writer.settle()


def test_a_source_that_is_gone(writer: FileWriter, tmp_path: Path):
    with pytest.raises(StorageError, match="failing"):
        work(writer, tmp_path, tmp_path / "nothing", 6)


def test_a_folder_that_is_gone(writer: FileWriter, tmp_path: Path):
    with pytest.raises(StorageError, match="gone"):
        writer.write(str(tmp_path / "gone/file"), b"")
        writer.settle()


def test_files_that_grow_too_large(writer: FileWriter, tmp_path: Path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StorageError, match="limit") as caught:
            writer.write(str(tmp_path / "large"), bytes(2 << 20))
            writer.settle()
        assert caught.value.kind == "disk-full"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_processes_that_are_killed_are_missed(tmp_path: Path):
    writer = FileWriter(Linker(), alone=0)
    writer.write(str(tmp_path / "a"), b"a")
    for process in writer._processes:
        process.kill()
    with pytest.raises(StorageError, match="unexpectedly"):
        writer.settle()
    assert not writer._processes


def test_nothing_goes_on_after_stopping(tmp_path: Path):
    writer = FileWriter(Linker(), alone=0)
    writer.write(str(tmp_path / "a"), b"a")
    processes = list(writer._processes)
    writer.stop()
    assert all(process.returncode is not None for process in processes)
    writer.settle()


def test_a_process_ends_with_who_started_it():
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", file_writing._MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.communicate(b"", timeout=20)[0] == b""
    assert process.returncode == 0
