"""Many files as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from recd_format.api.file import RecdFile
from recd_format.api.file import open as open_file
from recd_format.api.rows import RowRange, normalise_rows, row_numbers
from recd_format.arrow.sources import schema_difference
from recd_format.errors import RecdInputError
from recd_format.filesystem import list_files
from recd_format.reader.options import ReadOptions
from recd_format.reader.stats import FileStats, GroupStats
from recd_format.reader.verify import VerifyReport

if TYPE_CHECKING:
    from recd_format.integrations.arrow_dataset import RecdArrowDataset

__all__ = ["RecdDataset", "dataset"]


class RecdDataset:
    """Files read as one, in the order of their paths.

    Parameters
    ----------
    files
        At least one open file; all with the same columns.
    """

    def __init__(self, files: Sequence[RecdFile]) -> None:
        if not files:
            raise RecdInputError("a dataset needs at least one file")
        self.files = tuple(files)
        first = self.files[0]
        for other in self.files[1:]:
            difference = schema_difference(first.schema, other.schema)
            if difference is not None:
                raise RecdInputError(
                    f"{first.reader.name} and {other.reader.name} differ: {difference}"
                )

    def __enter__(self) -> RecdDataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"RecdDataset({len(self.files)} files, {self.num_rows} rows)"

    def close(self) -> None:
        """Let go of the files."""
        for file in self.files:
            file.close()

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows."""
        return self.files[0].schema

    @property
    def num_rows(self) -> int:
        """Rows of all files."""
        return sum(file.num_rows for file in self.files)

    @property
    def num_sessions(self) -> int:
        """Sessions of all files; one that is in two files counts twice."""
        return sum(file.num_sessions for file in self.files)

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """Key-value metadata of the first file."""
        return self.files[0].metadata

    @property
    def stripes(self) -> tuple[RowRange, ...]:
        """First row and end row of each stripe, numbered through all files."""
        found = []
        start = 0
        for file in self.files:
            found += [RowRange(start + stripe.begin, start + stripe.end) for stripe in file.stripes]
            start += file.num_rows
        return tuple(found)

    @property
    def groups(self) -> tuple[tuple[GroupStats, ...], ...]:
        """Dedup groups of each file; files may differ in them."""
        return tuple(file.groups for file in self.files)

    def stats(self) -> tuple[FileStats, ...]:
        """Return what each file saved."""
        return tuple(file.stats() for file in self.files)

    def verify(self) -> tuple[VerifyReport, ...]:
        """Check every byte of every file."""
        return tuple(file.verify() for file in self.files)

    def read(
        self,
        columns: Sequence[str] | None = None,
        rows: slice | ArrayLike | None = None,
        dedup: bool = False,
    ) -> pa.Table:
        """Read rows as an Arrow table; see `RecdFile.read`."""
        wanted, order = normalise_rows(rows, self.num_rows)
        parts = []
        start = 0
        for file in self.files:
            end = start + file.num_rows
            if isinstance(wanted, RowRange):
                begin, stop = max(wanted.begin, start), min(wanted.end, end)
                if begin < stop:
                    parts.append(file.read(columns, slice(begin - start, stop - start), dedup))
            else:
                low, high = np.searchsorted(wanted, [start, end])
                if low < high:
                    parts.append(file.read(columns, wanted[low:high] - start, dedup))
            start = end
        table = pa.concat_tables(parts) if parts else self.files[0].read(columns, [], dedup)
        return table if order is None else table.take(pa.array(order))

    def take(self, indices: ArrayLike, columns: Sequence[str] | None = None) -> pa.Table:
        """Read single rows, in the order given."""
        return self.read(columns, row_numbers(indices))

    def iter_batches(
        self, batch_size: int = 65_536, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches; a batch does not span two files."""
        for file in self.files:
            yield from file.iter_batches(batch_size, columns)

    def to_dataset(self) -> RecdArrowDataset:
        """Return the files as a pyarrow Dataset, which DuckDB and Polars read."""
        from recd_format.integrations.arrow_dataset import RecdArrowDataset

        return RecdArrowDataset(self.files)

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batches = pa.RecordBatchReader.from_batches(self.schema, self.iter_batches())
        return batches.__arrow_c_stream__(requested_schema)


def dataset(
    where: Any, *, filesystem: Any = None, options: ReadOptions | None = None
) -> RecdDataset:
    """Open files as one dataset.

    Parameters
    ----------
    where
        A path, folder or glob of ``.recd`` files, or a list of them.
    filesystem
        pyarrow.fs or fsspec file system that they are in.
    options
        How to read.

    Raises
    ------
    RecdInputError
        Nothing is there, or the files have different columns.
    """
    places = list_files(where, suffix=".recd", filesystem=filesystem)
    return RecdDataset([open_file(place, options=options) for place in places])
