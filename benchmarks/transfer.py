"""Push and fetch: with an object store, against rclone and against the library that ours uses, bare, on the same
server; with a folder as the remote, against rclone, and against git-lfs with a folder as its server.

Ours hashes each content before it is sent and after it came, and every object is on the disk before anybody is told
that it is there. rclone is asked for no checksums where it copies folders, and leaves the writing to the system; with
``sync`` after it, it has the same in the end, as the peers have that fetch from an object store. git-lfs hashes, and is
not synced. What arrives is compared at the end.
"""

from __future__ import annotations

import filecmp
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import bare_obstore, servers
from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave, timed
from benchmarks.trees import LFS, REGENSTORE, Shape, Tree

RCLONE, SYNCED, BARE = "rclone", "rclone, then sync", "obstore, bare"
_GOAL = 1.3
_AT_ONCE = 8


def rows(bench: Bench) -> Iterator[Row]:
    for shape in (bench.many, Shape(2, (64 << 20) if bench.quick else (1 << 30))):
        yield from _with_store(bench, shape)
        yield from _rows(bench, shape)


def _with_store(bench: Bench, shape: Shape) -> Iterator[Row]:
    ground, peers = bench.plain, (BARE, RCLONE)
    why = servers.why_not() or bench.unavailable.get(RCLONE)
    if why:
        for work, peer in itertools.product(("push", "fetch"), peers):
            yield Row(f"{work} of {shape}, SeaweedFS's S3", peer, _GOAL, skipped=why)
        return
    with bench.media(ground, f"store-{shape.count}", shape) as (folder, _), servers.object_store(folder) as store:
        ours = bench.committed(ground, REGENSTORE, folder, shape)
        ours.environment |= store.environment
        source = f"{ours.path}/.git/regenstore/vault"
        places = (f"{servers.BUCKET}/place-{number}" for number in itertools.count())
        ours.run("regenstore", "remote", "add", "studio", f"s3://{next(places)}")

        def push(program: str) -> Sample:
            place = next(places)
            if program == REGENSTORE:
                ours.run("regenstore", "remote", "remove", "studio")
                ours.run("regenstore", "remote", "add", "studio", f"s3://{place}")
                return _settled(ours, "regenstore", "push", "studio")
            return _settled(ours, *_peer(program, store, source, place, "push"))

        rounds = bench.rounds(3 if shape.count > 2 else 1)  # what is deleted in it takes room for long
        pushed = interleave(rounds, {name: lambda name=name: push(name) for name in (REGENSTORE, *peers)})
        copied = {}
        for name in peers:
            copied[name] = next(places)
            ours.run(*_peer(name, store, source, copied[name], "push"))

        def fetch(program: str) -> Sample:
            if program == REGENSTORE:
                return _fetch(ours, source)
            shutil.rmtree(f"{folder}/back", ignore_errors=True)
            command = _peer(program, store, f"{folder}/back", copied[program], "fetch")
            ours.ground.settle()

            def work() -> None:
                ours.run(*command)
                ours.ground.settle()

            return timed(work)

        fetched = interleave(rounds, {name: lambda name=name: fetch(name) for name in (REGENSTORE, *peers)})
        _same(source, f"{folder}/back")
    for work, taken in (("push", pushed), ("fetch", fetched)):
        for peer in peers:
            yield Row.of_samples(f"{work} of {shape}, SeaweedFS's S3", peer, _GOAL, taken[REGENSTORE], taken[peer])


def _settled(tree: Tree, *command: str) -> Sample:
    tree.ground.settle()
    return timed(lambda: tree.run(*command))


def _peer(program: str, store: servers.Store, folder: str, where: str, work: str) -> list[str]:
    """What copies a folder to a place in the object store, or back."""
    if program == BARE:
        return [sys.executable, bare_obstore.__file__, work, f"s3://{where}", folder]
    place = f":s3,provider=Other,env_auth=true,no_check_bucket=true,endpoint='{store.endpoint}':{where}"
    ends = (folder, place) if work == "push" else (place, folder)
    return [RCLONE, "copy", "--config", "", "--transfers", str(_AT_ONCE), *ends]


def _rows(bench: Bench, shape: Shape) -> Iterator[Row]:
    ground = bench.plain
    with bench.media(ground, f"transfer-{shape.count}", shape) as (folder, _):
        ours = bench.committed(ground, REGENSTORE, folder, shape)
        ours.run("regenstore", "remote", "add", "studio", f"{folder}/shared", "--create")
        source = f"{ours.path}/.git/regenstore/vault"
        peers = {}
        if not bench.unavailable.get(RCLONE):
            peers[RCLONE] = lambda: _copy(ours, source, f"{folder}/copied")
            peers[SYNCED] = lambda: _copy(ours, source, f"{folder}/copied", synced=True)
        if not bench.why_not_lfs():
            theirs = _lfs(bench.committed(ground, LFS, folder, shape), folder)
            peers[LFS] = lambda: _lfs_push(theirs, folder)
        pushed = interleave(bench.rounds(5), {REGENSTORE: lambda: _push(ours, folder), **peers})

        back = {REGENSTORE: lambda: _fetch(ours, source)}
        if RCLONE in peers:
            back[RCLONE] = lambda: _copy(ours, f"{folder}/copied", f"{folder}/back")
            back[SYNCED] = lambda: _copy(ours, f"{folder}/copied", f"{folder}/back", synced=True)
        if LFS in peers:
            back[LFS] = lambda: _lfs_fetch(theirs)
        fetched = interleave(bench.rounds(5), back)
        _same(source, f"{folder}/copied" if RCLONE in peers else source)
    for name, taken in (("push", pushed), ("fetch", fetched)):
        for peer in (RCLONE, SYNCED, LFS):
            work = f"{name} of {shape}, a folder, {ground.name}"
            if peer in taken:
                yield Row.of_samples(work, peer, _GOAL, taken[REGENSTORE], taken[peer])
            else:
                yield Row(work, peer, _GOAL, skipped=bench.unavailable[RCLONE if peer == SYNCED else peer])


def _push(tree: Tree, folder: str) -> Sample:
    shutil.rmtree(f"{folder}/shared/v1", ignore_errors=True)
    tree.ground.settle()
    return timed(lambda: tree.run("regenstore", "push", "studio"))


def _fetch(tree: Tree, vault: str) -> Sample:
    shutil.rmtree(vault)
    tree.ground.settle()
    return timed(lambda: tree.run("regenstore", "fetch"))


def _copy(tree: Tree, source: str, target: str, *, synced: bool = False) -> Sample:
    shutil.rmtree(target, ignore_errors=True)
    tree.ground.settle()
    options = ("--config", "", "--transfers", str(_AT_ONCE), "--ignore-checksum")

    def work() -> None:
        tree.run(RCLONE, "copy", *options, source, target)
        if synced:
            tree.ground.settle()

    return timed(work)


def _lfs(tree: Tree, folder: str) -> Tree:
    """With a folder as its server, and a clone's repository to push to."""
    subprocess.run(["git", "init", "-q", "--bare", f"{folder}/lfs.git"], check=True, env=tree.environment)
    tree.git("remote", "add", "origin", f"file://{folder}/lfs.git")
    tree.git("config", "lfs.concurrenttransfers", str(_AT_ONCE))
    return tree


def _lfs_push(tree: Tree, folder: str) -> Sample:
    shutil.rmtree(f"{folder}/lfs.git/lfs", ignore_errors=True)
    tree.ground.settle()
    return timed(lambda: tree.git("lfs", "push", "--all", "origin"))


def _lfs_fetch(tree: Tree) -> Sample:
    shutil.rmtree(f"{tree.path}/.git/lfs/objects")
    tree.ground.settle()
    return timed(lambda: tree.git("lfs", "fetch", "origin", "media"))


def _same(one: str, other: str) -> None:
    """Both have the same files with the same bytes; raises RuntimeError."""
    for base, _, names in os.walk(one):
        for name in names:
            path = f"{base}/{name}"
            if not filecmp.cmp(path, f"{other}{path[len(one) :]}", shallow=False):
                raise RuntimeError(f"{path} did not come back as it was")
