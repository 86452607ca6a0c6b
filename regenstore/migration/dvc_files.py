"""What DVC writes into a repository: ``.dvc`` files, ``dvc.lock`` and lines of ``.gitignore``.

Sources of the formats: dvc.org, "Project structure" (``.dvc`` files, ``dvc.lock``, internal directories), and what DVC
2 and 3 write. DVC uses YAML 1.2, in which ``on``, ``010`` and ``1:20`` are what they look like, unlike in PyYAML.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from regenstore.addresses import without_secrets
from regenstore.errors import FormatError, NotFound
from regenstore.objects.canonical import INT64_MAX, INT64_MIN

LARGEST = 16 << 20
LOCK, PIPELINE = b"dvc.lock", b"dvc.yaml"
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_ESCAPED = re.compile(r"[]\[!*#?]")
_DEEPEST, _MOST_EVENTS = 40, 1_000_000


class Md5(NamedTuple):
    """A checksum of DVC's, as hexadecimal digits."""

    digits: str
    exact: bool
    """Whether it is of the bytes themselves. DVC 1 and 2 turned the line ends of text files into Unix ones first."""


class DvcFile(NamedTuple):
    """A file that DVC keeps."""

    path: bytes
    md5: Md5
    executable: bool = False


class DvcOutput(NamedTuple):
    """What one entry of ``outs`` names: a file or a folder."""

    path: bytes
    md5: Md5 | None
    """Of a folder: that of the list of its files. None if DVC has not computed it."""
    folder: bool
    executable: bool
    files: tuple[DvcFile, ...] | None
    """The files of a folder, if the entry lists them itself."""
    refused: str = ""
    """Why it cannot be migrated: it is not in the worktree."""


@dataclass(frozen=True)
class DvcStage:
    """One stage of a ``dvc.lock``."""

    name: str
    folder: str
    """The folder that its paths are relative to, from the worktree's top."""
    command: object
    deps: tuple[Any, ...]
    params: Mapping[Any, Any]
    template: str | None
    """The command as ``dvc.yaml`` has it, with ``${…}``; None if it is not known."""


@dataclass(frozen=True)
class DvcRecord:
    """A ``.dvc`` file, or one stage of a ``dvc.lock``."""

    file: bytes
    outputs: tuple[DvcOutput, ...]
    about: Mapping[str, Any]
    """What it tells of how its outputs came to be, for ``[about]``."""
    stage: DvcStage | None = None

    @property
    def shared(self) -> bool:
        """Whether the file has more than this record, and stays."""
        return os.path.basename(self.file) == LOCK


def is_dvc_file(path: bytes) -> bool:
    """Whether a path of Git's index is one of DVC's files with outputs."""
    name = os.path.basename(path)
    if b".dvc" in os.path.dirname(path).split(b"/"):
        return False
    return name in (LOCK, b"Dvcfile") or (name.endswith(b".dvc") and name != b".dvc")


def read_records(path: bytes, text: bytes, pipeline: Callable[[], bytes | None]) -> list[DvcRecord]:
    """Read a ``.dvc`` file or a ``dvc.lock``. ``pipeline`` returns the ``dvc.yaml`` beside it, which alone has the
    working folders of stages. Raises FormatError (``bad-dvc-file``), NotFound (``extra-missing``) without PyYAML."""
    table = _yaml(path, text)
    if os.path.basename(path) != LOCK:
        return [_record(path, table, None, _text_of(table.get("wdir")))]
    stages = table.get("stages", {}) if "schema" in table else table
    if not isinstance(stages, dict):
        raise _bad(path, "'stages' is not a table")
    definitions = _definitions(path, pipeline()) if stages else {}
    found = []
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            raise _bad(path, f"the stage {name!r} is not a table")
        defined = definitions.get(str(name).split("@")[0], {})
        record = _record(path, stage, str(name), _text_of(defined.get("wdir")))
        found.append(replace(record, stage=_stage(path, str(name), stage, defined)))
    return found


def ignore_line(path: bytes) -> tuple[bytes, bytes]:
    """The folder whose ``.gitignore`` DVC makes ignore an output, and the line."""
    folder, name = os.path.split(path)
    escaped = _ESCAPED.sub(r"\\\g<0>", os.fsdecode(name))
    return folder, os.fsencode("/" + escaped)


def without_lines(text: bytes, lines: set[bytes]) -> bytes:
    """A ``.gitignore`` without these lines."""
    return b"".join(line for line in text.splitlines(keepends=True) if line.rstrip(b"\r\n") not in lines)


def listed_files(folder: bytes, listed: object, *, exact: bool) -> tuple[DvcFile, ...] | None:
    """The files of a folder from DVC's list of them; None if it is not such a list, or names files elsewhere."""
    if not isinstance(listed, list):
        return None
    found = []
    for each in listed:
        name, md5 = (each.get("relpath"), each.get("md5")) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(md5, str) or not _MD5.match(md5):
            return None
        path = below(os.fsdecode(folder), name)
        if path is None or not path.startswith(folder + b"/"):
            return None
        found.append(DvcFile(path, Md5(md5, exact), each.get("isexec") is True))
    return tuple(found)


# ------------------------------------------------------------------------------------------- records


def _record(path: bytes, table: dict[Any, Any], stage: str | None, wdir: str) -> DvcRecord:
    folder = posixpath.join(os.fsdecode(os.path.dirname(path)), wdir)
    outs = table.get("outs") or []
    if not isinstance(outs, list) or not all(isinstance(out, dict) for out in outs):
        raise _bad(path, "'outs' is not a list of tables")
    if "${" in wdir and outs:
        raise _bad(path, f"the working folder of the stage {stage!r} is computed by DVC: {wdir}")
    outputs = tuple(_output(path, folder, out) for out in outs if out.get("cache") is not False)
    return DvcRecord(path, outputs, _about(path, {**table, "wdir": wdir}, stage))


def _output(file: bytes, folder: str, out: dict[Any, Any]) -> DvcOutput:
    named = out.get("path")
    if not isinstance(named, str) or not named:
        raise _bad(file, "an output has no path")
    path = None if "://" in named else below(folder, named)
    if path is None:
        return DvcOutput(b"", None, False, False, None, f"its output {without_secrets(named)} is not in the worktree")
    digits, exact = out.get("md5"), out.get("hash") == "md5"
    if digits is not None and not isinstance(digits, str):
        raise _bad(file, f"the MD5 of {named} is not a text")
    listed = "files" in out
    is_folder = listed or (digits or "").endswith(".dir")
    files = listed_files(path, out["files"], exact=exact) if listed else None
    digits = (digits or "").removesuffix(".dir")
    md5 = Md5(digits, exact) if _MD5.match(digits) else None
    if listed and files is None:
        raise _bad(file, f"the files of {named} cannot be read")
    return DvcOutput(path, md5, is_folder, out.get("isexec") is True, files)


def below(folder: str, name: str) -> bytes | None:
    """The path in the worktree of a name in one of its folders; None for one that is not in it."""
    path = posixpath.normpath(posixpath.join(folder, name))
    outside = path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path
    return None if outside or ".git" in path.split("/") else os.fsencode(path)


def _about(path: bytes, table: dict[Any, Any], stage: str | None) -> dict[str, Any]:
    """Facts for ``[about]``: of a stage its command, dependencies and parameters; of an import where it is from."""
    deps, cmd = table.get("deps") or [], table.get("cmd")
    if not deps and cmd is None:
        return {}
    facts: dict[str, Any] = {"file": os.fsdecode(path)}
    if stage is not None:
        facts["name"] = stage
    facts |= {name: table[name] for name in ("cmd", "params", "wdir", "frozen") if table.get(name)}
    if deps:
        facts["deps"] = deps
    return {"dvc_import" if cmd is None else "dvc_stage": _plain(facts)}


def _plain(value: object, depth: int = 0) -> Any:
    """A value of YAML as a recipe can hold it: what TOML has no value for becomes text."""
    if depth > _DEEPEST // 2:
        return "…"
    if isinstance(value, dict):
        return {_written(name): _plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, int) and INT64_MIN <= value <= INT64_MAX:  # also true and false
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _written(value)


def _written(value: object) -> str:
    return "null" if value is None else without_secrets(str(value).encode(errors="replace").decode())


def _stage(path: bytes, name: str, stage: dict[Any, Any], defined: dict[Any, Any]) -> DvcStage:
    folder = posixpath.join(os.fsdecode(os.path.dirname(path)), _text_of(defined.get("wdir")))
    deps, params, template = stage.get("deps"), stage.get("params"), defined.get("cmd")
    return DvcStage(
        name,
        folder,
        stage.get("cmd"),
        tuple(deps) if isinstance(deps, list) else (),
        params if isinstance(params, dict) else {},
        template if isinstance(template, str) else None,
    )


def _definitions(lock: bytes, text: bytes | None) -> dict[str, dict[Any, Any]]:
    """The definitions of stages by their names, as far as they tell what dvc.lock does not."""
    path = os.path.join(os.path.dirname(lock), PIPELINE)
    if text is None or (b"wdir" not in text and b"${" not in text):
        return {}
    try:
        stages = _yaml(path, text).get("stages")
    except FormatError:
        if b"wdir" in text:
            raise
        return {}  # only where the parameters are in the commands is not known then
    found = {}
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        inner = stage.get("do", stage) if isinstance(stage, dict) else None
        if isinstance(inner, dict):
            found[str(name)] = inner
    return found


def _text_of(value: object) -> str:
    return "" if value is None else str(value)


# ------------------------------------------------------------------------------------------- YAML


def _yaml(path: bytes, text: bytes) -> dict[Any, Any]:
    """The table that a YAML file holds, read within limits. Raises as :func:`read_records`."""
    if len(text) > LARGEST:
        raise _bad(path, f"it is larger than {LARGEST >> 20} MiB")
    yaml = _library()
    try:
        if why := _beyond_limits(yaml, text):
            raise _bad(path, why)
        table = yaml.load(text, _loader())
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # PyYAML raises all of these for values that do not suit their tags.
        raise _bad(path, " ".join(str(error).split())[:200]) from None
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise _bad(path, "it is not a table")
    return table


def _beyond_limits(yaml: Any, text: bytes) -> str:
    """Why a YAML text is not read; empty if it is within the limits."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
        if isinstance(event, yaml.AliasEvent):
            return f"line {event.start_mark.line + 1} has an alias, *{event.anchor}; write its value out"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            return f"it is nested more than {_DEEPEST} levels deep"
        if number > _MOST_EVENTS:
            return "it has too many values"
    return ""


def _library() -> Any:
    try:
        import yaml
    except ImportError:
        raise NotFound(
            "extra-missing", "reading DVC's files needs PyYAML", hint="Install it with: pip install 'regenstore[dvc]'"
        ) from None
    return yaml


@cache
def _loader() -> Any:
    """A safe loader with the values of YAML 1.2: null, true, false, numbers, texts."""
    yaml = _library()
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Yaml12", (base,), {"yaml_implicit_resolvers": {}})
    tags = {
        "null": r"(?:~|null|Null|NULL|)\Z",
        "bool": r"(?:true|True|TRUE|false|False|FALSE)\Z",
        "int": r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z",
        "float": r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)\Z",
    }
    for name, pattern in tags.items():
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), None)

    def integer(self: Any, node: Any) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)

    loader.add_constructor("tag:yaml.org,2002:int", integer)
    return loader


def _bad(path: bytes, why: str) -> FormatError:
    return FormatError("bad-dvc-file", f"{os.fsdecode(path)}: it cannot be read as a file of DVC: {why}")
