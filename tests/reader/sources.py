"""A source that counts what is read, and files that are opened by it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format import ReadOptions
from recd_format.constants import POSTSCRIPT_BYTES, ROWS_OWNER
from recd_format.filesystem import MemorySource
from recd_format.format.record import RECORD, StreamKind
from recd_format.reader.file import FileReader
from tests.damage import parts_of, reseal

__all__ = ["Counting", "find_record", "reader_of", "with_payload", "with_record"]


class Counting(MemorySource):
    """Bytes that count how many of them were read, and in how many requests."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.bytes = self.requests = 0

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        self.bytes += len(buffer)
        self.requests += 1
        super().read_into(byte_offset, buffer)


def reader_of(data: bytes, **options: Any) -> tuple[FileReader, Counting]:
    """A reader that reads what it needs and no more, and its source."""
    source = Counting(data)
    defaults: dict[str, Any] = {"tail_bytes": POSTSCRIPT_BYTES, "gap_bytes": 0}
    return FileReader(source, ReadOptions(**{**defaults, **options})), source


def owner_of(reader: FileReader, owner: str) -> int:
    """Owner by name: a field, "rows", or the group of a field."""
    tables = reader.metadata.tables
    if owner == "rows":
        return ROWS_OWNER
    index = tables.find(owner.removeprefix("group of "))
    if owner.startswith("group of "):
        return tables.schema.num_fields + int(tables.schema.fields["group"][index])
    return index


def find_record(sound: bytes, owner: str, kind: StreamKind, stripe: int = 0) -> int:
    """Where in the file the directory's record of a stream is."""
    reader, _ = reader_of(sound)
    records = reader.metadata.all_records()
    mine = (records["owner"] == owner_of(reader, owner)) & (records["kind"] == kind)
    (index,) = np.flatnonzero(mine & (records["stripe"] == stripe))
    return parts_of(sound).directory.start + int(index) * RECORD.itemsize


def with_record(sound: bytes, owner: str, kind: StreamKind, values: dict[str, Any]) -> bytes:
    """The file with values of one record of its first stripe changed, checksums right."""
    damaged = bytearray(sound)
    record = np.frombuffer(damaged, RECORD, 1, find_record(sound, owner, kind))
    for name, value in values.items():
        record[name] = value
    del record
    return reseal(damaged, sound)


def with_payload(sound: bytes, owner: str, kind: StreamKind, at: int, data: bytes) -> bytes:
    """The file with bytes of one stream of its first stripe changed, checksums right."""
    record = np.frombuffer(sound, RECORD, 1, find_record(sound, owner, kind))[0]
    start = parts_of(sound).stripes[0].start + int(record["byte_offset"]) + at
    damaged = bytearray(sound)
    damaged[start : start + len(data)] = data
    return reseal(damaged, sound)
