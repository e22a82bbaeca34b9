"""Every byte of a file checked: checksums, copies that must agree, padding that must be zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recd_format.constants import STRIPE_ALIGNMENT
from recd_format.errors import Reason, RecdFormatError
from recd_format.format.head import decode_head
from recd_format.format.record import Records, sort_records
from recd_format.format.stripe import StripeHeader, decode_stripe_header
from recd_format.io import aligned_empty
from recd_format.reader.file import FileReader

__all__ = ["VerifyReport", "verify_file"]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked."""

    stripes: int
    streams: int
    bytes: int


def verify_file(reader: FileReader) -> VerifyReport:
    """Check a whole file: head, stripe headers, every stream (decoded too), padding, sections.

    Raises
    ------
    RecdFormatError
        The first thing that is wrong.
    """
    metadata = reader.metadata
    postscript = metadata.postscript
    head = aligned_empty(postscript.head_bytes)
    reader.source.read_into(0, head)
    where = metadata.location("head")
    schema = decode_head(memoryview(head), where, reader.options.limits)
    if schema.schema() != reader.schema:
        raise RecdFormatError(Reason.HEAD, "head and tables have different schemas", where)
    records = metadata.all_records()
    if not np.array_equal(records, sort_records(records)):
        raise RecdFormatError(
            Reason.DIRECTORY, "records are not sorted", metadata.location("directory")
        )
    fields = tuple(range(len(reader.schema.fields)))
    projection = reader.project(fields)
    if len(projection.records) != len(records):
        raise RecdFormatError(
            Reason.DIRECTORY, "records that no field owns", metadata.location("directory")
        )
    used = [(0, postscript.head_bytes)]
    rows = sessions = 0
    for number, stripe in enumerate(metadata.tables.stripes.tolist()):
        byte_offset, size, stripe_rows, stripe_sessions, _, _ = stripe
        used.append((byte_offset, size))
        _verify_stripe(reader, number, projection.of_stripe(number))
        data = reader.read_stripe(number, projection)
        del data
        rows += stripe_rows
        sessions += stripe_sessions - reader.continues(number)
    if (rows, sessions) != (reader.num_rows, reader.num_sessions):
        raise RecdFormatError(
            Reason.SESSIONS,
            f"postscript says {reader.num_rows} rows in {reader.num_sessions} sessions, stripes "
            f"have {rows} in {sessions}",
            metadata.location("postscript"),
        )
    for section in metadata.tables.sections.tolist():
        metadata.section(section[0])
        used.append((section[2], section[3]))
    used.append((postscript.directory_offset, postscript.directory_bytes))
    used.append((postscript.tables_offset, postscript.file_bytes - postscript.tables_offset))
    _verify_gaps(reader, used)
    return VerifyReport(reader.num_stripes, len(records), postscript.file_bytes)


def _verify_stripe(reader: FileReader, number: int, records: Records) -> None:
    metadata = reader.metadata
    where = metadata.location("stripe", number)
    byte_offset, size, rows, sessions, num_records, flags = metadata.tables.stripes[number].tolist()
    header_bytes = StripeHeader.size(num_records)
    if header_bytes > size:
        raise RecdFormatError(Reason.STRIPE, f"{size} bytes hold no header", where)
    data = aligned_empty(header_bytes)
    reader.source.read_into(byte_offset, data)
    header = decode_stripe_header(memoryview(data), where, reader.options.limits)
    said = (header.index, header.stripe_bytes, header.rows, header.sessions, header.flags)
    if said != (number, size, rows, sessions, flags):
        raise RecdFormatError(Reason.STRIPE, "header and stripe table disagree", where)
    if not np.array_equal(header.records, sort_records(records)):
        raise RecdFormatError(Reason.STRIPE, "header and directory have other records", where)
    # Streams lie end to end: what no stream covers would be covered by no checksum.
    sizes = -(-records["stored"].astype(np.int64) // 64) * 64
    starts = records["byte_offset"].astype(np.int64)
    spans = np.unique(np.stack([starts, sizes], axis=1)[sizes > 0], axis=0)
    ends = np.concatenate([[header_bytes], spans.sum(axis=1)])
    if not np.array_equal(ends[:-1], spans[:, 0]) or int(ends[-1]) != size:
        raise RecdFormatError(Reason.RANGE, "streams do not stand end to end", where)


def _verify_gaps(reader: FileReader, used: list[tuple[int, int]]) -> None:
    """Bytes between the parts are zero, and less than a stripe's alignment."""
    position = 0
    for byte_offset, size in sorted(used):
        gap = byte_offset - position
        if gap < 0 or gap >= STRIPE_ALIGNMENT:
            raise RecdFormatError(
                Reason.OVERLAP if gap < 0 else Reason.PADDING,
                f"{gap} bytes between two parts of the file",
                reader.metadata.location(f"byte {position}"),
            )
        padding = aligned_empty(gap)
        reader.source.read_into(position, padding)
        if padding.any():
            raise RecdFormatError(
                Reason.PADDING,
                "bytes between two parts of the file are not zero",
                reader.metadata.location(f"byte {position}"),
            )
        position = byte_offset + size
