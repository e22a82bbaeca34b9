"""Stripes as rows for Arrow: record batches, virtual IPC files, and what statistics say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs

from recd_format.api.dataset import in_turn
from recd_format.api.tables import stripe_table
from recd_format.arrow.columns_out import numbers_to_arrow
from recd_format.arrow.types import storage_of
from recd_format.format.schema import Shape
from recd_format.format.statistics import HAS_RANGE, statistic_values

if TYPE_CHECKING:
    from recd_format.api.file import RecdFile

__all__ = ["Stripe", "StripeFiles", "guarantee", "stripe_batches"]


@dataclass(frozen=True, slots=True)
class Stripe:
    """A stripe of one of several files, by numbers."""

    file: int
    number: int

    @property
    def path(self) -> str:
        """Path of the stripe in `StripeFiles`."""
        return f"file-{self.file}/stripe-{self.number}"

    @staticmethod
    def at(path: str) -> Stripe:
        """Return the stripe of a `path`."""
        file, number = (part.rpartition("-")[2] for part in path.split("/"))
        return Stripe(int(file), int(number))


def stripe_batches(
    file: RecdFile, number: int, names: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield columns of a stripe, decoded once and expanded `batch_rows` rows at a time."""
    reader = file.reader
    fields = [reader.field_index(name) for name in names]
    data = reader.read_stripe(number, reader.project(fields))
    schema = pa.schema([file.schema.field(name) for name in names], file.schema.metadata)
    for begin in range(0, data.num_rows, batch_rows):
        rows = np.arange(begin, min(begin + batch_rows, data.num_rows))
        yield from stripe_table(schema, data, fields, rows, reader.options.limits).to_batches()


def guarantee(file: RecdFile, number: int, names: set[str]) -> Any:
    """Return an expression that holds for all rows of a stripe, by the file's statistics."""
    known = pads.scalar(True)
    statistics = file.reader.statistics()
    wanted = [file.reader.field_index(name) for name in sorted(names & set(file.schema.names))]
    chosen = (statistics["stripe"] == number) & np.isin(statistics["field"], wanted)
    for entry in statistics[chosen]:
        field = file.fields.fields[int(entry["field"])]
        if field.shape != Shape.SCALAR:
            continue
        type_ = file.schema.field(field.name).type
        storage = storage_of(type_)
        if storage is None or pa.types.is_dictionary(type_) or not entry["flags"] & HAS_RANGE:
            continue
        bits = np.array([entry["minimum"], entry["maximum"]], np.uint64)
        low, high = numbers_to_arrow(type_, statistic_values(bits, field.value_type.dtype))
        column = pads.field(field.name)
        within = (column >= low) & (column <= high)
        known &= within | column.is_null() if entry["nulls"] else within
    return known


class StripeFiles(pafs.FileSystemHandler):  # type: ignore[misc]
    """A file system of one Arrow IPC file per stripe, made when it is opened.

    What in Arrow wants a C++ dataset (joins, unions, fragments) reads the stripes by it.
    """

    def __init__(self, files: Sequence[RecdFile]) -> None:
        self._files = tuple(files)

    def get_type_name(self) -> str:
        """Name of this kind of file system."""
        return "recd"

    def normalize_path(self, path: str) -> str:
        """Paths have one form."""
        return path

    def get_file_info(self, paths: Sequence[str]) -> list[pafs.FileInfo]:
        """Every stripe is a file."""
        return [pafs.FileInfo(path, pafs.FileType.File) for path in paths]

    def open_input_file(self, path: str) -> Any:
        """Return the rows of a stripe as an IPC file."""
        stripe = Stripe.at(path)
        sink = pa.BufferOutputStream()
        with (
            in_turn(self._files, stripe.file) as file,
            pa.ipc.new_file(sink, file.schema) as writer,
        ):
            for batch in stripe_batches(file, stripe.number, file.schema.names, 65_536):
                writer.write_batch(batch)
        return pa.PythonFile(pa.BufferReader(sink.getvalue()), mode="r")

    open_input_stream = open_input_file

    def _refuse(self, *_: Any) -> Any:
        raise NotImplementedError("stripes are read-only")

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = _refuse
    delete_root_dir_contents = get_file_info_selector = move = _refuse
    open_append_stream = open_output_stream = _refuse
