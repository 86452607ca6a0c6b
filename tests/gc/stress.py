"""Processes that work on one store at once, and are killed: workers that add, check out and generate, and gcs.

usage: python -m tests.gc.stress ROLE FOLDER SEED

The repository is a folder of recipe texts, written and removed whole: ``live/<name>``, the name telling how
firmly it is held. Everything that a recipe records can be told from its name and parameters, so any process can
check any content. Whatever breaks a promise of the store is appended to ``lost``: bytes that cannot be had,
bytes that went while they were held, and what a gc took and did not give back although a root needs it.

Who relies on a content dawdles before it says so, and gc in every moment in which others can come in between;
sometimes it ends there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regenstore.fs import durable
from regenstore.gc import collect, trash
from regenstore.gc.collect import GcReport
from regenstore.gitfilter.spool import StreamSource, take_in
from regenstore.objects import toml
from regenstore.objects.content_store import CACHE, TRASH, TREES, ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result import Content, Proof, Result
from regenstore.proof.survey import Standing
from regenstore.refs.blobs import blob_record
from tests.gc.world import HERE, KIND, Told, World, grown

WORDS = 8
"""Few enough that everybody works on the same contents all the time."""
SHARED = (0, 1)
"""Words whose bytes have a second key, which is never proven: once it has run, gc leaves them alone."""


class Shared(World):
    """The world of one process: store and database are real and shared, and so is the repository."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        super().__init__(folder)
        self.random = random.Random(seed)
        self.live = folder / "live"
        self.live.mkdir(exist_ok=True)

    # -------------------------------------------------------------------------------- the repository

    def write_ref(self, recipe: Recipe, standing: int) -> Path:
        text = toml.encode(recipe)
        temp = self.live / f".{os.getpid()}-{self.random.random()}"
        temp.write_bytes(text)
        return temp.rename(self.live / f"{standing}-{hashlib.sha1(text).hexdigest()}")

    @contextmanager
    def names_locked(self, how: int) -> Iterator[None]:
        """Who lists the names must not miss one that is just being renamed."""
        with (self.folder / "names.lock").open("w") as file:
            fcntl.flock(file, how)
            yield

    def refs(self) -> list[Path]:
        return sorted(path for path in self.live.iterdir() if not path.name.startswith("."))

    def told(self) -> Told:
        """What the repository holds now. Read when a survey asks, after it looked at the store."""
        film = Told()
        with self.names_locked(fcntl.LOCK_SH):
            for path in self.refs():
                try:
                    text = path.read_bytes()
                except FileNotFoundError:
                    continue
                record = blob_record(b"", toml.decode(text))
                film.live[hashlib.sha1(text).digest()] = record, Standing(int(path.name[0]))
        return film

    @contextmanager
    def referring(self, path: Path) -> Iterator[list[str]]:
        """What is found wrong with a ref's bytes meanwhile is so only if the ref was there all the time."""
        before = marks(path)
        wrong: list[str] = []
        yield wrong
        if wrong and before is not None and marks(path) == before:
            self.tell(f"{path.name} {', '.join(wrong)}\n{path.read_text()}")

    def tell(self, what: str) -> None:
        with (self.folder / "lost").open("a") as file:
            file.write(f"{what}\n")

    def dawdle(self) -> None:
        """Git has many files to add; somebody plays a film. Longer than a gc takes from its first look to its end."""
        if self.random.random() < 0.15:
            time.sleep(self.random.random() * 4)

    # -------------------------------------------------------------------------------- contents

    def invent(self) -> tuple[Recipe, bytes]:
        """A recipe and its bytes: imported media, something grown, the same bytes by another key, or something
        made of something else."""
        number = self.random.randrange(WORDS)
        word, kind = f"w{number}", self.random.random()
        if kind < 0.2:
            data = hashlib.shake_256(f"photo {word}".encode()).digest(700)
            return Recipe.of_imported(Take(hash_bytes(data), len(data)), KIND, {}), data
        recipe = self.recipe(word)
        if self.random.random() < 0.5:
            recipe = self.recipe("made of " + word, hash_bytes(grown(recipe)))
        if kind < 0.5:
            # Drawn by hand, and by chance the very bytes that a proven recipe makes: mostly some that gc may take.
            data = self.read(self.random.choice(self.evictable() or [hash_bytes(grown(recipe))])) or grown(recipe)
            return Recipe.of_imported(Take(hash_bytes(data), len(data)), KIND, {}), data
        if number in SHARED and kind < 0.7:
            recipe = self.recipe("other " + word, same=word)
        data = grown(recipe)
        return recipe.with_take(Take(hash_bytes(data), len(data)), 1.0), data

    def evictable(self) -> list[Digest]:
        return [digest for digest, _, tree, _ in self.store.inventory() if tree == CACHE]

    def add(self) -> None:
        """What 'git add' does: clean, then the index."""
        recipe, data = self.invent()
        take = recipe.output.take
        assert take is not None
        store = ContentStore(self.store.root)
        stored = store.use(take.digest, take.size)
        try:
            candidate = None if stored is None else StreamSource(stored, temp=False)
        except FileNotFoundError:
            candidate = None  # gc had it in its hands
        spooled = take_in(store, [data[:300], data[300:]], candidate)
        spooled.keep(wait=self.random.random() < 0.3)
        for given in recipe.inputs.values():
            self.bring(given.digest)
        self.dawdle()
        self.stays(spooled.digest)
        self.check(self.write_ref(recipe, self.random.choice([1, 2, 3])), recipe)
        store.holds.release()
        self.store.holds.release()

    def bring(self, digest: Digest) -> None:
        """An input that is about to be referred to has to be there, or be made."""
        if self.store.claim(digest) is None:
            for word in range(WORDS):
                data = grown(self.recipe(f"w{word}"))
                if hash_bytes(data) == digest:
                    self.record(self.recipe(f"w{word}"), data)

    def record(self, recipe: Recipe, data: bytes) -> None:
        """What a run does: put, record, and sometimes prove."""
        digest = hash_bytes(data)
        self.store.put_bytes(data, digest)
        assert recipe.key is not None
        result = Result(recipe.key, {"main": Content(digest, len(data), KIND)}, 1.0, self.now, dict(HERE))
        self.cache.record(recipe, result)
        # The second key of shared bytes is never proven.
        if self.random.random() < 0.8 and "same" not in recipe.params:
            proof = Proof(recipe.key, digest, digest, "bytes", "", None, None, 1.0, self.now, dict(HERE))
            self.cache.add_proof(proof)

    def generate(self) -> None:
        """What 'regenstore new' does, or a try that nobody keeps."""
        recipe, data = self.invent()
        if recipe.key is None:
            self.store.holds.release()
            return
        for given in recipe.inputs.values():
            self.bring(given.digest)
        self.record(recipe, data)
        self.dawdle()
        self.stays(hash_bytes(data))
        if self.random.random() < 0.7:
            self.check(self.write_ref(recipe, 3), recipe)
        self.store.holds.release()

    def check_out(self) -> None:
        """Read what some recipe records: from the store, else made again."""
        refs = self.refs()
        if not refs:
            return
        path = self.random.choice(refs)
        try:
            recipe = toml.decode(path.read_bytes())
        except FileNotFoundError:
            return
        self.check(path, recipe)
        take = recipe.output.take
        assert take is not None
        if self.store.use(take.digest, take.size) is not None:
            self.dawdle()
            self.stays(take.digest)
        self.store.holds.release()

    def stays(self, digest: Digest) -> None:
        """What was found while it was held is in a tree. gc may have it in its hands, or be killed while it has;
        but a gc that went to its end has given it back."""
        end = time.monotonic() + 2
        while self.store.stored(digest) is None and time.monotonic() < end:
            ended = set((self.folder / "ended").read_text().split()) if (self.folder / "ended").exists() else set()
            took = {path.name for path in Path(self.store.root, TRASH).glob("*") if self.trashed(digest, path.name)}
            if took and took <= ended and self.store.stored(digest) is None:
                self.tell(f"{digest} was held, and gc took it")
                return
            time.sleep(0.01)
        if self.store.find(digest) is None:
            self.tell(f"{digest} was held, and is gone")

    def trashed(self, digest: Digest, run: str) -> bool:
        """Whether a content lies in a run's trash."""
        return any(os.path.exists(self.store.object_path(digest, f"{TRASH}/{run}/{tree}")) for tree in TREES)

    def rummage(self) -> None:
        """What lies in the trash is found, and comes back by being found."""
        trashed = [(digest, tree) for digest, _, tree, _ in self.store.inventory() if tree.startswith(TRASH)]
        if trashed:
            digest, tree = self.random.choice(trashed)
            if self.store.use(digest) is None and os.path.exists(self.store.object_path(digest, tree)):
                self.tell(f"{digest} lies in {tree}, and is not found")
        self.store.holds.release()

    def check(self, path: Path, recipe: Recipe) -> None:
        with self.referring(path) as wrong:
            if not self.has(recipe):
                wrong.append("cannot be had")

    def has(self, recipe: Recipe) -> bool:
        """Whether what a recipe records can be had *by that recipe*: stored, or made again if it is proven itself.
        That another recipe happens to make the same bytes does not help whoever drew them by hand."""
        take = recipe.output.take
        assert take is not None
        if self.read(take.digest) is not None:
            return True
        return self.proven(recipe) and all(self.obtain(given.digest) is not None for given in recipe.inputs.values())

    def proven(self, recipe: Recipe) -> bool:
        take = recipe.output.take
        return recipe.key is not None and take is not None and bool(self.cache.proofs(recipe.key, take.digest))

    def read(self, digest: Digest) -> bytes | None:
        for _ in range(20):  # a path can be away for the moment in which gc looks at it again
            found = self.store.use(digest)
            try:
                data = None if found is None else Path(found).read_bytes()
            except FileNotFoundError:
                continue
            if data is not None:
                assert hash_bytes(data) == digest
                return data
            break
        return None

    def drop_ref(self) -> None:
        """Commit something else, delete a branch: a name goes, or only history has it from now on."""
        refs = self.refs()
        if len(refs) > WORDS:
            path = self.random.choice(refs)
            try:
                if self.random.random() < 0.5:
                    path.unlink()
                else:
                    with self.names_locked(fcntl.LOCK_EX):
                        path.rename(path.with_name("1" + path.name[1:]))
            except FileNotFoundError:
                pass

    def skew(self) -> None:
        """A clock that is wrong, or a backup that was put back: files with any time."""
        copies = list(self.store.inventory())
        if copies:
            digest, _, tree, _ = self.random.choice(copies)
            when = self.random.choice([0, 2**31, self.random.randrange(2**33)]) * 10**9
            when += self.random.randrange(10**9)  # never a time that the file had before: claims would be undone
            try:
                os.utime(self.store.object_path(digest, tree), ns=(when, when))
            except FileNotFoundError:
                pass

    # -------------------------------------------------------------------------------- roles

    def work(self) -> None:
        acts: list[Callable[[], None]] = [self.add] * 4 + [self.check_out] * 2 + [self.generate]
        acts += [self.drop_ref] * 4 + [self.skew, self.rummage]
        while True:
            self.random.choice(acts)()
            self.count()

    def collect(self) -> None:
        from regenstore.errors import Conflict

        self.after_survey = lambda: time.sleep(self.random.random())
        stretch(self.random)
        wishes: list[dict[str, object]] = [
            {},
            {"free": 20_000},
            {"cap": 5000},
            {"purge": True},
            {"unreachable": True, "older_than": 0.0},
            {"unreachable": True, "older_than": 0.0, "purge": True},
        ]
        while True:
            self.now = self.random.choice([0.0, 1.8e9, 4e9])
            try:
                report = self.gc(**self.random.choice(wishes))
            except Conflict:
                continue
            with (self.folder / "ended").open("a") as file:
                file.write(f"{report.run}\n")
            self.look_over(report)
            self.count()

    def look_over(self, report: GcReport) -> None:
        """What lies in the trash since this gc is needed by no root, but by recipes that are proven themselves: who
        came too late for gc's survey has held it or given it another identity, or took it back afterwards."""
        taken = {item.digest for item in [*report.evicted, *report.discarded]}
        for path in self.refs():
            with self.referring(path) as wrong:
                try:
                    recipe = toml.decode(path.read_bytes())
                except FileNotFoundError:
                    continue
                take = recipe.output.take
                if take is None or take.digest not in taken or self.proven(recipe):
                    continue
                if self.store.stored(take.digest) is None and self.trashed(take.digest, report.run):
                    wrong.append("taken by gc")

    def count(self) -> None:
        with (self.folder / "done").open("a") as file:
            file.write(f"{sys.argv[1]}\n")


def marks(path: Path) -> tuple[int, int] | None:
    """What tells a ref from one of the same name that came later."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def stretch(chance: random.Random) -> None:
    """Make the moments longer in which gc looks at something or changes it; now and then, die there."""

    rename = durable.rename

    def slow(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            takes = real is rename and f"/{TRASH}/" in given[1]  # between the looks before and after
            if chance.random() < (0.6 if takes else 0.02):
                time.sleep(chance.random() * (0.3 if takes else 0.1))
            if chance.random() < 0.0005:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given)

        return call

    looks = [(collect, "is_held"), (collect, "identity"), (trash, "identity")]
    for module, name in (*looks, (durable, "rename"), (durable, "link"), (durable, "unlink")):
        setattr(module, name, slow(getattr(module, name)))


def main() -> None:
    role, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    shared = Shared(folder, seed)
    (shared.work if role == "work" else shared.collect)()


if __name__ == "__main__":
    main()
