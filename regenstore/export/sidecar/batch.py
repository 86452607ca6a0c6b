"""A batch of sidecars: plan the files and render their contents."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from regenstore.errors import InvalidInput, RegenstoreError
from regenstore.export import context
from regenstore.export.color_names import assume
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import LeftOut, Medium
from regenstore.export.sidecar import writers
from regenstore.export.sidecar.clips import doubts, make_clip
from regenstore.export.sidecar.fill import fill
from regenstore.export.sidecar.template import OutputTemplate, Template, near
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Row, Sibling, SidecarWriter, named
from regenstore.export.sidecar.xmp_merging import merged
from regenstore.fs import durable
from regenstore.media.embed import EMBEDDABLE, embedded, xmp_of
from regenstore.media.media_info import UNKNOWN_COLOR
from regenstore.media.types import kind

_BLOCK = 1 << 20
_NAMED = 3
"""How many media a warning names."""
LARGEST = 256 << 20
LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Limits of Linux and its file systems, in bytes."""
Told = Callable[[str, float], None]
"""Progress callback: a medium's path, and the fraction measured."""


@dataclass(frozen=True)
class SidecarOrder:
    """The options of a sidecar export."""

    templates: tuple[Template, ...]
    top: str
    """The worktree's top, absolute."""
    to: str | None = None
    """Absolute folder for all output; None: sidecars go beside their media in the worktree."""
    full_names: bool = False
    """Name sidecars after the medium's full file name: ``a.mp4.xmp`` instead of ``a.xmp``."""
    copy: bool = False
    """Copy the media into the folder, too."""
    embed: bool = False
    """Embed XMP in those copies."""
    keep_folders: bool = False
    """Below that folder, keep the folders that the media have in the worktree."""
    maps: tuple[tuple[str, str], ...] = ()
    """Folders here, and the paths by which other machines know them."""
    relative: bool = False
    """State media by paths relative to the sidecar, in formats that can."""
    measure: bool = False
    """Measure frames that were not measured yet, even if no template needs it."""
    no_measure: bool = False
    """Measure nothing, even if a template needs it."""
    start_frame: int | None = None
    assume_color: str | None = None
    redact: frozenset[str] = frozenset()
    csv_safe: bool = False

    def pattern(self, output: OutputTemplate) -> str:
        return output.file.replace("{stem}", "{name}") if self.full_names else output.file

    def folder(self, path: str) -> str:
        """The folder for the files of a medium."""
        if self.to is not None and not self.keep_folders:
            return self.to
        return os.path.join(self.top if self.to is None else self.to, os.path.dirname(path))

    def place(self, path: str) -> str:
        """Where the file of a medium is once the export is done: the copy, else the worktree's file."""
        if self.copy or self.embed:
            return os.path.join(self.folder(path), os.path.basename(path))
        return os.path.join(self.top, path)

    def mapped(self, path: str) -> str:
        """An absolute path as other machines know it: the longest mapped folder above it is replaced."""
        for here, there in sorted(self.maps, key=lambda pair: -len(pair[0])):
            if path == here or path.startswith(here.rstrip("/") + "/"):
                return there.rstrip("/") + "/" + path[len(here.rstrip("/")) + 1 :] if path != here else there
        return path

    @property
    def measures(self) -> bool:
        """Whether frames must be measured, because the options say so or a template maps a measured column. Settings
        that include whatever was measured (``measured``) need none."""
        if self.no_measure:
            return False
        return self.measure or bool(self.measured)

    @property
    def measured(self) -> list[str]:
        """The measured columns, and summaries of them, that templates map."""
        sources = (each.source for template in self.templates for each in template.fields if each.source)
        return [
            source for source in sources if source.startswith(("frames.", "metrics.")) and source not in context.NAMES
        ]


@dataclass(frozen=True)
class PlannedFile:
    """A file of a batch."""

    target: str
    """Absolute path."""
    data: bytes | None
    """None for a copy of a medium."""
    template: str = ""
    writer: str = ""
    media: tuple[str, ...] = ()
    """Worktree paths of the media that it describes."""
    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Errors that the template's author has to fix before anything is written."""
    source: str | None = None
    """The file to copy."""
    packet: bytes | None = None
    """XMP to embed in the copy."""
    media_type: str = ""

    def blocks(self) -> Iterator[bytes]:
        """Yield the file's bytes in order. Raises InvalidInput (``bad-export``) for a medium that XMP cannot be
        embedded in, and OSError."""
        if self.data is not None:
            yield self.data
            return
        assert self.source is not None
        if self.packet is not None:
            try:
                made = embedded(self.source, self.media_type, self.packet)
            except ValueError as error:
                raise InvalidInput("bad-export", f"{self.media[0]}: {error}") from None
            yield from made.blocks()
            return
        with open(self.source, "rb") as source:
            while block := source.read(_BLOCK):
                yield block


@dataclass
class Batch:
    """All files and warnings of an export. Creating it writes nothing."""

    files: list[PlannedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Warnings that concern no single file."""

    def warn(self, warned: Iterable[tuple[str, str]]) -> None:
        """Add warnings, given as pairs of a path and a text; one line for all paths with the same text."""
        paths: dict[str, list[str]] = {}
        for path, text in warned:
            paths.setdefault(text, []).append(path)
        for text, found in paths.items():
            some = ", ".join(found[:_NAMED]) + (" …" if len(found) > _NAMED else "")
            self.warnings.append(f"{found[0]}: {text}" if len(found) == 1 else f"{len(found)} files: {text} ({some})")


# ------------------------------------------------------------------------------------------- names


def refuse_collisions(order: SidecarOrder, paths: Sequence[str]) -> None:
    """Raise InvalidInput (``bad-export``) if sidecars of two media would have the same name, judging by the media's
    names only, before anything is made or written. Names that differ only in case collide as well, as they do on
    some file systems."""
    names: dict[str, tuple[str, str]] = {}
    for path in paths:
        name = os.path.basename(path)
        patterns = {order.pattern(output) for template in order.templates for output in template.outputs}
        if order.copy or order.embed:
            patterns.add("{name}")
        for pattern in sorted(patterns):
            if "{stem}" not in pattern and "{name}" not in pattern:
                continue
            target = os.path.join(order.folder(path), named(pattern, name))
            other = names.setdefault(alike(target), (path, target))
            if other[0] != path:
                hint = "Choose other paths, or use --full-names, which keeps the media's extensions."
                if os.path.basename(path) == os.path.basename(other[0]):
                    hint = "Export them into different folders."
                raise InvalidInput("bad-export", f"{other[0]} and {path} would both write {target}", hint=hint)


def alike(path: str) -> str:
    """The form of a path that is equal for paths which some file systems treat as one."""
    return unicodedata.normalize("NFC", path).casefold()


# ------------------------------------------------------------------------------------------- contents


def render(
    order: SidecarOrder, media: Sequence[Medium], known: Measurements, told: Told, left: LeftOut | None = None
) -> Batch:
    """Render all files of an export. ``left`` gets the media that cannot be read; without it, the first one raises.

    Raises InvalidInput for errors that the user must fix, and the first reason in ``left`` if nothing else is there.
    """
    left = LeftOut(strict=True) if left is None else left
    assume(UNKNOWN_COLOR, order.assume_color)  # an unknown name concerns all media
    if order.to is None and (order.copy or order.embed):
        raise InvalidInput("bad-export", "copies of media need a target folder: --to DIR")
    batch = Batch()
    clips = []
    for medium in media:
        try:
            clip = clip_of(order, medium, known, told)
            _refuse_unembeddable(order, clip)
            clips.append(clip)
        except RegenstoreError as error:
            left.add(medium.path, error)
        told(medium.path, 1.0)
    if not clips:
        left.refuse()
    _refuse_unknown(order.redact, clips)
    batch.warn((clip.medium.path, doubt) for clip in clips for doubt in doubts(clip))
    if order.templates and not (order.copy or order.embed):
        missing = "the worktree has no medium there; run 'regenstore get' to place it, or use --copy for one beside it"
        batch.warn((clip.medium.path, missing) for clip in clips if not _lies_there(order, clip))
    batch.warn(_unmeasured(order, clips))
    if order.copy or order.embed:
        batch.files += [_copy(order, clip, batch) for clip in clips]
    late: list[tuple[Template, OutputTemplate, SidecarWriter]] = []
    for template in order.templates:
        for output in template.outputs:
            writer = writers.find(output.writer)
            if writer.scope == "folder":
                late.append((template, output, writer))
            else:
                batch.files += _files(order, template, output, writer, clips, batch)
    _refuse_double(batch)
    for template, output, writer in late:
        if order.to is None:
            raise InvalidInput("bad-export", f"'{output.writer}' describes a folder: give one with --to DIR")
        batch.files += _files(order, template, output, writer, clips, batch)
    if not batch.files:
        reasons = "".join(f"\n  {warning}" for warning in batch.warnings)
        raise InvalidInput("bad-export", f"there is nothing to write{reasons}")
    _refuse_double(batch)
    return batch


def _refuse_unknown(redact: Iterable[str], clips: Sequence[Clip]) -> None:
    """Refuse an unknown redaction word: it is probably a typo, and would reveal what it was meant to hide."""
    for word in redact:
        if clips and not any(context.named_by(clip.fields, word) for clip in clips):
            names = sorted({part for name in clips[0].fields for part in (name, name.rpartition(".")[2])})
            raise InvalidInput("bad-export", f"there is no field '{word}' to redact{near(word, names)}")


def clip_of(order: SidecarOrder, medium: Medium, known: Measurements, told: Told) -> Clip:
    """The clip of a medium. Raises InvalidInput (``bad-export``) for one that cannot be read."""
    info = known.info(medium)
    measuring = (lambda done: told(medium.path, done)) if order.measures else None
    metrics = known.metrics(medium, measuring) if kind(medium.media_type) == "video" else None
    place = order.mapped(order.place(medium.path))
    return make_clip(medium, info, metrics, place, assume_color=order.assume_color, redact=order.redact)


def _refuse_unembeddable(order: SidecarOrder, clip: Clip) -> None:
    """Raise InvalidInput (``bad-export``) for a damaged medium, which XMP cannot be embedded in."""
    medium = clip.medium
    if order.embed and medium.media_type in EMBEDDABLE:
        try:
            embedded(medium.file, medium.media_type, xmp_packet(order, clip))
        except ValueError as error:
            raise InvalidInput("bad-export", f"{medium.path}: {error}") from None


def _lies_there(order: SidecarOrder, clip: Clip) -> bool:
    try:
        return os.path.getsize(order.place(clip.medium.path)) == clip.medium.size
    except OSError:
        return False


def _unmeasured(order: SidecarOrder, clips: Sequence[Clip]) -> Iterator[tuple[str, str]]:
    """What was not measured in the videos of an export with a template that could tell it."""
    outputs = [output for template in order.templates for output in template.outputs]
    open_ended = any(output.settings.get("measured") is True for output in outputs)
    if not open_ended and not order.measured:
        return
    faces = open_ended or any("face" in source for source in order.measured)
    for clip in clips:
        if clip.info.kind != "video":
            continue
        if clip.metrics is None:
            yield clip.medium.path, "its frames were not measured, so there are no curves or markers; use --frames"
        elif faces and "face_count" not in clip.metrics.columns:
            yield clip.medium.path, "faces were not looked for: pip install 'regenstore[faces]', then use --frames"


def _copy(order: SidecarOrder, clip: Clip, batch: Batch) -> PlannedFile:
    medium = clip.medium
    if order.embed and medium.media_type not in EMBEDDABLE:
        batch.warnings.append(f"{medium.path}: {medium.media_type} cannot hold XMP; its copy is unchanged")
    packet = _packet(order, clip, batch) if order.embed and medium.media_type in EMBEDDABLE else None
    return PlannedFile(
        order.place(medium.path),
        None,
        media=(medium.path,),
        source=medium.file,
        packet=packet,
        media_type=medium.media_type,
    )


def _packet(order: SidecarOrder, clip: Clip, batch: Batch) -> bytes | None:
    """The XMP to embed, merged with what the medium has already; None, with a warning, if that cannot be read."""
    medium, ours = clip.medium, xmp_packet(order, clip)
    try:
        with durable.storage_errors(medium.file):
            old = xmp_of(medium.file, medium.media_type)
    except ValueError:
        return ours  # what is wrong with the file is reported where it is written
    if old is None:
        return ours
    if order.redact:
        # It may reveal the redacted fields.
        batch.warnings.append(f"{medium.path}: the XMP that it has already is left out of the copy, due to --redact")
        return ours
    try:
        packet, conflicts = merged(ours, old)
    except ValueError as error:
        batch.warnings.append(f"{medium.path}: its own XMP cannot be read ({error}); its copy is unchanged")
        return None
    if conflicts:
        batch.warnings.append(f"{medium.path}: its own XMP has other values, which stay: {', '.join(conflicts)}")
    return packet


def xmp_packet(order: SidecarOrder, clip: Clip) -> bytes:
    """The XMP to embed for a clip, from the first template with an XMP output, else from the built-in one."""
    from regenstore.export.sidecar.library import Library

    for template in (*order.templates, Library(None).load("xmp")):
        for output in template.outputs:
            if output.writer == "xmp":
                options = Options("{stem}.xmp", settings=output.settings)
                return writers.find("xmp").render([fill(template, output, clip)], options)[0].data
    raise AssertionError("the built-in template has an output")


def _files(
    order: SidecarOrder,
    template: Template,
    output: OutputTemplate,
    writer: SidecarWriter,
    clips: Sequence[Clip],
    batch: Batch,
) -> Iterator[PlannedFile]:
    options = Options(
        order.pattern(output),
        order.start_frame,
        output.settings,
        {each.writer: order.pattern(each) for each in template.outputs},
        order.csv_safe,
    )
    filled: list[Filled] = []
    refused: list[tuple[str, str]] = []
    for clip in clips:
        reason = writer.refuses(clip, options) or _unnameable(order, writer, clip, options)
        if reason is None:
            filled.append(fill(template, output, clip))
        else:
            refused.append((clip.medium.path, f"no {output.id}: {reason}"))
    batch.warn(refused)
    if not filled:
        return
    if writer.scope == "clip":
        for each in filled:
            folder = order.folder(each.clip.medium.path)
            own = replace(options, folder=order.mapped(folder)) if order.relative else options
            yield from _planned(folder, writer.render([each], own), writer, template, [each])
        return
    folder = order.to or os.path.commonpath([order.folder(each.clip.medium.path) for each in filled])
    if writer.scope == "folder":
        there = dict(_there(folder, os.path.dirname(options.name_for())))
        options = replace(options, siblings=tuple(_siblings(folder, batch)), there=there)
    yield from _planned(folder, writer.render(filled, options), writer, template, filled)


def _unnameable(order: SidecarOrder, writer: SidecarWriter, clip: Clip, options: Options) -> str | None:
    """Why a medium's own file cannot have the name it would get, or None."""
    if writer.scope != "clip":
        return None
    path = os.path.join(order.folder(clip.medium.path), options.name_for(clip))
    name, whole = (len(os.fsencode(each)) for each in (os.path.basename(path), path))
    if name > LONGEST_NAME:
        return f"its name would have {name} bytes; file systems allow {LONGEST_NAME}"
    if whole > LONGEST_PATH:
        return f"its path would have {whole} bytes; the system allows {LONGEST_PATH}"
    return None


def _planned(
    folder: str, made: Iterable[Rendered], writer: SidecarWriter, template: Template, filled: Sequence[Filled]
) -> Iterator[PlannedFile]:
    for each in made:
        yield PlannedFile(
            os.path.join(folder, each.name),
            each.data,
            template.name,
            writer.name,
            tuple(one.clip.medium.path for one in filled),
            each.rows,
            each.warnings,
            each.problems,
        )


def _siblings(folder: str, batch: Batch) -> Iterator[Sibling]:
    for file in batch.files:
        name = os.path.relpath(file.target, folder).replace(os.sep, "/")
        yield Sibling(name, file.blocks)


def _there(folder: str, below: str) -> Iterator[tuple[str, bytes]]:
    """The files already in a subfolder of a folder, without those in deeper ones."""
    place = os.path.join(folder, below)
    for name in sorted(os.listdir(place)) if below and os.path.isdir(place) else ():
        path = os.path.join(place, name)
        if os.path.isfile(path) and os.path.getsize(path) <= LARGEST:
            with open(path, "rb") as file:
                yield f"{below}/{name}", file.read()


def _refuse_double(batch: Batch) -> None:
    """Refuse two outputs with the same name, unless their bytes are equal: those become one file."""
    seen: dict[str, PlannedFile] = {}
    for file in batch.files:
        other = seen.setdefault(alike(file.target), file)
        if other is not file and (other.target, other.data, other.source) != (file.target, file.data, file.source):
            who = " and ".join(sorted({f"{each.template} ({each.writer})" for each in (other, file)}))
            raise InvalidInput("bad-export", f"{who} would both write {file.target}, with different contents")
    batch.files[:] = seen.values()
