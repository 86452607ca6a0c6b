"""A stage of DVC as a declared generator: its command with placeholders for what it reads, writes and is told."""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import tomli_w

from regenstore.migration.dvc_files import DvcRecord, DvcStage, Md5, below
from regenstore.objects.canonical import INT64_MAX, INT64_MIN

_SHELL = re.compile(r"[|&;<>$`*?\[\]~()#!\n\\]")
_TEMPLATE = re.compile(r"\$\{\s*([A-Za-z0-9_.-]+)\s*\}")
_MARK = "\x01"
"""Stands around the name of a parameter while a command is split."""
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_RESERVED = ("output", "params")


@dataclass(frozen=True)
class StageGenerator:
    """What the output of a stage is made by, and from what."""

    output: bytes
    definition: Mapping[str, Any]
    params: Mapping[str, Any]
    inputs: Mapping[str, bytes]
    """The path of each input."""


class Unsuitable(Exception):
    """A stage cannot become a generator; the message says why."""


class Surroundings(Protocol):
    """What a stage may refer to."""

    def medium(self, path: bytes) -> Md5 | None:
        """The checksum of a migrated file; None for any other path."""

    def media_type(self, path: bytes) -> str:
        """The media type of a migrated file."""

    def tracked(self, path: bytes) -> bool:
        """Whether Git has a file itself."""

    def unchanged(self, path: bytes, md5: Md5) -> bool:
        """Whether such a file is the one that a stage read."""


def generator_of(record: DvcRecord, around: Surroundings) -> StageGenerator:
    """The generator that a stage becomes. Raises Unsuitable."""
    stage = record.stage
    assert stage is not None
    if len(record.outputs) != 1 or record.outputs[0].folder or around.medium(record.outputs[0].path) is None:
        raise Unsuitable("it has not exactly one file as its output")
    output = record.outputs[0].path
    if not isinstance(stage.command, str):
        raise Unsuitable("it has several commands")
    names = _names(stage, around)
    names[output] = "{output}"
    known = {name: value for name, value in _flat(stage.params).items() if type(value) in _TYPES}
    used: dict[str, None] = {}
    command = [
        _placed(at, written, stage, names, around, used) or _with_params(template, written, known, used)
        for at, (written, template) in enumerate(_arguments(stage.command, stage.template))
    ]
    if any(name in _RESERVED or name.startswith("input.") for name in known.keys() & used.keys()):
        raise Unsuitable("a parameter has a name that commands of generators reserve")
    for unused in set(_flat(stage.params)).difference(used):
        raise Unsuitable(f"its program reads the parameter {unused} from a file itself")
    if "{output}" not in used:
        raise Unsuitable("its command does not name its output")
    inputs = {name[7:-1]: path for path, name in names.items() if name.startswith("{input.")}
    for name, path in inputs.items():
        if f"{{input.{name}}}" not in used:
            raise Unsuitable(f"its command does not name what it depends on: {os.fsdecode(path)}")
    definition: dict[str, Any] = {
        "version": "1",
        "command": command,
        "media_type": around.media_type(output),
        "files": [_escaped(name) for name in names.values() if name[0] != "{" and name not in used],
    }
    params = {name: value for name, value in known.items() if name in used}
    definition |= {"params": {name: {"type": _TYPES[type(value)]} for name, value in params.items()}} if params else {}
    definition |= {"inputs": {name: {} for name in inputs}} if inputs else {}
    return StageGenerator(output, definition, params, inputs)


def generator_name(stage: DvcStage, taken: Container[str]) -> str:
    """A name for a stage's generator that is not in use."""
    return _free(re.sub(r"[^a-z0-9_-]+", "-", stage.name.split("@")[0].lower()).strip("-") or "stage", taken)


def declarations(definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """The text that declares generators in regenstore.toml."""
    return tomli_w.dumps({"generators": definitions})


def _names(stage: DvcStage, around: Surroundings) -> dict[bytes, str]:
    """What a command calls the dependencies: a placeholder for a medium, the path in the worktree for another file."""
    found: dict[bytes, str] = {}
    for dep in stage.deps:
        named = dep.get("path") if isinstance(dep, dict) else None
        path = below(stage.folder, named) if isinstance(named, str) and "://" not in named else None
        if path is None:
            raise Unsuitable("it depends on what is not in the worktree")
        md5, medium = Md5(str(dep.get("md5")), dep.get("hash") == "md5"), around.medium(path)
        if medium is None and not around.tracked(path):
            raise Unsuitable(f"it depends on a folder, or on a file that is not migrated: {named}")
        if md5.digits != medium.digits if medium is not None else not around.unchanged(path, md5):
            raise Unsuitable(f"{named} has changed since it ran")
        if medium is None:
            found[path] = os.fsdecode(path)
            continue
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", posixpath.splitext(posixpath.basename(str(named)))[0])
        taken = {each[7:-1] for each in found.values() if each.startswith("{input.")}
        found[path] = f"{{input.{_free(stem, taken)}}}"
    return found


def _arguments(command: str, template: str | None) -> list[tuple[str, str]]:
    """The arguments of a command, each with what dvc.yaml has for it: parameters are between marks."""
    plain = _split(command)
    try:
        parts = _split(_TEMPLATE.sub(rf"{_MARK}\1{_MARK}", template or ""))
    except Unsuitable:  # it has what DVC computes otherwise; the command itself counts
        parts = []
    return list(zip(plain, parts if len(parts) == len(plain) else plain))


def _with_params(template: str, written: str, known: dict[str, Any], used: dict[str, None]) -> str:
    """An argument with a placeholder for each parameter. The value of a parameter that dvc.lock does not have, such as
    an item of a matrix, is what the argument has in its place; it is then ``known``."""
    parts = template.split(_MARK)
    names = parts[1::2]
    if len(names) == 1 and names[0] not in known and len(written) >= len(parts[0]) + len(parts[2]):
        known[names[0]] = _value(written[len(parts[0]) : len(written) - len(parts[2])])
    if not names or not known.keys() >= set(names):
        return _braces(written)
    if "".join(each if i % 2 == 0 else _text(known[each]) for i, each in enumerate(parts)) != written:
        return _braces(written)
    used.update(dict.fromkeys(names))
    return "".join(_braces(each) if i % 2 == 0 else f"{{{each}}}" for i, each in enumerate(parts))


def _value(text: str) -> Any:
    """The number or truth value that a text is, if it is its one spelling; else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    small = not isinstance(value, int) or INT64_MIN <= value <= INT64_MAX
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if type(value) in _TYPES and small and finite and _text(value) == text else text


def _placed(
    at: int, argument: str, stage: DvcStage, names: Mapping[bytes, str], around: Surroundings, used: dict[str, None]
) -> str:
    """An argument with what it names in place of a path: ``in.png``, or ``--input=in.png``. Empty if it names none."""
    if at == 0 and "/" not in argument:
        return ""  # a program of the system
    option, sign, value = argument.rpartition("=") if argument.startswith("-") else ("", "", argument)
    path = below(stage.folder, value) or b""
    name = names.get(path) or (os.fsdecode(path) if around.tracked(path) else None)
    if name is None:
        return ""
    if name[0] != "{" and (sign or "{" in name):
        raise Unsuitable(f"its command names a file within an argument: {argument}")
    used[name] = None
    return "./" + name if at == 0 and "/" not in name else _braces(option) + sign + name


def _split(command: str) -> list[str]:
    if _SHELL.search(command):
        raise Unsuitable("its command needs a shell")
    try:
        found = shlex.split(command)
    except ValueError:
        found = []
    if not found or "=" in found[0]:
        raise Unsuitable("its command needs a shell")
    return found


def _flat(params: Mapping[Any, Any]) -> dict[str, Any]:
    """The parameters of all files, with dotted names."""
    found: dict[str, Any] = {}

    def add(prefix: str, table: Mapping[Any, Any]) -> None:
        for name, value in table.items():
            if isinstance(value, dict) and value:
                add(f"{prefix}{name}.", value)
            else:
                found[f"{prefix}{name}"] = value

    for table in params.values():
        if isinstance(table, dict):
            add("", table)
    return found


def _text(value: object) -> str:
    """A value as the program is told it by regenstore, which has to be what DVC told it."""
    return value if isinstance(value, str) else json.dumps(value)


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _escaped(path: str) -> str:
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def _free(name: str, taken: Container[str]) -> str:
    return next(each for number in count(1) if (each := name if number == 1 else f"{name}-{number}") not in taken)
