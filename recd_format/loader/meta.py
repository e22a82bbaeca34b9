"""Columns that batches carry as they are, as Arrow arrays of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from recd_format.api.file import RecdFile
from recd_format.api.tables import stripe_table
from recd_format.errors import RecdInputError
from recd_format.loader.assemble import Assembler, Piece
from recd_format.loader.columns import Columns
from recd_format.loader.segments import ranges
from recd_format.reader.file import FileReader

__all__ = ["MetaColumns"]


class MetaColumns:
    """Columns asked for with ``meta=``.

    Parameters
    ----------
    readers
        The files.
    columns
        Of the loader.
    """

    def __init__(self, readers: Sequence[FileReader], columns: Columns) -> None:
        self._names = columns.meta
        self._limits = readers[0].options.limits
        self._fields = [
            tuple(reader.field_index(name) for name in self._names) for reader in readers
        ]
        self._schema = pa.schema([])
        if not self._names:
            return
        first = None
        for reader in readers:
            own = RecdFile(reader).schema
            if len(readers) > 1:
                reader.close()
            schema = pa.schema([own.field(name).remove_metadata() for name in self._names])
            first = first or (reader, schema)
            for name in self._names:
                if schema.field(name).type != first[1].field(name).type:
                    raise RecdInputError(
                        f"meta column {name!r} is {first[1].field(name).type} in "
                        f"{first[0].name} and {schema.field(name).type} in {reader.name}"
                    )
            self._schema = first[1]

    def fields(self, file: int) -> tuple[int, ...]:
        """Fields of a file that are read for them."""
        return self._fields[file]

    def rows(self, piece: Piece, assembler: Assembler) -> dict[str, pa.Array]:
        """Return each column's rows of a batch."""
        if not self._names:
            return {}
        tables, places = [], []
        lengths = piece.end - piece.begin
        before = np.cumsum(lengths) - lengths
        for slot in np.unique(piece.slots).tolist():
            own = piece.slots == slot
            stripe = assembler.stripe(slot)
            rows = ranges(piece.begin[own], lengths[own])
            fields = self._fields[stripe.file]
            tables.append(stripe_table(self._schema, stripe.data, fields, rows, self._limits))
            places.append(ranges(before[own], lengths[own]))
        table = pa.concat_tables(tables)
        if len(tables) > 1:
            order = np.argsort(np.concatenate(places), kind="stable")
            table = table.take(pa.array(order))
        return {
            name: _one_array(column)
            for name, column in zip(self._names, table.columns, strict=True)
        }


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
