"""One event: what happened, when, and the manifest that lists it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from regenstore.fs.path_text import path_text, utf8_only
from regenstore.objects.ids import Digest

SCHEMA = "regenstore-event/1"
KINDS = ("export-sidecar", "export-dataset", "generation", "gc")
"""The kinds of events; ``push`` is reserved for remotes."""


@dataclass(frozen=True)
class EventManifest:
    """A file that lists what the event is about, with its digest."""

    path: str
    """Absolute."""
    digest: Digest
    size: int
    member: str = ""
    """The name of the member, if ``path`` is an archive."""

    def fields(self) -> dict[str, Any]:
        """Return the JSON form."""
        found = {"path": path_text(self.path), "digest": str(self.digest), "size": self.size}
        return {**found, "member": self.member} if self.member else found


@dataclass(frozen=True)
class Event:
    """A receiver may get an event twice, with equal ids."""

    kind: str
    repository: str
    """The worktree's top."""
    time: float
    """Seconds since the epoch."""
    manifest: EventManifest | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: os.urandom(16).hex())

    def with_manifest(self, manifest: EventManifest) -> Event:
        """Return the same event with a manifest."""
        return replace(self, manifest=manifest)

    def to_bytes(self) -> bytes:
        """Return one line of JSON in ASCII: what receivers get."""
        fields = {
            "schema": SCHEMA,
            "id": self.id,
            "event": self.kind,
            "time": datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "repository": self.repository,
            "manifest": None if self.manifest is None else self.manifest.fields(),
            "data": dict(self.data),
        }
        return json.dumps(utf8_only(fields), ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"
