"""Processes that work on one store at once, and are killed: workers that add, check out and generate, and gcs.

usage: python -m tests.gc.stress ROLE FOLDER SEED

The repository is a folder of recipe texts, written and removed whole: ``live/<name>``, the name telling how
firmly it is held. Everything that a recipe records can be told from its name and parameters, so any process can
check any content. Whatever is found missing is appended to ``lost``.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from regenstore.gitfilter.spool import Candidate, take_in
from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result import Content, Proof, Result
from regenstore.proof.survey import Standing
from regenstore.refs.blobs import blob_record
from tests.gc.world import HERE, KIND, Told, World, grown

WORDS = 15
"""Few enough that everybody works on the same contents all the time."""


class Shared(World):
    """The world of one process: store and database are real and shared, and so is the repository."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        super().__init__(folder)
        self.random = random.Random(seed)
        self.live = folder / "live"
        self.live.mkdir(exist_ok=True)

    # -------------------------------------------------------------------------------- the repository

    def write_ref(self, recipe: Recipe, standing: int) -> None:
        text = toml.encode(recipe)
        temp = self.live / f".{os.getpid()}-{self.random.random()}"
        temp.write_bytes(text)
        temp.rename(self.live / f"{standing}-{hashlib.sha1(text).hexdigest()}")

    def refs(self) -> list[Path]:
        return sorted(path for path in self.live.iterdir() if not path.name.startswith("."))

    def told(self) -> Told:
        """What the repository holds now. Read when a survey asks, after it looked at the store."""
        film = Told()
        for path in self.refs():
            try:
                text = path.read_bytes()
            except FileNotFoundError:
                continue
            record = blob_record(b"", toml.decode(text))
            film.live[hashlib.sha1(text).digest()] = record, Standing(int(path.name[0]))
        return film

    # -------------------------------------------------------------------------------- contents

    def invent(self) -> tuple[Recipe, bytes]:
        """A recipe and its bytes: imported media, something grown, the same bytes by another key, or something
        made of something else."""
        word = f"w{self.random.randrange(WORDS)}"
        kind = self.random.random()
        if kind < 0.2:
            data = hashlib.shake_256(f"photo {word}".encode()).digest(700)
            return Recipe.of_imported(Take(hash_bytes(data), len(data)), KIND, {}), data
        if kind < 0.4:
            # Drawn by hand, and by chance the very bytes that a proven recipe makes.
            data = grown(self.recipe(word))
            return Recipe.of_imported(Take(hash_bytes(data), len(data)), KIND, {}), data
        if kind < 0.6:
            recipe = self.recipe("other " + word, same=word)
        elif kind < 0.8:
            recipe = self.recipe("made of " + word, hash_bytes(grown(self.recipe(word))))
        else:
            recipe = self.recipe(word)
        data = grown(recipe)
        return recipe.with_take(Take(hash_bytes(data), len(data)), 1.0), data

    def add(self) -> None:
        """What 'git add' does: clean, then the index."""
        recipe, data = self.invent()
        take = recipe.output.take
        assert take is not None
        store = ContentStore(self.store.root)
        stored = store.use(take.digest, take.size)
        try:
            candidate = None if stored is None else Candidate(stored, temp=False)
        except FileNotFoundError:
            candidate = None  # gc had it in its hands
        spooled = take_in(store, [data[:300], data[300:]], candidate)
        spooled.keep(wait=self.random.random() < 0.3)
        for given in recipe.inputs.values():
            self.bring(given.digest)
        self.write_ref(recipe, self.random.choice([1, 2, 3]))
        store.holds.release()

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
            return
        for given in recipe.inputs.values():
            self.bring(given.digest)
        self.record(recipe, data)
        if self.random.random() < 0.7:
            self.write_ref(recipe, 3)
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
        take = recipe.output.take
        assert take is not None
        if not self.has(recipe) and path.exists():
            with (self.folder / "lost").open("a") as file:
                file.write(f"{path.name} {take.digest}\n")
        self.store.holds.release()

    def has(self, recipe: Recipe) -> bool:
        """Whether what a recipe records can be had *by that recipe*: stored, or made again if it is proven itself.
        That another recipe happens to make the same bytes does not help whoever drew them by hand."""
        take = recipe.output.take
        assert take is not None
        if self.read(take.digest) is not None:
            return True
        if recipe.key is None or not self.cache.proofs(recipe.key, take.digest):
            return False
        return all(self.obtain(given.digest) is not None for given in recipe.inputs.values())

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
        if len(refs) > 20:
            path = self.random.choice(refs)
            try:
                if self.random.random() < 0.5:
                    path.unlink()
                else:
                    path.rename(path.with_name("1" + path.name[1:]))
            except FileNotFoundError:
                pass

    def skew(self) -> None:
        """A clock that is wrong, or a backup that was put back: files with any time."""
        copies = list(self.store.inventory())
        if copies:
            digest, _, tree, _ = self.random.choice(copies)
            when = self.random.choice([0, 2**31, self.random.randrange(2**33)])
            try:
                os.utime(self.store.object_path(digest, tree), (when, when))
            except FileNotFoundError:
                pass

    # -------------------------------------------------------------------------------- roles

    def work(self) -> None:
        acts: list[Callable[[], None]] = [self.add, self.add, self.check_out, self.check_out, self.generate]
        acts += [self.drop_ref] * 4 + [self.skew]
        while True:
            self.random.choice(acts)()
            self.count()

    def collect(self) -> None:
        from regenstore.errors import Conflict

        wishes: list[dict[str, object]] = [
            {},
            {"free": 20_000},
            {"cap": 5000},
            {"purge": True},
            {"unreachable": True, "older_than": 0.0, "purge": True},
        ]
        while True:
            self.now = self.random.choice([0.0, 1.8e9, 4e9])
            try:
                self.gc(**self.random.choice(wishes))
            except Conflict:
                continue
            self.count()

    def count(self) -> None:
        with (self.folder / "done").open("a") as file:
            file.write(f"{sys.argv[1]}\n")


def main() -> None:
    role, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    shared = Shared(folder, seed)
    (shared.work if role == "work" else shared.collect)()


if __name__ == "__main__":
    main()
