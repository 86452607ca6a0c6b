"""What this repository holds, asked of Git anew each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import cached_property

from regenstore.errors import FormatError
from regenstore.objects.ids import Digest
from regenstore.objects.result import BlobRecord
from regenstore.objects.result_cache import ResultCache
from regenstore.proof.survey import Standing
from regenstore.refs.blobs import RecipeBlobs
from regenstore.refs.git import Git
from regenstore.refs.pins import Pins
from regenstore.refs.roots import Roots


class ThisRepository:
    """The holder that every survey has."""

    told = True

    def __init__(self, git: Git, roots: Roots, cache: ResultCache, pending: Sequence[bytes], remember: bool) -> None:
        self.name = str(git.cwd)
        self._git = git
        self._live: RecipeBlobs = roots.recipes(cache, remember=remember)
        self.pending = pending

    @property
    def records(self) -> Mapping[bytes, BlobRecord]:
        return self._live.records

    @property
    def unreadable(self) -> Mapping[bytes, frozenset[Digest]]:
        return self._live.unreadable

    @property
    def missing(self) -> frozenset[bytes]:
        return self._live.missing

    @cached_property
    def pins(self) -> Set[str]:
        return {pin.name for pin in Pins(self._git).all()}

    def standing(self, oid: bytes) -> int:
        if oid in self._working:
            return Standing.WORKING
        return Standing.TIP if oid in self._tips else Standing.SUPERSEDED

    @cached_property
    def _working(self) -> Set[bytes]:
        found = {line.split(b" ", 2)[1] for line in self._git.output("ls-files", "-s", "-z").split(b"\0") if line}
        try:
            tree = self._git.output("ls-tree", "-r", "-z", "HEAD")
        except FormatError:
            tree = b""  # before the first commit
        found |= {line.split(b"\t")[0].split(b" ")[2] for line in tree.split(b"\0") if line}
        return {bytes.fromhex(oid.decode()) for oid in found}

    @cached_property
    def _tips(self) -> Set[bytes]:
        listed = self._git.output("rev-list", "--objects", "--no-object-names", "--no-walk", "--all")
        return {bytes.fromhex(oid.decode()) for oid in listed.split()}
