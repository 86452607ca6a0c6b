"""Reading many blobs: from how many on libgit2 is worth its start, packed and loose."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.measure import Row, Sample, interleave, timed
from benchmarks.roots import A_COMMIT, history
from regenstore.refs.git import WORTH_IT, Git

_READ = """
import sys
from regenstore.refs.git import BlobReader, Git, blobs
blobs.WORTH_IT = int(sys.argv[3])
names = [bytes.fromhex(line) for line in sys.stdin.read().split()]
with BlobReader(Git(sys.argv[1]), expected=len(names)) as reader:
    assert sum(1 for _ in reader.texts(names, 1 << 20)) == int(sys.argv[2])
"""


def rows(bench: Bench) -> Iterator[Row]:
    commits = 2 * WORTH_IT // A_COMMIT
    with bench.folder(bench.plain, "blobs") as folder:
        film = f"{folder}/film"
        history(film, commits)
        oids = Git(film).list_blobs(("--all",), ()).blobs
        for form in ("packed", "loose"):
            if form == "loose":
                _unpack(film)
            for number in (WORTH_IT // 4, WORTH_IT, len(oids)):
                names = "\n".join(oid.hex() for oid in oids[:number])

                def read(threshold: int, number: int = number, names: str = names) -> Sample:
                    command = [sys.executable, "-c", _READ, film, str(number), str(threshold)]
                    return timed(lambda: subprocess.run(command, input=names, text=True, check=True))

                taken = interleave(
                    bench.rounds(7), {"libgit2": lambda read=read: read(0), "git": lambda read=read: read(1 << 60)}
                )
                work = f"{number:,} {form} recipes by libgit2, in a process of its own"
                yield Row.of_samples(
                    work, "git cat-file", 1.1 if number >= WORTH_IT else 3, taken["libgit2"], taken["git"]
                )


def _unpack(film: str) -> None:
    pack = subprocess.run(["sh", "-c", "cat .git/objects/pack/*.pack && rm .git/objects/pack/*"], cwd=film,
                          capture_output=True, check=True).stdout  # fmt: skip
    subprocess.run(["git", "unpack-objects", "-q"], cwd=film, input=pack, check=True)
