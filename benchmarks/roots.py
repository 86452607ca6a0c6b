"""What a repository holds: not more than a few walks by git, and far less than one where nothing changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import count

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave, timed
from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Output, Recipe, Take
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.enumeration import ADDED, FULL, UNCHANGED, Enumerated, Enumeration
from regenstore.refs.git import Git
from regenstore.refs.roots import Roots

A_COMMIT = 10
_BRANCH_EVERY = 20


def rows(bench: Bench) -> Iterator[Row]:
    commits = 200 if bench.quick else 2000
    shape = f"{commits * A_COMMIT:,} recipes in {commits:,} commits, packed"
    with bench.folder(bench.plain, "roots") as folder:
        film, store = f"{folder}/film", f"{folder}/store"
        history(film, commits)
        os.mkdir(store)
        roots = Roots(Git(film), f"{film}/.git", f"{film}/.git", f"{film}/.git/index")
        kept = [f"{store}/{name}.held" for name in ("cold", "unchanged", "added")]
        cache = ResultCache(store)
        cold, unchanged, added = (Enumeration(roots, cache, path, "film") for path in kept)
        first = timed(lambda: _expect(added.run(), FULL, commits * A_COMMIT))
        _expect(unchanged.run(), FULL, commits * A_COMMIT)
        taken = interleave(
            bench.rounds(7),
            {
                "git": _timer(lambda: _git(film, "rev-list", "--objects", "--all")),
                "live": _timer(lambda: roots.live()),
                "cold": _timer(lambda: _cold(cold, kept[0], commits * A_COMMIT)),
                "unchanged": _timer(lambda: _expect(unchanged.run(), UNCHANGED, commits * A_COMMIT)),
            },
        )
        committed = count(commits * A_COMMIT)
        taken_added = interleave(
            bench.rounds(7),
            {
                "git": _timer(lambda: _git(film, "rev-list", "--objects", "--all")),
                "added": lambda: _after_a_commit(added, film, next(committed)),
            },
        )
        cache.close()
        # Without CPU ratios: those count child processes only, and half of this happens here.
        wall = {name: [sample.wall for sample in samples] for name, samples in taken.items()}
        peer = "git rev-list --objects --all"
        yield Row(f"live blobs of {shape}", peer, 3, wall["live"], wall["git"])
        note = f"the very first time, when each is parsed: {first.wall:.1f} s"
        yield Row(f"what is held, full walk, of {shape}", peer, 3, wall["cold"], wall["git"], note=note)
        yield Row(f"what is held, nothing changed, of {shape}", peer, 0.5, wall["unchanged"], wall["git"])
        ours, theirs = ([sample.wall for sample in taken_added[name]] for name in ("added", "git"))
        yield Row(f"what is held, after a commit, of {shape}", peer, 3, ours, theirs)


def _cold(enumeration: Enumeration, kept: str, recipes: int) -> None:
    if os.path.exists(kept):
        os.unlink(kept)
    _expect(enumeration.run(), FULL, recipes)


def _after_a_commit(enumeration: Enumeration, film: str, number: int) -> Sample:
    text = recipe(number)
    with open(f"{film}/new.png", "wb") as file:
        file.write(text)
    _git(film, "add", "new.png")
    _git(film, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q", "-m", "one more")
    return timed(lambda: _expect(enumeration.run(), ADDED, number + 1))


def _timer(action: Callable[[], object]) -> Callable[[], Sample]:
    return lambda: timed(action)


def _expect(found: Enumerated, how: str, recipes: int) -> None:
    if (found.how, len(found.held.records)) != (how, recipes):
        raise RuntimeError(f"{found.how}: {len(found.held.records)} live recipes instead of {how}: {recipes}")


def history(path: str, commits: int) -> None:
    """Commits of ten new or changed recipes each, in fifty folders, with a branch now and then."""
    subprocess.run(["git", "init", "-q", path], check=True)
    parts: list[bytes] = []
    for commit in range(commits):
        parts.append(b"commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\ndata 0\n" % (10**9 + commit))
        for number in range(commit * A_COMMIT, (commit + 1) * A_COMMIT):
            text = recipe(number)
            path_in_tree = b"shots/%02d/%03d.png" % (number % 50, number // 50 % 40)
            parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path_in_tree, len(text), text))
        if commit % _BRANCH_EVERY == 0:
            parts.append(b"reset refs/heads/b%d\nfrom refs/heads/main\n\n" % commit)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=path, input=b"".join(parts), check=True)
    _git(path, "symbolic-ref", "HEAD", "refs/heads/main")
    _git(path, "read-tree", "HEAD")


def recipe(number: int) -> bytes:
    take = Take(hash_bytes(b"%d" % number), 1 << 20)
    prompt = f"a lighthouse at dusk, variant {number}, " * 8
    output = Output("image/png", take=take, seconds=1.5)
    return toml.encode(Recipe("procedural.image", "1", output, params={"prompt": prompt, "seed": number}))


def _git(folder: str, *command: str) -> None:
    subprocess.run(["git", *command], cwd=folder, stdout=subprocess.DEVNULL, check=True)
