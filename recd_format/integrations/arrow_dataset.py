"""Files as a `pyarrow.dataset.Dataset`: what DuckDB and Polars query.

>>> ds = recd.open("train.recd").to_dataset()                        # doctest: +SKIP
>>> duckdb.sql("select item_id, count(*) from ds group by 1")        # doctest: +SKIP
>>> polars.scan_pyarrow_dataset(ds).select("item_id").collect()      # doctest: +SKIP

Only the columns that a query names, and those of its filter, are read, and only the stripes that
may have rows in the filter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.types as pt

from recd_format.api.dataset import RecdDataset, in_turn
from recd_format.arrow.types import is_bytes
from recd_format.errors import RecdInputError
from recd_format.integrations._stripes import Stripe, StripeFiles, guarantee, stripe_batches

if TYPE_CHECKING:
    from recd_format.api.file import RecdFile

__all__ = ["RecdArrowDataset"]

_BATCH_ROWS = 131_072
# The options of `Scanner.from_batches` that mean something for rows that come from a stream.
_OPTIONS = ("batch_size", "batch_readahead", "use_threads", "cache_metadata", "memory_pool")


class RecdArrowDataset(pads.FileSystemDataset):  # type: ignore[misc]
    """Files as one pyarrow dataset.

    Scans, and all that is built on `scanner`, read column by column. What wants a C++ dataset
    (fragments, joins, unions) gets whole stripes as virtual IPC files.

    Parameters
    ----------
    files : sequence of RecdFile
        Open files with the same columns; rows come in their order.
    predicate : pyarrow.compute.Expression, optional
        Filter on every scan.
    """

    def __init__(self, files: Sequence[RecdFile], predicate: Any = None) -> None:
        self._rows = RecdDataset(files)
        self._predicate = predicate
        self._stripes = [
            Stripe(number, stripe)
            for number, file in enumerate(self._rows.files)
            for stripe in range(len(file.stripes))
        ]
        filesystem = pafs.PyFileSystem(StripeFiles(self._rows.files))
        ipc = pads.IpcFileFormat()
        fragments = [ipc.make_fragment(stripe.path, filesystem) for stripe in self._stripes]
        super().__init__(fragments, self._rows.schema, ipc, filesystem)
        if predicate is not None:
            self._scan_options = {"filter": predicate}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_of_rows, (self._rows, self._predicate))

    def __repr__(self) -> str:
        return f"RecdArrowDataset({len(self._rows.files)} files, {self._rows.num_rows} rows)"

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self._rows.schema

    def filter(self, expression: Any) -> RecdArrowDataset:
        """Return the dataset of the rows in `expression`."""
        return RecdArrowDataset(self._rows.files, self._and(expression))

    def scanner(
        self,
        columns: Sequence[str] | Mapping[str, Any] | None = None,
        filter: Any = None,
        **options: Any,
    ) -> pads.Scanner:
        """Return a scan of `columns` (names, or expressions by name) of the rows in `filter`.

        The scan can be walked once. Options of `pyarrow.dataset.Dataset.scanner` are taken; those
        about fragments have no effect.
        """
        predicate = self._and(filter)
        if columns is not None and not isinstance(columns, Mapping):
            columns = list(columns)
            unknown = [name for name in columns if name not in self.schema.names]
            if unknown:
                raise RecdInputError(
                    f"there is no column {unknown[0]!r}; the columns are {self.schema.names}"
                )
        needed = self._needed(columns, predicate)
        schema = pa.schema([self.schema.field(name) for name in needed], self.schema.metadata)
        kept = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
        rows = self._batches(needed, predicate, int(kept.get("batch_size", _BATCH_ROWS)))
        reader = pa.RecordBatchReader.from_batches(schema, rows)
        return pads.Scanner.from_batches(reader, columns=columns, filter=predicate, **kept)

    def head(
        self,
        num_rows: int,
        columns: Any = None,
        filter: Any = None,
        **options: Any,
    ) -> pa.Table:
        """Read the first rows as a table."""
        if self._and(filter) is None and not isinstance(columns, Mapping):
            return self._rows.read(columns, slice(0, max(0, num_rows)))
        return self.scanner(columns, filter, **options).head(num_rows)

    def take(
        self,
        indices: Any,
        columns: Any = None,
        filter: Any = None,
        **options: Any,
    ) -> pa.Table:
        """Read rows by number (of those in `filter`), in the order given."""
        places = np.asarray(indices, np.int64).reshape(-1)
        if self._and(filter) is None and not isinstance(columns, Mapping):
            return self._rows.take(places, columns)
        return self.scanner(columns, filter, **options).to_table().take(pa.array(places))

    def count_rows(self, filter: Any = None, **options: Any) -> int:
        """Count the rows in `filter`; without one nothing is read."""
        if self._and(filter) is None:
            return self._rows.num_rows
        return sum(batch.num_rows for batch in self.scanner([], filter, **options).to_batches())

    def _and(self, predicate: Any) -> Any:
        if predicate is None or self._predicate is None:
            return self._predicate if predicate is None else predicate
        return self._predicate & predicate

    def _needed(self, columns: Any, predicate: Any) -> list[str]:
        """Columns to read, in schema order."""
        names = self.schema.names
        if columns is None:
            return list(names)
        wanted = set() if isinstance(columns, Mapping) else set(columns)
        expressions = list(columns.values()) if isinstance(columns, Mapping) else []
        for expression in [*expressions, *([] if predicate is None else [predicate])]:
            wanted |= fields_of(expression, self.schema)
        # A batch without columns has no row count: one narrow column is the price of counting.
        narrow = [f.name for f in self.schema if not (pt.is_nested(f.type) or is_bytes(f.type))]
        return [name for name in names if name in wanted] or (narrow or names)[:1]

    def _batches(
        self, names: Sequence[str], predicate: Any, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        for stripe in self._surviving(predicate):
            with in_turn(self._rows.files, stripe.file) as file:
                yield from stripe_batches(file, stripe.number, names, batch_rows)

    def _surviving(self, predicate: Any) -> list[Stripe]:
        """Return the stripes that may have rows in `predicate`, which Arrow tells by ranges."""
        if predicate is None or len(self._stripes) < 2:
            return self._stripes
        names = fields_of(predicate, self.schema)
        files, ipc, nowhere = self._rows.files, pads.IpcFileFormat(), pafs.LocalFileSystem()
        fragments = []
        for stripe in self._stripes:
            with in_turn(files, stripe.file) as file:
                range_of = guarantee(file, stripe.number, names)
            fragments.append(ipc.make_fragment(stripe.path, nowhere, range_of))
        known = pads.FileSystemDataset(fragments, self.schema, ipc, nowhere)
        return [Stripe.at(fragment.path) for fragment in known.get_fragments(predicate)]


def _of_rows(rows: RecdDataset, predicate: Any) -> RecdArrowDataset:
    return RecdArrowDataset(rows.files, predicate)


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
