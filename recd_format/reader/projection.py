"""Which streams a set of fields needs, in every stripe: planned once for a reader.

LIST_AT streams pull in the list and the index field they point at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.base import CodecId
from recd_format.codec.list_at import unpack_reference
from recd_format.constants import ROWS_OWNER
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import CODES_STRIPE_SCOPE, Records, StreamKind, kind_mask
from recd_format.format.schema import Kind, Shape
from recd_format.format.schema_block import SchemaBlock
from recd_format.format.validate import stream_types, validate_ranges, validate_records
from recd_format.reader.metadata import FileMetadata

__all__ = ["Projection", "project"]


_JAGGED = np.zeros(max(Shape) + 1, np.bool_)
_JAGGED[[Shape.LIST, Shape.WEIGHTED_LIST]] = True
_DICTIONARIES = kind_mask(StreamKind.DICTIONARY, StreamKind.WEIGHT_DICTIONARY)


@dataclass(frozen=True, slots=True)
class Projection:
    """The records of some fields, by stripe.

    Attributes
    ----------
    fields : tuple of int
        Fields asked for.
    records : structured array of RECORD
        All records needed, by (stripe, owner, kind).
    types : ndarray of int64, shape [records]
        Value type of each stream.
    stripe_offsets : ndarray of int64, shape [stripes + 1]
        Records of stripe s are ``records[stripe_offsets[s]:stripe_offsets[s + 1]]``.
    """

    fields: tuple[int, ...]
    records: Records
    types: NDArray[np.int64]
    stripe_offsets: NDArray[np.int64]

    def of_stripe(self, stripe: int) -> Records:
        """Records of one stripe."""
        return self.records[self.stripe_offsets[stripe] : self.stripe_offsets[stripe + 1]]

    def types_of(self, stripe: int) -> NDArray[np.int64]:
        """Value types of the streams of one stripe."""
        return self.types[self.stripe_offsets[stripe] : self.stripe_offsets[stripe + 1]]


def project(metadata: FileMetadata, fields: Sequence[int]) -> Projection:
    """Return what must be read for `fields`, validated.

    Raises
    ------
    RecdFormatError
        RECORD, CHAIN, LIMIT, RANGE, OVERLAP, REFERENCE, DICTIONARY, WINDOW, DIRECTORY, CHECKSUM.
    """
    schema = metadata.tables.schema
    owners = _owners(schema, np.asarray(fields, np.int64))
    records = metadata.records(owners)
    referenced = _referenced(records, schema, metadata.location("directory"))
    missing = np.setdiff1d(_owners(schema, referenced), owners)
    if len(missing):
        records = np.concatenate([records, metadata.records(missing)])
    again = np.isin(records["owner"], referenced) & _is_reference(records)
    if again.any():
        raise RecdFormatError(
            Reason.REFERENCE,
            f"LIST_AT points at field {int(records['owner'][np.argmax(again)])}, which is LIST_AT "
            "itself",
            metadata.location("directory"),
        )
    stripes = metadata.tables.stripes
    where = metadata.location("directory")
    types = stream_types(records, schema)
    validate_records(records, types, schema, stripes, where, metadata.options.limits)
    validate_ranges(records, stripes, where)
    order = np.lexsort((records["kind"], records["owner"], records["stripe"]))
    records, types = records[order], types[order]
    offsets = np.searchsorted(records["stripe"], np.arange(len(stripes) + 1))
    wanted = np.union1d(np.asarray(fields, np.int64), referenced)
    _require_streams(records, schema, wanted, len(stripes), where)
    return Projection(tuple(fields), records, types, offsets)


def _owners(schema: SchemaBlock, fields: NDArray[np.int64]) -> NDArray[np.int64]:
    groups = schema.fields["group"][fields].astype(np.int64)
    inside = schema.fields["kind"][fields] != Kind.SESSION_KEY
    owners = np.concatenate([fields, groups[inside] + schema.num_fields, [ROWS_OWNER]])
    return np.unique(owners).astype(np.int64)


def _is_reference(records: Records) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = records["chain"][:, 0] == int(CodecId.LIST_AT)
    return found


def _referenced(records: Records, schema: SchemaBlock, location: Location) -> NDArray[np.int64]:
    """Fields that LIST_AT streams among `records` point at."""
    mine = records[_is_reference(records)]
    found: set[int] = set()
    for params in np.unique(mine["params"]).tolist():
        reference = unpack_reference(params)
        for field, scalar in ((reference.list_field, False), (reference.index_field, True)):
            if field is None:
                continue
            if field >= schema.num_fields or (
                (schema.fields["shape"][field] == Shape.SCALAR) != scalar
                or schema.fields["kind"][field] == Kind.SESSION_KEY
            ):
                raise RecdFormatError(
                    Reason.REFERENCE, f"LIST_AT points at field {field}", location
                )
            found.add(field)
    return np.array(sorted(found), np.int64)


def _require_streams(
    records: Records,
    schema: SchemaBlock,
    fields: NDArray[np.int64],
    stripes: int,
    location: Location,
) -> None:
    """Check that each of `fields` has the streams its shape asks for, once, in every stripe."""
    stripe = records["stripe"].astype(np.int64)
    owner = np.minimum(records["owner"], schema.num_fields + schema.num_groups).astype(np.int64)
    # One number for (stripe, owner, kind): ascending, as the records are.
    owners = schema.num_fields + schema.num_groups + 1
    keys = (stripe * owners + owner) << 8 | records["kind"]
    if (np.diff(keys) == 0).any():
        raise RecdFormatError(Reason.RECORD, "two streams of one owner and kind", location)
    rows = schema.fields[fields]
    is_key = rows["kind"] == Kind.SESSION_KEY
    group = np.where(is_key, 0, rows["group"]).astype(np.int64)
    window = np.zeros(len(fields), np.bool_)
    if schema.num_groups:
        window = ~is_key & ((schema.groups["flags"][group] & 1) != 0)
    jagged = _JAGGED[rows["shape"]]
    bases = np.arange(stripes)[:, None] * owners

    def has(owner: NDArray[np.int64], kind: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        wanted = (bases + owner) << 8 | kind
        places = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return keys[places] == wanted if len(keys) else np.zeros(wanted.shape, np.bool_)

    value_kind = np.where(is_key, int(StreamKind.SESSION_KEY), int(StreamKind.VALUES))
    weighted = rows["shape"] == Shape.WEIGHTED_LIST
    group_owner = group + schema.num_fields
    good = has(fields, value_kind)
    good &= has(fields, int(StreamKind.WEIGHTS)) == weighted
    # A window group may have stripes without windows: there each field has its own lengths.
    windowed = has(group_owner, int(StreamKind.STARTS)) & ~is_key
    good &= ~windowed | (window & has(group_owner, int(StreamKind.CODES)))
    good &= has(fields, int(StreamKind.LENGTHS)) == (jagged & ~windowed)
    good &= is_key | (has(group_owner, int(StreamKind.LENGTHS)) == windowed)
    if not good.all():
        bad_stripe, bad_field = np.argwhere(~good)[0].tolist()
        raise RecdFormatError(
            Reason.RECORD,
            f"field {schema.name(int(fields[bad_field]))!r} lacks a stream, or has one too many",
            replace(location, stripe=bad_stripe),
        )
    if not has(np.array([owners - 1]), int(StreamKind.SESSION_ROWS)).all():
        raise RecdFormatError(Reason.RECORD, "a stripe lacks session_rows", location)
    _require_dictionaries(records, keys, location)
    kinds = records["kind"]
    shared = (kinds == int(StreamKind.CODES)) & (records["flags"] & CODES_STRIPE_SCOPE != 0)
    if shared.any():
        starts = keys[shared] >> 8 << 8 | int(StreamKind.STARTS)
        windows = np.isin(starts, keys[kinds == int(StreamKind.STARTS)])
        if windows.any():
            bad = records[shared][int(np.argmax(windows))]
            raise RecdFormatError(
                Reason.WINDOW,
                f"owner {int(bad['owner'])} has windows, which no two sessions share: expected "
                f"codes without stripe scope, found flags {int(bad['flags'])}",
                replace(location, stripe=int(bad["stripe"])),
            )


def _require_dictionaries(records: Records, keys: NDArray[np.int64], location: Location) -> None:
    """Check that dictionaries stand beside the streams that need them, and fit them.

    `keys` are one number for (stripe, owner, kind) of each record, ascending.
    """
    coded = records["chain"][:, 0] == int(CodecId.DICTIONARY)
    entries = _DICTIONARIES[records["kind"]]
    kind = np.where(
        records["kind"][coded] == int(StreamKind.WEIGHTS),
        int(StreamKind.WEIGHT_DICTIONARY),
        int(StreamKind.DICTIONARY),
    )
    # Of an owner, values stand before weights: these ascend too.
    needed, found = keys[coded] >> 8 << 8 | kind, keys[entries]

    def fail(reason: Reason, row: np.void, detail: str) -> RecdFormatError:
        place = replace(
            location,
            stripe=int(row["stripe"]),
            owner=f"owner {int(row['owner'])}",
            stream=StreamKind(int(row["kind"])).name.lower(),
            byte_offset=int(row["byte_offset"]),
        )
        return RecdFormatError(reason, detail, place)

    if not np.array_equal(needed, found):
        missing = ~np.isin(needed, found)
        if missing.any():
            row = records[coded][int(np.argmax(missing))]
            raise fail(Reason.DICTIONARY, row, "its dictionary is missing")
        row = records[entries][int(np.argmin(np.isin(found, needed)))]
        raise fail(Reason.RECORD, row, "a dictionary, but no chain that begins with DICTIONARY")
    params, counts = records["params"][coded], records["count"][entries]
    if (params != counts).any():
        bad = int(np.argmax(params != counts))
        detail = f"{int(params[bad])} entries by its params, {int(counts[bad])} in its dictionary"
        raise fail(Reason.DICTIONARY, records[coded][bad], detail)
