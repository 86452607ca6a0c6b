"""Tables of rows as Parquet, with one fixed Arrow schema, written in batches: memory does not grow with rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from regenstore.errors import FormatError, NotFound
from regenstore.export.dataset.row import COLUMNS, STRUCTS, Row

BATCH = 1000


def arrow() -> Any:
    """pyarrow; raises NotFound (``extra-missing``) where it is not installed."""
    try:
        import pyarrow
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
    """Write rows as Parquet; gives their number. The same rows give the same bytes."""
    pa = arrow()
    count = 0
    with pa.parquet.ParquetWriter(path, given, compression="zstd", store_schema=True) as writer:
        for batch in _batches(rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=given))
            count += len(batch)
    return count


def read(path: str) -> Iterator[Row]:
    """The rows of a Parquet file, a batch at a time; raises FormatError (``bad-dataset``) for anything else."""
    pa = arrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise FormatError("bad-dataset", f"{path} is no table of samples: {error}") from None


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
