"""Exports of sidecars and datasets, and a power cut at the moment when their files get their names: what was not synced
before is empty afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regenstore.export.dataset import sinks
from regenstore.export.dataset.sinks import FolderSink
from regenstore.export.dataset.zip_sink import ZipSink
from regenstore.export.sidecar import deliver as delivering
from regenstore.export.sidecar.batch import Batch, PlannedFile
from regenstore.fs import durable
from regenstore.fs.reflink import Linker

NEW = {"a.txt": b"new a", "train/b.txt": b"new b", "train/c.txt": b"new c"}


def sidecars(out: Path) -> None:
    batch = Batch([PlannedFile(str(out / name), data) for name, data in NEW.items()])
    delivering.deliver(batch, base=str(out), protected=lambda path: False, foreign=True)


def dataset(out: Path) -> None:
    sink = FolderSink(str(out), Linker(), fresh=not out.exists())
    for name, data in NEW.items():
        sink.put_bytes(name, data)
    sink.commit()


def archive(out: Path) -> None:
    sink = ZipSink(str(out), Linker(), fresh=True)
    for name, data in NEW.items():
        sink.put_bytes(name, data)
    sink.commit()


@pytest.mark.parametrize(
    ("export", "fresh"), [(sidecars, True), (sidecars, False), (dataset, True), (dataset, False), (archive, True)]
)
def test_no_file_is_empty(
    export: Callable[[Path], None], fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if not fresh:
        (out / "train").mkdir(parents=True)
        (out / "train" / "b.txt").write_bytes(b"old b")
    old = {path for path in tmp_path.rglob("*") if path.is_file()}
    synced: set[int] = set()

    def cut(source: str, target: str) -> None:
        rename(source, target)
        for path in {path for path in tmp_path.rglob("*") if path.is_file()} - old:
            if path.stat().st_ino not in synced:
                os.truncate(path, 0)
        os._exit(77)

    rename = os.replace
    if (child := os.fork()) == 0:
        monkeypatch.setattr(durable, "sync_is_short", lambda count, size: False)
        monkeypatch.setattr(os, "fsync", lambda fd: synced.add(os.fstat(fd).st_ino))
        monkeypatch.setattr(os, "replace", cut)
        try:
            export(out)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    if export is archive:
        assert out.stat().st_size > sum(map(len, NEW.values()))
        return
    if export is dataset and not fresh:
        assert sinks.recover(str(out))
    delivering.recover(str(out), lambda path: False)
    assert {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == NEW
