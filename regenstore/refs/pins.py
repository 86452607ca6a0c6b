"""Pins: what a user asked to keep. Each is a Git ref below ``refs/regenstore/pins/``, so pins travel with fetch and
push, and ``git gc`` keeps their targets: an annotated tag with the reason, on the recipe blob. The ref's name is the
recipe key in hex, and the pin keeps all takes of the key; for imported media it is ``imported-`` and the digest in
hex.
"""

from __future__ import annotations

from typing import NamedTuple

from regenstore.errors import FormatError, InvalidInput
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe
from regenstore.refs.git import Git

PREFIX = "refs/regenstore/pins/"
_FIELDS = ("refname", "objectname", "objecttype", "*objectname", "*objecttype", "taggerdate:unix", "contents")
_IMPORTED = "imported-"
_NOBODY = "regenstore <regenstore@localhost>"


class Pin(NamedTuple):
    """One pin. ``name`` is the last part of the ref's name, ``blob`` the recipe blob that it points to."""

    name: str
    blob: bytes
    reason: str
    created: int | None
    """Seconds since the epoch; None for a ref without a tag object."""

    @property
    def key(self) -> RecipeKey | None:
        """The pinned key; None for imported media, and for refs with other names."""
        try:
            return RecipeKey.parse(RecipeKey.PREFIX + self.name)
        except FormatError:
            return None

    @property
    def subject(self) -> str:
        """What is pinned, in the form that 'regenstore unpin' accepts."""
        return subject_of(self.name)


def subject_of(name: str) -> str:
    """Return what the pin of a name pins, in the form that 'regenstore unpin' accepts."""
    if name.startswith(_IMPORTED):
        return Digest.PREFIX + name.removeprefix(_IMPORTED)
    return RecipeKey.PREFIX + name


def pin_name(recipe: Recipe) -> str:
    """Return the name of a recipe's pin."""
    take = recipe.output.take
    return name_of(recipe.key, None if take is None else take.digest)


def name_of(key: RecipeKey | None, digest: Digest | None) -> str:
    """Return the name of the pin of a key, or of imported media."""
    if key is not None:
        return key.hex
    assert digest is not None
    return _IMPORTED + digest.hex


class Pins:
    """The pins of one repository, read anew each time."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def add(self, name: str, text: bytes, reason: str, now: float) -> Pin:
        """Pin a recipe text, replacing a pin of the same name. Raises InvalidInput for a reason that Git cannot store,
        FormatError (``git-failed``) if Git fails."""
        if "\0" in reason:
            raise InvalidInput("bad-parameter", "a reason cannot have a NUL character")
        blob = self._git.write_object("blob", text)
        tagger = self._git.committer() or _NOBODY  # without Git's time: the caller has the clock
        tag = f"object {blob}\ntype blob\ntag pin-{name}\ntagger {tagger} {int(now)} +0000\n\n{reason.strip()}\n"
        data = tag.encode(errors="surrogateescape")
        oid = self._git.write_object("tag", data)
        self._git.update_ref(PREFIX + name, oid)
        return Pin(name, bytes.fromhex(blob), reason.strip(), int(now))

    def remove(self, name: str) -> bool:
        """Remove a pin; returns whether it existed. Deletes only the ref."""
        if self._git.resolve(PREFIX + name) is None:
            return False
        self._git.delete_ref(PREFIX + name)
        return True

    def all(self) -> list[Pin]:
        """Return every pin, by name."""
        found = []
        for ref, oid, kind, inner, inner_kind, date, text in self._git.ref_fields(_FIELDS, PREFIX):
            name = ref.removeprefix(PREFIX)
            if kind == "blob":
                found.append(Pin(name, bytes.fromhex(oid), "", None))
            elif kind == "tag" and inner_kind == "blob":
                found.append(Pin(name, bytes.fromhex(inner), text.strip(), int(date) if date else None))
        return found
