"""Runs one of the programs without a single fsync: what the power-cut rig has to catch.

usage: python -m tests.faults.nosync PROGRAM [ARGUMENT...]
"""

from __future__ import annotations

import os
import sys

from regenstore.fs import durable


def main() -> None:
    os.fsync = lambda fd: None
    durable.sync_file_system = lambda path: True
    program, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    sys.argv[0] = os.path.join(os.path.dirname(sys.executable), program)
    if program == "regenstore":
        from regenstore.cli.main import main as run
    else:
        from regenstore.cli.filter_entry import main as run
    run()


if __name__ == "__main__":
    main()
