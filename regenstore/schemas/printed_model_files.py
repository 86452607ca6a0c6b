"""``--json`` output about models."""

from __future__ import annotations

from typing import Literal

from regenstore.schemas.parts import Change, Count, DigestText, Path, Printed, Record, Text
from regenstore.schemas.printed_remotes import KindAndMessage


class ModelRow(Record):
    path: Path
    name: Path
    kind: Text | None
    base: Text | None
    size: Count
    digest: DigestText
    sha256: str | None
    tensors: str | None
    autov1: str | None
    autov2: str | None
    autov3: str | None


class ModelsRecord(Printed):
    type: Literal["regenstore.models"]
    models: list[ModelRow]


class ModelsFindRecord(Printed):
    type: Literal["regenstore.models-find"]
    asked: Text
    by: Literal["blake3", "sha256", "tensors", "autov2", "autov3", "autov1", "name", "case", "stem", "alias"] | None
    unambiguous: bool
    models: list[ModelRow]


class ModelsScanFields(Record):
    known: Count
    told: list[ModelRow]
    problems: list[KindAndMessage]


class ModelsScanRecord(Change, ModelsScanFields):
    type: Literal["regenstore.models-scan"]
    hashed: list[ModelRow]


class FileToHash(Record):
    paths: list[Path]
    size: Count


class ModelsScanPlanRecord(Change, ModelsScanFields):
    type: Literal["regenstore.models-scan-plan"]
    hash: list[FileToHash]
    hash_bytes: Count


class ModelsForgottenRecord(Change):
    type: Literal["regenstore.models-forgotten"]
    paths: list[Path]
