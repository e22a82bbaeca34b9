"""Files as a `pyarrow.dataset.Dataset`: what DuckDB and Polars query.

>>> ds = recd.open("train.recd").to_dataset()                        # doctest: +SKIP
>>> duckdb.sql("select item_id, count(*) from ds group by 1")        # doctest: +SKIP
>>> polars.scan_pyarrow_dataset(ds).select("item_id").collect()      # doctest: +SKIP

Only the columns that a query names, and those of its filter, are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.types as pt

from recd_format.api.dataset import RecdDataset
from recd_format.arrow.types import is_bytes
from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.api.file import RecdFile

__all__ = ["RecdArrowDataset", "RecdScanner"]

_BATCH_ROWS = 131_072
# The options of `Scanner.from_batches` that mean something for rows that come from a stream.
_OPTIONS = ("batch_size", "batch_readahead", "use_threads", "cache_metadata", "memory_pool")


class RecdArrowDataset(pads.Dataset):  # type: ignore[misc]
    """Files as one pyarrow dataset: projections are read column by column, filters applied.

    Parameters
    ----------
    files : sequence of RecdFile
        Open files with the same columns; rows come in their order.
    predicate : pyarrow.compute.Expression, optional
        Filter on every scan.

    Notes
    -----
    Arrow's own methods would reach for a C++ dataset that is not there, so every public method is
    replaced. There are no fragments: files are cut into stripes, which are scanned in order.
    """

    def __init__(self, files: Sequence[RecdFile], predicate: Any = None) -> None:
        # Not super().__init__(): it forbids instances that C++ did not make.
        self._rows = RecdDataset(files)
        self._predicate = predicate

    def __reduce__(self) -> tuple[Any, ...]:
        return (RecdArrowDataset, (self._rows.files, self._predicate))

    def __repr__(self) -> str:
        return f"RecdArrowDataset({len(self._rows.files)} files, {self._rows.num_rows} rows)"

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self._rows.schema

    @property
    def partition_expression(self) -> Any:
        """What is known of all rows: nothing."""
        return pads.scalar(True)

    def scanner(
        self,
        columns: Sequence[str] | Mapping[str, Any] | None = None,
        filter: Any = None,
        **options: Any,
    ) -> RecdScanner:
        """Return a scan of `columns` (names, or expressions by name) of the rows in `filter`.

        Other options of `pyarrow.dataset.Dataset.scanner` are taken; those about fragments have
        no effect.
        """
        if self._predicate is not None:
            filter = self._predicate if filter is None else self._predicate & filter
        return RecdScanner(self._rows, columns, filter, options)

    def to_batches(self, columns: Any = None, filter: Any = None, **options: Any) -> Any:
        """Yield the rows as record batches."""
        return self.scanner(columns, filter, **options).to_batches()

    def to_table(self, columns: Any = None, filter: Any = None, **options: Any) -> pa.Table:
        """Read the rows as a table."""
        return self.scanner(columns, filter, **options).to_table()

    def head(
        self,
        num_rows: int,
        columns: Any = None,
        filter: Any = None,
        **options: Any,
    ) -> pa.Table:
        """Read the first rows as a table."""
        return self.scanner(columns, filter, **options).head(num_rows)

    def take(
        self,
        indices: Any,
        columns: Any = None,
        filter: Any = None,
        **options: Any,
    ) -> pa.Table:
        """Read rows by number (of those in `filter`), in the order given."""
        return self.scanner(columns, filter, **options).take(indices)

    def count_rows(self, filter: Any = None, **options: Any) -> int:
        """Count the rows in `filter`; without one nothing is read."""
        return self.scanner(None, filter, **options).count_rows()

    def filter(self, expression: Any) -> RecdArrowDataset:
        """Return the dataset of the rows in `expression`."""
        both = expression if self._predicate is None else self._predicate & expression
        return RecdArrowDataset(self._rows.files, both)

    def get_fragments(self, filter: Any = None) -> Iterator[Any]:
        """Raise: the dataset is scanned as a whole."""
        raise RecdInputError("a RecdArrowDataset has no fragments: use scanner or to_batches")

    def replace_schema(self, schema: pa.Schema) -> Any:
        """Raise: the types are those of the files."""
        raise RecdInputError("a RecdArrowDataset keeps its schema: cast what to_table returns")

    def join(self, *arguments: Any, **options: Any) -> Any:
        """Join as `pyarrow.dataset.Dataset.join`; both sides are read into memory."""
        return self._in_memory().join(*arguments, **options)

    def join_asof(self, *arguments: Any, **options: Any) -> Any:
        """Join as `pyarrow.dataset.Dataset.join_asof`; both sides are read into memory."""
        return self._in_memory().join_asof(*arguments, **options)

    def sort_by(self, sorting: Any, **options: Any) -> Any:
        """Sort as `pyarrow.dataset.Dataset.sort_by`; the rows are read into memory."""
        return self._in_memory().sort_by(sorting, **options)

    def _in_memory(self) -> Any:
        return pads.dataset(self.to_table())

    def _get_fragments(self, *_: Any) -> Any:
        return self.get_fragments()

    def _scanner_options(self, *_: Any) -> Any:
        return self.get_fragments()

    def _scan_options(self, *_: Any) -> Any:
        return self.get_fragments()


class RecdScanner(pads.Scanner):  # type: ignore[misc]
    """One scan of a `RecdArrowDataset`; each method reads anew."""

    def __init__(
        self, rows: RecdDataset, columns: Any, predicate: Any, options: Mapping[str, Any]
    ) -> None:
        # Not super().__init__(): it forbids instances that C++ did not make.
        self._rows = rows
        self._columns = columns if columns is None or isinstance(columns, Mapping) else [*columns]
        self._predicate = predicate
        self._options = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
        unknown = [
            name for name in self._names(self._columns) or () if name not in rows.schema.names
        ]
        if unknown and not isinstance(self._columns, Mapping):
            raise RecdInputError(f"there is no column {unknown[0]!r}; found {rows.schema.names}")

    @staticmethod
    def _names(columns: Any) -> list[str] | None:
        return None if columns is None else list(columns)

    @cached_property
    def _needed(self) -> list[str]:
        """Columns to read, in schema order."""
        schema = self._rows.schema
        if self._columns is None:
            return list(schema.names)
        wanted: set[str] = set()
        expressions = [] if self._predicate is None else [self._predicate]
        if isinstance(self._columns, Mapping):
            expressions += self._columns.values()
        else:
            wanted.update(self._columns)
        for expression in expressions:
            wanted |= fields_of(expression, schema)
        # A batch without columns has no row count: one narrow column is the price of counting.
        narrow = [f.name for f in schema if not (pt.is_nested(f.type) or is_bytes(f.type))]
        return [name for name in schema.names if name in wanted] or (narrow or schema.names)[:1]

    def _scan(self) -> Any:
        """Return Arrow's scanner over a new stream of what is needed."""
        size = int(self._options.get("batch_size", _BATCH_ROWS))
        needed = self._needed
        schema = pa.schema([self._rows.schema.field(name) for name in needed])
        schema = schema.with_metadata(self._rows.schema.metadata)
        reader = pa.RecordBatchReader.from_batches(schema, self._rows.iter_batches(size, needed))
        return pads.Scanner.from_batches(
            reader, columns=self._columns, filter=self._predicate, **self._options
        )

    @property
    def dataset_schema(self) -> pa.Schema:
        """Schema of the files."""
        return self._rows.schema

    @property
    def projected_schema(self) -> pa.Schema:
        """Schema of the rows that come."""
        return self._scan().projected_schema

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as a stream."""
        return self._scan().to_reader()

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as record batches."""
        return self._scan().to_batches()  # type: ignore[no-any-return]

    def scan_batches(self) -> Any:
        """Yield the rows as `pyarrow.dataset.TaggedRecordBatch`."""
        return self._scan().scan_batches()

    def to_table(self) -> pa.Table:
        """Read the rows as a table."""
        return self._scan().to_table()

    def count_rows(self) -> int:
        """Count the rows; without a filter nothing is read."""
        if self._predicate is None:
            return self._rows.num_rows
        counting = RecdScanner(self._rows, [], self._predicate, self._options)
        return sum(batch.num_rows for batch in counting.to_batches())

    def head(self, num_rows: int) -> pa.Table:
        """Read the first `num_rows` rows as a table."""
        if self._predicate is None and not isinstance(self._columns, Mapping):
            return self._rows.read(self._columns, slice(0, max(0, num_rows)))
        parts, left = [], num_rows
        for batch in self.to_batches():
            if left <= 0:
                break
            parts.append(batch.slice(0, left))
            left -= len(parts[-1])
        return pa.Table.from_batches(parts, self.projected_schema)

    def take(self, indices: Any) -> pa.Table:
        """Read rows by number, in the order given."""
        places = np.asarray(indices, np.int64).reshape(-1)
        if self._predicate is None and not isinstance(self._columns, Mapping):
            return self._rows.take(places, self._columns)
        return self.to_table().take(pa.array(places))

    @staticmethod
    def from_dataset(*_: Any, **__: Any) -> Any:
        """Raise: scans are made by `RecdArrowDataset.scanner`."""
        raise RecdInputError("use RecdArrowDataset.scanner")

    from_fragment = from_dataset
    from_batches = from_dataset


def fields_of(expression: Any, schema: pa.Schema) -> set[str]:
    """Return the columns that an expression refers to, or a few more.

    Arrow does not tell, but an expression prints the names it uses: those that occur in the text
    are enough if it binds to them alone; otherwise (references by position) it needs all.
    """
    text, names = str(expression), set(schema.names)
    if "FieldPath" in text:
        return names
    found = {
        name
        for name in names
        if name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    }
    part = pa.schema([field for field in schema if field.name in found])
    try:
        part.empty_table().filter(expression.is_valid())
    except (pa.ArrowException, KeyError, ValueError, TypeError):
        return names
    return found
