"""Short commands in a small repository where all is well: what each costs, starts and imports."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.measure import Row, timed
from benchmarks.trees import REGENSTORE, Shape, Tree

_MEDIA = 5
_NEW = ("--generator", "procedural.image", "-p", "prompt=sea", "-p", "width=64", "-p", "height=64")
_GOALS = {"show": (0.15, 3), "get": (0.15, 4), "status": (0.15, 3), "new": (0.8, 3)}
"""CPU seconds of a command and of all that it starts; processes of git."""


def rows(bench: Bench) -> Iterator[Row]:
    with bench.folder(bench.plain, "commands") as folder:
        tree = trees.begin(REGENSTORE, f"{folder}/film", bench.plain, Shape(0, 0), folder)
        tree.run("regenstore", "track", "*.png")
        for number in range(_MEDIA):
            tree.run("regenstore", "new", f"a{number}.png", *_NEW, "-p", f"seed={number}")
        tree.git("add", "-A")
        tree.git("commit", "-q", "-m", "media")
        tree.run("regenstore", "verify", "--all")
        fresh = count()
        for name, (seconds, processes) in _GOALS.items():
            words = {"show": ("show", "a0.png"), "new": ("new",)}.get(name, (name,))

            def command(name: str = name, words: tuple[str, ...] = words) -> tuple[str, ...]:
                return (*words, f"n{next(fresh)}.png", *_NEW) if name == "new" else words

            taken = [timed(lambda command=command: tree.run("regenstore", *command())) for _ in range(bench.rounds(9))]
            asked, workers = _started(tree, command)
            note = f"{_imported(tree, command())} modules; starts git for {', '.join(asked)}"
            note += f", and {workers} processes of Python" if workers else ""
            what = f"regenstore {name}, {_MEDIA} proven media"
            yield Row(f"CPU of {what}", "", seconds, [sample.cpu for sample in taken], note=note)
            yield Row(f"processes of git, {what}", "", processes, [float(len(asked))], unit="")


def _started(tree: Tree, command: Callable[[], tuple[str, ...]]) -> tuple[list[str], int]:
    """Which commands of git one of ours starts, and how many processes of its own."""
    told = f"{tree.path}/.git/told"
    tree.run("regenstore", *command(), GIT_TRACE2_EVENT=told)
    with open(told, encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    os.unlink(told)
    asked = [event["name"] for event in events if event["event"] == "cmd_name"]
    log = f"{tree.path}/.git/execve"
    if os.path.exists("/usr/bin/strace"):
        tree.run("strace", "-f", "-qq", "-e", "trace=execve", "-o", log, "regenstore", *command())
        with open(log, encoding="utf-8", errors="replace") as file:
            started = [line for line in file if line.rstrip().endswith(" = 0")]
        os.unlink(log)
        return asked, sum(re.search(r'execve\("[^"]*python', line) is not None for line in started)
    return asked, 0


def _imported(tree: Tree, command: tuple[str, ...]) -> int:
    """How many modules a command imports."""
    code = (
        "import sys, atexit; atexit.register(lambda: open('.git/imported', 'w').write(str(len(sys.modules))));"
        f"sys.argv = {['regenstore', *command]!r}; from regenstore.cli.main import main; main()"
    )
    tree.run(sys.executable, "-c", code)
    with open(f"{tree.path}/.git/imported", encoding="ascii") as file:
        return int(file.read())
