"""From the files that a graph loads to a recipe's ``[inputs]``, by the hash or the name that the metadata record.

Looked through are files of the same name in the worktree, and in the folders from which the user's programs load their
inputs. Nothing else of the machine is: metadata of a stranger's picture, and links in a stranger's repository, lead
nowhere.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from regenstore.capture.captured import Captured, InputReference
from regenstore.errors import InvalidInput, StorageError, utf8_text
from regenstore.fs import presence
from regenstore.models.indexed_model import FileState
from regenstore.objects.content_store import ContentStore
from regenstore.objects.ids import Digest
from regenstore.objects.scan import MAX_SCAN, scan_take
from regenstore.worktree.paths import Folders, check_relative

_ANNOTATION = re.compile(r"\s*\[(?:input|output|temp)\]$")
"""What ComfyUI adds to the name of a file that is not in its input folder."""
_MOST = 50
"""Files of one name that are looked at."""
_NAME = 1000


class FoundInput(NamedTuple):
    """A file that may be an input."""

    digest: str
    """64 hex digits; empty if it cannot be read."""
    sha256: str
    path: bytes | None
    """Its path in the worktree; None for files of an input folder."""
    file: str
    """Where its bytes are; empty if only a recipe's text is here, and its content is not in the store."""


class BoundInputs(NamedTuple):
    """What :func:`bind_inputs` found."""

    inputs: dict[str, dict[str, Any]]
    """The ``[inputs]`` tables: ``digest``, and ``path`` for files of the worktree."""
    unbound: tuple[dict[str, str], ...]
    """Inputs that were not found: ``name``, ``file``, and ``sha256`` if it was recorded."""
    outside: dict[str, str]
    """Name of an input that is only in a program's input folder -> that file, which the store has yet to take in."""
    notes: tuple[str, ...]
    """How inputs were found if not by hash, or why not: for people here."""


def bind_inputs(captured: Captured, lookup: InputLookup, medium: bytes = b"") -> BoundInputs:
    """Bind the inputs that metadata name. ``medium``: the path of the medium itself, which is no input of its own."""
    bound, unbound, outside, notes = {}, [], {}, []
    for each in captured.inputs:
        found, note = _choose(
            each, [file for file in lookup.files(each.file) if file.path is None or file.path != medium]
        )
        if note:
            notes.append(f"{each.file[:_NAME]}: {note}")
        name = utf8_text(each.name[:_NAME])
        if found is None:
            recorded = {"sha256": each.sha256} if each.sha256 else {}
            unbound.append({"name": name, "file": utf8_text(each.file[:_NAME]), **recorded})
            continue
        path = None if found.path is None else _as_text(found.path)
        bound[name] = {**({} if path is None else {"path": path}), "digest": f"{Digest.PREFIX}{found.digest}"}
        if found.path is None:
            outside[name] = found.file
    return BoundInputs(bound, tuple(unbound), outside, tuple(notes))


def _choose(wanted: InputReference, files: Sequence[FoundInput]) -> tuple[FoundInput | None, str]:
    """Return the file that is meant, and a note. The worktree comes first."""
    if wanted.sha256:
        same = [each for each in files if each.sha256 == wanted.sha256.lower()]
        return (same[0], "") if same else (None, "a file of this name is here, but not with this hash" if files else "")
    digests = {each.digest for each in files}
    if "" in digests:
        return None, "a file of this name cannot be read"
    if len(digests) == 1:
        return files[0], "found by its name alone"
    return None, "several files of this name are here" if files else ""


def _as_text(path: bytes) -> str | None:
    try:
        return path.decode()
    except UnicodeDecodeError:
        return None  # a recipe is UTF-8; the digest is enough


class InputLookup:
    """Finds files by name. Each is hashed once as long as it is unchanged."""

    def __init__(
        self, top: bytes, paths: Callable[[], Iterable[bytes]], folders: Sequence[str], store: ContentStore
    ) -> None:
        """``paths`` lists the files of the worktree, and is called when the first input is looked for; ``folders``: the
        folders of the user's settings."""
        self._top, self._paths, self._folders, self._store = top, paths, folders, store
        self._named: dict[bytes, list[bytes]] | None = None
        self._hashed: dict[FileState, tuple[str, str]] = {}

    def files(self, recorded: str) -> list[FoundInput]:
        """Return the files that a recorded name can mean: none if there are too many."""
        name = _ANNOTATION.sub("", recorded.replace("\\", "/"))
        base = name.rpartition("/")[2]
        if "\0" in name or base in ("", ".", "..") or utf8_text(name) != name:
            return []
        inside = self._inside().get(base.encode(), ())
        if len(inside) > _MOST:
            return []
        found: list[FoundInput] = []
        with Folders(self._top) as folders:
            for path in inside:
                found += self._of_worktree(folders, path)
        for file in self._outside(name, base):
            found += self._of_folder(file)
        return found

    def _inside(self) -> dict[bytes, list[bytes]]:
        if self._named is None:
            self._named = {}
            for path in self._paths():
                self._named.setdefault(path.rpartition(b"/")[2], []).append(path)
        return self._named

    def _outside(self, name: str, base: str) -> Iterator[str]:
        """Paths below the input folders: the recorded one if it stays inside, else the name alone."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        inside = [] if ".." in parts else ["/".join(parts)]
        for folder in self._folders:
            for each in dict.fromkeys([*inside, base]):
                yield os.path.join(folder, each)

    def _of_worktree(self, folders: Folders, path: bytes) -> Iterator[FoundInput]:
        try:
            folder, last = folders.parent(check_relative(path))
            fd = presence.open_file(last, dir_fd=folder, follow=False)
        except (*presence.ABSENT, presence.NotRegular, InvalidInput):
            return
        except OSError as error:
            if error.errno != errno.ELOOP:  # a link is never followed
                yield FoundInput("", "", path, "")
            return
        try:
            head = os.pread(fd, MAX_SCAN, 0) if os.fstat(fd).st_size <= MAX_SCAN else b""
            take = scan_take(head)
            if take is not None:
                yield self._of_recipe(Digest(take[0]), path)
                return
            yield FoundInput(*self._hashes(fd), path, os.path.join(os.fsdecode(self._top), os.fsdecode(path)))
        except OSError:
            yield FoundInput("", "", path, "")
        finally:
            os.close(fd)

    def _of_recipe(self, digest: Digest, path: bytes) -> FoundInput:
        """The medium of a recipe whose text is in the worktree."""
        try:
            stored = self._store.find(digest)
        except StorageError:
            stored = None
        inside = [] if stored is None else list(self._of_folder(stored))
        sha256 = inside[0].sha256 if inside else ""
        return FoundInput(digest.hex, sha256, path, stored or "")

    def _of_folder(self, path: str) -> Iterator[FoundInput]:
        try:
            fd = presence.open_file(path)
        except (*presence.ABSENT, presence.NotRegular):
            return
        except OSError:
            yield FoundInput("", "", None, path)
            return
        try:
            yield FoundInput(*self._hashes(fd), None, path)
        except OSError:
            yield FoundInput("", "", None, path)
        finally:
            os.close(fd)

    def _hashes(self, fd: int) -> tuple[str, str]:
        state = FileState.of(os.fstat(fd))
        known = self._hashed.get(state)
        if known is None:
            from regenstore.models.hashes import hash_model  # slow to import

            hashes = hash_model(fd, None, lambda count: None)
            known = self._hashed[state] = hashes.blake3, hashes.sha256
        return known
