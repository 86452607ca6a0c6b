"""What one small file costs, part by part: microseconds of CPU, in a checkout and in an add.

The parts are clocked in a process that does what the filter's does, with the requests of one git command, each sent
when the one before is answered. The rest is measured from outside: git without a filter, and git with one that gives
everything back.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave
from benchmarks.trees import LFS, REGENSTORE, Shape, Tree

_SHAPE = Shape(2000, 50_000)
_NO_FILTER = ("-c", "filter.regenstore.process=", "-c", "filter.regenstore.required=false")
_NO_FILTER += ("-c", "filter.regenstore.clean=", "-c", "filter.regenstore.smudge=")


def rows(bench: Bench) -> Iterator[Row]:
    for ground in bench.grounds:
        with bench.media(ground, "per-file", _SHAPE) as (folder, _):
            ours = bench.committed(ground, REGENSTORE, folder, _SHAPE)
            contenders = {
                "no filter": lambda ours=ours: _checkout(ours, *_NO_FILTER),
                "the least filter in Python": lambda ours=ours: _checkout(ours, "-c", _echo()),
                "regenstore": lambda ours=ours: _checkout(ours),
            }
            if not bench.why_not_lfs():
                theirs = bench.committed(ground, LFS, folder, _SHAPE)
                contenders["git-lfs"] = lambda theirs=theirs: _checkout(theirs)
            for name, taken in interleave(bench.rounds(7), contenders).items():
                yield _row(f"checkout, {ground.name}: all of it, {name}", [each.cpu * 1e6 for each in taken])
            for command in ("checkout", "add"):
                root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
                for _ in range(2):  # the first one warms the caches
                    for branch in ("empty", "media"):
                        ours.git(*_NO_FILTER, "checkout", "-q", "-f", branch)
                    told = ours.run(sys.executable, "-m", "benchmarks.per_file", command, PYTHONPATH=root)
                for part, spent in json.loads(told).items():
                    yield Row(f"{command}, {ground.name}: {part}", "", math.inf, [spent], unit="µs")


def _row(work: str, spent: list[float]) -> Row:
    return Row(work, "", math.inf, [each / _SHAPE.count for each in spent], unit="µs")


def _echo() -> str:
    script = f"{os.path.dirname(os.path.abspath(__file__))}/echo_filter.py"
    return f"filter.regenstore.process='{sys.executable}' -I -S '{script}'"


def _checkout(tree: Tree, *options: str) -> Sample:
    tree.git(*(_NO_FILTER if tree.kind == REGENSTORE else ()), "checkout", "-q", "-f", "empty")
    return tree.timed_git(*options, "checkout", "-q", "media")


# ------------------------------------------------------------------------------------------- the clocked process


class _Clock:
    """CPU time of the calling thread by part, without the parts inside of it."""

    def __init__(self) -> None:
        self.spent: dict[str, list[int]] = defaultdict(list)
        self._inner = threading.local()

    def part(self, name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*args: Any, **named: Any) -> Any:
            outer, self._inner.time = getattr(self._inner, "time", 0), 0
            begun = time.thread_time_ns()
            try:
                return action(*args, **named)
            finally:
                whole = time.thread_time_ns() - begun
                self.spent[name].append(whole - self._inner.time)
                self._inner.time = outer + whole

        return clocked

    def clock(self, owner: Any, method: str, name: str) -> None:
        setattr(owner, method, self.part(name, getattr(owner, method)))

    def told(self, files: int) -> dict[str, float]:
        """Microseconds per file: of many calls the lower quartile, which others that use the machine change least."""
        found = {}
        for name, calls in self.spent.items():
            each = sum(calls) if len(calls) < files / 2 else statistics.quantiles(calls)[0] * len(calls)
            found[name] = each / files / 1000
        return found


def _clocked(command: str) -> dict[str, float]:
    from regenstore.cli import filter_entry
    from regenstore.gitfilter import calling_command, clean, smudge, spool
    from regenstore.gitfilter.pktline import PacketReader
    from regenstore.gitfilter.process import serve
    from regenstore.objects import content_store
    from regenstore.worktree import fill, index_lock, link

    clock = _Clock()
    if command == "checkout":
        clock.clock(smudge.SmudgeFilter, "smudge", "remembering it")
        clock.clock(smudge.SmudgeFilter, "ahead", "looking the medium up")
        clock.clock(smudge.SmudgeFilter, "finish", "at the end: holding all, looking again")
        clock.clock(fill.Filler, "place", "at the end: holding all, looking again")
        clock.clock(fill, "_write_journal", "the journal")
        clock.clock(index_lock.IndexPatch, "__init__", "reading and patching the index")
        clock.clock(index_lock.IndexPatch, "apply", "reading and patching the index")
        clock.clock(fill._Work, "_fill", "opening both files, comparing the text, date, stat")
        clock.clock(link.Linker, "fill_over", "copying or sharing the bytes")
    else:
        calling_command._asker = lambda: [b"git", b"add", b"."]
        clock.clock(clean.CleanFilter, "clean", "what the index has, and the worktree's file")
        clock.clock(clean, "take_in", "reading and hashing the bytes")
        clock.clock(spool._Intake, "_write", "writing them")
        clock.clock(clean.CleanFilter, "_blob", "the recipe: finding it, or writing a new one")
        clock.clock(spool.Spooled, "keep", "hold, rights, rename")
        clock.clock(content_store, "_write_some", "asking the system to write them down, on a thread")
        clock.clock(clean.CleanFilter, "finish", "the wait at the end (CPU)")
    requests = _requests(command)
    filters = filter_entry._Filters()
    source, sink = os.pipe()
    fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, 1 << 20)
    nothing = os.open(os.devnull, os.O_WRONLY)
    waiting = iter(requests)

    def send() -> None:
        request = next(waiting, None)
        if request is None:
            os.close(sink)
        else:
            os.write(sink, request)

    def answered() -> None:
        filters.smudge.ahead()
        clocked_send()

    clocked_send = clock.part("", send)
    send()
    handlers = {b"clean": filters.clean.clean, b"smudge": filters.smudge.smudge}
    serving = clock.part("reading the request, answering", serve)
    serving(PacketReader(source), nothing, handlers, _refuse, answered)
    filters.finish()
    del clock.spent[""]
    return clock.told(len(requests))


def _refuse(request: object) -> None:
    raise sys.exc_info()[1] or RuntimeError(request)


def _requests(command: str) -> list[bytes]:
    from regenstore.gitfilter.pktline import packets, text_packets
    from regenstore.refs.git import BlobReader, Git

    listed = subprocess.run(["git", "ls-files", "-s", "*.bin"], capture_output=True, check=True).stdout.splitlines()
    found = []
    with BlobReader(Git(os.getcwd())) as blobs:
        oids = [line.split()[1] for line in listed]
        texts = list(blobs.read_many(oids, _SHAPE.size))
    for line, oid, text in zip(listed, oids, texts):
        path = line.partition(b"\t")[2]
        if command == "checkout":
            assert text is not None
            more = (b"ref=refs/heads/media", b"treeish=" + b"0" * 40, b"blob=" + oid, b"can-delay=1")
            found.append(text_packets(b"command=smudge", b"pathname=" + path, *more) + packets(text) + b"0000")
        else:
            fresh = os.urandom(_SHAPE.size)
            found.append(text_packets(b"command=clean", b"pathname=new-" + path) + packets(fresh) + b"0000")
    return found


if __name__ == "__main__":
    print(json.dumps(_clocked(sys.argv[1])))
