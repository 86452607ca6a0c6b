"""``python -m benchmarks [--only NAME] [--quick] [--json FILE] [--dir FOLDER]``"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack

from benchmarks import ground, machine
from benchmarks.bench import Bench
from benchmarks.measure import Row, table

SUBJECTS = (
    "checkout",
    "add",
    "status",
    "start",
    "commands",
    "per-file",
    "blobs",
    "memory",
    "packed",
    "roots",
    "survey",
    "dataset",
    "transfer",
    "eviction",
)
SIMULATED = {"eviction"}
"""Subjects that touch no file system."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures regenstore against its goals.")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="only this subject; may be repeated")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: numbers only indicate")
    parser.add_argument("--json", metavar="FILE", help="write all measurements to a file")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where to work; needs about 12 GB")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was mounted is unmounted
    chosen = given.only or list(SUBJECTS)
    absent = machine.missing()
    for program, source in absent.items():
        print(f"missing: {program} ({source})", file=sys.stderr)
    if absent.keys() & {"git", "regenstore", "regenstore-filter"}:
        return 2
    unavailable = {name: f"{name} is missing ({source})" for name, source in absent.items()}
    with ExitStack() as stack:
        bench = Bench(given.quick, [], unavailable)
        for name in () if SIMULATED.issuperset(chosen) else ("ext4", "xfs"):
            try:
                bench.grounds.append(stack.enter_context(ground.mounted_image(name, given.dir)))
            except ground.Unavailable as why:
                unavailable[name] = str(why)
                print(f"no {name} to measure on: {why}", file=sys.stderr)
        if "ext4" in unavailable:
            bench.grounds.insert(0, stack.enter_context(ground.here(given.dir)))
        rows = _measure(bench, chosen)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{machine.description()}; load average at the end {load}\n\n{table(rows)}")
    if given.json:
        record = {"type": "regenstore-benchmarks", "version": 1, "machine": machine.description(), "quick": given.quick}
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({**record, "rows": [row.record() for row in rows]}, file, indent=1)
    return 0 if all(row.met is not False for row in rows) else 1


def _measure(bench: Bench, subjects: list[str]) -> list[Row]:
    rows: list[Row] = []
    for subject in subjects:
        module = importlib.import_module(f"benchmarks.{subject.replace('-', '_')}")
        for row in module.rows(bench):
            rows.append(row)
            print(table([row]).splitlines()[-1], flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
