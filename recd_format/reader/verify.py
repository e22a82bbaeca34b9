"""Every byte of a file checked: checksums, copies that must agree, padding that must be zero."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import block_sums, check_sums, decode
from recd_format.constants import STRIPE_ALIGNMENT
from recd_format.errors import Reason, RecdFormatError
from recd_format.format.head import HEAD, decode_head, head_bytes
from recd_format.format.record import (
    CODES_STRIPE_SCOPE,
    Records,
    StreamKind,
    kind_mask,
    padded,
    sort_records,
)
from recd_format.format.schema_block import name_hash
from recd_format.format.stripe import StripeHeader, decode_stripe_header
from recd_format.format.tables import name_order
from recd_format.io import aligned_empty
from recd_format.reader.data import StripeData
from recd_format.reader.file import FileReader
from recd_format.reader.streams import StoredStreams, stream_location
from recd_format.reader.stripe import decode_stripe

__all__ = ["VerifyReport", "verify_file"]


_WITH_SUMS = kind_mask(StreamKind.CODES, StreamKind.LENGTHS)


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
    # Opened anew: nothing that was read before counts as checked.
    reader = FileReader(reader.source, replace(reader.options, verify_checksums=True))
    metadata = reader.metadata
    postscript = metadata.postscript
    head = aligned_empty(postscript.head_bytes)
    reader.source.read_into(0, head)
    where = metadata.location("head")
    schema = decode_head(memoryview(head), where, reader.options.limits)
    size = padded(head_bytes(memoryview(head), where, reader.options.limits), STRIPE_ALIGNMENT)
    if size != postscript.head_bytes:
        raise RecdFormatError(
            Reason.HEAD, f"{size} bytes, the postscript says {postscript.head_bytes}", where
        )
    if schema.schema() != reader.schema:
        raise RecdFormatError(Reason.HEAD, "head and tables have different schemas", where)
    said = np.frombuffer(head, HEAD, 1)[0]
    for name in ("major", "minor", "required"):
        if int(said[name]) != getattr(postscript, name):
            raise RecdFormatError(
                Reason.HEAD,
                f"{name} is {int(said[name])}, the postscript says {getattr(postscript, name)}",
                where,
            )
    _verify_names(reader)
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
    for number, stripe in enumerate(metadata.tables.stripes.tolist()):
        byte_offset, size, rows, *_ = stripe
        used.append((byte_offset, size))
        _verify_stripe(reader, number, projection.of_stripe(number))
        streams = reader.fetch_stripe(number, projection)
        data = decode_stripe(streams, metadata.tables.schema, rows)
        _verify_sums(streams)
        _verify_sessions(streams, data, len(reader.schema.fields))
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


def _verify_names(reader: FileReader) -> None:
    """The name index finds every field."""
    tables = reader.metadata.tables
    if any(
        name_hash(name) != int(row["name_hash"])
        for name, row in zip(reader.schema.names, tables.schema.fields, strict=True)
    ) or not np.array_equal(tables.names, name_order(tables.schema)):
        raise RecdFormatError(
            Reason.DIRECTORY, "the index of names is wrong", reader.metadata.location("tables")
        )


def _verify_sums(streams: StoredStreams) -> None:
    """The sums stored before blocks, which partial reads trust, are those of the values."""
    kinds = streams.records["kind"]
    for number in np.flatnonzero(_WITH_SUMS[kinds]).tolist():
        count, params = (int(streams.records[name][number]) for name in ("count", "params"))
        chain, payload = streams.chain(number), streams.payload(number)
        sums = block_sums(payload, chain, count, params)
        if sums is None:
            continue
        values = decode(chain, payload, count, params, np.dtype("<u4"))
        try:
            check_sums(values, sums, ones=bool(kinds[number] == StreamKind.CODES))
        except RecdFormatError as exc:
            where = stream_location(streams, number)
            raise RecdFormatError(exc.reason, exc.detail, where) from exc


def _verify_sessions(streams: StoredStreams, data: StripeData, num_fields: int) -> None:
    """Sessions stand for themselves: no row refers to another session's unique rows or timeline,
    but where the whole stripe shares."""
    records = streams.records
    first_rows = data.session_offsets[:-1]
    for number in np.flatnonzero(records["kind"] == StreamKind.CODES).tolist():
        if records["flags"][number] & CODES_STRIPE_SCOPE:
            continue
        group = int(records["owner"][number]) - num_fields
        inverse = data.groups[group].inverse_lookup
        if inverse is None:
            continue
        first_unique = inverse[first_rows]
        newest = np.maximum.accumulate(inverse)[first_rows[1:] - 1]
        lowest = np.minimum.reduceat(inverse, first_rows)
        if (first_unique[1:] != newest + 1).any() or (lowest < first_unique).any():
            raise RecdFormatError(
                Reason.CODES,
                "a session does not begin with a unique row of its own",
                stream_location(streams, number),
            )
        field = next(field for field in data.fields.values() if field.group == group)
        if field.starts is not None and field.lengths is not None:
            _verify_timelines(
                field.starts, field.lengths, first_unique, len(field.values), streams, number
            )


def _verify_timelines(
    starts: NDArray[np.int32],
    lengths: NDArray[np.int32],
    first_unique: NDArray[np.int32],
    values: int,
    streams: StoredStreams,
    number: int,
) -> None:
    """The windows of a session lie in its own timeline and cover it; the timelines stand end to
    end."""
    where = stream_location(streams, number)
    used = lengths > 0
    begins = np.where(used, starts, values)
    ends = np.where(used, starts + lengths, 0)
    low = np.minimum.reduceat(begins, first_unique)
    high = np.maximum.reduceat(ends, first_unique)
    full = high > 0
    bounds = np.concatenate([[0], high[full]])
    if not np.array_equal(low[full], bounds[:-1]) or int(bounds[-1]) != values:
        raise RecdFormatError(
            Reason.WINDOW,
            "the sessions' timelines do not stand end to end",
            where,
        )
    # Timelines that touch and do not overlap: what covers all of them covers each.
    order = np.argsort(starts[used])
    reached = np.maximum.accumulate(ends[used][order])
    gaps = starts[used][order][1:] > reached[:-1]
    if gaps.any():
        value = int(reached[int(np.argmax(gaps))])
        raise RecdFormatError(
            Reason.WINDOW, f"value {value} of the timelines is in no window", where
        )
    stops = np.maximum.accumulate(high)
    session = np.repeat(np.arange(len(stops)), np.diff(first_unique, append=len(starts)))
    outside = (starts < np.concatenate([[0], stops[:-1]])[session]) | (starts > stops[session])
    if outside.any():
        row = int(np.argmax(outside))
        raise RecdFormatError(
            Reason.WINDOW,
            f"unique row {row} starts at value {int(starts[row])}, outside of its session's "
            "timeline",
            where,
        )


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
