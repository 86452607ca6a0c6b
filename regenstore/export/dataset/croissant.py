"""croissant.json: the dataset in Croissant 1.1 (JSON-LD), written by hand.

The context extends https://schema.org/: with http://, as the specification prints it, validators refuse it.
Records come from ``samples.parquet``: JSON lines are read by pandas, which makes numbers of seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from regenstore.export.dataset import frames
from regenstore.export.dataset.card import FOLDERS
from regenstore.export.dataset.manifest import Manifest
from regenstore.export.dataset.row import COLUMNS
from regenstore.export.dataset.splits import SPLITS

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES = {"string": "sc:Text", "int": "sc:Integer", "float": "sc:Float"}
FACES = "faces/metadata.parquet"
FACE_COLUMNS = (
    ("file_name", "string", "the crop, from the folder faces"),
    ("key", "string", "the sample"),
    ("split", "string", "the sample's split"),
    ("character", "string", "the sample's character, where it has one only"),
    ("frame", "int", "which frame, from 0"),
    ("confidence", "float", "that it is a face"),
    *((side, "float", "its box, in pixels") for side in "xywh"),
)
_USES = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}


def croissant(
    manifest: Manifest,
    name: str,
    license: str,
    table_sha256: str,
    media_types: Sequence[str],
    shards: Mapping[str, Sequence[str]],
    faces_sha256: str | None = None,
) -> bytes:
    """The description. ``table_sha256``: of ``samples.parquet``; ``faces_sha256``: of the table of faces, if there is
    one."""
    parts = [_table("samples.parquet", "All samples of all splits.", table_sha256)]
    parts += _media(manifest, media_types, shards)
    records = [_splits(manifest), _samples()]
    if faces_sha256 is not None:
        parts += [
            _table(FACES, "All crops of faces.", faces_sha256),
            _files("crops", "faces/crops/*.jpg", "image/jpeg"),
        ]
        records += [_records("faces", FACE_COLUMNS, {"fileObject": {"@id": FACES}}), _crops()]
    if any(file.path.startswith("frames/") for entry in manifest.samples.values() for file in entry.files):
        parts.append(_files("frame-tables", "frames/*.csv", "text/csv"))
        records.append(_records("frames", frames.COLUMNS, {"fileSet": {"@id": "frame-tables"}}))
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name,
        "description": f"Generated {manifest.kind} samples, exported by regenstore.",
        "license": license,
        "version": manifest.version,
        "datePublished": (manifest.created or "1970-01-01")[:10],
        "url": "https://schema.org/Dataset",
        "citeAs": name,
        "isLiveDataset": False,
        "distribution": parts,
        "recordSet": records,
    }
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def _table(name: str, about: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": about,
        "contentUrl": name,
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _files(name: str, includes: str | list[str], types: str | list[str]) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": types, "includes": includes}


def _media(manifest: Manifest, media_types: Sequence[str], shards: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    if manifest.layout == "webdataset":
        includes, types = sorted(f"{split}-*.tar" for split in shards), ["application/x-tar"]
    elif manifest.layout == "zip-splits":
        includes, types = sorted(name for names in shards.values() for name in names), ["application/zip"]
    else:
        folder = FOLDERS[manifest.kind]
        includes, types = sorted(f"{split}/{folder}/*" for split in manifest.counts), sorted(media_types)
    return [_files("media", includes, types if len(types) > 1 else types[0])]


def _splits(manifest: Manifest) -> dict[str, Any]:
    splits = [split for split in SPLITS if manifest.counts.get(split)]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": split, "splits/url": _USES[split]} for split in splits],
    }


def _samples() -> dict[str, Any]:
    columns = [("path", "string", "the medium's file"), *COLUMNS]
    # Lists of structures are in the table all the same.
    plain = [(name, type_, meaning) for name, type_, meaning in columns if type_ in _TYPES]
    found = _records("samples", plain, {"fileObject": {"@id": "samples.parquet"}})
    return {**found, "key": {"@id": "samples/key"}}


def _records(name: str, columns: Sequence[tuple[str, str, str]], source: Mapping[str, Any]) -> dict[str, Any]:
    """Records of a table, or of many of the same form."""
    fields = []
    for column, type_, meaning in columns:
        entry: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "description": meaning,
            "dataType": _TYPES[type_],
            "source": {**source, "extract": {"column": column}},
        }
        if column == "split":
            entry["references"] = {"field": {"@id": "splits/name"}}
        fields.append(entry)
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _crops() -> dict[str, Any]:
    """The pictures of faces; ``faces/file_name`` says whose they are."""
    found = [
        {
            "@type": "cr:Field",
            "@id": f"face-crops/{name}",
            "name": name,
            "description": meaning,
            "dataType": type_,
            "source": {"fileSet": {"@id": "crops"}, "extract": {"fileProperty": part}},
        }
        for name, meaning, type_, part in (
            ("name", "its file's name", "sc:Text", "filename"),
            ("image", "the crop", "sc:ImageObject", "content"),
        )
    ]
    return {"@type": "cr:RecordSet", "@id": "face-crops", "name": "face-crops", "field": found}
