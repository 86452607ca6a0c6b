"""The samples of an export: rows of the selected media, kept in a file instead of memory, and counts of what
conditions exclude."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import IO

from regenstore.export.dataset import fast_json
from regenstore.export.dataset.frames import face_picks
from regenstore.export.dataset.kept_rows import KeptRows, line_of, stamp_of
from regenstore.export.dataset.row import USUAL, Captions, Row, is_described, row_of, sample_key
from regenstore.export.dataset.selection import Condition
from regenstore.export.dataset.splits import Member, anchor_of, tokens_of
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import Chosen, Located, Medium, Present, RecipePath
from regenstore.media.media_info import MediaInfo
from regenstore.media.types import kind, suffix_for
from regenstore.objects import toml
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.recipe import Recipe

KINDS = ("video", "image", "audio")
"""Kinds of media that loaders read."""
DERIVED = "derive."
"""How the names of generators begin that make something of other media."""
_NOTHING = Digest(bytes(32))


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample; its row is in a file."""

    key: str
    medium: Located
    suffix: str
    row: str
    """Hash of the row."""
    member: Member
    wanted: str | None
    """The split that its labels ask for."""
    measured: bool
    """Whether its frames were measured."""
    file: IO[bytes]
    at: int
    length: int


class Drops:
    """Counts how many samples each condition excludes; a sample counts for the first condition that it fails."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self.counts: Counter[str] = Counter({condition.shown: 0 for condition in conditions})
        self.unknown: Counter[str] = Counter()
        """How many of these lack the number that the condition compares."""
        self.seen = 0
        self.kept = 0

    def passes_all(self) -> bool:
        """Accept one more sample if there are no conditions, so that no row is needed; else return False."""
        if self._conditions:
            return False
        return self.passes({})

    def passes(self, row: Row) -> bool:
        self.seen += 1
        for condition in self._conditions:
            if not condition.holds(row):
                self.counts[condition.shown] += 1
                self.unknown[condition.shown] += condition.lacks(row)
                return False
        self.kept += 1
        return True


def early(chosen: Iterable[Chosen], drops: Drops) -> Iterator[Chosen]:
    """Yield those that pass the conditions which depend on the recipe alone: nothing is made for the others."""
    for each in chosen:
        if drops.passes_all():
            yield each
            continue
        take = each.recipe.output.take
        digest, size = (take.digest, take.size) if take is not None else (_NOTHING, 0)
        media_type = each.recipe.output.media_type
        medium = Medium(
            each.path.decode(errors="surrogateescape"), each.recipe, digest, size, media_type, "", each.recipe.key
        )
        if drops.passes(row_of("s", medium, MediaInfo("other", ""), None)):
            yield each


Locate = Callable[[RecipePath, Digest, int, str, RecipeKey | None], Located | None]
"""Returns the medium of an entry according to a cached row; None if the store does not have it."""


class SampleRows:
    """Collects media once, within a ``with`` block, each with its row, unless a condition excludes it."""

    def __init__(
        self,
        known: Measurements,
        found: Sequence[Condition],
        group_by: Sequence[str],
        stratify: str,
        kept: KeptRows,
        *,
        measuring: bool = False,
        captions: Captions = USUAL,
        prompt_of: Callable[[Recipe], str | None] = lambda _: None,
    ) -> None:
        """``kept``: rows of earlier exports, which are used if nothing that they were made from has changed.
        ``measuring``: measure frames that were not measured yet. ``prompt_of``: the prompt of a derivative's source."""
        self._known = known
        self._conditions = found
        self._group_by = group_by
        self._stratify = stratify
        self._kept = kept
        self._captions = captions
        self._prompt_of = prompt_of
        self.undescribed = 0
        """How many samples have nothing but a file name for a caption."""
        self._measuring: Callable[[float], None] | None = (lambda _: None) if measuring else None
        self._file: IO[bytes]
        self._end = 0
        self._taken: dict[str, str] = {}
        self.early = Drops([condition for condition in found if condition.early])
        self.drops = Drops([condition for condition in found if not condition.early])
        self.samples: list[Sample] = []
        self.every = self.samples
        """The samples of all kinds, where ``samples`` are those of one."""

    def __enter__(self) -> SampleRows:
        self._file = tempfile.TemporaryFile()
        self._kept.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._kept.close()

    def recall(self, entries: Iterable[RecipePath], locate: Locate) -> Iterator[RecipePath]:
        """Collect media from cached rows; yields the entries whose recipe must be read."""
        for entry in entries:
            if entry.blob is None or not self._recall(entry, entry.blob, locate):
                yield entry

    def _recall(self, entry: RecipePath, blob: str, locate: Locate) -> bool:
        path = entry.path.decode(errors="surrogateescape")
        kept = self._kept.get(path)
        if kept is None or self._kept.file is None:
            return False
        row_text, _, more = kept.text.split(b"\t")
        row, origin = fast_json.loads(row_text), fast_json.loads(more)
        if not origin["taken"]:
            return False  # another content may be its result by now
        if str(row["generator"]).startswith(DERIVED):
            return False  # its source may have another prompt by now
        key = None if row["recipe_key"] is None else RecipeKey.parse(row["recipe_key"])
        medium = locate(entry, Digest.parse(row["digest"]), row["size"], row["media_type"], key)
        if medium is None or self._stamp(row["key"], medium, blob) != kept.stamp:
            return False
        if self.early.passes(row) and self.drops.passes(row):
            self._take(row, origin, medium, kept.hashed, (self._kept.file, kept.at, len(kept.text)))
        return True

    def add(self, medium: Medium) -> bool:
        """Collect a medium that :meth:`recall` did not know; returns False if a condition excludes it."""
        key = sample_key(medium.path, self._taken)
        recipe = medium.blob or toml.encode(medium.recipe).decode()
        prompt = self._prompt_of(medium.recipe) if str(medium.recipe.generator).startswith(DERIVED) else None
        stamp = self._stamp(key, medium, recipe, prompt)
        kept = self._kept.get(medium.path)
        if kept is not None and kept.stamp == stamp and self._kept.file is not None:
            text, hashed, place = kept.text, kept.hashed, (self._kept.file, kept.at, len(kept.text))
        else:
            text = self._made(key, medium, prompt)
            stamp = self._stamp(key, medium, recipe, prompt)  # includes what was measured just now
            head, hashed = line_of(medium.path, stamp or "", text)
            self._file.seek(self._end)
            self._file.write(head + text + b"\n")
            place = (self._file, self._end + len(head), len(text))
            self._end += len(head) + len(text) + 1
        row_text, _, origin = text.split(b"\t")
        row = fast_json.loads(row_text)
        if not self.drops.passes(row):
            return False
        self._take(row, fast_json.loads(origin), medium, hashed, place)
        return True

    def keep_known(self, path: str) -> None:
        """Collect a medium that cannot be read now, as an earlier export recorded it, so that an update does not remove
        its sample; its file is empty."""
        kept = self._kept.get(path)
        if kept is None or self._kept.file is None:
            return
        row_text, _, more = kept.text.split(b"\t")
        row = fast_json.loads(row_text)
        medium = Present(path, Digest.parse(row["digest"]), row["size"], row["media_type"], "", row["proof"], None)
        if all(condition.holds(row) for condition in self._conditions):
            self._take(row, fast_json.loads(more), medium, kept.hashed, (self._kept.file, kept.at, len(kept.text)))

    def _made(self, key: str, medium: Medium, prompt: str | None) -> bytes:
        """The cache entry of a medium: its row, its recipe, and other data that this module needs."""
        metrics = self._known.metrics(medium, self._measuring)
        row = row_of(key, medium, self._known.info(medium), metrics, self._captions, prompt)
        row["faces"] = list(face_picks(key, metrics))
        recipe = medium.recipe
        origin = {
            "taken": recipe.output.take is not None,
            "edited_from": recipe.edited_from,
            "measured": metrics is not None,
        }
        return b"\t".join(map(fast_json.line, (row, toml.encode(recipe).decode(), origin)))

    def _take(self, row: Row, origin: Row, medium: Located, hashed: str, place: tuple[IO[bytes], int, int]) -> None:
        key = row["key"]
        self._taken[key] = medium.path
        self.undescribed += not is_described(row)
        given = row.get(self._stratify)
        stratum = f"{kind(medium.media_type)} {given if isinstance(given, str) else ''}"
        tokens = tokens_of(row, origin["edited_from"], self._group_by)
        member = Member(key, tokens, stratum, anchor_of(row, self._group_by))
        suffix = suffix_for(medium.media_type) or ".bin"
        self.samples.append(Sample(key, medium, suffix, hashed, member, _wanted(row), origin["measured"], *place))

    def of_kind(self, wanted: str) -> SampleRows:
        """The samples of one kind of media; valid while this object is open."""
        found = copy(self)
        found.every = self.every
        found.samples = [sample for sample in self.samples if kind(sample.medium.media_type) == wanted]
        return found

    def _stamp(self, key: str, medium: Located, recipe: str, prompt: str | None = None) -> str | None:
        """The stamp of everything that a row is made from, without making it; None if something has yet to be
        measured."""
        facts = self._known.stamp(medium, self._measuring is not None)
        if facts is None:
            return None
        return stamp_of(
            (key, medium.path, str(medium.digest), medium.size, medium.media_type, medium.proof, medium.created,
             recipe, facts, self._captions, prompt)
        )  # fmt: skip

    def keep(self) -> None:
        """Cache the new rows for the next export from this worktree."""
        if self._end:
            self._kept.keep(self._file)

    def row(self, sample: Sample, split: str, group: str) -> Row:
        """Read a sample's row."""
        return self.row_and_recipe(sample, split, group)[0]

    def row_and_recipe(self, sample: Sample, split: str, group: str) -> tuple[Row, str]:
        """Read a sample's row and its recipe's text."""
        row_text, recipe = self.texts(sample, split, group)
        row: Row = fast_json.loads(row_text)
        text: str = fast_json.loads(recipe)
        return row, text

    def texts(self, sample: Sample, split: str, group: str) -> tuple[bytes, bytes]:
        """A sample's row and its recipe's text, as JSON on one line."""
        sample.file.seek(sample.at)
        row, recipe, _ = sample.file.read(sample.length).split(b"\t")
        # Quotation marks within JSON strings are escaped, so these can only be the columns.
        row = row.replace(b'"split":null', b'"split":"%s"' % split.encode(), 1)
        return row.replace(b'"group":null', b'"group":"%s"' % group.encode(), 1), recipe


def _wanted(row: Row) -> str | None:
    """``split`` in [about], or a tag such as ``split:test``."""
    told = fast_json.loads(row["about"]).get("split")
    found = (
        [told] if isinstance(told, str) else [tag.partition(":")[2] for tag in row["tags"] if tag.startswith("split:")]
    )
    return found[0] if found else None
