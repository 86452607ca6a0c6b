"""The local executor: runs jobs in dependency order on worker processes of this machine.

Jobs of one group share a loaded model, so each worker stays with its group while it has jobs. A worker that crashed or
hung is replaced for the next job; the job itself fails with one clear error.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from regenstore.errors import GenerationError

if TYPE_CHECKING:  # what makes generators is slow to import, and seldom needed
    from regenstore.generators.api import Declaration, Item, Probe
    from regenstore.generators.worker_host import Progress, Run, WorkerHost

R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """A unit of work. Jobs of the same ``group`` share a loaded model."""

    id: str
    group: str
    depends: frozenset[str] = frozenset()


class Slot:
    """Runs one item at a time; keeps its worker process as long as that works."""

    def __init__(self, timeout: float, max_output: int, environment: Mapping[str, str]) -> None:
        self._timeout = timeout
        self._max_output = max_output
        self._environment = environment
        self._host: WorkerHost | None = None
        self._family = ""
        self._lock = threading.Lock()
        self.cancelled = threading.Event()

    def run(
        self, declaration: Declaration, model_key: str, item: Item, deadline: float | None, progress: Progress
    ) -> Run:
        """Run one item. Raises GenerationError. ``deadline`` is on the monotonic clock."""
        left = self._timeout if deadline is None else min(self._timeout, deadline - time.monotonic())
        if left <= 0:
            raise GenerationError("generator-timeout", "the time that this command may take was used up")
        host = self._ready(declaration)
        try:
            return host.run(declaration, model_key, item, left, progress)
        finally:
            if not host.usable:
                self.close()

    def probe(self, declaration: Declaration) -> tuple[Probe, Mapping[str, str]]:
        """Return whether a generator can run here, and its fingerprint."""
        return self._ready(declaration).probe(declaration)

    def _ready(self, declaration: Declaration) -> WorkerHost:
        # Generators of one package share a process; a plug-in never shares one with other packages.
        family = declaration.implementation.partition(".")[0]
        with self._lock:
            if self.cancelled.is_set():
                raise GenerationError("cancelled", "cancelled")
            if self._host is not None and (self._family != family or not self._host.usable):
                self._host.close()
                self._host = None
            if self._host is None:
                from regenstore.generators.worker_host import WorkerHost

                self._host = WorkerHost(self._max_output, self._environment, self.cancelled)
                self._family = family
            return self._host

    def cancel(self) -> None:
        """Stop the running item and refuse further ones; callable from any thread and from a signal handler."""
        self.cancelled.set()

    def close(self) -> None:
        with self._lock:
            if self._host is not None:
                self._host.close()
                self._host = None


class _Schedule:
    """Chooses the next job. All methods are called under one lock."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        known = {job.id for job in jobs}
        self._waiting = {job.id: set(job.depends & known) for job in jobs}
        self._jobs = {job.id: job for job in jobs}
        self._order = {job.id: position for position, job in enumerate(jobs)}
        self.left = len(jobs)

    def next(self, group: str) -> Job | None:
        """Return a job that is ready: of the given group if there is one, else the first."""
        ready = [self._jobs[name] for name, needs in self._waiting.items() if not needs]
        if not ready:
            return None
        job = min(ready, key=lambda j: (j.group != group, self._order[j.id]))
        del self._waiting[job.id]
        return job

    def done(self, name: str) -> None:
        self.left -= 1
        for needs in self._waiting.values():
            needs.discard(name)


class LocalExecutor:
    """Runs jobs on up to ``workers`` worker processes."""

    def __init__(self, workers: int, timeout: float, max_output: int, environment: Mapping[str, str]) -> None:
        self.workers = workers
        self._timeout = timeout
        self._max_output = max_output
        self._environment = environment

    def slot(self) -> Slot:
        """Return a slot to run single items; the caller closes it."""
        return Slot(self._timeout, self._max_output, self._environment)

    def run(self, jobs: Sequence[Job], perform: Callable[[Job, Slot], R]) -> Iterator[tuple[Job, R | Exception]]:
        """Perform every job after its dependencies, and yield each result (or exception) as it arrives.

        Jobs whose dependency failed are performed anyway: ``perform`` sees what is missing. Leaving the iterator early,
        or an exception inside the caller's loop, cancels running jobs.
        """
        return iter(_Batch(self, jobs, perform))


class _Batch(Generic[R]):
    def __init__(self, executor: LocalExecutor, jobs: Sequence[Job], perform: Callable[[Job, Slot], R]) -> None:
        self._schedule = _Schedule(jobs)
        self._perform = perform
        self._results: queue.Queue[tuple[Job, R | Exception]] = queue.Queue()
        self._changed = threading.Condition()
        self._stop = False
        self._slots = [executor.slot() for _ in range(min(executor.workers, len(jobs)))]
        self._total = len(jobs)

    def __iter__(self) -> Iterator[tuple[Job, R | Exception]]:
        threads = [threading.Thread(target=self._work, args=(slot,), daemon=True) for slot in self._slots]
        for thread in threads:
            thread.start()
        try:
            for _ in range(self._total):
                while True:
                    try:  # with a timeout, so that Ctrl-C reaches the main thread
                        found = self._results.get(timeout=0.2)
                        break
                    except queue.Empty:
                        continue
                yield found
        finally:
            with self._changed:
                self._stop = True
                self._changed.notify_all()
            for slot in self._slots:
                slot.cancel()
            for thread in threads:
                thread.join()
            for slot in self._slots:
                slot.close()

    def _work(self, slot: Slot) -> None:
        group = ""
        while True:
            with self._changed:
                job = None
                while not self._stop and self._schedule.left and (job := self._schedule.next(group)) is None:
                    self._changed.wait()
                if job is None:
                    return
            group = job.group
            try:
                result: R | Exception = self._perform(job, slot)
            except Exception as error:
                result = error
            with self._changed:
                self._schedule.done(job.id)
                self._changed.notify_all()
            self._results.put((job, result))
