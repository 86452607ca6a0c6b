"""``regenstore models scan``"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

import click

from regenstore.cli.console import bars, say, say_error, shows_progress
from regenstore.cli.context import dry_run_option, emit_json, json_option
from regenstore.cli.model_rows import model_fields
from regenstore.cli.presentation import counted, size_text
from regenstore.cli.progress_lines import ProgressLines
from regenstore.config import model_index, proxies
from regenstore.errors import NotFound, StorageError
from regenstore.fs import presence
from regenstore.fs.path_text import path_text
from regenstore.models.comfyui_assets import model_assets
from regenstore.models.index import ModelIndex
from regenstore.models.indexed_model import IndexedModel
from regenstore.models.scan import ModelFile, ScanPlan, carry_out, plan

_SHOWN = 20


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("--rehash", is_flag=True, help="Hash all files again, also those that seem unchanged.")
@click.option("--comfyui", metavar="URL", help="Take digests from the asset database of this ComfyUI server.")
@dry_run_option
@json_option
def command(folders: tuple[str, ...], rehash: bool, comfyui: str | None, dry_run: bool, as_json: bool) -> None:
    """Find model files in folders, hash those that are new or changed, and add them to the index. Each is recorded as
    soon as it is hashed, so a scan can be interrupted and continued. Links are followed; hidden files are passed over.

    With --comfyui, files of a server that has hashed them already are not read: give it the server's own model folders.
    Their other hashes stay unknown until a scan without it.

    \b
    Examples:
      regenstore models scan ~/ComfyUI/models
      regenstore models scan -n /data/models /data/loras
      regenstore models scan ~/ComfyUI/models --comfyui http://127.0.0.1:8188
    """
    for folder in folders:
        if presence.found(folder) is None:
            raise NotFound("no-such-path", f"{folder} does not exist", hint="Give the folder that has the models.")
    index = ModelIndex(model_index())
    assets = () if comfyui is None else model_assets(comfyui, proxies(os.environ))
    found = plan(folders, index, again=rehash, assets=assets)
    failed: list[StorageError] = list(found.problems)
    made: list[IndexedModel] = []
    if not dry_run:
        with _Hashing(as_json, found, failed) as progress:
            made = carry_out(found, index, progress.began, progress.told, progress.ended)
    if as_json:
        emit_json("models-scan-plan" if dry_run else "models-scan", _fields(found, made, failed, dry_run))
    else:
        _tell(found, made, failed, dry_run)
    sys.exit(failed[0].exit_code if failed else 0)


class _Hashing:
    """Shows how many bytes were hashed: a bar, or JSON lines."""

    def __init__(self, as_json: bool, found: ScanPlan, failed: list[StorageError]) -> None:
        self._failed = failed
        self._total = found.bytes_to_hash
        self._lines = ProgressLines(len(found.hash)) if as_json else None
        self._bars: Any = None
        self._label, self._size, self._done = "", 1, 0

    def __enter__(self) -> _Hashing:
        if self._lines is None and self._total and shows_progress():
            self._bars = bars(bytes_moved=True)
            self._bars.add_task("hashing", total=self._total)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def began(self, file: ModelFile) -> None:
        self._label, self._size, self._done = file.paths[0], file.state.size, 0
        if self._lines is not None:
            self._lines.started(self._label, None)
        elif self._bars is not None:
            self._bars.update(self._bars.task_ids[0], description=self._label)

    def told(self, count: int) -> None:
        self._done += count
        if self._lines is not None:
            note = f"{self._done} of {self._size} bytes"
            self._lines.advanced(self._label, min(self._done / self._size, 1.0), note)
        elif self._bars is not None:
            self._bars.advance(self._bars.task_ids[0], count)

    def ended(self, file: ModelFile, problem: StorageError | None) -> None:
        if problem is not None:
            self._failed.append(problem)
        if self._lines is not None:
            self._lines.finished(self._label, problem)


def _fields(found: ScanPlan, made: list[IndexedModel], failed: list[StorageError], dry_run: bool) -> dict[str, object]:
    common = {
        "known": _count(found.known),
        "told": [model_fields(each) for each in found.told],
        "problems": [{"kind": each.kind, "message": each.message} for each in failed],
    }
    if not dry_run:
        return {"hashed": [model_fields(each) for each in made], **common}
    rows = [{"paths": [path_text(path) for path in each.paths], "size": each.state.size} for each in found.hash]
    return {"hash": rows, "hash_bytes": found.bytes_to_hash, **common}


def _count(models: list[IndexedModel]) -> int:
    """The number of files: one may have several paths."""
    return len({each.state for each in models})


def _tell(found: ScanPlan, made: list[IndexedModel], failed: list[StorageError], dry_run: bool) -> None:
    if dry_run:
        for each in found.hash[-_SHOWN:]:
            say(f"would hash {each.paths[0]}  {size_text(each.state.size)}")
        if len(found.hash) > _SHOWN:
            say(f"and {len(found.hash) - _SHOWN:,} smaller ones")
    for error in failed[:_SHOWN]:
        say_error("regenstore", error, with_hint=error is failed[min(len(failed), _SHOWN) - 1])
    if len(failed) > _SHOWN:
        say(f"regenstore: and {len(failed) - _SHOWN:,} more", err=True)
    size = found.bytes_to_hash if dry_run else sum(state.size for state in {each.state for each in made})
    number = len(found.hash) if dry_run else _count(made)
    told = f", {_count(found.told):,} told by ComfyUI" if found.told else ""
    unread = f", {counted(len(failed), 'path')} unreadable" if failed else ""
    done = f"{counted(number, 'model')} {'to hash' if dry_run else 'hashed'} ({size_text(size)})"
    say(f"{done}, {_count(found.known):,} known{told}{unread}")
