"""The user's approvals of definitions, bound to the hash of everything that would run.

They are kept in the user's configuration, never in a repository: nothing in a clone can approve anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regenstore.errors import StorageError
from regenstore.fs import durable, presence


@dataclass(frozen=True)
class Approval:
    """An approved definition."""

    hash: str
    generator: str
    approved: float
    """Seconds since the epoch."""
    definition: str = ""
    """The hash of a generator's definition without its files."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files that the generator stood on, with their digests."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Files beside those that Git did not track yet."""

    def covers(self, definition: str, files: Mapping[str, str]) -> bool:
        """Whether it approves the files that a definition stands on now: the same ones, and otherwise only files beside
        them that Git has come to track."""
        if not self.definition or self.definition != definition:
            return False
        seen = {**self.beside, **self.files}
        return self.files.keys() <= files.keys() and all(seen.get(path) == digest for path, digest in files.items())

    def changes(self, files: Mapping[str, str]) -> list[str]:
        """The differences from what was approved, one line each, for display."""
        if not self.files:
            return []
        seen = {**self.beside, **self.files}
        lines = [
            f"{path} {'was added' if path not in seen else 'changed'} since you trusted it"
            for path, digest in files.items()
            if seen.get(path) != digest
        ]
        return lines + [f"{path} is gone since you trusted it" for path in self.files if path not in files]


class TrustRecord:
    """Reads and writes the file of approvals."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._read: tuple[tuple[int, ...], dict[str, Approval]] | None = None

    def approvals(self) -> dict[str, Approval]:
        """All approvals by hash. Raises StorageError if the file cannot be read or is invalid."""
        found = presence.found(self.path)
        if found is None:
            return {}
        state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        try:
            if self._read is None or self._read[0] != state:
                data = presence.read(self.path) or b""
                self._read = state, {e["hash"]: _approval(e) for e in json.loads(data)["trusted"]}
            return dict(self._read[1])
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise StorageError("store-damaged", f"{self.path} is not a record of trusted generators") from None

    def approve(self, approval: Approval) -> None:
        """Add an approval, durably."""
        self._write({**self.approvals(), approval.hash: approval})

    def revoke(self, generator: str) -> int:
        """Remove all approvals of a generator's definitions; returns how many there were."""
        before = self.approvals()
        kept = {key: a for key, a in before.items() if a.generator != generator}
        if len(kept) < len(before):
            self._write(kept)
        return len(before) - len(kept)

    def _write(self, approvals: dict[str, Approval]) -> None:
        with durable.storage_errors(self.path):
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        entries = [_fields(approval) for approval in approvals.values()]
        durable.write_file(self.path, json.dumps({"trusted": entries}, indent=1).encode() + b"\n")


def _approval(entry: Mapping[str, Any]) -> Approval:
    files, beside = entry.get("files", {}), entry.get("beside", {})
    if not isinstance(files, dict) or not isinstance(beside, dict):
        raise TypeError("files")
    given = entry["hash"], entry["generator"], float(entry["approved"])
    return Approval(*given, str(entry.get("definition", "")), files, beside)


def _fields(approval: Approval) -> dict[str, object]:
    found: dict[str, object] = {
        "hash": approval.hash,
        "generator": approval.generator,
        "approved": approval.approved,
    }
    if approval.definition:
        found |= {"definition": approval.definition, "files": dict(approval.files), "beside": dict(approval.beside)}
    return found
