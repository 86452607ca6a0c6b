"""Recipes of media that differ from earlier ones in a few numbers only, as pictures of one workflow do in seeds.

To understand a graph of 150 nodes takes fifty times as long as to compare its text. So a second medium whose metadata
differ from the first one's in numbers alone is understood once more with other numbers in their places, stand-ins. If
the recipe then differs in nothing but whole values that are these stand-ins, it is a pattern for all further media:
their numbers are put in the places of the stand-ins. Everything else is understood in full.

Why that gives the very same recipe: nothing in ``programs/comfyui.py`` and ``graphs/`` asks more of these numbers than
their type, whether they are large, and whether they are equal to others. They are integers of 8 to 18 digits (always
large, never beyond 64 bits) and fractions that Python writes as they were; all media of a pattern have equal numbers
at the same places, and none that is equal to another number in the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from regenstore.capture.captured import Captured, Level
from regenstore.capture.embedded import Embedded
from regenstore.errors import FormatError
from regenstore.objects import bounded, canonical, toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe, Take

_NUMBER = re.compile(
    r"(?<=[\[\s,:])([1-9][0-9]{7,17}|-?(?:0|[1-9][0-9]{0,6})\.[0-9]{0,20}[1-9])(?=[,\]}\s])",
)
"""Outside of JSON's strings, this is always a whole number; inside of one, the recipe shows that it is none."""
_UNUSUAL = re.compile(r"(?<=[\[\s,:])-?(?:[0-9]{8,}\.|[0-9.]+[eE][+-]?[0-9]+(?=[,\]}\s]))")
"""Fractions that may be equal to a large integer."""
_MOST_PLACES = 64
_MOST_KNOWN = 16
_LONGEST = 2 << 20
"""Characters of metadata; longer ones are understood in full each time."""
_LIGHT = 2 << 20
"""Weight of recipes that stay within all limits, whatever the numbers."""
_STAND_IN = Take(Digest(bytes.fromhex("5a" * 32)), 5_171_819_203_344_556_677)


Write = Callable[[Captured, Take], Recipe]


class _Split(NamedTuple):
    """The metadata of a medium without their numbers, and the numbers."""

    around: list[list[str]]
    """Of each piece, the texts around its numbers: one more than it has numbers."""
    numbers: list[str]

    def digest(self) -> bytes:
        return hashlib.sha256("\0\0".join(map("\0".join, self.around)).encode(errors="surrogatepass")).digest()


class _Places(NamedTuple):
    """Where the numbers of a pattern stand in the pieces of a medium."""

    labels: list[tuple[str, str]]
    around: list[list[str]]
    same: list[int]
    """For each number, the first one that is equal to it."""
    whole: list[bool]
    """Which numbers are integers."""
    others: frozenset[str]
    """The numbers that do not vary."""

    def numbers(self, pieces: Sequence[Embedded]) -> list[str] | None:
        """Return the numbers of a medium; None if anything else differs."""
        if _labels(pieces) != self.labels:
            return None
        found: list[str] = []
        for piece, (first, *rest) in zip(pieces, self.around, strict=True):
            text, at = piece.value, len(first)
            if not isinstance(text, str) or not text.startswith(first):
                return None
            for following in rest:
                number = _NUMBER.match(text, at)
                if number is None or not text.startswith(following, number.end()):
                    return None
                found.append(number[0])
                at = number.end() + len(following)
            if at != len(text):
                return None
        return found if self._allow(found) else None

    def _allow(self, numbers: list[str]) -> bool:
        """Return whether numbers have the types of the pattern's, and are equal to each other where those are, and to
        no other number."""
        return (
            _first_equal(numbers) == self.same
            and [number.isdecimal() for number in numbers] == self.whole
            and self.others.isdisjoint(numbers)
            and all(number.isdecimal() or repr(float(number)) == number for number in numbers)
        )

    def pieces(self, numbers: Iterable[str]) -> list[Embedded]:
        """Return the pieces of a medium with other numbers."""
        rest = iter(numbers)
        return [
            Embedded(*label, first + "".join(next(rest) + each for each in following))
            for label, (first, *following) in zip(self.labels, self.around, strict=True)
        ]


class _Gaps(NamedTuple):
    """A text in whose gaps values are put."""

    around: list[bytes]
    values: list[int]
    """Which value each gap gets."""

    def filled(self, values: Sequence[bytes]) -> bytes:
        found = [self.around[0]]
        for value, after in zip(self.values, self.around[1:], strict=True):
            found += (values[value], after)
        return b"".join(found)


@dataclass(frozen=True)
class Pattern:
    """The recipe of all media with certain metadata, whatever their numbers."""

    captured: Captured
    """What is understood. Only the models and inputs are those of each medium: its numbers are stand-ins."""
    terms: object
    """What else the recipe depends on."""
    _places: _Places
    _text: _Gaps
    _key_material: _Gaps

    def numbers(self, pieces: Sequence[Embedded]) -> list[str] | None:
        """Return the numbers of a medium that follows the pattern; None if it does not."""
        return self._places.numbers(pieces)

    def recipe_text(self, numbers: list[str], take: Take) -> bytes:
        """Return the recipe text of the medium with these numbers."""
        values = [number.encode() for number in numbers]
        key = canonical.key_of(self._key_material.filled(values))
        return self._text.filled([*values, *_values_of(take, key)])


@dataclass
class _Known:
    """A medium that was understood in full, and the pattern of those that are like it."""

    labels: list[tuple[str, str]]
    around: bytes
    numbers: list[str]
    varying: set[int] = field(default_factory=set)
    """Positions in ``numbers`` at which media differed."""
    pattern: Pattern | None = None
    alone: bool = False
    """Whether no pattern could be made."""


class AlikeMedia:
    """Remembers the media that were understood last, and the patterns that they gave."""

    def __init__(self, understand: Callable[[Sequence[Embedded]], Captured | None]) -> None:
        self._understand = understand
        self._known: list[_Known] = []

    def find(self, pieces: Sequence[Embedded]) -> tuple[Pattern, list[str]] | None:
        """Return the pattern that a medium's metadata follow, with their numbers; None if there is none."""
        for place, known in enumerate(self._known):
            if known.pattern is not None and (numbers := known.pattern.numbers(pieces)) is not None:
                self._known.insert(0, self._known.pop(place))
                return known.pattern, numbers
        return None

    def learn(self, pieces: Sequence[Embedded], take: Take, text: bytes, terms: object, write: Write) -> None:
        """Remember a medium that was understood in full as a recipe text. ``write`` gives the recipe of what is
        understood of another one, on the same terms."""
        if not all(isinstance(piece.value, str) for piece in pieces) or sum(len(p.value) for p in pieces) > _LONGEST:
            return
        labels, split = _labels(pieces), _split(pieces)
        around = split.digest()
        known = next((each for each in self._known if (each.around, each.labels) == (around, labels)), None)
        if known is None:
            self._known = [_Known(labels, around, split.numbers), *self._known[: _MOST_KNOWN - 1]]
        elif not known.alone:
            pairs = zip(known.numbers, split.numbers, strict=True)
            known.varying |= {at for at, (one, other) in enumerate(pairs) if one != other}
            if known.varying:
                found = self._pattern(_places(labels, split, known.varying), terms, write)
                numbers = None if found is None else found.numbers(pieces)
                sure = found is not None and numbers is not None and found.recipe_text(numbers, take) == text
                known.pattern, known.alone = (found, False) if sure else (None, True)

    def _pattern(self, places: _Places, terms: object, write: Write) -> Pattern | None:
        stand_ins = [
            str(90_071_717_171_717 + first) if whole else f"{3_141_593 + first}.015625"
            for first, whole in zip(places.same, places.whole, strict=True)
        ]
        texts = [text for texts in places.around for text in texts]
        if any(each in text for text in texts for each in stand_ins) or any(map(_UNUSUAL.search, texts)):
            return None
        captured = self._understand(places.pieces(stand_ins))
        if captured is None or captured.level is not Level.GRAPH or captured.generator != "comfyui":
            return None
        recipe = write(captured, _STAND_IN)
        try:
            text = toml.encode(recipe)
        except (FormatError, ValueError):
            return None
        if recipe.key is None or len(places.same) > _MOST_PLACES or bounded.weight(text) > _LIGHT:
            return None
        numbers = [each.encode() for each in stand_ins]
        digest, size, mark = _values_of(_STAND_IN, recipe.key)
        of_text = _cut(
            text,
            rb"(?<== )(?:%s)$|%s" % (b"|".join(map(re.escape, [*numbers, size])), digest + b"|" + mark),
            [*numbers, digest, size, mark],
        )
        of_key = _cut(
            canonical.key_material(recipe), rb"(?<=i)(?:%s)(?=;)" % b"|".join(map(re.escape, numbers)), numbers
        )
        return None if of_text is None or of_key is None else Pattern(captured, terms, places, of_text, of_key)


def _labels(pieces: Sequence[Embedded]) -> list[tuple[str, str]]:
    return [(piece.carrier, piece.name) for piece in pieces]


def _values_of(take: Take, key: RecipeKey) -> list[bytes]:
    return [take.digest.raw.hex().encode(), b"%d" % take.size, key.mark.encode()]


def _first_equal(numbers: Sequence[str]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(number, place) for place, number in enumerate(numbers)]


def _split(pieces: Sequence[Embedded]) -> _Split:
    split = _Split([], [])
    for piece in pieces:
        parts = _NUMBER.split(piece.value) if isinstance(piece.value, str) else [piece.value.hex()]
        split.around.append(parts[::2])
        split.numbers.extend(parts[1::2])
    return split


def _places(labels: list[tuple[str, str]], split: _Split, varying: set[int]) -> _Places:
    """The places of the numbers that vary; the others become part of the texts around them."""
    around, numbers = [], iter(enumerate(split.numbers))
    for first, *rest in split.around:
        texts = [first]
        for following in rest:
            at, number = next(numbers)
            if at in varying:
                texts.append(following)
            else:
                texts[-1] += number + following
        around.append(texts)
    held = [split.numbers[at] for at in sorted(varying)]
    others = frozenset(number for at, number in enumerate(split.numbers) if at not in varying)
    return _Places(labels, around, _first_equal(held), [number.isdecimal() for number in held], others)


def _cut(text: bytes, places: bytes, values: list[bytes]) -> _Gaps | None:
    """Cut a text at the places where it has values; None if it also has them elsewhere."""
    parts = re.split(b"(" + places + b")", text, flags=re.MULTILINE)
    if len(parts) // 2 != sum(map(text.count, set(values))):
        return None
    return _Gaps(parts[::2], [values.index(value) for value in parts[1::2]])
