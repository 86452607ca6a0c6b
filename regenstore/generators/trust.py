"""The user's approvals of generator definitions, bound to the hash of everything that would run.

Kept in the user's configuration, never in a repository: what a clone brings along approves nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from regenstore.errors import StorageError
from regenstore.objects import durable


@dataclass(frozen=True)
class Approval:
    """One approved definition."""

    hash: str
    generator: str
    approved: float
    """Seconds since the epoch."""


class TrustRecord:
    """Reads and writes the file of approvals."""

    def __init__(self, path: str) -> None:
        self.path = path

    def approvals(self) -> dict[str, Approval]:
        """All approvals by hash; raises StorageError for a file that is no such record."""
        try:
            with open(self.path, encoding="utf-8") as file:
                entries = json.load(file)["trusted"]
            return {e["hash"]: Approval(e["hash"], e["generator"], float(e["approved"])) for e in entries}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise StorageError("store-damaged", f"{self.path} is not a record of trusted generators") from None

    def approve(self, approval: Approval) -> None:
        """Add an approval, durably."""
        self._write({**self.approvals(), approval.hash: approval})

    def revoke(self, generator: str) -> int:
        """Remove every approval of a generator's definitions; gives how many there were."""
        before = self.approvals()
        kept = {key: a for key, a in before.items() if a.generator != generator}
        if len(kept) < len(before):
            self._write(kept)
        return len(before) - len(kept)

    def _write(self, approvals: dict[str, Approval]) -> None:
        with durable.storage_errors(self.path):
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        entries = [{"hash": a.hash, "generator": a.generator, "approved": a.approved} for a in approvals.values()]
        durable.write_file(self.path, json.dumps({"trusted": entries}, indent=1).encode() + b"\n")
