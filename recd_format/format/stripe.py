"""Stripe header: what a stripe says of itself, with its own copy of its records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xxhash import xxh3_64_intdigest

from recd_format.constants import STRIPE_MAGIC, Limits
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import RECORD, Records, padded

__all__ = ["STRIPE_CONTINUES", "StripeHeader", "decode_stripe_header", "encode_stripe_header"]

HEADER: np.dtype[np.void] = np.dtype(
    [
        ("magic", "S8"),
        ("index", "<u4"),
        ("records", "<u4"),
        ("rows", "<u8"),
        ("sessions", "<u8"),
        ("bytes", "<u8"),
        ("flags", "<u4"),
        ("reserved", "<u4", (5,)),
    ]
)

# The first session of the stripe is the rest of the last session of the stripe before.
STRIPE_CONTINUES = 1


@dataclass(frozen=True, slots=True)
class StripeHeader:
    """The fixed part of a stripe's header, and the stripe's records."""

    index: int
    rows: int
    sessions: int
    stripe_bytes: int
    flags: int
    records: Records

    @staticmethod
    def size(num_records: int) -> int:
        """Bytes of a header with `num_records` records, padding included."""
        return padded(HEADER.itemsize + num_records * RECORD.itemsize + 8)


def encode_stripe_header(header: StripeHeader) -> bytes:
    """Return the header's bytes: fixed part, records, checksum, zero padding."""
    fixed = np.zeros((), HEADER)
    fixed["magic"] = STRIPE_MAGIC
    fixed["index"] = header.index
    fixed["records"] = len(header.records)
    fixed["rows"] = header.rows
    fixed["sessions"] = header.sessions
    fixed["bytes"] = header.stripe_bytes
    fixed["flags"] = header.flags
    data = fixed.tobytes() + header.records.tobytes()
    data += xxh3_64_intdigest(data).to_bytes(8, "little")
    return data + bytes(-len(data) % 64)


def decode_stripe_header(
    data: bytes | memoryview, location: Location, limits: Limits
) -> StripeHeader:
    """Parse a stripe header.

    Raises
    ------
    RecdFormatError
        STRIPE, TRUNCATED, LIMIT, CHECKSUM, PADDING.
    """
    if len(data) < HEADER.itemsize or bytes(data[:8]) != STRIPE_MAGIC:
        raise RecdFormatError(
            Reason.STRIPE, f"starts with {bytes(data[:8])!r}, not {STRIPE_MAGIC!r}", location
        )
    fixed = np.frombuffer(data, HEADER, 1)[0]
    records = int(fixed["records"])
    size = StripeHeader.size(records)
    if size > limits.metadata_bytes:
        raise RecdFormatError(
            Reason.LIMIT, f"header of {size} bytes, limit {limits.metadata_bytes}", location
        )
    if len(data) < size:
        raise RecdFormatError(
            Reason.TRUNCATED, f"header of {size} bytes, {len(data)} are there", location
        )
    end = HEADER.itemsize + records * RECORD.itemsize
    stored = int.from_bytes(data[end : end + 8], "little")
    computed = xxh3_64_intdigest(data[:end])
    if stored != computed:
        raise RecdFormatError(
            Reason.CHECKSUM, f"header: stored {stored:016x}, computed {computed:016x}", location
        )
    if any(data[end + 8 : size]):
        raise RecdFormatError(Reason.PADDING, "padding after the header is not zero", location)
    return StripeHeader(
        index=int(fixed["index"]),
        rows=int(fixed["rows"]),
        sessions=int(fixed["sessions"]),
        stripe_bytes=int(fixed["bytes"]),
        flags=int(fixed["flags"]),
        records=np.frombuffer(data, RECORD, records, HEADER.itemsize),
    )
