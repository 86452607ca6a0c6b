"""Record events for a pipeline, and deliver pending ones when a command ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from regenstore.cli.console import say
from regenstore.cli.presentation import counted
from regenstore.errors import RegenstoreError
from regenstore.events.courier import Courier, Delivery
from regenstore.events.declaration import Notify, read_notify
from regenstore.events.event import Event, EventManifest
from regenstore.events.outbox import Outbox
from regenstore.fs.path_text import path_text
from regenstore.objects.hashing import hash_blocks
from regenstore.refs.registration import own_store
from regenstore.repository import Repository

if TYPE_CHECKING:
    from regenstore.export.sidecar.batch import Batch


def outbox_of(repository: Repository) -> Outbox:
    """The outbox of this repository. It is not in the store, which other repositories with other receivers may
    share."""
    return Outbox(own_store(repository.location.common_dir))


def trusted_notify(repository: Repository) -> Notify | None:
    """The receivers of events that the user has approved; prints a note if approval is missing."""
    notify = read_notify(os.fsdecode(repository.location.top))
    if notify is not None and notify.hash not in repository.trust.approvals():
        say(
            "regenstore: no events are sent: [notify] in regenstore.toml is not trusted ('regenstore trust' shows it)",
            err=True,
        )
        return None
    return notify


def happened(repository: Repository, kind: str, data: Mapping[str, Any], manifest: EventManifest | None = None) -> None:
    """Record the event of a completed action."""
    notify = trusted_notify(repository)
    if notify is not None and kind in notify.events:
        outbox_of(repository).put(_event(repository, kind, data, manifest))


@contextmanager
def announcing_dataset(repository: Repository, place: str) -> Iterator[None]:
    """Record the event of a dataset that the block writes or updates, with its manifest."""
    notify = trusted_notify(repository)
    if notify is None or "export-dataset" not in notify.events:
        yield
        return
    event = _event(repository, "export-dataset", {"dataset": place})
    with outbox_of(repository).announcing_change(event, place, "manifest.json"):
        yield


@contextmanager
def announcing_sidecars(repository: Repository, batch: Batch) -> Iterator[None]:
    """Record the event of a batch of sidecars that the block writes, with a manifest of its files."""
    notify = trusted_notify(repository)
    if notify is None or "export-sidecar" not in notify.events:
        yield
        return
    files = [(file, *hash_blocks(file.blocks())) for file in batch.files]
    rows = [
        {
            "path": path_text(file.target),
            "digest": str(digest),
            "size": size,
            "media": list(file.media),
            "template": file.template or None,
            "writer": file.writer or None,
        }
        for file, digest, size in files
    ]
    outbox = outbox_of(repository)
    event = _event(repository, "export-sidecar", {"files": len(rows)})
    event = event.with_manifest(outbox.put_manifest({"schema": "regenstore-sidecar-export/1", "files": rows}, event.id))
    with outbox.announcing(event, [(file.target, digest) for file, digest, _ in files]):
        yield


def _event(repository: Repository, kind: str, data: Mapping[str, Any], manifest: EventManifest | None = None) -> Event:
    return Event(kind, os.fsdecode(repository.location.top), time.time(), manifest, data)


def deliver(repository: Repository, *, now: bool = False) -> Delivery | None:
    """Deliver pending events; None if there is no receiver. Raises StorageError if the outbox cannot be used."""
    outbox = outbox_of(repository)
    if outbox.empty:
        return Delivery(0, 0)
    notify = trusted_notify(repository)
    if notify is None:
        return None
    top = os.fsdecode(repository.location.top)
    settings = repository.settings
    return Courier(outbox, notify, top, settings.worker_environment, proxies=settings.proxies).deliver(now=now)


def deliver_at_end(repository: Repository) -> None:
    """The last step of every command. It never affects the result: failures are reported in one line, and the events
    are kept for the next attempt."""
    try:
        _tell_generation(repository)
        told = deliver(repository)
    except RegenstoreError as error:
        say(f"regenstore: events: {error.message}", err=True)
        return
    if told is not None and told.error is not None:
        say(
            f"regenstore: {counted(told.waiting, 'event')} not delivered yet: {told.error.message}",
            err=True,
        )


def _tell_generation(repository: Repository) -> None:
    """Record one event for all media that this command generated."""
    if not repository.generated:
        return
    rows = [
        {
            "path": path_text(label),
            "key": str(result.key),
            "seconds": result.seconds,
            "outputs": {name: str(content.digest) for name, content in sorted(result.outputs.items())},
        }
        for label, result in repository.generated
    ]
    happened(repository, "generation", {"media": rows})
