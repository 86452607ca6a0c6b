"""``regenstore.toml`` at a worktree's top, which holds the repository's declarations, and the hashes to which the
user's approvals of them are bound.

Reading it runs nothing and contacts no server. Standard library and BLAKE3 only: git commands read it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from blake3 import blake3

from regenstore.errors import FormatError
from regenstore.fs import presence
from regenstore.objects import canonical
from regenstore.objects.hashing import hash_file

FILE = "regenstore.toml"
_MAX_FILE = 1 << 20


def bad_declaration(where: str, problem: str) -> FormatError:
    """The error for an invalid declaration: ``problem`` follows the name of the place."""
    return FormatError("bad-declaration", f"{FILE}: {where}{problem}")


def read_table(top: str, name: str) -> dict[str, Any] | None:
    """Read one table of the file at a worktree's top; None if it is absent. Raises FormatError
    (``bad-declaration``), and StorageError (``unreadable``)."""
    table = _read(top).get(name)
    if table is not None and not isinstance(table, dict):
        raise bad_declaration(name, " is not a table")
    return table


TABLES = ("generators", "remotes", "notify")


def unknown_tables(top: str) -> dict[str, str]:
    """Names at the file's top that mean nothing -> the name that was probably meant, or an empty text. Raises as
    :func:`read_table` does."""
    unknown = [name for name in _read(top) if name not in TABLES]
    return {name: next(iter(get_close_matches(name, TABLES, 1)), "") for name in unknown}


def _read(top: str) -> dict[str, Any]:
    path = os.path.join(top, FILE)
    data = None if presence.is_folder(path) else presence.read(path, _MAX_FILE + 1)
    if data is None:
        return {}
    if len(data) > _MAX_FILE:
        raise FormatError("bad-declaration", f"{FILE} is larger than {_MAX_FILE} bytes")
    from regenstore.objects import bounded  # most repositories have no such file

    try:
        return bounded.tables(data)
    except bounded.Unparsable as error:
        raise FormatError("bad-declaration", f"{FILE} cannot be read: {error}") from None


def hash_of(material: Mapping[str, Any], context: str) -> str:
    """The hash to which trust is bound: of a definition with the files that it names. Raises a RegenstoreError for
    values without a canonical encoding."""
    return blake3(canonical.encode_value(_plain(material)), derive_key_context=context).hexdigest()


def _plain(value: object) -> Any:
    """Convert a definition for the canonical encoding."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def resolve(top: str, command: list[str]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The argument list with programs and files of the worktree as absolute paths, and the digests of those files.

    An argument with a placeholder is never a file. A name with a slash is looked up in the worktree, the program's bare
    name on PATH.
    """
    argv, files = [], []
    for position, argument in enumerate(command):
        found: str | None = None
        if "{" not in argument and argument:
            inside = os.path.join(top, argument)
            if position == 0 and "/" not in argument:
                found = shutil.which(argument)
            elif os.path.isfile(inside) and not argument.startswith("-"):
                found = inside
            if position == 0 and found is None:
                files.append((argument, "not found"))
        if found is None:
            argv.append(argument)
            continue
        # Use the name that was found, not the target of a link: programs depend on the name they are called by.
        argv.append(os.path.abspath(found))
        try:
            files.append((argument, str(hash_file(found)[0])))
        except OSError as error:
            files.append((argument, f"not readable: {error.strerror}"))
    return tuple(argv), tuple(files)
