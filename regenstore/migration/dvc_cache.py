"""The files that DVC keeps on this machine."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
from typing import BinaryIO

from regenstore.errors import StorageError
from regenstore.fs import presence
from regenstore.migration.dvc_files import LARGEST, DvcFile, Md5, listed_files

_CHUNK = 1 << 20
_TEXT_BLOCK = 512


class DvcCache:
    """The local cache of one DVC project: files named by their MD5, as DVC 3 and its predecessors lay them out."""

    def __init__(self, project: str) -> None:
        """``project``: the folder with ``.dvc``. Raises StorageError (``unreadable``)."""
        place = os.path.join(project, ".dvc")
        given = None
        for name in ("config", "config.local"):  # the latter wins
            given = _cache_setting(presence.read(os.path.join(place, name), LARGEST) or b"") or given
        self.folder = os.path.join(place, given or "cache")

    def find(self, md5: Md5, suffix: str = "") -> str | None:
        """The file of a checksum, if it is here. Raises StorageError (``unreadable``)."""
        name = os.path.join(md5.digits[:2], md5.digits[2:] + suffix)
        for layout in ("files/md5", ""):
            path = os.path.join(self.folder, layout, name)
            if presence.is_file(path):
                return path
        return None

    def files_of(self, folder: bytes, md5: Md5) -> tuple[DvcFile, ...] | None:
        """The files of a folder; None if the list of them is not here. Raises StorageError (``unreadable``,
        ``source-damaged``)."""
        path = self.find(md5, ".dir")
        if path is None:
            return None
        text = presence.read(path, LARGEST * 16)
        if text is None:
            return None
        found = hashlib.md5(text, usedforsecurity=False).hexdigest()
        if found != md5.digits:
            raise StorageError("source-damaged", f"{path}: its MD5 is {found}, not {md5.digits}")
        try:
            files = listed_files(folder, json.loads(text), exact=md5.exact)
        except (ValueError, RecursionError):
            files = None
        if files is None:
            raise StorageError("source-damaged", f"{path}: it is not a list of files below {os.fsdecode(folder)}")
        return files


def difference(file: BinaryIO, md5: Md5) -> str | None:
    """How the bytes of a file differ from a checksum, in words; None if they do not."""
    plain, converted = hashlib.md5(usedforsecurity=False), None
    if not md5.exact and b"\0" not in file.read(_TEXT_BLOCK):
        converted = hashlib.md5(usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(_CHUNK):
        plain.update(chunk)
        if converted is not None:
            converted.update(chunk.replace(b"\r\n", b"\n"))  # in blocks of this size, as DVC does
    found = [each.hexdigest() for each in (plain, converted) if each is not None]
    return None if md5.digits in found else f"its MD5 is {found[0]}, not {md5.digits}"


def _cache_setting(text: bytes) -> str | None:
    """The setting ``cache.dir`` of a configuration of DVC, which is relative to the file's folder."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        parser.read_string(text.decode(errors="surrogateescape"))
    except configparser.Error:
        return None
    value = parser.get("cache", "dir", fallback="").strip()
    return value.strip("\"'") or None
