"""Judging every content of a store, all of it known: a few walks by git over the recipes that they belong to."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave, timed
from benchmarks.roots import history, recipe
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.result import Content, Proof, Result
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.surveyor import Surveyor
from regenstore.refs.git import Git
from regenstore.refs.roots import Roots
from regenstore.refs.store_repositories import Holders

_A_COMMIT = 10
_HERE = {"library": "1", "machine": "x"}


class _Here:
    """Every generator can run; starting a worker to ask one is not what is measured."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def of(self, generator: str, version: str) -> Mapping[str, str]:
        return _HERE


def rows(bench: Bench) -> Iterator[Row]:
    count = 2000 if bench.quick else 20000
    with bench.folder(bench.plain, "survey") as folder:
        film = f"{folder}/film"
        history(film, count // _A_COMMIT)
        store = ContentStore(f"{film}/.git/regenstore")
        cache = ResultCache(store.root)
        _fill(store, cache, count)
        roots = Roots(Git(film), f"{film}/.git", f"{film}/.git", f"{film}/.git/index")
        surveyor = Surveyor(store, cache, _Here, Holders(roots, cache, store.root).holders)

        def survey() -> None:
            evictable = sum(entry.evictable for entry in surveyor.survey().entries.values())
            if evictable != count:
                raise RuntimeError(f"{evictable} evictable contents instead of {count}")

        def walk() -> None:
            subprocess.run(["git", "rev-list", "--objects", "--all"], cwd=film, stdout=subprocess.DEVNULL, check=True)

        first = _timed(survey)
        taken = interleave(bench.rounds(7), {"survey": lambda: _timed(survey), "git": lambda: _timed(walk)})
        cache.close()
        note = f"the first time, when each recipe is parsed: {first.wall:.1f} s"
        work = f"survey of {count:,} contents, each with recipe and proof"
        yield Row.of_samples(work, "git rev-list --objects --all", 15, taken["survey"], taken["git"], note=note)


def _timed(action: Callable[[], object]) -> Sample:
    """With the CPU time of this process too: most of a survey happens here."""
    before = time.process_time()
    sample = timed(action)
    return Sample(sample.wall, sample.cpu + time.process_time() - before)


def _fill(store: ContentStore, cache: ResultCache, count: int) -> None:
    """The takes of all recipes as files without bytes, each with its result and a proof."""
    store.prepare()
    for number in range(count):
        made = toml.decode(recipe(number))
        take = made.output.take
        assert take is not None and made.key is not None
        path = store.object_path(take.digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(take.size)
        result = Result(made.key, {"main": Content(take.digest, take.size, "image/png")}, 1.5, 1.0, _HERE)
        cache.record(made, result, [Proof.again(made.key, take.digest, 1.5, 1.0, _HERE)])
