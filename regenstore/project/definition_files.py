"""The files that a declared generator stands on besides its command: trust and proofs are bound to them too.

``files = ["tools/**"]`` in a declaration lists them, relative to the worktree's top. Without it, a script inside the
worktree stands on every tracked file in its folder and below: what it imports, sources or reads from there. Of the
media in that folder, those that no recipe made count, by what they record, so that placing or dropping them makes no
difference. At the worktree's top no media count. Python's caches never count.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from regenstore.errors import FormatError, StorageError
from regenstore.fs import presence
from regenstore.objects import toml
from regenstore.objects.hash_cache import KnownHashes
from regenstore.project.repository_file import FILE, bad_declaration

MOST_FILES, MOST_BYTES = 10_000, 4 << 30
_NOT_BY_DEFAULT = {FILE, ".gitattributes", ".gitignore", ".gitmodules", ".mailmap"}
_CACHES = {"__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
_HEAD = b"regenstore = "
Found = list[tuple[str, str]]


class Listing(Protocol):
    """Git's view of a worktree. Paths are relative to its top, and sorted."""

    def tracked(self, folder: str) -> Sequence[str]:
        """Every tracked file in a folder and below; '' is the top."""

    def untracked(self, folder: str) -> Sequence[str]:
        """Files that are neither tracked nor ignored."""

    def media(self, paths: Iterable[str]) -> Mapping[str, bool]:
        """The media among the paths, and whether a recipe made each."""


class NoListing:
    """A listing for folders outside Git: nothing is tracked."""

    def tracked(self, folder: str) -> Sequence[str]:
        return ()

    def untracked(self, folder: str) -> Sequence[str]:
        return ()

    def media(self, paths: Iterable[str]) -> Mapping[str, bool]:
        return {}


class DefinitionFiles:
    """Finds the files of a definition and hashes them. ``where`` names the generator in errors."""

    def __init__(self, top: str, where: str, listing: Listing, hashes: KnownHashes) -> None:
        self._top = top
        self._where = where
        self._listing = listing
        self._hashes = hashes

    def recorded(self, files: Sequence[tuple[str, str]]) -> tuple[tuple[tuple[str, str], ...], set[str]]:
        """The files that a command names, with recorded digests in place of the media among them; and which of them
        are media."""
        names = [
            name for name, _ in files if not os.path.isabs(name) and not name.startswith("..") and self._lies(name)
        ]
        media = set(self._listing.media(names)) if names else set()
        return tuple(
            (name, digest_of(os.path.join(self._top, name), self._hashes, medium=True) if name in media else digest)
            for name, digest in files
        ), media

    def named(self, patterns: Sequence[str]) -> Found:
        """The files that match the patterns, tracked or not, with digests.

        Raises FormatError (``bad-declaration``) for a pattern that leaves the worktree, or matches nothing or too much;
        StorageError (``unreadable``).
        """
        found: dict[str, None] = {}
        for pattern in patterns:
            matched = list(self._matching(pattern))
            if not matched:
                raise self._bad(f"files: the pattern {pattern!r} matches nothing")
            found.update(dict.fromkeys(matched))
            self._not_too_many(found, "name fewer")
        media = self._listing.media(found)
        return self._hashed(sorted(found), media, inside=True)

    def by_default(self, scripts: Iterable[str]) -> Found:
        """The files that scripts of the worktree stand on by default, with digests."""
        found = self._beside(scripts, self._listing.tracked)
        return self._hashed(*found, inside=False)

    def untracked(self, scripts: Iterable[str]) -> Found:
        """The files that will count once Git tracks them."""
        found = self._beside(scripts, self._listing.untracked)
        return self._hashed(*found, inside=False)

    def _beside(
        self, scripts: Iterable[str], listed: Callable[[str], Sequence[str]]
    ) -> tuple[list[str], Mapping[str, bool]]:
        folders = {folder for script in scripts for folder in self._folders(script)}
        paths = {path for folder in folders for path in listed(folder) if not _cached(path)}
        paths = {path for path in paths if os.path.basename(path) not in _NOT_BY_DEFAULT}
        media = self._listing.media(sorted(paths))
        homes = [folder + "/" for folder in folders if folder]
        kept = [
            path
            for path in sorted(paths)
            if path not in media or (not media[path] and any(path.startswith(home) for home in homes))
        ]
        self._not_too_many(kept, f"list the ones that it needs: files = [...] in {FILE}")
        return kept, media

    def _folders(self, script: str) -> Iterator[str]:
        """The folders of a script: the one in its given path, and the one it resolves to."""
        for base, path in ((self._top, script), (os.path.realpath(self._top), os.path.realpath(script))):
            folder = os.path.relpath(os.path.dirname(path), base)
            if folder == ".":
                yield ""
            elif not folder.startswith(".."):
                yield folder

    # -------------------------------------------------------------------------------- patterns

    def _matching(self, pattern: str) -> Iterator[str]:
        parts = [part for part in pattern.split("/") if part != "."]
        if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in parts or ".git" in parts:
            raise self._bad(f"files: the pattern {pattern!r} leads outside the worktree")
        parts = parts[:-1] if parts[-1:] == [""] else parts
        plain = 0
        while plain < len(parts) and not re.search(r"[*?\[]", parts[plain]):
            plain += 1
        start = "/".join(parts[:plain])
        if plain == len(parts) and not os.path.isdir(os.path.join(self._top, start)):
            if self._lies(start):
                yield start
            return
        rest = parts[plain:] or ["**"]
        try:
            wanted = re.compile((re.escape(start) + "/" if start else "") + _translated(rest), re.DOTALL)
        except re.error as error:
            raise self._bad(f"files: {pattern!r} is not a valid pattern: {error}") from None
        self._stays(start, pattern)
        yield from (path for path in self._walk(start) if wanted.fullmatch(path))

    def _lies(self, path: str) -> bool:
        return bool(path) and presence.lstat(os.path.join(self._top, path)) is not None

    def _walk(self, folder: str) -> Iterator[str]:
        """Every file below a folder of the worktree; linked folders are not followed."""
        try:
            entries = sorted(os.scandir(os.path.join(self._top, folder)), key=lambda entry: entry.name)
        except presence.ABSENT:
            return
        except OSError as error:
            raise presence.unreadable(error, folder or ".") from error
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name in _CACHES or _cached(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(path)
            else:
                yield path

    def _stays(self, path: str, shown: str) -> None:
        real, top = os.path.realpath(os.path.join(self._top, path)), os.path.realpath(self._top)
        if real != top and not real.startswith(top.rstrip("/") + "/"):
            raise self._bad(f"files: {shown!r} leads outside the worktree, to {real}")

    # -------------------------------------------------------------------------------- hashing

    def _hashed(self, paths: Sequence[str], media: Mapping[str, bool], *, inside: bool) -> Found:
        """The files' digests. ``inside``: links that leave the worktree are refused, not followed."""
        left = MOST_BYTES
        found: Found = []
        for path in paths:
            if inside:
                self._stays(path, path)
            full = os.path.join(self._top, path)
            there = presence.found(full)
            if there is not None and stat.S_ISREG(there.st_mode):
                left -= there.st_size
            if left < 0:
                raise self._bad(f"files: they are over {MOST_BYTES >> 30} GiB in total, with {path}; list fewer")
            found.append((path, digest_of(full, self._hashes, medium=path in media)))
        return found

    def _not_too_many(self, found: Iterable[str], advice: str) -> None:
        count = len(list(found))
        if count > MOST_FILES:
            raise self._bad(f"it stands on {count} files, more than {MOST_FILES}; {advice}")

    def _bad(self, message: str) -> FormatError:
        return bad_declaration(self._where, f": {message}")


def digest_of(path: str, hashes: KnownHashes, *, medium: bool = False) -> str:
    """What represents a file in the hash of a definition: its digest; for a medium, the digest of the content that
    is or would be placed there; or the reason why there is none. Raises StorageError (``unreadable``)."""
    there = presence.found(path)
    if there is None:
        return "not found"
    if stat.S_ISDIR(there.st_mode):
        return _folder(path, hashes)
    if not stat.S_ISREG(there.st_mode):
        return presence.kind_of(there.st_mode)
    if medium and there.st_size <= toml.MAX_BYTES:
        text = presence.read(path, toml.MAX_BYTES + 1) or b""
        recipe = toml.decode_or_none(text) if text.startswith(_HEAD) else None
        if recipe is not None and recipe.output.take is not None:
            return str(recipe.output.take.digest)
    try:
        return hashes.of(path)
    except presence.NotRegular as error:
        raise StorageError("unreadable", str(error)) from error
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _folder(path: str, hashes: KnownHashes) -> str:
    """What represents a linked folder: the hash of all files in it."""
    from regenstore.objects.hashing import hash_bytes

    lines = []
    for folder, names, files in os.walk(path, onerror=_raise):
        names[:] = sorted(name for name in names if name not in _CACHES)
        for name in sorted(files):
            full = os.path.join(folder, name)
            if not _cached(name):
                lines.append(f"{os.path.relpath(full, path)}\0{digest_of(full, hashes)}")
        if len(lines) > MOST_FILES:
            raise bad_declaration(path, f" holds more than {MOST_FILES} files; list fewer")
    return f"a folder {hash_bytes(os.fsencode(chr(10).join(lines)))}"


def _raise(error: OSError) -> None:
    raise presence.unreadable(error, error.filename) from error


def _cached(path: str) -> bool:
    return path.endswith((".pyc", ".pyo")) or "__pycache__" in path.split("/")


def _translated(parts: Sequence[str]) -> str:
    """Translate a pattern to a regular expression. ``*`` and ``?`` match within a name; ``**`` matches any number of
    folders."""
    found = ""
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            found += ".*" if last else "(?:.*/)?"
            continue
        for piece in re.findall(r"\[!?\]?[^\]/]*\]|.", part, re.DOTALL):
            if piece == "*":
                found += "[^/]*"
            elif piece == "?":
                found += "[^/]"
            elif len(piece) > 1:
                body = piece[1:-1].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
                found += "[" + ("^/" + body[1:] if body.startswith("!") else body) + "]"
            else:
                found += re.escape(piece)
        found += "" if last else "/"
    return found
