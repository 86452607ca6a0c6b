"""Events on their way: files in the store that stay until they are delivered.

``events/<time>-<id>.json`` is an event that happened. ``….prepared`` is one that is about to happen: written
durably before an export is put into place, and locked by its process. A process that dies in between leaves
it, and whoever comes next decides by what lies on the disk: if the export is there, the event happened.

So an event is lost by no crash, and told of nothing that did not happen. Delivering it is
:mod:`regenstore.events.courier`'s part.
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
"""How many manifests that no waiting event names stay in the store."""

Evidence = Sequence[tuple[str, Digest]]
"""Files that lie there, with these bytes, exactly if the event happened."""


class Outbox:
    """The events of one store."""

    def __init__(self, root: str) -> None:
        self.folder = os.path.join(root, FOLDER)

    @property
    def empty(self) -> bool:
        """Whether nothing waits; one look at a folder."""
        return nothing_waits(os.path.dirname(self.folder))

    def waiting(self) -> list[str]:
        """Paths of the events that happened and are not delivered, oldest first."""
        return [os.path.join(self.folder, name) for name in self._names(READY)]

    def _names(self, *endings: str) -> list[str]:
        return sorted(name for name in presence.names(self.folder) if name.endswith(endings))

    # ------------------------------------------------------------------------------------------- putting

    def put(self, event: Event) -> str:
        """Keep an event that happened, durably; gives its path. Raises StorageError."""
        path = self._path(event, READY)
        durable.write_file(path, event.to_bytes())
        return path

    @contextmanager
    def announcing(self, event: Event, evidence: Evidence) -> Iterator[None]:
        """Keep an event around the block that makes it happen: told if the block succeeds, forgotten if it
        raises, and decided by ``evidence`` if the process dies in it. Raises StorageError."""
        with self._prepared(event, {"files": [[file, str(digest)] for file, digest in evidence]}) as path:
            yield
            self._happened(path)

    @contextmanager
    def announcing_change(self, event: Event, place: str, member: str) -> Iterator[None]:
        """Likewise for a block that writes or replaces a manifest: ``member`` of the folder or ZIP file ``place``.
        Told with the new manifest, if there is one and it is not the one of before. Raises StorageError."""
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
        """Keep a list of what an export wrote, durably, for exports that write none of their own."""
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
        """Keep a prepared event if what lies on the disk says that it happened, else let go of it."""
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
        """Decide what became of events whose process died, and let go of old manifests. Raises StorageError."""
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
                return  # its process lives, or has just finished it
            self._decide(path)
        except StorageError as error:
            if error.kind != "unreadable":
                raise
            # Nobody can say now whether it happened: it stays until somebody can.
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
        """An event as it is kept. Raises StorageError."""
        with durable.storage_errors(path), open(path, "rb") as file:
            return file.read()

    def delivered(self, path: str) -> None:
        """Let go of an event that was delivered, or that nobody wants."""
        durable.unlink(path)

    def deliver(self, tell: Callable[[bytes], None]) -> tuple[int, RegenstoreError | None]:
        """Give what waits to ``tell``, oldest first, until one fails: how many were delivered, and why it ended.
        An event goes only when ``tell`` has returned."""
        done = 0
        for path in self.waiting():
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                continue  # another process delivers, too
            try:
                tell(data)
            except RegenstoreError as error:
                return done, error
            self.delivered(path)
            done += 1
        return done, None


def _all_there(files: Sequence[Sequence[str]]) -> bool:
    """Whether every file of the evidence is there as it was to be. Raises StorageError (``unreadable``)."""
    return bool(files) and all(str(_digest(path)) == digest for path, digest in files)


def _digest(path: str) -> Digest | None:
    try:
        return hash_file(path)[0]
    except presence.ABSENT:
        return None
    except OSError as error:
        raise presence.unreadable(error, path) from error


def _manifest(place: str, member: str) -> EventManifest | None:
    """A file of a folder, or of a ZIP file; None where it is not there. Raises StorageError (``unreadable``)."""
    try:
        if presence.is_folder(place):
            path = os.path.join(place, member)
            return EventManifest(path, *hash_file(path))
        from zipfile import BadZipFile, ZipFile  # every command imports this module, and hardly one a ZIP file

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
