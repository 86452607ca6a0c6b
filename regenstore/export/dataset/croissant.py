"""croissant.json: the dataset in Croissant 1.1 (JSON-LD), written by hand.

The context extends https://schema.org/: with http://, as the specification prints it, validators refuse it.
Records come from ``samples.parquet``: JSON lines are read by pandas, which makes numbers of seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

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
_USES = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}


def croissant(
    manifest: Manifest,
    name: str,
    license: str,
    table_sha256: str,
    media_types: Sequence[str],
    shards: Mapping[str, Sequence[str]],
) -> bytes:
    """The description. ``table_sha256``: of ``samples.parquet``."""
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
        "distribution": [_table(table_sha256), *_media(manifest, media_types, shards)],
        "recordSet": [_splits(manifest), _samples()],
    }
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def _table(sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": "samples.parquet",
        "name": "samples.parquet",
        "description": "All samples of all splits.",
        "contentUrl": "samples.parquet",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _media(manifest: Manifest, media_types: Sequence[str], shards: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    if manifest.layout == "webdataset":
        includes, types = sorted(f"{split}-*.tar" for split in shards), ["application/x-tar"]
    elif manifest.layout == "zip-splits":
        includes, types = sorted(name for names in shards.values() for name in names), ["application/zip"]
    else:
        folder = FOLDERS[manifest.kind]
        includes, types = sorted(f"{split}/{folder}/*" for split in manifest.counts), sorted(media_types)
    return [
        {
            "@type": "cr:FileSet",
            "@id": "media",
            "name": "media",
            "encodingFormat": types if len(types) > 1 else types[0],
            "includes": includes,
        }
    ]


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
    fields = []
    for name, type_, meaning in [("path", "string", "the medium's file"), *COLUMNS]:
        if type_ not in _TYPES:
            continue  # lists of structures are in the table all the same
        entry: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"samples/{name}",
            "name": name,
            "description": meaning,
            "dataType": _TYPES[type_],
            "source": {"fileObject": {"@id": "samples.parquet"}, "extract": {"column": name}},
        }
        if name == "split":
            entry["references"] = {"field": {"@id": "splits/name"}}
        fields.append(entry)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/key"},
        "field": fields,
    }
