"""Undo of a gc, while its evictions are still in the trash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from regenstore.errors import NotFound
from regenstore.gc import trash
from regenstore.gc.collect import alone
from regenstore.gc.trash import Copy, Trash
from regenstore.objects import evicted
from regenstore.objects.content_store import ContentStore
from regenstore.objects.evicted import Evicted


@dataclass
class Taken:
    """A run of gc: its evictions still in the trash, and those deleted. Contents that are in the store again, or that
    a later run took again, are in neither: each content that is not in the store counts once."""

    run: str
    trashed: list[Copy] = field(default_factory=list)
    gone: list[Evicted] = field(default_factory=list)

    def fields(self) -> dict[str, object]:
        """Return the machine-readable form."""
        return {
            "run": self.run,
            "in_trash": {"contents": len(self.trashed), "bytes": sum(copy.size for copy in self.trashed)},
            "deleted": [
                {"digest": str(one.digest), "size": one.size, "recipe": one.recipe is not None} for one in self.gone
            ],
        }


def taken(store: ContentStore) -> list[Taken]:
    """Return all runs that evicted something, newest first."""
    found: dict[str, Taken] = {}
    files = sorted(trash.copies(store), key=lambda copy: copy.run or "", reverse=True)
    known = {(copy.digest, copy.size) for copy in files if copy.run is None}
    for copy in files:
        if copy.run is not None:
            of_run = found.setdefault(copy.run, Taken(copy.run))
            if (copy.digest, copy.size) not in known:
                of_run.trashed.append(copy)
                known.add((copy.digest, copy.size))
    for run in reversed(evicted.runs(store.root)):
        of_run = found.setdefault(run, Taken(run))
        for record in evicted.read(store.root, run):
            if record.taken and (record.digest, record.size) not in known:
                of_run.gone.append(record)
                known.add((record.digest, record.size))
    return sorted(found.values(), key=lambda one: one.run, reverse=True)


def choose(runs: Iterable[Taken], wanted: str | None) -> Taken:
    """Return the run whose name begins with ``wanted``, or the newest with contents in the trash. Raises NotFound."""
    for one in runs:
        if one.run.startswith(wanted) if wanted else one.trashed:
            return one
    if wanted:
        raise NotFound("no-such-run", f"no run of gc is called {wanted!r}")
    raise NotFound("no-such-run", "the trash is empty", hint="'regenstore get' makes deleted contents again.")


def undo(store: ContentStore, run: Taken) -> list[Copy]:
    """Bring a run's evictions back to the trees they came from; returns what came back. Can be repeated after an
    interruption."""
    back = Trash(store)
    with alone(store.root):
        restored = [copy for copy in run.trashed if back.put_back(copy.digest, run.run, copy.tree)]
        back.tidy()
    return restored
