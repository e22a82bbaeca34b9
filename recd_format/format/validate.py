"""Rules that records must keep, checked for a whole stripe at once before anything is read.

Every rule is vectorised over the records: a file has two or three of them per feature and
stripe, and opening a thousand features must not cost a thousand Python calls.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.base import Chain, CodecId
from recd_format.codec.chain import Role, is_legal
from recd_format.codec.list_at import unpack_references
from recd_format.constants import ROWS_OWNER, STREAM_ALIGNMENT, Limits
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import (
    CODES_MONOTONE,
    CODES_STRIPE_SCOPE,
    RECORD,
    Records,
    StreamKind,
    kind_mask,
)
from recd_format.format.schema import Kind, Shape, ValueType
from recd_format.format.schema_block import NULLABLE, SchemaBlock
from recd_format.format.stripe import HEADER

__all__ = ["record_chain", "stream_types", "validate_ranges", "validate_records", "value_dtype"]

_DTYPES = {int(value_type): value_type.dtype for value_type in ValueType}
_UINT32, _UINT8 = int(ValueType.UINT32), int(ValueType.UINT8)
_ITEMSIZE = np.zeros(max(ValueType) + 1, np.int64)
for _type, _dtype in _DTYPES.items():
    _ITEMSIZE[_type] = _dtype.itemsize

# Value type by kind where it does not depend on the field; 0: the field's value or weight type.
_KIND_TYPE = np.zeros(256, np.int64)
for _kind in (StreamKind.SESSION_ROWS, StreamKind.CODES, StreamKind.LENGTHS, StreamKind.STARTS):
    _KIND_TYPE[_kind] = _UINT32
_KIND_TYPE[StreamKind.VALIDITY] = _UINT8

# Fixed part and checksum of a stripe's header, whose records stand between them.
_HEADER_BYTES = np.uint64(HEADER.itemsize + 8)

_KNOWN = kind_mask(*StreamKind)
_OF_WEIGHTS = kind_mask(StreamKind.WEIGHTS, StreamKind.WEIGHT_DICTIONARY)
_OF_GROUPS = kind_mask(StreamKind.CODES, StreamKind.LENGTHS, StreamKind.STARTS)
_OF_FIELDS = ~kind_mask(StreamKind.CODES, StreamKind.STARTS, StreamKind.SESSION_ROWS)
_OF_ROWS = kind_mask(StreamKind.VALUES, StreamKind.WEIGHTS)
_ROLES: dict[int, Role] = {
    StreamKind.SESSION_ROWS: "session_rows",
    StreamKind.SESSION_KEY: "session_key",
    StreamKind.CODES: "codes",
    StreamKind.LENGTHS: "lengths",
    StreamKind.STARTS: "starts",
    StreamKind.VALUES: "values",
    StreamKind.WEIGHTS: "weights",
    StreamKind.VALIDITY: "validity",
    StreamKind.DICTIONARY: "dictionary",
    StreamKind.WEIGHT_DICTIONARY: "dictionary",
}


def value_dtype(value_type: int) -> np.dtype[np.generic]:
    """Return the NumPy dtype of a value type."""
    return _DTYPES[value_type]


def stream_types(records: Records, schema: SchemaBlock) -> NDArray[np.int64]:
    """Value type of each stream, int64 [records]; 0 for weights of a field that has none."""
    types = _KIND_TYPE[records["kind"]]
    of_field = (types == 0) & (records["owner"] < schema.num_fields)
    if not of_field.any():
        return np.asarray(types, np.int64)
    fields = schema.fields[np.where(of_field, records["owner"], 0)]
    weights = _OF_WEIGHTS[records["kind"]]
    own = np.where(weights, fields["weight_type"], fields["value_type"])
    found: NDArray[np.int64] = np.where(of_field, own, types)
    return found


def validate_records(
    records: Records,
    types: NDArray[np.int64],
    schema: SchemaBlock,
    stripes: NDArray[np.void],
    location: Location,
    limits: Limits,
) -> None:
    """Check records against schema and stripes: owners, kinds, chains, counts.

    Parameters
    ----------
    records
        All or some records of a file, of any stripes.
    types
        From `stream_types`.
    schema, stripes
        What the file says.

    Raises
    ------
    RecdFormatError
        RECORD, CHAIN, LIMIT, VALIDITY, REFERENCE.
    """
    kinds = records["kind"]
    owners = records["owner"].astype(np.int64)
    num_fields, num_groups = schema.num_fields, schema.num_groups
    is_rows = owners == ROWS_OWNER
    is_field = owners < num_fields
    is_group = (owners >= num_fields) & (owners < num_fields + num_groups)

    def require(good: NDArray[np.bool_], reason: Reason, what: str) -> None:
        if not good.all():
            bad = int(np.argmin(good))
            row = records[bad]
            raise RecdFormatError(
                reason,
                f"{what} (owner {int(row['owner'])}, kind {int(row['kind'])}, count "
                f"{int(row['count'])}, chain {row['chain'].tolist()}, flags {int(row['flags'])})",
                replace(location, stripe=int(row["stripe"])),
            )

    require(is_rows | is_field | is_group, Reason.RECORD, "unknown owner")
    require(_KNOWN[kinds], Reason.RECORD, "unknown kind")
    require(is_rows == (kinds == StreamKind.SESSION_ROWS), Reason.RECORD, "kind of rows")
    require(~is_group | _OF_GROUPS[kinds], Reason.RECORD, "kind of a group")
    require(~is_field | _OF_FIELDS[kinds], Reason.RECORD, "kind of a field")
    require(records["pad"] == 0, Reason.RECORD, "padding of a record is not zero")
    counts = records["count"]
    require(counts <= limits.stream_values, Reason.LIMIT, "more values than a stream may have")
    sizes = _ITEMSIZE[types]
    rows = stripes["rows"][records["stripe"]]
    sessions = stripes["sessions"][records["stripe"]]
    require(sizes > 0, Reason.RECORD, "a weight stream of a field without weights")
    require(records["decoded"] == counts * sizes.astype(np.uint64), Reason.RECORD, "decoded bytes")
    safe = np.where(is_field, owners, 0)
    nullable = schema.fields["flags"][safe] & NULLABLE != 0
    is_validity = kinds == int(StreamKind.VALIDITY)
    require(~is_validity | nullable, Reason.VALIDITY, "validity of a field that has no nulls")
    is_codes = kinds == int(StreamKind.CODES)
    require((kinds != StreamKind.SESSION_ROWS) | (counts == sessions), Reason.RECORD, "sessions")
    require(~is_codes | (counts == rows), Reason.RECORD, "codes of rows")
    unique = records["params"]
    require(~is_codes | ((unique > 0) & (unique <= rows)), Reason.RECORD, "unique rows of a group")
    is_key = is_field & (schema.fields["kind"][safe] == Kind.SESSION_KEY)
    of_key = kinds == int(StreamKind.SESSION_KEY)
    require(~of_key | is_key, Reason.RECORD, "a session_key stream of another field")
    require(~_OF_ROWS[kinds] | ~is_key, Reason.RECORD, "values or weights of the session key")
    known = np.where(is_codes, CODES_MONOTONE | CODES_STRIPE_SCOPE, 0)
    require((records["flags"] & ~known) == 0, Reason.RECORD, "flags that its kind does not have")
    _validate_chains(records, types, schema, location)
    references = records["chain"][:, 0] == int(CodecId.LIST_AT)
    if references.any():
        _validate_references(records[references], schema, stripes, location)


def _validate_chains(
    records: Records, types: NDArray[np.int64], schema: SchemaBlock, location: Location
) -> None:
    chains = np.ascontiguousarray(records["chain"]).view("<u4").reshape(-1)
    keys = chains.astype(np.int64) << 16 | records["kind"].astype(np.int64) << 8 | types
    for key in np.unique(keys).tolist():
        chain = record_chain([key >> 16 + 8 * place & 0xFF for place in range(4)])
        kind = StreamKind(key >> 8 & 0xFF)
        dtype = value_dtype(key & 0xFF)
        if chain is None or not is_legal(chain, _ROLES[kind], dtype):
            bad = records[int(np.argmax(keys == key))]
            raise RecdFormatError(
                Reason.CHAIN,
                f"chain {bad['chain'].tolist()} of owner {int(bad['owner'])} is not legal for "
                f"{kind.name.lower()} of {dtype}",
                location,
            )


def _validate_references(
    records: Records, schema: SchemaBlock, stripes: NDArray[np.void], location: Location
) -> None:
    """Check records whose chain begins with LIST_AT; legal chains say that they are VALUES."""
    owners = records["owner"]
    if (schema.fields["shape"][owners] != Shape.SCALAR).any():
        raise RecdFormatError(Reason.CHAIN, "LIST_AT of a field that is no scalar", location)
    lists, indices = unpack_references(records["params"])
    types = schema.fields["value_type"]
    # Fields that do not exist are the projection's to reject.
    held = types[np.minimum(lists, len(types) - 1)]
    counts, rows = records["count"], stripes["rows"][records["stripe"]]
    own = records["chain"][:, 1] != 0
    for good, expected in (
        (types[owners] == held, "a list of its own type"),
        (counts == rows, "a value for each row of the stripe"),
        (own == (indices < 0), "either an index field or indices of its own"),
    ):
        if not good.all():
            bad = int(np.argmin(good))
            raise RecdFormatError(
                Reason.REFERENCE,
                f"LIST_AT of field {schema.name(int(owners[bad]))!r}: expected {expected}, found "
                f"{ValueType(int(types[owners[bad]])).name} at a list of "
                f"{ValueType(int(held[bad])).name}, {int(counts[bad])} values of {int(rows[bad])} "
                f"rows, chain {records['chain'][bad].tolist()}, index field {int(indices[bad])}",
                replace(location, stripe=int(records["stripe"][bad])),
            )


def record_chain(codecs: list[int]) -> Chain | None:
    """Return a record's four chain bytes as a chain, or None where a 0 stands before a codec."""
    depth = codecs.index(0) if 0 in codecs else len(codecs)
    return None if any(codecs[depth:]) else tuple(codecs[:depth])


def validate_ranges(records: Records, stripes: NDArray[np.void], location: Location) -> None:
    """Check that streams lie in their stripe, aligned, and overlap only where identical.

    Raises
    ------
    RecdFormatError
        RANGE, OVERLAP.
    """
    stripe = records["stripe"].astype(np.int64)
    headers = _HEADER_BYTES + stripes["records"].astype(np.uint64) * np.uint64(RECORD.itemsize)
    start = (-(-headers.astype(np.int64) // STREAM_ALIGNMENT) * STREAM_ALIGNMENT)[stripe]
    size = stripes["bytes"].astype(np.int64)[stripe]
    offsets, stored = records["byte_offset"], records["stored"]
    # Bounded first, so that hostile 64-bit sums cannot wrap.
    inside = (offsets <= size.astype(np.uint64)) & (stored <= size.astype(np.uint64))
    begin = np.where(inside, offsets, 0).astype(np.int64)
    padded = -(-np.where(inside, stored, 0).astype(np.int64) // STREAM_ALIGNMENT) * STREAM_ALIGNMENT
    inside &= (begin >= start) & (begin % STREAM_ALIGNMENT == 0) & (begin + padded <= size)
    good = inside | (stored == 0)
    if not good.all():
        bad = records[int(np.argmin(good))]
        raise RecdFormatError(
            Reason.RANGE,
            f"stream of owner {int(bad['owner'])} at byte {int(bad['byte_offset'])} with "
            f"{int(bad['stored'])} bytes does not fit its stripe",
            replace(location, stripe=int(bad["stripe"])),
        )
    used = np.flatnonzero(stored > 0)
    order = used[np.lexsort((stored[used], begin[used], stripe[used]))]
    begin, end, stripe = begin[order], begin[order] + padded[order], stripe[order]
    same = (begin[1:] == begin[:-1]) & (stored[order][1:] == stored[order][:-1])
    clear = (begin[1:] >= end[:-1]) | (stripe[1:] != stripe[:-1])
    if not (same | clear).all():
        bad = records[order[int(np.argmin(same | clear)) + 1]]
        raise RecdFormatError(
            Reason.OVERLAP,
            f"stream of owner {int(bad['owner'])} at byte {int(bad['byte_offset'])} overlaps "
            "another stream",
            replace(location, stripe=int(bad["stripe"])),
        )
