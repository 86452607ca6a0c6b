"""The order of a dataset export, from the options of the command and, for an update, from those of earlier ones."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from regenstore.cli.console import say
from regenstore.cli.context import worktree_paths
from regenstore.errors import InvalidInput, NotFound
from regenstore.export.dataset import manifest as manifests
from regenstore.export.dataset import places, splits, trainers
from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.order import DatasetOrder, explicit_splits
from regenstore.export.dataset.row import Captions, whole_text
from regenstore.export.dataset.selection import Limits
from regenstore.fs import presence
from regenstore.fs.path_text import path_of, path_text
from regenstore.repository import Repository

_ONCE = ("assign", "layout", "update", "force", "reset_options")
"""Options that an update does not repeat: assignments are in the ledger, the format is the dataset's."""


def order_of(
    repository: Repository, out: str, paths: Sequence[str], given: dict[str, Any]
) -> tuple[DatasetOrder, list[bytes]]:
    """The order, and the paths to export. An update takes options that the command line leaves out from the existing
    dataset, and prints the differences.

    Raises InvalidInput (``bad-export``), NotFound (``no-such-path``, ``no-such-dataset``).
    """
    place = os.path.abspath(out)
    told = _told()
    previous = _previous(place) if given["update"] else None
    if "layout" not in told:
        given["layout"] = "zip" if place.endswith(".zip") else "dir"
        if previous is not None:
            given["layout"] = previous.layout
    if given["layout"] == "zip" and not place.endswith(".zip"):
        place += ".zip"
        previous = previous or (_previous(place) if given["update"] else None)
    top = os.path.realpath(os.fsdecode(repository.location.top))
    real = os.path.realpath(place)
    if real == top or top.startswith(real + os.sep):
        raise InvalidInput("bad-export", f"{out} is or contains the worktree", hint="Choose a folder beside it.")
    if real.startswith(top + os.sep):
        say(f"warning: {out} is in the worktree, where 'git add' takes it in unless .gitignore names it", err=True)
    where = list(worktree_paths(repository, paths))
    now = {name: value for name, value in given.items() if name not in _ONCE}
    now["paths"] = [path_text(each) for each in where]
    if previous is not None and not given["reset_options"]:
        now = _repeated(place, previous, now, told)
    return _order(repository, place, {**given, **now}), [path_of(each) for each in now["paths"]]


def _told() -> set[str]:
    """The options that are on the command line."""
    context = click.get_current_context()
    return {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def _previous(place: str) -> Manifest | None:
    there = places.datasets_at(place)[0]
    return manifests.load(there) if manifests.is_dataset(there) else None


def _repeated(place: str, previous: Manifest, now: Mapping[str, Any], told: set[str]) -> dict[str, Any]:
    """The options of an update; prints those that differ from the existing dataset's."""
    before = previous.settings.get("options")
    if not isinstance(before, dict):
        before = _of_old(previous)
        if not manifests.is_dataset(place):  # one of several datasets, with its kind in its name
            before["name"] = str(before["name"]).removesuffix(f" {previous.kind}")
    context = click.get_current_context()
    defaults = {each.name: each.get_default(context) for each in context.command.params}
    found = dict(now)
    for name, value in now.items():
        old = before.get(name, _plain(defaults.get(name)) or None)
        if name not in told:
            found[name] = value if name not in before else tuple(old) if isinstance(old, list) else old
        elif (_plain(value) or None) != (old or None):
            shown = "PATHS" if name == "paths" else "--" + name.replace("_", "-")
            say(f"changed: {shown}: was {_shown(old)}, is now {_shown(value)}", err=True)
    found["paths"] = list(found["paths"])
    return found


def _plain(value: Any) -> Any:
    """A value as JSON returns it; None for click's mark of an option without a default."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float)) else None


def _shown(value: Any) -> str:
    return " ".join(str(each) for each in value) if isinstance(value, (list, tuple)) and value else str(value or "none")


def _of_old(previous: Manifest) -> dict[str, Any]:
    """The options of a dataset whose manifest does not list them, derived from its samples and splits."""
    split, settings = previous.split, previous.settings
    found: dict[str, Any] = {
        "split": ",".join(f"{name}={share * 100:g}" for name, share in split["shares"].items()),
        "split_method": split["method"], "salt": split["salt"], "group_by": ",".join(split["group_by"]) or "none",
        "stratify": split["stratify"], "on_leak": split["on_leak"],
        "name": settings.get("name"), "license": settings.get("license", "other"),
        "trainer": list(settings.get("trainers", ())) or ["none"],
    }  # fmt: skip
    for shown in previous.filters:
        option, _, value = shown.partition(" ")
        name = option.removeprefix("--").replace("-", "_")
        if name in ("min_quality", "select"):
            found.setdefault(name, []).append(re.sub(r"^(\w+) (?=\S+$)", r"\1=", value) if name != "select" else value)
        elif name in ("kind", "min_size"):
            found[name] = value
        elif name == "proven":
            found[name] = True
        elif name.startswith(("min_", "max_")):
            found[name] = int(float(value)) if name == "max_bytes" else float(value)
        else:
            found[name] = value.split(" ")
    say("note: an earlier version wrote this dataset and did not keep the PATHS: give them if there were any", err=True)
    return found


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest keeps, so that an update can repeat it."""
    return {
        name: _plain(value)
        for name, value in sorted(given.items())
        if name not in _ONCE and value not in (None, False, (), [])
    }


def _order(repository: Repository, place: str, given: dict[str, Any]) -> DatasetOrder:
    rules = splits.Rules(
        splits.parse_shares(given["split"]),
        splits.parse_group_by(given["group_by"]),
        given["split_method"],
        given["salt"],
        given["on_leak"],
        given["stratify"],
    )
    commit = repository.git.commit(given["rev"]) if given["rev"] else None
    return DatasetOrder(
        place,
        given["layout"],
        _limits(given),
        rules,
        _assigned(given["assign"]) if given["assign"] else {},
        given["update"],
        given["force"],
        given["frames"],
        trainers.check(given["trainer"], place),
        whole_text(given["name"] or os.path.splitext(os.path.basename(place))[0]) or "dataset",
        given["license"],
        commit,
        captions=Captions(given["caption_prefix"] or "", given["trigger"] or "", given["caption_template"] or ""),
        options=_options(given),
        ledger=_ledger(given["splits_from"]),
    )


def _assigned(path: str) -> dict[str, str]:
    listed = presence.read(path)
    if listed is None:
        raise NotFound("no-such-path", f"{path} does not exist")
    return explicit_splits(io.TextIOWrapper(io.BytesIO(listed), encoding="utf-8-sig").read(), path)


def _ledger(others: Iterable[str]) -> dict[str, str]:
    """The splits of other datasets; the first one counts."""
    found: dict[str, str] = {}
    for other in others:
        for place in places.datasets_at(os.path.abspath(other)):
            found = {**manifests.load(place).ledger, **found}
    return found


def _limits(given: dict[str, Any]) -> Limits:
    size: tuple[int, ...] = ()
    if given["min_size"]:
        try:
            size = tuple(int(part) for part in given["min_size"].lower().split("x"))
        except ValueError:
            size = ()
        if len(size) != 2:
            raise InvalidInput("bad-export", f"--min-size {given['min_size']}: expected something like 640x360")
    return Limits(
        given["kind"],
        _scores("--min-quality", given["min_quality"]),
        _scores("--max-quality", given["max_quality"]),
        given["scene"],
        given["scene_type"],
        given["character"],
        given["tag"],
        given["without_tag"],
        given["without_failure"],
        given["generator"],
        given["model"],
        given["min_rating"],
        given["min_duration"],
        given["max_duration"],
        size,
        given["max_bytes"],
        given["proven"],
        given["select"],
    )


def _scores(option: str, texts: Sequence[str]) -> tuple[tuple[str, float], ...]:
    found = []
    for text in texts:
        name, separator, value = text.rpartition("=")
        try:
            found.append((name if separator else "quality", float(value)))
        except ValueError:
            raise InvalidInput("bad-export", f"{option} {text}: expected a number, or SCORE=NUMBER") from None
    return tuple(found)
