"""The manifest: all samples with their files, digests and splits; the ledger of splits; and the export's options.

It is written last: a dataset is what its manifest says.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regenstore.errors import FormatError, NotFound
from regenstore.export.dataset import fast_json
from regenstore.export.dataset.sinks import MANIFEST, ExportedFile
from regenstore.fs import presence

FORMAT, VERSION = "regenstore.dataset", 1
LAYOUTS = ("dir", "zip", "zip-splits", "webdataset")


@dataclass(frozen=True)
class ManifestSample:
    """A sample. ``row``: hash of its data in the tables and in its JSON."""

    source: str
    digest: str
    row: str
    split: str
    group: str
    files: tuple[ExportedFile, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source, "digest": self.digest, "row": self.row, "split": self.split,
            "group": self.group, "files": [file.to_json() for file in self.files],
        }  # fmt: skip

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> ManifestSample:
        source, digest, row, split, group = (str(given[name]) for name in ("source", "digest", "row", "split", "group"))
        return cls(source, digest, row, split, group, tuple(ExportedFile.from_json(file) for file in given["files"]))


@dataclass
class Manifest:
    """The content of ``manifest.json``."""

    layout: str
    kind: str
    export: int = 1
    """Counts the exports into this dataset; the card's version ends with it."""
    revision: str | None = None
    created: str | None = None
    """When the newest medium was made, so that two exports of the same media are equal."""
    filters: list[str] = field(default_factory=list)
    split: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, str] = field(default_factory=dict)
    samples: dict[str, ManifestSample] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    """Keys of samples that were removed."""
    files: list[ExportedFile] = field(default_factory=list)
    """Files that belong to no sample: tables, card and others."""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.samples.values():
            found[entry.split] = found.get(entry.split, 0) + 1
        return found

    def names(self) -> frozenset[str]:
        """The paths of all files of a dataset in a folder."""
        stored = (*self.files, *(file for entry in self.samples.values() for file in entry.files))
        return frozenset({MANIFEST, *(file.inside or file.path for file in stored)})

    @property
    def version(self) -> str:
        return f"1.0.{self.export}"

    def to_bytes(self) -> bytes:
        """Serialise to JSON, one line per sample; equal manifests give equal bytes."""
        head = {
            "format": FORMAT, "version": VERSION, "layout": self.layout, "kind": self.kind, "export": self.export,
            "revision": self.revision, "created": self.created, "filters": self.filters, "split": self.split,
            "settings": self.settings, "counts": dict(sorted(self.counts.items())), "removed": self.removed,
            "files": [file.to_json() for file in self.files],
        }  # fmt: skip
        lines = [b' "%b": %b' % (name.encode(), fast_json.sorted_line(value)) for name, value in head.items()]
        lines.append(_block("ledger", dict(sorted(self.ledger.items()))))
        lines.append(_block("samples", {key: entry.to_json() for key, entry in self.samples.items()}))
        return b"{\n" + b",\n".join(lines) + b"\n}\n"

    @classmethod
    def from_bytes(cls, data: bytes, what: str) -> Manifest:
        """Inverse of :meth:`to_bytes`; raises FormatError (``bad-dataset``)."""
        try:
            given = fast_json.loads(data)
            if given["format"] != FORMAT or given["layout"] not in LAYOUTS:
                raise ValueError("it was written by another program")
            if given["version"] != VERSION:
                raise ValueError(f"its format version is {given['version']}")
            return cls(
                given["layout"], given["kind"], int(given["export"]), given["revision"], given["created"],
                list(given["filters"]), dict(given["split"]),
                {str(token): str(split) for token, split in given["ledger"].items()},
                {str(key): ManifestSample.from_json(entry) for key, entry in given["samples"].items()},
                list(given["removed"]), [ExportedFile.from_json(file) for file in given["files"]],
                dict(given["settings"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError("bad-dataset", f"{what}: its manifest cannot be read ({error})") from None


def _block(name: str, table: Mapping[str, object]) -> bytes:
    line = fast_json.sorted_line
    lines = b",\n".join([b"  %b: %b" % (line(key), line(value)) for key, value in table.items()])
    return b' "%b": {%b}' % (name.encode(), b"\n%b\n " % lines if lines else b"")


def load(out: str) -> Manifest:
    """Load the manifest of a dataset, a folder or a ZIP. Raises NotFound (``no-such-dataset``) or FormatError
    (``bad-dataset``)."""
    found = read_bytes(out, MANIFEST)
    if found is None:
        raise NotFound("no-such-dataset", f"{out} is not a dataset: it has no {MANIFEST}")
    return Manifest.from_bytes(found, out)


def read_bytes(out: str, name: str) -> bytes | None:
    """Read a file in a dataset's root; None if it does not exist. Raises FormatError (``bad-dataset``), and
    StorageError (``unreadable``)."""
    try:
        if presence.is_folder(out):
            return presence.read(os.path.join(out, name))
        with open(presence.open_file(out), "rb") as file, zipfile.ZipFile(file) as archive:
            return archive.read(name)
    except (*presence.ABSENT, KeyError):
        return None
    except presence.NotRegular as error:
        raise FormatError("bad-dataset", f"{out} cannot be read: {error}") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise FormatError("bad-dataset", f"{out} cannot be read: {error}") from None


def is_dataset(out: str) -> bool:
    """Whether there is a dataset of regenstore at a path."""
    try:
        load(out)
    except (FormatError, NotFound):
        return False
    return True
