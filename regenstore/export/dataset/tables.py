"""Parquet tables of rows with a fixed Arrow schema, written in batches: memory does not grow with the number of
rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import IO, Any

from regenstore.errors import FormatError, NotFound
from regenstore.export.dataset import fast_json
from regenstore.export.dataset.row import COLUMNS, STRUCTS, Row
from regenstore.export.dataset.sinks import TABLE

BATCH = 500


def arrow() -> Any:
    """Import pyarrow. Raises NotFound (``extra-missing``) if it is not installed."""
    try:
        import pyarrow
        import pyarrow.json
        import pyarrow.parquet
    except ImportError:
        raise NotFound(
            "extra-missing",
            "datasets need the package pyarrow",
            hint="Run: pip install 'regenstore[dataset]'",
        ) from None
    return pyarrow


def schema(extra: Sequence[tuple[str, str]] = ()) -> Any:
    """The Arrow schema of a table of samples; ``extra`` columns come first."""
    return schema_of([*extra, *((column.name, column.type) for column in COLUMNS)])


def schema_of(columns: Sequence[tuple[str, str]]) -> Any:
    pa = arrow()
    plain = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "strings": pa.list_(pa.string())}
    for name, parts in STRUCTS.items():
        plain[name] = pa.list_(pa.struct([(part, plain[kind]) for part, kind in parts]))
    return pa.schema([(name, plain[kind]) for name, kind in columns])


def write(path: str, rows: Iterable[Row], given: Any) -> int:
    """Write rows as Parquet and return their number. Equal rows give equal bytes."""
    pa = arrow()
    count = 0
    with _writer(path, given) as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=given))
            count += len(batch)
    return count


class SampleTables:
    """The tables of all samples, built in one pass over rows in JSON, without creating Python objects from them:
    Parquet and JSON lines of all samples, and Parquet for each split. They are in a temporary folder for the
    duration of the block."""

    ALL, LINES = "samples.parquet", "samples.jsonl"

    def __init__(self, *, by_split: bool) -> None:
        self._by_split = by_split
        self._folder = tempfile.TemporaryDirectory(prefix="regenstore-tables-")
        self._schema = schema([("file_name", "string"), ("path", "string")])
        self._batch: list[bytes] = []
        self._split = ""
        self._writers: dict[str, Any] = {}
        self._open: dict[str, AbstractContextManager[Any]] = {}
        self._lines: IO[bytes] = open(os.path.join(self._folder.name, self.LINES), "wb")

    def __enter__(self) -> SampleTables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        for writer in self._open.values():
            writer.__exit__(None, None, None)
        self._folder.cleanup()

    def add(self, split: str, file_name: str, path: str, row: bytes) -> None:
        """Add a sample; samples of a split must be consecutive. ``path``: relative to the dataset's root;
        ``file_name``: relative to the split's table; ``row``: its row as JSON."""
        if len(self._batch) == BATCH or split != self._split:
            self._flush()
            self._split = split
        told = b'"path":' + fast_json.line(path) + b"," + row[1:]
        self._lines.write(b"{" + told + b"\n")
        self._batch.append(b'{"file_name":' + fast_json.line(file_name) + b"," + told)

    def done(self) -> Iterator[tuple[str, str]]:
        """Finish the tables once all samples were added; yields the name in the dataset and the file of each, tables
        of all samples last."""
        self._flush()
        self._lines.close()
        names = [*sorted(self._writers.keys() - {self.ALL}), *(self._writers.keys() & {self.ALL})]
        for name in names:
            self._open.pop(name).__exit__(None, None, None)
        for name in [*names, self.LINES]:
            yield name, self._place(name)

    def _place(self, name: str) -> str:
        return os.path.join(self._folder.name, name.replace("/", "-"))

    def _flush(self) -> None:
        if not self._batch:
            return
        pa = arrow()
        data = b"\n".join(self._batch)
        self._batch = []
        table = pa.json.read_json(
            pa.BufferReader(data),
            read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pa.json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="error"),
        ).select(self._schema.names)
        self._write(self.ALL, table.drop_columns(["file_name"]))
        if self._by_split:
            self._write(f"{self._split}/{TABLE}", table.drop_columns(["path"]))

    def _write(self, name: str, table: Any) -> None:
        if name not in self._writers:
            self._open[name] = _writer(self._place(name), table.schema)
            self._writers[name] = self._open[name].__enter__()
        self._writers[name].write_table(table)


@contextmanager
def _writer(path: str, given: Any) -> Iterator[Any]:
    # pyarrow gets open files, as paths that it opens must be UTF-8.
    with (
        open(path, "wb") as file,
        arrow().parquet.ParquetWriter(file, given, compression="zstd", store_schema=True) as writer,
    ):
        yield writer


def read(path: str, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a Parquet file, with all or some columns, in batches. Raises FormatError (``bad-dataset``)
    for other files."""
    pa = arrow()
    try:
        with open(path, "rb") as raw, pa.parquet.ParquetFile(raw) as file:
            for batch in file.iter_batches(BATCH, columns=columns):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise FormatError("bad-dataset", f"{path} is not a table of samples: {error}") from None


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
