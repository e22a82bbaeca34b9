"""Many files as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from recd_format.io import Source
from recd_format.reader.data import StripeData
from recd_format.reader.file import FileReader
from recd_format.reader.options import ReadOptions
from recd_format.reader.stats import FileStats, GroupStats
from recd_format.reader.verify import VerifyReport

if TYPE_CHECKING:
    from recd_format.integrations.arrow_dataset import RecdArrowDataset

__all__ = ["RecdDataset", "dataset"]


class RecdDataset:
    """Files read as one, in the order of their paths.

    Several files are closed after their turn in a read, so that any number of them needs few
    descriptors.

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
        for number in range(1, len(self.files)):
            with in_turn(self.files, number) as other:
                difference = schema_difference(first.schema, other.schema)
            if difference is not None:
                raise RecdInputError(
                    f"{first.reader.name} and {other.reader.name} differ: {difference}"
                )
        if len(self.files) > 1:
            first.close()

    def __reduce__(self) -> tuple[Any, ...]:
        places = [(file.reader.source, file.reader.options) for file in self.files]
        return (_reopened, (places,))

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
        return tuple(stats.groups for stats in self.stats())

    def stats(self) -> tuple[FileStats, ...]:
        """Return what each file saved."""
        return tuple(file.stats() for file in self._in_turn())

    def verify(self) -> tuple[VerifyReport, ...]:
        """Check every byte of every file."""
        return tuple(file.verify() for file in self._in_turn())

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
        for file in self._in_turn():
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
        if parts and not parts[0].num_columns:
            count = sum(part.num_rows for part in parts) if order is None else len(order)
            return _no_columns(count, parts[0].schema)
        table = pa.concat_tables(parts) if parts else self.files[0].read(columns, [], dedup)
        return table if order is None else table.take(pa.array(order))

    def take(self, indices: ArrayLike, columns: Sequence[str] | None = None) -> pa.Table:
        """Read single rows, in the order given."""
        return self.read(columns, row_numbers(indices))

    def iter_batches(
        self, batch_size: int = 65_536, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches of `batch_size` rows (the last may be shorter), in file order.

        One stripe is held in memory at a time, and what is left of the one before.
        """
        pending: list[pa.RecordBatch] = []
        held = 0
        for file in self._in_turn():
            for batch in file.iter_batches(batch_size, columns):
                part = batch
                if held + part.num_rows >= batch_size:
                    missing = batch_size - held
                    yield _joined([*pending, part.slice(0, missing)])
                    part, pending, held = part.slice(missing), [], 0
                if part.num_rows:
                    pending.append(part)
                    held += part.num_rows
        if pending:
            yield _joined(pending)

    def read_arrays(
        self, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[dict[str, int], StripeData]]:
        """Yield each stripe of each file as deduplicated NumPy columns.

        Yields
        ------
        fields : dict of str to int
            Key of each column in ``data.fields``; files may differ in it.
        data : StripeData
            Unique rows of each field, and one inverse lookup per group.
        """
        for file in self._in_turn():
            yield from file.read_arrays(columns)

    def _in_turn(self) -> Iterator[RecdFile]:
        for number in range(len(self.files)):
            with in_turn(self.files, number) as file:
                yield file

    def to_dataset(self) -> RecdArrowDataset:
        """Return the files as a pyarrow Dataset, which DuckDB and Polars read."""
        from recd_format.integrations.arrow_dataset import RecdArrowDataset

        return RecdArrowDataset(self.files)

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        batches = pa.RecordBatchReader.from_batches(self.schema, self.iter_batches())
        return batches.__arrow_c_stream__(requested_schema)


@contextmanager
def in_turn(files: Sequence[RecdFile], number: int) -> Iterator[RecdFile]:
    """Lend one of some files, and close it afterwards if there are others; it reopens by itself."""
    try:
        yield files[number]
    finally:
        if len(files) > 1:
            files[number].close()


def _joined(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    schema = parts[0].schema
    if not len(schema):
        (batch,) = _no_columns(sum(part.num_rows for part in parts), schema).to_batches()
        return batch
    columns = zip(*(part.columns for part in parts), strict=True)
    return pa.RecordBatch.from_arrays([pa.concat_arrays(each) for each in columns], schema=schema)


def _no_columns(rows: int, schema: pa.Schema) -> pa.Table:
    """Return a table that has rows and no columns; Arrow loses them where it concatenates."""
    return pa.table({"": pa.nulls(rows)}, metadata=schema.metadata).select([])


def _opened(files: Iterator[RecdFile]) -> RecdDataset:
    found = []
    for file in files:
        found.append(file)
        try:
            # Read while the file is open: the dataset compares schemas.
            _ = file.schema
        finally:
            file.close()
    return RecdDataset(found)


def _reopened(places: Sequence[tuple[Source, ReadOptions]]) -> RecdDataset:
    return _opened(RecdFile(FileReader(source, options)) for source, options in places)


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
    return _opened(open_file(place, options=options) for place in places)
