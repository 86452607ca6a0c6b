"""The interface of sidecar writers, and the data they work on.

A template maps a ``source`` of the context to a ``target`` of a format; this gives one :class:`Row` per field. A writer
turns the rows of one clip (or of all) into files, and returns the rows with a note on any change it made to a value. A
writer is pure: it uses no time and no environment and reads no files but a medium's bytes; the same clips give the same
bytes.

Rules for writers: quote for your own format, and never trust text (prompts are written by strangers). Read
``clip.fields`` and never ``clip.medium.recipe``, because redaction takes place in the fields. Omit unknown values
instead of guessing; omit values that a closed vocabulary has no word for, with a warning.
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
"""``missing``: unknown, not written. ``defaulted``: the template's default. ``clamped``: shortened, or forced into
the format's range. ``sanitised``: characters replaced, visibly. ``redacted``: removed by the user."""
Kind = Literal["text", "integer", "number", "fraction", "boolean", "choice", "time", "list", "series", "any"]
Scope = Literal["clip", "batch", "folder"]


@dataclass(frozen=True)
class Target:
    """A target that a format defines."""

    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    """The only values that a ``choice`` accepts."""
    note: str = ""
    """Explanation for template authors."""
    names: str = ""
    """For a name that ends in ``*``: the pattern for full names, if not every name is valid."""


@dataclass(frozen=True)
class Row:
    """One field of one clip. Templates create rows with the context's value (or text, after a ``format``); writers
    return them with the text that they wrote."""

    target: str
    source: str
    """The context name; empty for a constant."""
    value: Value
    status: Status = "ok"
    note: str = ""
    """Explanation of the status."""

    def written(self, value: Value, status: Status | None = None, note: str = "") -> Row:
        """The row as it was written to the file."""
        return replace(self, value=value, status=status or self.status, note=note or self.note)


@dataclass(frozen=True)
class Clip:
    """A medium as writers see it."""

    medium: Medium
    stem: str
    """The base of its sidecars' names: the medium's own stem."""
    media_path: str
    """Absolute path where the consumer finds the medium: the worktree's file, or the exported copy, as its machine
    knows it."""
    info: MediaInfo
    metrics: FrameMetrics | None
    fields: Mapping[str, Value]
    """The context after redaction. See :mod:`regenstore.export.context`."""
    redacted: frozenset[str] = frozenset()
    """Redacted context names."""
    timebase: Timebase | None = None
    """None for stills and audio; for a variable rate it has the average."""
    color: Color = UNKNOWN_COLOR
    """The colour that the file states, or that the user told us to assume."""
    color_assumed: bool = False
    markers: tuple[Marker, ...] = ()
    """Black, frozen and doubtful spans, in order."""

    @property
    def media_name(self) -> str:
        return os.path.basename(self.media_path)


@dataclass(frozen=True)
class Filled:
    """A clip with the fields that the template maps for one output, in the template's order.

    Rows with status ``missing`` or ``redacted`` are kept for the preview; their value is None and they are not written.
    """

    clip: Clip
    rows: tuple[Row, ...]

    @property
    def present(self) -> tuple[Row, ...]:
        """The rows to write."""
        return tuple(row for row in self.rows if row.status not in ("missing", "redacted"))


@dataclass(frozen=True)
class Sibling:
    """A file that will be beside the output of a writer of scope ``folder``."""

    name: str
    """Relative to the folder, with ``/``."""
    blocks: Callable[[], Iterator[bytes]]
    """Yields its bytes in order; may be called more than once."""


@dataclass(frozen=True)
class Options:
    """Options from the user and the template."""

    file: str
    """The output's name: text with ``{stem}`` and ``{name}`` (the medium's file name)."""
    start_frame: int | None = None
    """Number of the first frame in programs that count frames (e.g. 1001); None: the program's own convention."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """The template's settings other than ``writer`` and ``file``; only those in :meth:`SidecarWriter.settings`."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Writer's name -> ``file``, for all outputs of the template: a script finds its data file by it."""
    csv_safe: bool = False
    """Prefix cells that a spreadsheet would read as a formula with an apostrophe."""
    siblings: tuple[Sibling, ...] = ()
    """For writers of scope ``folder``: all other files of the export."""
    there: Mapping[str, bytes] = field(default_factory=dict)
    """For writers of scope ``folder``: files already in the output's folder, by name relative to it."""
    folder: str | None = None
    """The output's folder, if media are to be stated by paths relative to it; None: by absolute paths."""

    def name_for(self, clip: Clip | None = None) -> str:
        """The output's name for a clip (None: for the batch)."""
        return name_for(self.file, clip)

    def sibling_for(self, writer: str, clip: Clip) -> str | None:
        """The name of the template's output of another writer for a clip; None if it has none."""
        return name_for(self.outputs[writer], clip) if writer in self.outputs else None


@dataclass(frozen=True)
class Rendered:
    """A finished file, with all rows of its clips as written."""

    name: str
    """Relative to the target folder, with ``/``."""
    data: bytes
    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Errors that the template's author has to fix before anything is written."""


class SidecarWriter(Protocol):
    """A sidecar format. Its module exports it as ``WRITER``; :mod:`regenstore.export.sidecar.writers` lists it."""

    @property
    def name(self) -> str: ...

    @property
    def scope(self) -> Scope:
        """``clip``: one file per clip; ``batch``: one (or a few) for all clips; ``folder``: called after everything
        else is rendered, for all files of the export."""
        ...

    def vocabulary(self) -> Mapping[str, Target] | None:
        """The allowed targets; a name that ends in ``*`` allows all names with that prefix. None: any name."""
        ...

    def settings(self) -> Mapping[str, Target]:
        """The settings allowed beside ``writer`` and ``file`` in a template's ``[output]``."""
        ...

    def refuses(self, clip: Clip, options: Options) -> str | None:
        """Why this format cannot represent a clip ("a still has no timeline"), or None. Such a clip is omitted with
        a warning."""
        ...

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        """Render the files. Scope ``clip`` is called with one clip, the others with all clips that are not refused.

        Results of the template that the format cannot hold are reported in :attr:`Rendered.problems`. Raises
        InvalidInput (``bad-export``) for errors that the user must fix before anything can be rendered.
        """
        ...


def name_for(pattern: str, clip: Clip | None) -> str:
    """Expand a file name pattern. Raises InvalidInput (``bad-path``) for a name that leaves its folder or enters
    ``.git``, (``bad-export``) for one that refers to a medium where there is none."""
    if clip is not None:
        name = named(pattern, clip.medium.name)
    elif named(pattern, "") == pattern:
        name = pattern
    else:
        raise InvalidInput("bad-export", f"'{pattern}' refers to a medium, but this file describes all of them")
    check_relative(os.fsencode(name))
    return name


def named(pattern: str, name: str) -> str:
    """Insert a medium's file name in a pattern."""
    parts = {"{stem}": os.path.splitext(name)[0], "{name}": name}
    return re.sub(r"\{stem\}|\{name\}", lambda found: parts[found[0]], pattern)
