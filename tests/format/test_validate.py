"""Rules of records: each broken one by one in the records of a sound file."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from recd_format import Limits, Location, Reason
from recd_format.constants import ROWS_OWNER
from recd_format.filesystem import MemorySource
from recd_format.format.record import Records, StreamKind
from recd_format.format.schema import ValueType
from recd_format.format.validate import (
    record_chain,
    stream_types,
    validate_ranges,
    validate_records,
)
from recd_format.reader.file import FileReader
from recd_format.reader.metadata import FileMetadata
from tests.damage import small_file
from tests.format.sealing import broken

WHERE = Location("log.recd", "directory")
PLAIN, CONSTANT, LIST_AT = 1, 2, 7
ROWS = "rows"
VALUES, CODES, SESSION_ROWS = StreamKind.VALUES, StreamKind.CODES, StreamKind.SESSION_ROWS


@cache
def metadata() -> FileMetadata:
    return FileReader(MemorySource(small_file())).metadata


def validate(records: Records, limits: Limits | None = None) -> None:
    found = metadata()
    schema, stripes = found.tables.schema, found.tables.stripes
    types = stream_types(records, schema)
    validate_records(records, types, schema, stripes, WHERE, limits or Limits())
    validate_ranges(records, stripes, WHERE)


def owner_of(stream: str) -> int:
    """Owner by name: a field, "rows", or the group of a field."""
    tables = metadata().tables
    if stream == ROWS:
        return ROWS_OWNER
    index = tables.find(stream.removeprefix("group of "))
    grouped = stream.startswith("group of ")
    return (
        tables.schema.num_fields + int(tables.schema.fields["group"][index]) if grouped else index
    )


def number(stream: str, kind: StreamKind) -> int:
    """Where the record of a stream of the first stripe is."""
    records = metadata().all_records()
    mine = (records["owner"] == owner_of(stream)) & (records["kind"] == kind)
    return int(np.flatnonzero(mine & (records["stripe"] == 0))[0])


def changed(stream: str, kind: StreamKind, values: dict[str, Any]) -> Records:
    """All records, one of them with other values."""
    records = metadata().all_records().copy()
    for name, value in values.items():
        records[name][number(stream, kind)] = value
    return records


def place(stream: str, name: str = "byte_offset") -> int:
    return int(metadata().all_records()[name][number(stream, VALUES)])


def test_the_records_of_a_sound_file_are_valid() -> None:
    validate(metadata().all_records())
    validate(metadata().all_records()[:0])


@pytest.mark.parametrize(
    ("stream", "kind", "values", "reason", "message"),
    [
        ("user", VALUES, {"owner": 999}, Reason.RECORD, "unknown owner (owner 999, kind 7"),
        ("user", VALUES, {"owner": ROWS_OWNER + 1}, Reason.RECORD, "unknown owner"),
        ("user", VALUES, {"kind": 0}, Reason.RECORD, "unknown kind"),
        ("user", VALUES, {"kind": 3}, Reason.RECORD, "unknown kind"),
        ("user", VALUES, {"kind": 12}, Reason.RECORD, "unknown kind"),
        ("user", VALUES, {"kind": SESSION_ROWS}, Reason.RECORD, "kind of rows"),
        (ROWS, SESSION_ROWS, {"kind": VALUES}, Reason.RECORD, "kind of rows"),
        ("group of user", CODES, {"kind": VALUES}, Reason.RECORD, "kind of a group"),
        ("user", VALUES, {"kind": CODES}, Reason.RECORD, "kind of a field"),
        ("user", VALUES, {"kind": StreamKind.STARTS}, Reason.RECORD, "kind of a field"),
        ("user", VALUES, {"pad": 1}, Reason.RECORD, "padding of a record is not zero"),
        ("user", VALUES, {"count": 2**31}, Reason.LIMIT, "more values than a stream may have"),
        ("user", VALUES, {"count": 2**64 - 1}, Reason.LIMIT, "more values than a stream"),
        ("user", VALUES, {"kind": StreamKind.WEIGHTS}, Reason.RECORD, "without weights"),
        ("user", VALUES, {"decoded": 1}, Reason.RECORD, "decoded bytes"),
        (
            ROWS,
            SESSION_ROWS,
            {"count": 3, "decoded": 12},
            Reason.RECORD,
            "sessions (owner 4294967294",
        ),
        ("group of user", CODES, {"count": 11, "decoded": 44}, Reason.RECORD, "codes of rows"),
        ("group of user", CODES, {"params": 0}, Reason.RECORD, "unique rows of a group"),
        ("group of user", CODES, {"params": 13}, Reason.RECORD, "unique rows of a group"),
        ("user", VALUES, {"chain": (0, 0, 0, 0)}, Reason.CHAIN, "chain [0, 0, 0, 0]"),
        ("user", VALUES, {"chain": (PLAIN, 0, PLAIN, 0)}, Reason.CHAIN, "chain [1, 0, 1, 0]"),
        ("user", VALUES, {"chain": (PLAIN, PLAIN, 0, 0)}, Reason.CHAIN, "not legal for values"),
        ("user", VALUES, {"chain": (240, 0, 0, 0)}, Reason.CHAIN, "not legal for values of int"),
        (
            "group of user",
            CODES,
            {"chain": (CONSTANT, 0, 0, 0)},
            Reason.CHAIN,
            "not legal for codes",
        ),
        ("items", VALUES, {"chain": (LIST_AT, 0, 0, 0)}, Reason.CHAIN, "that is no scalar"),
        ("user", VALUES, {"byte_offset": 0}, Reason.RANGE, "at byte 0 with"),
        ("user", VALUES, {"byte_offset": 65}, Reason.RANGE, "does not fit its stripe"),
        ("user", VALUES, {"byte_offset": 2**64 - 64}, Reason.RANGE, "does not fit its stripe"),
        ("user", VALUES, {"byte_offset": 1 << 20}, Reason.RANGE, "does not fit its stripe"),
        ("user", VALUES, {"stored": 2**64 - 1}, Reason.RANGE, "does not fit its stripe"),
        ("user", VALUES, {"stored": 1 << 20}, Reason.RANGE, "does not fit its stripe"),
    ],
)
def test_each_rule(
    stream: str, kind: StreamKind, values: dict[str, Any], reason: Reason, message: str
) -> None:
    with broken(reason, message):
        validate(changed(stream, kind, values))


def test_streams_that_overlap() -> None:
    with broken(Reason.OVERLAP, "overlaps another stream"):
        validate(changed("user", VALUES, {"byte_offset": place("items")}))
    with broken(Reason.OVERLAP, "overlaps another stream"):
        validate(changed("ts", VALUES, {"stored": place("ts", "stored") + 64}))


def test_nulls_of_a_field_that_has_none() -> None:
    schema = metadata().tables.schema
    before = schema.fields
    try:
        schema.fields = before.copy()
        schema.fields["flags"][owner_of("price")] = 0
        with broken(Reason.VALIDITY, "validity of a field that has no nulls"):
            validate(metadata().all_records())
    finally:
        schema.fields = before


def test_the_cap_on_values_is_the_callers() -> None:
    with broken(Reason.LIMIT, "more values than a stream may have"):
        validate(metadata().all_records(), Limits(stream_values=11))


def test_streams_may_share_the_identical_range() -> None:
    shared = {name: place("items", name) for name in ("byte_offset", "stored")}
    validate(changed("user", VALUES, shared))
    # Empty streams have no range.
    validate(changed("user", VALUES, {"byte_offset": 2**63, "stored": 0}))


def test_types_of_streams() -> None:
    records = metadata().all_records()
    types = dict(zip(records[["owner", "kind"]].tolist(), stream_types(
        records, metadata().tables.schema).tolist(), strict=True))  # fmt: skip
    assert types[ROWS_OWNER, SESSION_ROWS] == ValueType.UINT32
    assert types[owner_of("group of user"), CODES] == ValueType.UINT32
    assert types[owner_of("price"), VALUES] == ValueType.FLOAT64
    assert types[owner_of("price"), StreamKind.VALIDITY] == ValueType.UINT8
    assert types[owner_of("scores"), StreamKind.WEIGHTS] == ValueType.FLOAT32
    assert types[0, StreamKind.SESSION_KEY] == ValueType.BYTES


@pytest.mark.parametrize(
    ("codecs", "chain"),
    [([1, 0, 0, 0], (1,)), ([5, 6, 8, 0], (5, 6, 8)), ([1, 2, 3, 4], (1, 2, 3, 4)),
     ([0, 0, 0, 0], ()), ([0, 1, 0, 0], None), ([1, 0, 2, 0], None)],
)  # fmt: skip
def test_chains_of_records(codecs: list[int], chain: tuple[int, ...] | None) -> None:
    assert record_chain(codecs) == chain
