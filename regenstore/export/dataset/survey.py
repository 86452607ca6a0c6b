"""The samples of an export: rows of the chosen media, in a file and not in memory, and what the conditions drop."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass

from regenstore.export.dataset.frames import face_picks
from regenstore.export.dataset.kept_rows import KeptRows, line_head, stamp_of
from regenstore.export.dataset.row import Row, json_line, row_of, sample_key
from regenstore.export.dataset.selection import Condition
from regenstore.export.dataset.splits import Member, tokens_of
from regenstore.export.known import Known
from regenstore.export.media_set import Chosen, Medium
from regenstore.media.media_info import MediaInfo
from regenstore.media.types import kind, suffix_for
from regenstore.objects import toml
from regenstore.objects.ids import Digest

KINDS = ("video", "image", "audio")
"""Media that loaders read."""
_NOTHING = Digest(bytes(32))


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample; its row is in the survey's file."""

    key: str
    medium: Medium
    suffix: str
    row: str
    """Hash of the row."""
    member: Member
    wanted: str | None
    """The split that its labels ask for."""
    at: int
    length: int


class Drops:
    """How many samples each condition dropped, the first that a sample fails counting."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self.counts: Counter[str] = Counter({condition.shown: 0 for condition in conditions})
        self.seen = 0
        self.kept = 0

    def passes_all(self) -> bool:
        """Take one more sample where there is no condition, and no row is needed; else False."""
        if self._conditions:
            return False
        return self.passes({})

    def passes(self, row: Row) -> bool:
        self.seen += 1
        for condition in self._conditions:
            if not condition.holds(row):
                self.counts[condition.shown] += 1
                return False
        self.kept += 1
        return True


def early(chosen: Iterable[Chosen], drops: Drops) -> Iterator[Chosen]:
    """Those that pass conditions which the recipe alone decides: nothing is made for the others."""
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


class Survey:
    """Goes through media once. Close it, or use it in a ``with`` block."""

    def __init__(
        self,
        known: Known,
        conditions: Sequence[Condition],
        group_by: Sequence[str],
        stratify: str,
        kept: KeptRows | None = None,
    ) -> None:
        """``kept``: rows of the last export into the same place, which are believed where nothing that they were
        made from has changed."""
        self._known = known
        self._group_by = group_by
        self._stratify = stratify
        self._kept = kept
        self._file = tempfile.TemporaryFile()
        self._end = 0
        self._taken: dict[str, str] = {}
        self._fresh = 0
        self.drops = Drops(conditions)
        self.samples: list[Sample] = []

    def __enter__(self) -> Survey:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        if self._kept is not None:
            self._kept.close()

    def add(self, medium: Medium, told: Callable[[float], None] | None = None) -> bool:
        """Take a medium in; False where a condition drops it. ``told``: measure its frames if they were not."""
        key = sample_key(medium.path, self._taken)
        stamp = self._stamp(key, medium, told is not None)
        text = self._kept.get(stamp) if self._kept is not None else None
        if text is not None:
            row: Row = json.loads(text.partition(b"\t")[0])
        else:
            metrics = self._known.metrics(medium, told)
            row = row_of(key, medium, self._known.info(medium), metrics)
            row["faces"] = list(face_picks(key, metrics))
            text = json_line(row) + b"\t" + json_line(toml.encode(medium.recipe).decode())
            stamp = self._stamp(key, medium, told is not None)  # with what was measured now
            self._fresh += 1
        if not self.drops.passes(row):
            return False
        self._taken[key] = medium.path
        head, hashed = line_head(stamp, text)
        self._file.seek(self._end)
        self._file.write(head + text + b"\n")
        at = self._end + len(head)
        self._end = at + len(text) + 1
        stratum = row.get(self._stratify)
        member = Member(
            key, tokens_of(row, medium.recipe.edited_from, self._group_by), stratum if isinstance(stratum, str) else ""
        )
        suffix = suffix_for(medium.media_type) or ".bin"
        self.samples.append(Sample(key, medium, suffix, hashed, member, _wanted(row), at, len(text)))
        return True

    def of_kind(self, wanted: str) -> Survey:
        """The samples of one kind of media; for as long as this survey is open."""
        found = copy(self)
        found.samples = [sample for sample in self.samples if kind(sample.medium.media_type) == wanted]
        return found

    def _stamp(self, key: str, medium: Medium, measuring: bool) -> str:
        """Of everything that a row is made from, without making it."""
        recipe = medium.blob or toml.encode(medium.recipe).decode()
        parts = (
            key, medium.path, str(medium.digest), medium.size, medium.media_type, medium.proof, medium.created, recipe,
            self._known.stamp(medium, measuring),
        )  # fmt: skip
        return stamp_of(parts)

    def keep(self) -> None:
        """Keep the rows for the next export into the same place, where they are others than those kept."""
        if self._kept is not None and (self._fresh or len(self._taken) != len(self._kept)):
            self._kept.replace(self._file)

    def row(self, sample: Sample, split: str, group: str) -> Row:
        """A sample's row again."""
        return self.row_and_recipe(sample, split, group)[0]

    def row_and_recipe(self, sample: Sample, split: str, group: str) -> tuple[Row, str]:
        """The same, and the recipe's text."""
        row_text, recipe = self.texts(sample, split, group)
        row: Row = json.loads(row_text)
        text: str = json.loads(recipe)
        return row, text

    def texts(self, sample: Sample, split: str, group: str) -> tuple[bytes, bytes]:
        """A sample's row and its recipe's text, as JSON on one line."""
        self._file.seek(sample.at)
        row, _, recipe = self._file.read(sample.length).partition(b"\t")
        # Within a JSON text every quotation mark is escaped: these can only be the columns.
        row = row.replace(b'"split": null', b'"split": "%s"' % split.encode(), 1)
        return row.replace(b'"group": null', b'"group": "%s"' % group.encode(), 1), recipe


def _wanted(row: Row) -> str | None:
    """``split`` in [about], or a tag such as ``split:test``."""
    told = json.loads(row["about"]).get("split")
    found = (
        [told] if isinstance(told, str) else [tag.partition(":")[2] for tag in row["tags"] if tag.startswith("split:")]
    )
    return found[0] if found else None
