"""Files to damage: a small one with every mechanism in it, where its parts are, and resealing.

`reseal` computes every checksum of a damaged file again, so that what the bytes say is looked at
and not only that they changed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

import recd_format as recd
from recd_format.constants import DIRECTORY_PAGE_BYTES, POSTSCRIPT_BYTES
from recd_format.format import head, postscript, stripe, tables
from recd_format.format.record import RECORD, padded
from recd_format.reader.file import FileReader

__all__ = ["SMALL_LIMITS", "Parts", "parts_of", "reseal", "small_file", "small_log", "write"]

# A resealed file may declare 2^31 values in no bytes: what a test allocates must stay small.
SMALL_LIMITS = recd.ReadOptions(
    limits=recd.Limits(
        stripe_rows=1 << 16, stream_values=1 << 16, metadata_bytes=1 << 20, expanded_values=1 << 18
    )
)


def small_log() -> pa.Table:
    """A few sessions with windows, references, weights, nulls, and every kind of group."""
    rows = 24
    session = [f"user-{row // 6}" for row in range(rows)]
    slot = [row % 3 for row in range(rows)]
    items = [[10 * (row // 3) + k for k in range(3)] for row in range(rows)]
    clicks = list(range(100, 140))
    return pa.table(
        {
            "session": session,
            "ts": pa.array([1_700_000_000_000 + row for row in range(rows)], pa.timestamp("ms")),
            "user": [row // 6 for row in range(rows)],
            "items": items,
            "slot": slot,
            "item": [items[row][slot[row]] for row in range(rows)],
            "history": [clicks[row % 6 : row % 6 + 8] for row in range(rows)],
            "price": pa.array([None if row % 5 == 0 else row % 4 + 0.5 for row in range(rows)]),
            "scores": pa.array(
                [[(row // 4, 0.5), (7, 1.5)] for row in range(rows)],
                pa.map_(pa.int64(), pa.float32()),
            ),
            "vector": pa.array(
                [[float(row // 8), 1.0] for row in range(rows)], pa.list_(pa.float32(), 2)
            ),
            "label": [row % 2 == 0 for row in range(rows)],
        }
    )


def write(table: pa.Table, **options: Any) -> bytes:
    """The bytes of a file of `table`."""
    sink = io.BytesIO()
    options.setdefault("session_key", "session")
    if "ts" in table.column_names:
        options.setdefault("order_key", "ts")
    recd.write(table, sink, **options)
    return sink.getvalue()


def small_file(**options: Any) -> bytes:
    """A file of `small_log` in two stripes."""
    options.setdefault("stripe_rows", 12)
    options.setdefault(
        "dedup",
        {"user": "session", "scores": "stripe", "history": "window", "vector": "adjacent"},
    )
    return write(small_log(), labels=["label"], **options)


@dataclass(frozen=True)
class Parts:
    """Byte ranges of a file's parts."""

    head: range
    stripes: tuple[range, ...]
    streams: tuple[range, ...]
    directory: range
    sections: tuple[range, ...]
    tables: range
    postscript: range

    def named(self) -> Iterator[tuple[str, range]]:
        """Each part and its name."""
        yield "head", self.head
        for number, each in enumerate(self.stripes):
            yield f"stripe {number}", each
        yield "directory", self.directory
        for number, each in enumerate(self.sections):
            yield f"section {number}", each
        yield "tables", self.tables
        yield "postscript", self.postscript


def parts_of(data: bytes) -> Parts:
    """Where the parts of a sound file are."""
    from recd_format.filesystem import MemorySource

    metadata = FileReader(MemorySource(data)).metadata
    end = metadata.postscript
    stripes = metadata.tables.stripes
    starts = stripes["byte_offset"].astype(np.int64)
    records = metadata.all_records()
    used = records[records["stored"] > 0]
    places = starts[used["stripe"]] + used["byte_offset"].astype(np.int64)
    sizes = [padded(int(size)) for size in used["stored"]]
    sections = metadata.tables.sections
    return Parts(
        head=range(end.head_bytes),
        stripes=tuple(
            range(a, a + b) for a, b in zip(starts.tolist(), stripes["bytes"].tolist(), strict=True)
        ),
        streams=tuple(range(a, a + b) for a, b in zip(places.tolist(), sizes, strict=True)),
        directory=range(end.directory_offset, end.directory_offset + end.directory_bytes),
        sections=tuple(
            range(a, a + b)
            for a, b in zip(
                sections["byte_offset"].tolist(), sections["bytes"].tolist(), strict=True
            )
        ),
        tables=range(end.tables_offset, end.tables_offset + end.tables_bytes),
        postscript=range(len(data) - POSTSCRIPT_BYTES, len(data)),
    )


def _sum(data: bytearray, part: range) -> bytes:
    return xxh3_64_intdigest(bytes(data[part.start : part.stop])).to_bytes(8, "little")


def _put(data: bytearray, offset: int, value: bytes) -> None:
    data[offset : offset + len(value)] = value


def reseal(damaged: bytes | bytearray, sound: bytes) -> bytes:
    """`damaged` with every checksum right again; its parts are where those of `sound` are."""
    data, parts = bytearray(damaged), parts_of(sound)
    checksum = RECORD.fields["xxh3"][1]
    header = np.frombuffer(sound, tables.HEADER, 1, parts.tables.start)[0]
    # Streams: in the stripe's copy of the records, and in the directory.
    for place in range(parts.directory.start, parts.directory.stop, RECORD.itemsize):
        _seal_stream(data, sound, place, parts, checksum)
    for each in parts.stripes:
        count = int(np.frombuffer(sound, stripe.HEADER, 1, each.start)[0]["records"])
        begin = each.start + stripe.HEADER.itemsize
        end = begin + count * RECORD.itemsize
        for place in range(begin, end, RECORD.itemsize):
            _seal_stream(data, sound, place, parts, checksum)
        _put(data, end, _sum(data, range(each.start, end)))
    size = head.HEAD.itemsize + int(np.frombuffer(sound, head.HEAD, 1)[0]["schema_bytes"])
    _put(data, size, _sum(data, range(size)))
    # Tables: sections, then pages, then themselves in the postscript.
    fields = np.frombuffer(sound, "<u4", 2, parts.tables.start + tables.HEADER.itemsize)
    at = parts.tables.start + tables.HEADER.itemsize + int(header["schema_bytes"])
    at += int(header["stripes"]) * tables.STRIPE.itemsize
    at += (int(fields.sum()) + 1) * tables.OWNER.itemsize
    for section in parts.sections:
        at += tables.SECTION.itemsize
        _put(data, at - 8, _sum(data, section))
    for page in range(parts.directory.start, parts.directory.stop, DIRECTORY_PAGE_BYTES):
        end = min(page + DIRECTORY_PAGE_BYTES, parts.directory.stop)
        _put(data, at, _sum(data, range(page, end)))
        at += 8
    base = parts.postscript.start
    offset = postscript.LAYOUT.fields["tables_xxh3"][1]
    _put(data, base + offset, _sum(data, parts.tables))
    _put(data, base + POSTSCRIPT_BYTES - 16, _sum(data, range(base, base + POSTSCRIPT_BYTES - 16)))
    return bytes(data)


def _seal_stream(data: bytearray, sound: bytes, place: int, parts: Parts, checksum: int) -> None:
    record = np.frombuffer(sound, RECORD, 1, place)[0]
    start = parts.stripes[int(record["stripe"])].start + int(record["byte_offset"])
    stream = range(start, start + padded(int(record["stored"])))
    if record["stored"] and data[start : stream.stop] != sound[start : stream.stop]:
        _put(data, place + checksum, _sum(data, stream))
