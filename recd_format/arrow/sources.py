"""What callers hand in as rows: a schema and an iterator of record batches."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from recd_format.errors import RecdInputError
from recd_format.filesystem import Place, is_path, list_files

__all__ = ["Batches", "batches"]

_BATCH_ROWS = 65_536
_ERRORS = (pa.ArrowException, OSError, ValueError, TypeError)


class Batches(NamedTuple):
    """Rows to come.

    Attributes
    ----------
    schema : pa.Schema
        Schema of every batch.
    batches : iterator of pa.RecordBatch
        To be walked once.
    bytes_in : int or None
        Size of the files, or of the data in memory; None where nobody knows.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    bytes_in: int | None


def batches(data: Any, *, filesystem: Any = None) -> Batches:
    """Return the rows of `data`.

    Parameters
    ----------
    data
        Path, folder or glob of Parquet files, or a list of them; pa.Table, RecordBatch,
        RecordBatchReader; pyarrow.dataset.Dataset; pandas.DataFrame; polars.DataFrame or
        LazyFrame; anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``; an iterable of
        record batches or tables.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        File system that paths are in.

    Raises
    ------
    RecdInputError
        Where a file is missing or no Parquet file, files or batches differ in schema, or `data`
        is none of the above.
    """
    if is_path(data):
        return _parquet(list_files(data, suffix=".parquet", filesystem=filesystem))
    if isinstance(data, (pa.Table, pa.RecordBatch)):
        rows = data.to_batches() if isinstance(data, pa.Table) else [data]
        return Batches(data.schema, iter(rows), _nbytes(data))
    # Importing pyarrow.dataset imports pandas: 0.3 s that only a caller who has it pays.
    datasets = sys.modules.get("pyarrow.dataset")
    if datasets is not None and isinstance(data, datasets.Dataset):
        return Batches(data.schema, _guarded(data.to_batches(), "dataset"), None)
    module, kind = type(data).__module__.partition(".")[0], type(data).__name__
    if module == "pandas" and kind == "DataFrame":
        return batches(_from_pandas(data))
    if module == "polars" and kind == "LazyFrame":
        data = data.collect()
    if hasattr(data, "__arrow_c_stream__"):
        return _stream(data, kind)
    if hasattr(data, "__arrow_c_array__"):
        return batches(_converted(lambda: pa.record_batch(data), kind))
    if isinstance(data, Mapping):
        raise RecdInputError("expected a table or paths, found a mapping: pass pa.table(data)")
    if isinstance(data, Iterable) and not isinstance(data, (bytes, bytearray, memoryview)):
        return _iterable(iter(data), filesystem)
    raise RecdInputError(
        "expected Parquet paths, an Arrow table or stream, a dataset, or a pandas or polars "
        f"frame, found {kind}"
    )


def _nbytes(table: pa.Table | pa.RecordBatch) -> int | None:
    try:
        return int(table.nbytes)
    except pa.ArrowNotImplementedError:
        return None


def _converted(convert: Callable[[], Any], kind: str) -> Any:
    try:
        return convert()
    except _ERRORS as error:
        raise RecdInputError(f"{kind}: cannot be read as Arrow rows: {error}") from error


def _from_pandas(frame: Any) -> pa.Table:
    # An index without a name is row numbers, not data; one with a name may be the session key.
    named = all(name is not None for name in frame.index.names)
    return _converted(
        lambda: pa.Table.from_pandas(frame, preserve_index=named),
        "pandas.DataFrame",
    )


def _stream(data: Any, kind: str) -> Batches:
    reader = _converted(lambda: pa.RecordBatchReader.from_stream(data), kind)
    size = getattr(data, "nbytes", None)
    rows = _guarded(reader, kind)
    return Batches(reader.schema, rows, size if isinstance(size, int) else None)


def _guarded(rows: Iterable[pa.RecordBatch], kind: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from rows
    except (pa.ArrowException, OSError) as error:
        raise RecdInputError(f"{kind}: reading failed: {error}") from error


def _iterable(rows: Iterator[Any], filesystem: Any) -> Batches:
    first = next(rows, None)
    if first is None:
        raise RecdInputError("no rows: an empty list has no schema; pass an empty pa.Table")
    if is_path(first):
        paths = [first, *rows]
        return _parquet(list_files(paths, suffix=".parquet", filesystem=filesystem))
    schema = getattr(first, "schema", None)
    if not isinstance(schema, pa.Schema):
        kind = type(first).__name__
        raise RecdInputError(f"expected an iterable of record batches or paths, found {kind}")
    return Batches(schema, _checked(itertools.chain([first], rows), schema), None)


def _checked(rows: Iterable[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for number, batch in enumerate(rows):
        if not isinstance(batch, (pa.RecordBatch, pa.Table)):
            kind = type(batch).__name__
            raise RecdInputError(f"item {number}: expected a record batch, found {kind}")
        difference = schema_difference(schema, batch.schema)
        if difference:
            raise RecdInputError(f"batches 0 and {number} differ: {difference}")
        if isinstance(batch, pa.Table):
            yield from batch.to_batches()
        else:
            yield batch


def schema_difference(first: pa.Schema, second: pa.Schema) -> str | None:
    """Describe the first column in which two schemas differ; None where there is none."""
    for number, (one, two) in enumerate(itertools.zip_longest(first, second)):
        if one is None or two is None:
            extra, where = (two, "second") if one is None else (one, "first")
            return f"column {number} ({extra.name!r}) is only in the {where}"
        if one.name != two.name:
            return f"column {number} is {one.name!r} in the first, {two.name!r} in the second"
        if one.type != two.type:
            return f"column {one.name!r} is {one.type} in the first, {two.type} in the second"
        if one.nullable != two.nullable:
            required = "first" if two.nullable else "second"
            return f"column {one.name!r} is not nullable in the {required}, nullable in the other"
    return None


def _parquet(places: tuple[Place, ...]) -> Batches:
    schema: pa.Schema | None = None
    total = 0
    for place in places:
        with _Parquet(place) as file:
            total += file.nbytes
            if schema is None:
                schema = file.schema
            elif difference := schema_difference(schema, file.schema):
                raise RecdInputError(
                    f"{places[0]} (first) and {place} (second) have different schemas: {difference}"
                )
    if schema is None:
        raise RecdInputError("the list of paths is empty")
    return Batches(schema, _parquet_rows(places, schema), total)


def _parquet_rows(places: tuple[Place, ...], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for place in places:
        with _Parquet(place) as file:
            try:
                for batch in file.parquet.iter_batches(_BATCH_ROWS):
                    # Other metadata, of pandas for one, does not make another schema.
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
            except (pa.ArrowException, OSError) as error:
                raise RecdInputError(f"{place}: reading failed: {error}") from error


class _Parquet:
    """An open Parquet file."""

    def __init__(self, place: Place) -> None:
        try:
            if place.filesystem is None:
                self._file = pa.OSFile(place.path)
            else:
                self._file = place.filesystem.open_input_file(place.path)
        except (OSError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or error
            raise RecdInputError(f"{place}: cannot be read: {reason}") from error
        try:
            self.nbytes = int(self._file.size())
            # Decoding starts while the next column chunks are still being read.
            self.parquet = pq.ParquetFile(self._file, pre_buffer=True)
            self.schema: pa.Schema = self.parquet.schema_arrow
        except (OSError, pa.ArrowException) as error:
            self._file.close()
            raise RecdInputError(f"{place}: is not a Parquet file: {error}") from error

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *_: object) -> None:
        self.parquet.close()
        self._file.close()
