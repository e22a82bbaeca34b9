"""Staged stripes of a file, without a loader, for tests of `stage` and `Assembler`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import recd_format as recd
from recd_format.format.schema import Kind
from recd_format.loader.assemble import Assembler, Piece
from recd_format.loader.columns import Columns, resolve_columns
from recd_format.loader.cursor import Cursor
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.options import LoaderOptions
from recd_format.loader.stage import StagedStripe, stage
from recd_format.reader.file import FileReader

__all__ = ["CURSOR", "Stripes", "piece"]

CURSOR = Cursor("", 0, 0, 0, 1, 0, 1, ((0, 1),), 0, 1)


@dataclass
class Stripes:
    """Files as their readers, and what `stage` needs of them.

    Attributes
    ----------
    tables : list of pa.Table
        Rows of each file.
    """

    files: Sequence[bytes]
    options: LoaderOptions

    def __post_init__(self) -> None:
        opened = [recd.open(data) for data in self.files]
        self.tables = [file.read() for file in opened]
        self.readers: list[FileReader] = [file.reader for file in opened]
        self.columns: Columns = resolve_columns(
            [f"file {number}" for number in range(len(opened))],
            [reader.schema for reader in self.readers],
            self.options,
        )

    def stage(
        self,
        file: int = 0,
        stripe: int = 0,
        begin: int = 0,
        end: int | None = None,
        *,
        scattered: bool = False,
    ) -> StagedStripe:
        """Decode and stage rows of a stripe, as a loader does."""
        reader = self.readers[file]
        key = [field.kind for field in reader.schema.fields].index(Kind.SESSION_KEY)
        own = self.columns.files[file]
        meta = [reader.field_index(name) for name in self.columns.meta]
        fields = sorted({*(index for index in own.fields if index >= 0), key, *meta})
        kinds = reader.metadata.tables.schema.fields["kind"]
        wide = np.isin(kinds, (int(Kind.ID_LIST), int(Kind.ID_SCORE_LIST)))
        wide[meta] = False
        data = reader.read_stripe(stripe, reader.project(fields), begin, end, wide)
        limits, transforms = reader.options.limits, self.options.transforms
        return stage(data, self.columns, file, key, limits, transforms, scattered=scattered)

    def batch(self, *stripes: StagedStripe) -> BatchBuffer:
        """All rows of some stripes, in order."""
        assembler = Assembler(self.columns.schema)
        slots = [(assembler.put(stripe), 0, stripe.num_rows) for stripe in stripes]
        return assembler.assemble(piece(slots), {}, CURSOR)


def piece(rows: Sequence[Any], factor: Any = None) -> Piece:
    """The piece of some (slot, begin, end)."""
    slots, begin, end = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return Piece(slots, begin, end, None if factor is None else np.array(factor, np.float32))
