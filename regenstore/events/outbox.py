"""The outbox: events as files in the store that stay until they are delivered.

``events/<time>-<id>.json`` is an event that happened. ``….prepared`` is one that is about to happen: written durably
before an export is put into place, and locked by its process. If that process dies, the next one decides by what is on
disk: if the export is there, the event happened.

So no crash loses an event, and nothing is reported that did not happen. Delivery is in
:mod:`regenstore.events.courier`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from regenstore.errors import RegenstoreError, StorageError
from regenstore.events.event import Event, EventManifest
from regenstore.events.waiting import FOLDER, PREPARED, READY, nothing_waits
from regenstore.fs import durable, file_lock, presence
from regenstore.fs.path_text import utf8_only
from regenstore.objects.hashing import hash_bytes, hash_file
from regenstore.objects.ids import Digest

MANIFESTS = "manifests"
KEPT_MANIFESTS = 200
"""The number of manifests kept in the store that no waiting event names."""

Evidence = Sequence[tuple[str, Digest]]
"""Files that exist with these bytes if and only if the event happened."""


class Outbox:
    """The events of one store."""

    def __init__(self, root: str) -> None:
        self.folder = os.path.join(root, FOLDER)

    @property
    def empty(self) -> bool:
        """Whether nothing waits; lists one folder."""
        return nothing_waits(os.path.dirname(self.folder))

    def waiting(self) -> list[str]:
        """Return the paths of events that happened and are not delivered, oldest first."""
        return [os.path.join(self.folder, name) for name in self._names(READY)]

    def _names(self, *endings: str) -> list[str]:
        return sorted(name for name in presence.names(self.folder) if name.endswith(endings))

    # ------------------------------------------------------------------------------------------- putting

    def put(self, event: Event) -> str:
        """Store an event that happened, durably; returns its path. Raises StorageError."""
        path = self._path(event, READY)
        durable.write_file(path, event.to_bytes())
        return path

    @contextmanager
    def announcing(self, event: Event, evidence: Evidence) -> Iterator[None]:
        """Prepare an event around the block that makes it happen: published if the block succeeds, discarded if it
        raises, and decided by ``evidence`` if the process dies in it. Raises StorageError."""
        with self._prepared(event, {"files": [[file, str(digest)] for file, digest in evidence]}) as path:
            yield
            self._happened(path)

    @contextmanager
    def announcing_change(self, event: Event, place: str, member: str) -> Iterator[None]:
        """Like :meth:`announcing`, for a block that writes or replaces a manifest: ``member`` of the folder or ZIP file
        ``place``. Published with the new manifest, if there is one and it differs. Raises StorageError."""
        before = _manifest(place, member)
        old = None if before is None else str(before.digest)
        with self._prepared(event, {"place": place, "member": member, "before": old}) as path:
            yield
            self._decide(path)

    @contextmanager
    def _prepared(self, event: Event, proof: Mapping[str, object]) -> Iterator[str]:
        path = self._path(event, PREPARED)
        with durable.storage_errors(path):
            told = event.to_bytes() + json.dumps(proof).encode() + b"\n"
            held = durable.write_locked(path, told, temp=f"{path}.tmp")
        try:
            try:
                yield path
            except BaseException:
                durable.unlink(path)
                raise
        finally:
            os.close(held)

    def put_manifest(self, fields: Mapping[str, object], event_id: str) -> EventManifest:
        """Store a list of what an export wrote, durably, for exports that write none of their own."""
        folder = os.path.join(self.folder, MANIFESTS)
        data = json.dumps(utf8_only(fields), indent=1, ensure_ascii=True).encode() + b"\n"
        path = os.path.join(folder, f"{time.time_ns():020d}-{event_id}.json")
        with durable.storage_errors(folder):
            durable.make_folder(folder)
        durable.write_file(path, data)
        return EventManifest(path, hash_bytes(data), len(data))

    def _path(self, event: Event, ending: str) -> str:
        with durable.storage_errors(self.folder):
            durable.make_folder(self.folder)
        return os.path.join(self.folder, f"{time.time_ns():020d}-{event.id}{ending}")

    def _happened(self, path: str, manifest: EventManifest | None = None) -> None:
        with open(path, "rb") as file:
            event = file.readline()
        if manifest is not None:
            event = json.dumps({**json.loads(event), "manifest": manifest.fields()}).encode("ascii") + b"\n"
        durable.write_file(path.removesuffix(PREPARED) + READY, event)
        durable.unlink(path)

    def _decide(self, path: str) -> None:
        """Publish a prepared event if what is on disk says that it happened, else discard it."""
        with open(path, "rb") as file:
            file.readline()
            line = file.readline()
        try:
            proof = json.loads(line)
            if "files" in proof:
                happened, manifest = _all_there(proof["files"]), None
            else:
                manifest = _manifest(str(proof["place"]), str(proof["member"]))
                happened = manifest is not None and str(manifest.digest) != proof["before"]
        except (ValueError, TypeError, KeyError, RecursionError):
            happened, manifest = False, None
        if happened:
            self._happened(path, manifest)
        else:
            durable.unlink(path)

    # ------------------------------------------------------------------------------------------- clearing

    def settle(self) -> None:
        """Settle events whose process died, and remove old manifests. Raises StorageError."""
        for name in self._names(PREPARED):
            path = os.path.join(self.folder, name)
            with durable.storage_errors(path):
                self._settle(path)
        self._prune()

    def _settle(self, path: str) -> None:
        try:
            held = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            if not file_lock.take(held) or presence.lstat(path) is None:
                return  # its process is alive, or has just settled it
            self._decide(path)
        except StorageError as error:
            if error.kind != "unreadable":
                raise
            # Whether it happened is unknown for now: it stays until it can be decided.
        finally:
            os.close(held)

    def _prune(self) -> None:
        folder = os.path.join(self.folder, MANIFESTS)
        names = sorted(presence.names(folder))
        needed = {name.rpartition("-")[2].partition(".")[0] for name in self._names(READY, PREPARED)}
        spare = [name for name in names if name.rpartition("-")[2].partition(".")[0] not in needed]
        for name in spare[:-KEPT_MANIFESTS]:
            durable.unlink(os.path.join(folder, name))

    def read(self, path: str) -> bytes:
        """Return a stored event. Raises StorageError."""
        with durable.storage_errors(path), open(path, "rb") as file:
            return file.read()

    def delivered(self, path: str) -> None:
        """Remove an event that was delivered, or that has no receiver."""
        durable.unlink(path)

    def deliver(self, tell: Callable[[bytes], None]) -> tuple[int, RegenstoreError | None]:
        """Pass waiting events to ``tell``, oldest first, until one fails; returns how many were delivered, and why it
        stopped. An event is removed only when ``tell`` has returned."""
        done = 0
        for path in self.waiting():
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                continue  # another process delivers too
            try:
                tell(data)
            except RegenstoreError as error:
                return done, error
            self.delivered(path)
            done += 1
        return done, None


def _all_there(files: Sequence[Sequence[str]]) -> bool:
    """Return whether every file of the evidence is there with its bytes. Raises StorageError (``unreadable``)."""
    return bool(files) and all(str(_digest(path)) == digest for path, digest in files)


def _digest(path: str) -> Digest | None:
    try:
        return hash_file(path)[0]
    except presence.ABSENT:
        return None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _manifest(place: str, member: str) -> EventManifest | None:
    """Read a file of a folder or of a ZIP file; None if it does not exist. Raises StorageError (``unreadable``)."""
    try:
        if presence.is_folder(place):
            path = os.path.join(place, member)
            return EventManifest(path, *hash_file(path))
        from zipfile import BadZipFile, ZipFile  # every command imports this module, and few need it

        try:
            with ZipFile(place) as archive:
                data = archive.read(member)
        except (KeyError, BadZipFile):
            return None
        return EventManifest(place, hash_bytes(data), len(data), member)
    except presence.ABSENT:
        return None
    except OSError as error:
        raise presence.unreadable(error, place) from error
