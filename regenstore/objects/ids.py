"""Ids as distinct types: a content address and an input address cannot be mixed up.

``Digest`` is the BLAKE3 of bytes; its text form is ``blake3:<64 lower-case hex digits>``.
``RecipeKey`` is the BLAKE3 (derive-key mode) of a recipe's canonical encoding; ``key:<64 hex>``.
"""

from __future__ import annotations

from typing import ClassVar, Self

from regenstore.errors import FormatError

_HEX = frozenset("0123456789abcdef")


class _Hash32:
    """32 bytes with a text prefix; equal only to instances of the same class."""

    __slots__ = ("raw",)
    PREFIX: ClassVar[str]

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise ValueError(f"{type(self).__name__} takes 32 bytes, not {len(raw)}")
        self.raw = raw

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text form. Raises FormatError (``bad-recipe``) for anything else."""
        hexa = text.removeprefix(cls.PREFIX)
        if len(text) != len(cls.PREFIX) + 64 or len(hexa) != 64 or not _HEX.issuperset(hexa):
            raise FormatError(
                "bad-recipe", f"expected '{cls.PREFIX}' and 64 lower-case hex digits, found {text[:100]!r}"
            )
        return cls(bytes.fromhex(hexa))

    @property
    def hex(self) -> str:
        return self.raw.hex()

    @property
    def short(self) -> str:
        """The first 12 digits, for people."""
        return self.raw[:6].hex()

    def __str__(self) -> str:
        return self.PREFIX + self.raw.hex()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.short}…)"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)  # cached by the bytes object

    def __lt__(self, other: Self) -> bool:
        return self.raw < other.raw


class Digest(_Hash32):
    """A content address: BLAKE3 of bytes."""

    __slots__ = ()
    PREFIX = "blake3:"


class RecipeKey(_Hash32):
    """An input address: a hash of everything that determines the bytes. A key can have several results."""

    __slots__ = ()
    PREFIX = "key:"

    @property
    def mark(self) -> str:
        """The first 16 digits, which a recipe records beside its take to say which key gave it."""
        return self.raw[:8].hex()
