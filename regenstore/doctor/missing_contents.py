"""Find what the recipes of a repository need and its store lacks: every take and every input, in everything that any
root reaches. Reads only; recipes whose content is cached are not parsed again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from itertools import chain

from regenstore.doctor import git_recipes
from regenstore.doctor.blob_history import Place, last_seen
from regenstore.doctor.fsck_context import FsckContext, Scope
from regenstore.doctor.fsck_plan import Invalid, LostContent, Needs
from regenstore.doctor.store_scan import STRAY, Scan, SoundStore, look_again
from regenstore.errors import FormatError, StorageError
from regenstore.objects import evicted, toml
from regenstore.objects.attribution import with_made
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe, Take
from regenstore.objects.result import BlobRecord, Proof
from regenstore.objects.results.cache import ResultCache
from regenstore.proof.rules import EVICTABLE, Fingerprint, own_finding
from regenstore.refs.blobs import RecipeBlobs, blob_record, read_blobs, read_texts
from regenstore.refs.git import Git, elsewhere
from regenstore.refs.store_repositories import Holder

_SIZE = "the size that it records is not that of its content"


class NeedsSurvey:
    """A survey of everything that is needed."""

    def __init__(self, context: FsckContext, cache: ResultCache, sound: SoundStore, scan: Scan, scope: Scope) -> None:
        self._context = context
        self._cache = cache
        self._sound = sound
        self._scan = scan
        self._scope = scope
        self._current: dict[bytes, git_recipes.Seen] = {}
        self._places: dict[bytes, Place] = {}
        self._others: dict[bytes, Holder] = {}
        """The repositories of blobs that are not in the current one."""
        self._texts: dict[bytes, Holder] = {}
        """Pending recipes of other worktrees and repositories."""
        self._manifests = evicted.Manifests(sound.root)
        self.needs = Needs()

    def run(self) -> Needs:
        """Examine everything, and describe what is missing."""
        current = git_recipes.current(self._context.git)
        self._current = {seen.oid: seen for seen in reversed(current)}
        pending = self._known_pending()
        said = self._said(set(pending.values()))
        records = self._in_order(said.records.values())
        self.needs.recipes = len(records)
        takes: dict[Digest, BlobRecord] = {}
        for record in records:
            if record.digest is not None:
                takes.setdefault(record.digest, record)
        self._check_sizes(records)
        for path, text in pending.items():
            self._pending(path, text, takes)
        for text, holder in self._texts.items():
            self._pending(b"", text, takes, holder)
        absent = {digest: record for digest, record in takes.items() if self._lacks(digest, record.size)}
        needed = self._inputs(records, takes)
        self._set_again({**absent, **self._made_of(needed, takes)})
        for digest, record in {**needed, **absent}.items():
            if digest not in self.needs.again and digest not in self.needs.missing:
                near = record.oid in self._current
                known = record.size if record.digest == digest else None
                self.needs.missing[digest] = LostContent(
                    digest, known, oid=record.oid, here=near, input_of=record.digest != digest
                )
        self._judge(current, said)
        self._add_damaged()
        self._describe()
        return self.needs

    def _known_pending(self) -> Mapping[bytes, bytes]:
        try:
            return self._context.pending.paths()
        except StorageError as error:
            self.needs.problems.append(f"{error.message}. {error.hint}")
            return {}

    def _said(self, known: Collection[bytes]) -> RecipeBlobs:
        """The content of all recipes that count; ``known`` are the pending ones of this worktree."""
        if self._scope.worktree_only:
            return read_blobs(self._context.git, self._cache, self._current, remember=self._scope.remember)
        found = RecipeBlobs()
        try:
            here, *others = self._context.holders(self._cache, keep=self._scope.remember)
        except (FormatError, StorageError) as error:
            self.needs.problems.append(f"{error.message}; only the recipes of this worktree were looked at")
            return read_blobs(self._context.git, self._cache, self._current, remember=self._scope.remember)
        found.records.update(here.records)
        found.unreadable.update(here.unreadable)
        texts = {text: here for text in here.pending if text not in known}
        if here.missing:
            what = f"{len(here.missing)} objects are not in this partial clone"
            self.needs.notes.append(f"{what}: recipes among them were not looked at")
        for other in others:
            if not other.reachable:
                last = "what it last held was checked instead" if other.told else "it is unknown what it needs"
                self.needs.notes.append(f"the repository {other.name} cannot be reached ({other.reason}): {last}")
            for oid, record in other.records.items():
                if oid not in found.records:
                    found.records[oid] = record
                    self._others[oid] = other
            texts.update((text, other) for text in other.pending)
        self._texts.update(texts)
        return found

    def _in_order(self, records: Iterable[BlobRecord]) -> list[BlobRecord]:
        """Sort this worktree's records first: if many recipes record a content, they name it."""
        return sorted(records, key=lambda record: record.oid not in self._current)

    def _pending(self, path: bytes, text: bytes, takes: Collection[Digest], holder: Holder | None = None) -> None:
        where = "a pending recipe" if holder is None else f"a pending recipe of {holder.name}"
        recipe = toml.decode_or_none(text)
        if recipe is None:
            self.needs.invalid.append(Invalid(path, "bad-recipe", "its pending recipe cannot be read", where))
            return
        take = recipe.output.take
        if take is not None and take.digest not in takes and self._lacks(take.digest, take.size):
            missing = LostContent(take.digest, take.size, path, where, recipe=recipe, here=holder is None)
            self.needs.missing[take.digest] = missing

    def _check_sizes(self, records: Iterable[BlobRecord]) -> None:
        wrong = [r for r in records if r.digest and self._scan.present.get(r.digest, r.size) != r.size]
        if self._scope.quick:
            for record in wrong:
                assert record.digest is not None
                look_again(self._scan, self._sound, record.digest)
        told = [r for r in wrong if r.digest in self._scan.present]
        for place in self._places_of(r.oid for r in told).values():
            self.needs.invalid.append(Invalid(place.path, "bad-recipe", _SIZE, place.commit))

    def _lacks(self, digest: Digest, size: int | None) -> bool:
        if digest in self._scan.present or self._sound.stored(digest, size) is not None:
            return False
        if digest in self._scan.trashed:
            self.needs.trashed += 1
            return False
        return digest not in self.needs.missing

    def _inputs(self, records: Iterable[BlobRecord], takes: Collection[Digest]) -> dict[Digest, BlobRecord]:
        """Inputs that are missing and no recipe's take -> the recipe that made them, if the result database knows
        it, else the one that needs them."""
        found: dict[Digest, BlobRecord] = {}
        for record in records:
            for digest in record.inputs:
                if digest not in takes and digest not in found and self._lacks(digest, None):
                    found[digest] = record
        return found

    # -------------------------------------------------------------------------------- what comes back

    def _made_of(self, needed: Iterable[Digest], takes: Collection[Digest]) -> dict[Digest, BlobRecord]:
        """Inputs that no recipe in Git makes, recursively down to the last missing one -> how they were made,
        according to the result database or a manifest of gc."""
        found: dict[Digest, BlobRecord] = {}
        todo = list(needed)
        while todo:
            digest = todo.pop()
            recipe = None if digest in found or digest in takes else self._known(digest)
            if recipe is not None:
                found[digest] = record = blob_record(b"", recipe)
                todo += [given for given in record.inputs if self._sound.find(given) is None]
        return found

    def _proofs(self, absent: Collection[Digest]) -> dict[tuple[RecipeKey, Digest], list[Proof]]:
        """All proofs of these contents: from the database, or from manifests if it has none."""
        found: dict[tuple[RecipeKey, Digest], list[Proof]] = {}
        for proof in self._cache.every_proof() if absent else ():
            if proof.take in absent:
                found.setdefault((proof.key, proof.take), []).append(proof)
        for one in evicted.everything(self._sound.root) if absent else ():
            if one.proof is not None and one.digest in absent:
                found.setdefault((one.proof.key, one.digest), [one.proof])
        return found

    def _set_again(self, absent: Mapping[Digest, BlobRecord]) -> None:
        """Contents that would be evictable if they were here: a second run proved in this environment that they come
        back, and their inputs are available."""
        proofs = self._proofs(absent)
        damaged = {bad.named for bad in self._scan.bad}
        asked = {d: r for d, r in absent.items() if r.key is not None and (r.key, d) in proofs and d not in damaged}
        if not asked:
            return
        runs: dict[tuple[RecipeKey, str], list[tuple[Fingerprint, Digest]]] = {}
        for made in self._cache.every_output():
            runs.setdefault((made.key, made.name), []).append((made.fingerprint, made.content.digest))
        with self._context.environments() as environments:
            for digest, record in asked.items():
                assert record.key is not None and record.generator is not None
                name = (record.generator, record.version)
                told = proofs[record.key, digest], runs.get((record.key, record.output), ())
                found = own_finding(digest, *told, partial(environments.of, *name), self._context.corrected)
                if found.state == EVICTABLE:
                    self.needs.again[digest] = record
        while unfounded := [d for d, record in self.needs.again.items() if not self._has(record.inputs)]:
            for digest in unfounded:
                del self.needs.again[digest]

    def _has(self, inputs: Iterable[Digest]) -> bool:
        return all(
            digest in self._scan.present or digest in self.needs.again or self._sound.find(digest) is not None
            for digest in inputs
        )

    # -------------------------------------------------------------------------------- what is missing

    def _places_of(self, oids: Iterable[bytes]) -> dict[bytes, Place]:
        """Where blobs are now, or were last."""
        wanted = dict.fromkeys(oid for oid in oids if oid)
        ask: dict[str, list[bytes]] = {}
        for oid in wanted:
            if oid not in self._current and oid not in self._places:
                other = self._others.get(oid)
                ask.setdefault("" if other is None else other.path, []).append(oid)
        for path, some in ask.items():
            if not path or os.path.isdir(path):
                self._places.update(last_seen(self._git(path), some))
        found = {}
        for oid in wanted:
            seen, other = self._current.get(oid), self._others.get(oid)
            place = self._places.get(oid) if seen is None else Place(seen.path, " and ".join(seen.places))
            where = "" if place is None else place.commit
            if other is not None:
                where = f"{where or 'a recipe'} of {other.name}"
            found[oid] = Place(b"" if place is None else place.path, where)
        return found

    def _add_damaged(self) -> None:
        """Add contents whose bytes are bad, including those that no recipe in Git records any more; and those whose
        bytes are under another name, if the result database or a manifest of gc knows them."""
        missing = self.needs.missing
        for bad in self._scan.bad:
            if bad.named is None or bad.untold or self._sound.find(bad.named) is not None:
                continue
            if bad.named in missing:
                missing[bad.named].damaged = True
                continue
            recipe = self._known(bad.named)
            if recipe is None and (bad.why == STRAY or (bad.found is not None and self._matters(bad.found))):
                continue  # the name is unknown: only the name was wrong, or it never was a content
            where = f"{bad.tree}/ of the store" if recipe is None else "the result database"
            missing[bad.named] = LostContent(bad.named, None, where=where, recipe=recipe, damaged=True)
        for digest in filter(None, [bad.found for bad in self._scan.bad]):
            if digest in missing or self._sound.find(digest) is not None:
                continue
            if (recipe := self._known(digest)) is not None:
                missing[digest] = LostContent(digest, None, where="the result database", recipe=recipe)

    def _matters(self, digest: Digest) -> bool:
        """Whether bytes under a wrong name belong to a content that is here, or that is missing."""
        return digest in self.needs.missing or self._sound.find(digest) is not None or self._known(digest) is not None

    def _git(self, common: str) -> Git:
        return elsewhere(common, common) if common else self._context.git

    def _describe(self) -> None:
        """Describe what is missing: path, last location, roots, recipe."""
        unnamed = [m for m in self.needs.missing.values() if m.oid]
        places = self._places_of(m.oid for m in unnamed)
        names = self._context.roots.names([m.oid for m in unnamed if not m.here and m.oid not in self._others])
        recipes = self._recipes([m.oid for m in unnamed])
        for missing in unnamed:
            place, recipe = places[missing.oid], recipes.get(missing.oid)
            missing.path, missing.where = place.path, place.commit
            missing.roots = tuple(names.get(missing.oid, ()))
            if not missing.where and missing.roots:
                missing.where = missing.roots[0]
            if not missing.input_of:
                missing.recipe = recipe
                continue
            hints = [] if recipe is None else [i for i in recipe.inputs.values() if i.digest == missing.digest]
            missing.where = f"{os.fsdecode(place.path)}, which needs it, in {missing.where}"
            missing.path = os.fsencode(hints[0].path) if hints and hints[0].path else b""
            missing.recipe = self._known(missing.digest)

    def _recipes(self, oids: Iterable[bytes]) -> dict[bytes, Recipe]:
        """Read the complete recipes in blobs."""
        ask: dict[str, list[bytes]] = {}
        for oid in dict.fromkeys(oids):
            other = self._others.get(oid)
            ask.setdefault("" if other is None else other.path, []).append(oid)
        texts = [
            pair
            for path, some in ask.items()
            if not path or os.path.isdir(path)
            for pair in read_texts(self._git(path), some)
        ]
        return {oid: recipe for oid, text in texts if (recipe := toml.decode_or_none(text)) is not None}

    def _known(self, digest: Digest) -> Recipe | None:
        """The recipe that made a content, according to the result database or the manifests of gc."""
        for made in chain(self._cache.known_outputs(digest), self._manifests.known_outputs(digest)):
            recipe = toml.decode_or_none(made.recipe)
            if recipe is not None:
                return with_made(recipe, made, Take(digest, 0))
        return None

    # -------------------------------------------------------------------------------- what is no recipe

    def _judge(self, current: Iterable[git_recipes.Seen], said: RecipeBlobs) -> None:
        """Check for blobs at this worktree's filtered paths that are not recipes, and for unreadable ones anywhere."""
        for seen in current:
            oid = seen.oid
            if oid not in said.records:
                for found in self._context.judge({seen.path: oid}):
                    self.needs.invalid.append(Invalid(found.path, found.kind, found.message, " and ".join(seen.places)))
        elsewhere = [oid for oid in said.unreadable if oid not in self._current]
        places = self._places_of(elsewhere)
        filtered = set(self._context.git.filtered(place.path for place in places.values() if place.path))
        for oid, place in places.items():
            if place.path in filtered:
                for found in self._context.judge({place.path: oid}):
                    self.needs.invalid.append(Invalid(found.path, found.kind, found.message, place.commit))
