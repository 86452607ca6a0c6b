"""Find generators by name: built in, installed as plug-ins, or declared by the repository.

Built-in and installed generators are trusted by being installed; a declared one only once the user has approved exactly
this definition.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from regenstore.errors import GenerationError, NotFound, TrustRequired
from regenstore.project.repository_file import FILE, bad_declaration

if TYPE_CHECKING:  # slow to import, and many commands need no generator
    from importlib.metadata import EntryPoint

    from regenstore.generators.api import Declaration
    from regenstore.generators.declared import DeclaredGenerator
    from regenstore.project.definition_files import Listing
    from regenstore.project.trust import TrustRecord

GROUP = "regenstore.generators"
HASHES = "file-hashes.json"
"""Name of the file beside the user's approvals that caches the hashes of large files."""
_SHOWN = 40


@cache
def built_in() -> dict[str, EntryPoint]:
    """The built-in generators: the entry points of regenstore's own distribution."""
    from importlib import metadata

    return {entry.name: entry for entry in metadata.distribution("regenstore").entry_points.select(group=GROUP)}


@dataclass(frozen=True)
class RegisteredGenerator:
    """A generator available under a name. ``source``: built-in, plug-in or regenstore.toml."""

    declaration: Declaration
    source: str
    trusted: bool
    declared: DeclaredGenerator | None = None


class Registry:
    """The generators of one repository. Plug-ins and ``regenstore.toml`` are read on first use."""

    def __init__(self, top: str, trust: TrustRecord, listing: Listing | None = None) -> None:
        """``listing`` tells which files Git tracks; without it, no files beside a script count."""
        self._top = top
        self._listing = listing
        self.trust = trust

    @cached_property
    def declared(self) -> dict[str, DeclaredGenerator]:
        """The generators that the repository declares. Raises FormatError (``bad-declaration``) and StorageError
        (``unreadable``)."""
        return self.read_declared()

    def read_declared(self, *, beside: bool = False) -> dict[str, DeclaredGenerator]:
        """Like :meth:`declared`, but always read anew; ``beside`` adds untracked files beside their scripts."""
        from regenstore.generators.declared import read_declared
        from regenstore.objects.hash_cache import KnownHashes

        kept = os.path.join(os.path.dirname(self.trust.path), HASHES)
        found = read_declared(self._top, self._listing, KnownHashes(kept), beside=beside)
        for name in found:
            if name in built_in():
                raise bad_declaration(f"'{name}'", " is the name of a built-in generator")
            if name == "notify" or name.startswith("remotes."):
                raise bad_declaration(f"'{name}'", f" is reserved: trust in [{name}] is recorded under it")
        return found

    @cached_property
    def _plugins(self) -> dict[str, EntryPoint]:
        from importlib import metadata

        return {e.name: e for e in metadata.entry_points(group=GROUP) if e.name not in built_in()}

    def all(self) -> list[RegisteredGenerator]:
        """Every generator, sorted by name."""
        names = {*built_in(), *self._plugins, *self.declared}
        return [self.find(name) for name in sorted(names)]

    def find(self, name: str) -> RegisteredGenerator:
        """The generator of that name, trusted or not. Raises NotFound, which suggests the nearest name."""
        if name in built_in():
            return RegisteredGenerator(_load(built_in()[name]), "built-in", True)
        if name in self.declared:
            declared = self.declared[name]
            return RegisteredGenerator(declared.declaration, FILE, self.approves(declared), declared)
        if name in self._plugins:
            return RegisteredGenerator(_load(self._plugins[name]), "plug-in", True)
        names = [*built_in(), *self._plugins, *self.declared]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        also = f"; did you mean '{near[0]}'?" if near else ""
        raise NotFound("no-such-generator", f"there is no generator '{name}'{also} (known: {', '.join(sorted(names))})")

    def approves(self, declared: DeclaredGenerator) -> bool:
        """Whether the user approved exactly this definition."""
        approvals = self.trust.approvals()
        name, files = declared.declaration.name, dict(declared.files)
        return declared.hash in approvals or any(
            given.generator == name and given.covers(declared.definition, files) for given in approvals.values()
        )

    def approves_beside(self, declared: DeclaredGenerator) -> bool:
        """Whether the user's approval also covers the definition as it will be once Git tracks the files beside its
        scripts."""
        if not declared.beside:
            return self.approves(declared)
        name, files = declared.declaration.name, {**dict(declared.files), **dict(declared.beside)}
        approvals = self.trust.approvals().values()
        return any(given.generator == name and given.covers(declared.definition, files) for given in approvals)

    def changes(self, declared: DeclaredGenerator) -> list[str]:
        """What changed since the user last approved this generator, one line each; empty if they never did."""
        name = declared.declaration.name
        given = [each for each in self.trust.approvals().values() if each.generator == name]
        last = max(given, key=lambda each: each.approved, default=None)
        if last is None:
            return []
        lines = last.changes(dict(declared.files))
        changed = bool(last.definition) and last.definition != declared.definition
        return ([f"its definition in {FILE} has changed since you trusted it"] if changed else []) + lines

    def runnable(self, name: str, version: str) -> Declaration:
        """The declaration of a generator that may run a recipe of that contract version. Raises NotFound,
        TrustRequired or GenerationError (``generator-unavailable``)."""
        known = self.find(name)
        if known.declaration.version != version:
            raise GenerationError(
                "generator-unavailable",
                f"the recipe needs version {version} of '{name}'; version {known.declaration.version} is installed",
            )
        if not known.trusted:
            changes = [] if known.declared is None else self.changes(known.declared)
            more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
            why = f"no longer trusted: {changes[0]}{more}" if changes else "not trusted yet"
            raise TrustRequired(
                "untrusted-generator", f"the generator '{name}' is declared by this repository and {why}"
            )
        return known.declaration


def describe_files(declared: DeclaredGenerator) -> list[str]:
    """What would run, one line each, for people to read before approving it."""
    lines = ["command: " + " ".join(repr(a) if " " in a or not a else a for a in declared.argv)]
    files = [(path, digest) for path, digest in declared.files if os.path.basename(path)]
    lines += [f"file:    {path}  {digest}" for path, digest in files[:_SHOWN]]
    if len(files) > _SHOWN:
        lines.append(f"file:    and {len(files) - _SHOWN} more")
    if declared.beside:
        names = ", ".join(path for path, _ in declared.beside[:5]) + (", …" if len(declared.beside) > 5 else "")
        lines.append(f"beside:  {len(declared.beside)} files that Git does not track yet: {names}")
    return lines


def _load(entry: EntryPoint) -> Declaration:
    from regenstore.generators.api import Declaration

    try:
        loaded = entry.load()
    except Exception as error:
        raise GenerationError(
            "generator-unavailable", f"the plug-in '{entry.name}' cannot be loaded: {error}"
        ) from error
    if not isinstance(loaded, Declaration) or loaded.name != entry.name:
        raise GenerationError(
            "generator-unavailable", f"the plug-in '{entry.name}' provides no declaration of that name"
        )
    return loaded
