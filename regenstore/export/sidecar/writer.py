"""What a writer of one sidecar format is, and what it is given.

The way of a field: a template maps a ``source`` of the context to a ``target`` of a format, which gives one
:class:`Row` per field; a writer turns the rows of one clip (or of all) into files, saying in the rows that
it gives back what it did to a value on the way. A writer is pure: no time, no environment, no reading of
files other than a medium's bytes; the same clips give the same bytes.

Rules for writers: quote for your own format, and never trust a text (a prompt is written by strangers); read
``clip.fields`` and never ``clip.medium.recipe``, because redaction takes place in the fields; leave out what
is unknown instead of guessing; what a closed vocabulary has no word for is left out with a warning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from regenstore.errors import InvalidInput
from regenstore.export.context import Marker, Value
from regenstore.export.media_set import Medium
from regenstore.media.frame_table import FrameMetrics
from regenstore.media.media_info import UNKNOWN_COLOR, Color, MediaInfo
from regenstore.media.timecode import Timebase
from regenstore.worktree.paths import check_relative

Status = Literal["ok", "missing", "defaulted", "clamped", "sanitised", "redacted"]
"""``missing``: nothing known, nothing written. ``defaulted``: the template's default. ``clamped``: shortened or
brought into the format's range. ``sanitised``: characters replaced, visibly. ``redacted``: taken out by the user."""
Kind = Literal["text", "integer", "number", "fraction", "boolean", "choice", "time", "list", "series", "any"]
Scope = Literal["clip", "batch", "folder"]


@dataclass(frozen=True)
class Target:
    """One name that a format knows."""

    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    """The only texts that a ``choice`` takes."""
    note: str = ""
    """For people who write templates."""
    names: str = ""
    """Of one whose name ends in ``*``: the pattern that a whole name has to match, where not every name will do."""


@dataclass(frozen=True)
class Row:
    """One field of one clip. A template makes them with the value as the context has it (or as text, after a
    ``format``); a writer gives them back with the text that it wrote."""

    target: str
    source: str
    """The context name; empty for a constant."""
    value: Value
    status: Status = "ok"
    note: str = ""
    """Why the status is what it is, for people."""

    def written(self, value: Value, status: Status | None = None, note: str = "") -> Row:
        """The same row as it went into the file."""
        return replace(self, value=value, status=status or self.status, note=note or self.note)


@dataclass(frozen=True)
class Clip:
    """One medium for a writer."""

    medium: Medium
    stem: str
    """What its sidecars are named by: the medium's own stem."""
    media_path: str
    """Absolute path where the consumer finds the medium: the worktree's file, or the exported copy."""
    info: MediaInfo
    metrics: FrameMetrics | None
    fields: Mapping[str, Value]
    """The context, redacted. See :mod:`regenstore.export.context`."""
    redacted: frozenset[str] = frozenset()
    """Names of the context that were taken out."""
    timebase: Timebase | None = None
    """None for what has no frames in time: stills, sound, a variable rate has its average here."""
    color: Color = UNKNOWN_COLOR
    """What the file states, or what the user lets us assume."""
    color_assumed: bool = False
    markers: tuple[Marker, ...] = ()
    """Black, frozen and doubtful spans, in order."""

    @property
    def media_name(self) -> str:
        return os.path.basename(self.media_path)


@dataclass(frozen=True)
class Filled:
    """A clip with the fields that the template maps for one output, in the template's order.

    Rows of status ``missing`` and ``redacted`` are there for the preview; their value is None and nothing is
    written for them.
    """

    clip: Clip
    rows: tuple[Row, ...]

    @property
    def present(self) -> tuple[Row, ...]:
        """The rows to write."""
        return tuple(row for row in self.rows if row.status not in ("missing", "redacted"))


@dataclass(frozen=True)
class Sibling:
    """A file that will lie beside the output of a writer of scope ``folder``."""

    name: str
    """Relative to the folder, with ``/``."""
    blocks: Callable[[], Iterator[bytes]]
    """Gives its bytes, in order; may be called more than once."""


@dataclass(frozen=True)
class Options:
    """What the user and the template ask of a writer."""

    file: str
    """The name of the output: text with ``{stem}`` and ``{name}`` (the medium's file name)."""
    start_frame: int | None = None
    """Number of the first frame for programs that count frames (1001, say); None: the program's own custom."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """What the template says beside ``writer`` and ``file``; only what :meth:`SidecarWriter.settings` names."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """A writer's name -> its ``file``, of all outputs of the same template: a script finds its data file by it."""
    csv_safe: bool = False
    """Put an apostrophe before cells that a spreadsheet would take for a formula."""
    siblings: tuple[Sibling, ...] = ()
    """For writers of scope ``folder``: everything else that the export puts there."""
    there: Mapping[str, bytes] = field(default_factory=dict)
    """For writers of scope ``folder``: files that lie already where the output goes, by name relative to the folder."""

    def name_for(self, clip: Clip | None = None) -> str:
        """The output's name for a clip (None: for the batch)."""
        return name_for(self.file, clip)

    def sibling_for(self, writer: str, clip: Clip) -> str | None:
        """The name of another output of the same template for a clip; None where it has none."""
        return name_for(self.outputs[writer], clip) if writer in self.outputs else None


@dataclass(frozen=True)
class Rendered:
    """One finished file. Its rows are all rows of its clips, as written."""

    name: str
    """Relative to the folder that it goes to, with ``/``."""
    data: bytes
    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What the author of the template has to change before anything is written."""


class SidecarWriter(Protocol):
    """One sidecar format. Its module has it as ``WRITER``; :mod:`regenstore.export.sidecar.writers` lists it."""

    @property
    def name(self) -> str: ...

    @property
    def scope(self) -> Scope:
        """``clip``: a file per clip; ``batch``: one (or few) for all clips; ``folder``: once everything else is
        rendered, over all files of the export."""
        ...

    def vocabulary(self) -> Mapping[str, Target] | None:
        """Allowed targets; a name that ends in ``*`` stands for all with that beginning. None: any name."""
        ...

    def settings(self) -> Mapping[str, Target]:
        """What may stand beside ``writer`` and ``file`` in a template's ``[output]``."""
        ...

    def refuses(self, clip: Clip, options: Options) -> str | None:
        """Why this clip cannot be told in this format ("a still has no timeline"), or None. Such a clip is left
        out with a warning."""
        ...

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        """The files: scope ``clip`` is called with one clip, the others with all that are not refused.

        What a template makes of it that the format cannot hold stands in :attr:`Rendered.problems`. Raises
        InvalidInput (``bad-export``) for what the user has to change before anything can be rendered.
        """
        ...


def name_for(pattern: str, clip: Clip | None) -> str:
    """A file name from a pattern. Raises InvalidInput (``bad-path``) for one that leaves its folder or
    enters ``.git``, (``bad-export``) for one that names a medium where there is none."""
    if clip is not None:
        name = named(pattern, clip.medium.name)
    elif named(pattern, "") == pattern:
        name = pattern
    else:
        raise InvalidInput("bad-export", f"'{pattern}' names a medium, and this file is about all of them")
    check_relative(os.fsencode(name))
    return name


def named(pattern: str, name: str) -> str:
    """A pattern with a medium's file name in it."""
    parts = {"{stem}": os.path.splitext(name)[0], "{name}": name}
    return re.sub(r"\{stem\}|\{name\}", lambda found: parts[found[0]], pattern)
