"""Finding all live blobs: one walk by git, not more than a few of them; and what recipe blobs say, once known."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave, timed
from regenstore.objects import toml
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.recipe import Output, Recipe, Take
from regenstore.objects.result_cache import ResultCache
from regenstore.refs.git import Git
from regenstore.refs.roots import Roots

_A_COMMIT = 10
_BRANCH_EVERY = 20


def rows(bench: Bench) -> Iterator[Row]:
    commits = 200 if bench.quick else 2000
    shape = f"{commits * _A_COMMIT:,} recipes in {commits:,} commits, packed"
    with bench.folder(bench.plain, "roots") as folder:
        film, store = f"{folder}/film", f"{folder}/store"
        history(film, commits)
        os.mkdir(store)
        roots = Roots(Git(film), f"{film}/.git", f"{film}/.git", f"{film}/.git/index")
        cache = ResultCache(store)
        first = timed(lambda: _expect(len(roots.recipes(cache, remember=True).records), commits))
        walk = lambda: _git(film, "rev-list", "--objects", "--all")  # noqa: E731
        contenders: dict[str, Callable[[], object]] = {
            "git": walk,
            "live": lambda: _expect(len(roots.live().blobs), commits),
            "say": lambda: _expect(len(roots.recipes(cache, remember=True).records), commits),
        }
        taken = interleave(bench.rounds(7), {name: _timer(action) for name, action in contenders.items()})
        cache.close()
        peer = "git rev-list --objects --all"
        # Without CPU ratios: those count child processes only, and half of this happens here.
        wall = {name: [sample.wall for sample in samples] for name, samples in taken.items()}
        yield Row(f"live blobs of {shape}", peer, 3, wall["live"], wall["git"])
        note = f"the first time, when each is parsed: {first.wall:.1f} s"
        yield Row(f"what the live recipes say, of {shape}", peer, 3, wall["say"], wall["git"], note=note)


def _timer(action: Callable[[], object]) -> Callable[[], Sample]:
    return lambda: timed(action)


def _expect(count: int, commits: int) -> None:
    if count != commits * _A_COMMIT:
        raise RuntimeError(f"{count} live recipes instead of {commits * _A_COMMIT}")


def history(path: str, commits: int) -> None:
    """Commits of ten new or changed recipes each, in fifty folders, with a branch now and then."""
    subprocess.run(["git", "init", "-q", path], check=True)
    parts: list[bytes] = []
    for commit in range(commits):
        parts.append(b"commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\ndata 0\n" % (10**9 + commit))
        for number in range(commit * _A_COMMIT, (commit + 1) * _A_COMMIT):
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
