"""One file, in Arrow."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from recd_format.api.rows import RowRange, normalise_rows, row_numbers, split_rows
from recd_format.api.tables import stripe_table
from recd_format.arrow import (
    arrow_schema_of,
    check_arrow_schema,
    schema_from_bytes,
    shared_type,
)
from recd_format.errors import RecdInputError
from recd_format.filesystem import open_source
from recd_format.format.schema import Schema
from recd_format.format.tables import SectionId
from recd_format.reader.data import StripeData
from recd_format.reader.file import FileReader
from recd_format.reader.options import ReadOptions
from recd_format.reader.projection import Projection
from recd_format.reader.stats import FileStats, GroupStats, file_stats
from recd_format.reader.verify import VerifyReport, verify_file

if TYPE_CHECKING:
    from recd_format.integrations.arrow_dataset import RecdArrowDataset

__all__ = ["RecdFile", "open"]

_BATCH_ROWS = 65_536


class _Chosen(NamedTuple):
    """Columns of a read."""

    fields: tuple[int, ...]
    projection: Projection
    schema: pa.Schema
    dedup: bool


class RecdFile:
    """An open file.

    Parameters
    ----------
    reader
        From `recd_format.open`.
    """

    def __init__(self, reader: FileReader) -> None:
        self._reader = reader
        self._arrow_schema: pa.Schema | None = None

    def __enter__(self) -> RecdFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"RecdFile({self._reader.name!r}, {self.num_rows} rows, {self.num_sessions} sessions)"
        )

    def __len__(self) -> int:
        return self.num_rows

    def close(self) -> None:
        """Let go of the file; a later read opens it again."""
        self._reader.close()

    @property
    def reader(self) -> FileReader:
        """The layer below: projections and stripes as deduplicated NumPy columns."""
        return self._reader

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows, as they were written; read at first use."""
        if self._arrow_schema is None:
            fields = self._reader.schema.fields
            data = self._reader.metadata.section(SectionId.ARROW_SCHEMA)
            if data is None:
                self._arrow_schema = arrow_schema_of(fields)
            else:
                self._arrow_schema = schema_from_bytes(data, self._reader.name)
                check_arrow_schema(self._arrow_schema, fields, self._reader.name)
        return self._arrow_schema

    @property
    def fields(self) -> Schema:
        """Fields, kinds and groups of the file."""
        return self._reader.schema

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return self._reader.num_rows

    @property
    def num_sessions(self) -> int:
        """Sessions of the file."""
        return self._reader.num_sessions

    @property
    def stripes(self) -> tuple[RowRange, ...]:
        """First row and end row of each stripe."""
        bounds = [0, *self._reader.stripe_rows.cumsum().tolist()]
        return tuple(RowRange(*pair) for pair in itertools.pairwise(bounds))

    @property
    def groups(self) -> tuple[GroupStats, ...]:
        """Dedup groups of the file."""
        return self.stats().groups

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """Key-value metadata of the schema that was written."""
        return self._reader.user_metadata()

    def stats(self) -> FileStats:
        """Return what the file saved, feature by feature; reads the directory alone."""
        return file_stats(self._reader)

    def verify(self) -> VerifyReport:
        """Check every byte of the file, and decode every stream.

        Raises
        ------
        RecdFormatError
            Naming the first thing that is wrong.
        """
        return verify_file(self._reader)

    def read(
        self,
        columns: Sequence[str] | None = None,
        rows: slice | ArrayLike | None = None,
        dedup: bool = False,
    ) -> pa.Table:
        """Read rows as an Arrow table, in file order.

        Parameters
        ----------
        columns
            Names, in the order wanted; all by default.
        rows
            A slice, or row numbers in any order; all by default.
        dedup
            Keep the sharing: lists come as list_view, all others as dictionary arrays.

        Raises
        ------
        RecdInputError
            An unknown column, a row out of range.
        RecdFormatError
            The file is damaged.
        """
        chosen = self._choose(columns, dedup)
        ranges, order = normalise_rows(rows, self.num_rows)
        if not chosen.fields:
            count = ranges.end - ranges.begin if isinstance(ranges, RowRange) else len(ranges)
            return _no_columns(count if order is None else len(order), chosen.schema)
        parts = [
            self._part(chosen, stripe, begin, end, numbers)
            for stripe, begin, end, numbers in split_rows(ranges, self.stripes)
        ]
        table = pa.concat_tables(parts) if parts else chosen.schema.empty_table()
        return table if order is None else table.take(pa.array(order))

    def take(self, indices: ArrayLike, columns: Sequence[str] | None = None) -> pa.Table:
        """Read single rows, in the order given; of a stripe, the range they lie in is decoded."""
        return self.read(columns, row_numbers(indices))

    def iter_batches(
        self, batch_size: int = _BATCH_ROWS, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches of `batch_size` rows (the last may be shorter), in file order.

        One stripe is held in memory at a time.
        """
        if batch_size < 1:
            raise RecdInputError(f"batch_size={batch_size}: expected at least 1")
        chosen = self._choose(columns, dedup=False)
        if not chosen.fields:
            table = _no_columns(self.num_rows, chosen.schema)
            yield from table.to_batches(max_chunksize=batch_size)
            return
        limits = self._reader.options.limits
        pending: list[pa.Table] = []
        held = 0
        for number in range(self._reader.num_stripes):
            data = self._reader.read_stripe(number, chosen.projection)
            for begin in range(0, data.num_rows, _BATCH_ROWS):
                rows = np.arange(begin, min(begin + _BATCH_ROWS, data.num_rows))
                pending.append(stripe_table(chosen.schema, data, chosen.fields, rows, limits))
                held += len(rows)
                while held >= batch_size:
                    whole = pa.concat_tables(pending)
                    yield _one_batch(whole.slice(0, batch_size), chosen.schema)
                    held -= batch_size
                    pending = [whole.slice(batch_size)]
        if held:
            yield _one_batch(pa.concat_tables(pending), chosen.schema)

    def read_arrays(
        self, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, int], StripeData]]:
        """Yield each stripe as deduplicated NumPy columns.

        Yields
        ------
        fields : dict of str to int
            Key of each column in ``data.fields``.
        data : StripeData
            Unique rows of each field, and one inverse lookup per group.
        """
        names = self._names(columns)
        fields = [self._reader.field_index(name) for name in names]
        projection = self._reader.project(fields)
        for stripe in range(self._reader.num_stripes):
            data = self._reader.read_stripe(stripe, projection)
            yield dict(zip(names, fields, strict=True)), data

    def to_dataset(self) -> RecdArrowDataset:
        """Return the file as a pyarrow Dataset, which DuckDB and Polars read."""
        from recd_format.integrations.arrow_dataset import RecdArrowDataset

        return RecdArrowDataset([self])

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batches = pa.RecordBatchReader.from_batches(self.schema, self.iter_batches())
        return batches.__arrow_c_stream__(requested_schema)

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(self._reader.schema.names)
        if isinstance(columns, str) or not isinstance(columns, Iterable):
            raise RecdInputError(f"columns={columns!r}: expected a list of names")
        names = list(columns)
        if len(set(names)) != len(names):
            raise RecdInputError(f"columns={names!r}: a name is there twice")
        for name in names:
            self._reader.field_index(name)
        return names

    def _choose(self, columns: Sequence[str] | None, dedup: bool) -> _Chosen:
        """Resolve names once a call: fields, what must be read for them, their Arrow schema."""
        names = self._names(columns)
        fields = tuple(self._reader.field_index(name) for name in names)
        arrow_fields = [self.schema.field(name) for name in names]
        if dedup:
            arrow_fields = [field.with_type(shared_type(field.type)) for field in arrow_fields]
        schema = pa.schema(arrow_fields, self.schema.metadata)
        return _Chosen(fields, self._reader.project(fields), schema, dedup)

    def _part(
        self,
        chosen: _Chosen,
        stripe: int,
        begin: int,
        end: int,
        numbers: NDArray[np.int64] | None,
    ) -> pa.Table:
        """Rows of one stripe: `numbers`, or all from `begin` to `end`."""
        rows = int(self._reader.stripe_rows[stripe])
        if begin + rows - end < end - begin:
            # Most of the stripe: decoding all of it in one pass takes less than a range of it.
            if numbers is None and end - begin < rows:
                numbers = np.arange(begin, end)
            begin, end = 0, rows
        data = self._reader.read_stripe(stripe, chosen.projection, begin, end)
        return stripe_table(
            chosen.schema,
            data,
            chosen.fields,
            None if numbers is None else numbers - begin,
            self._reader.options.limits,
            shared=chosen.dedup,
        )


def _no_columns(rows: int, schema: pa.Schema) -> pa.Table:
    """Return a table that has rows and no columns, as Parquet gives it."""
    return pa.table({"": pa.nulls(rows)}, metadata=schema.metadata).select([])


def _one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """Return a table's rows as one batch; lists of more values than Arrow's offsets hold raise."""
    combined = table.combine_chunks().to_batches()
    if len(combined) == 1:
        return combined[0]
    arrays = [pa.concat_arrays(column.chunks) for column in table.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def open(where: Any, *, filesystem: Any = None, options: ReadOptions | None = None) -> RecdFile:
    """Open a file.

    Parameters
    ----------
    where
        Path, URI, bytes, or a binary file object.
    filesystem
        pyarrow.fs or fsspec file system that `where` is in.
    options
        How to read.

    Raises
    ------
    RecdInputError
        There is no such file, or it cannot be read.
    RecdFormatError
        It is not a recd file, is cut short, or is damaged.
    """
    options = options or ReadOptions()
    source = open_source(where, filesystem=filesystem, mmap=options.mmap)
    return RecdFile(FileReader(source, options))
