"""Tables: round trip, looking up names, and rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recd_format import Limits, Reason
from recd_format.constants import DIRECTORY_PAGE_BYTES
from recd_format.format import tables as module
from recd_format.format.record import RECORD
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType
from recd_format.format.schema_block import SchemaBlock, encode_schema
from recd_format.format.tables import (
    OWNER,
    SECTION,
    STRIPE,
    SectionId,
    Tables,
    decode_tables,
    encode_tables,
    name_order,
)
from tests.format.sealing import SCHEMA, WHERE, broken, with_fields

LIMITS = Limits()
HEAD_BYTES, DIRECTORY = 4096, 20_480
BLOCK = encode_schema(SCHEMA)
OWNERS = len(SCHEMA.fields) + len(SCHEMA.groups) + 1


def owners(counts: list[int]) -> NDArray[np.void]:
    rows = np.zeros(len(counts), OWNER)
    rows["records"] = counts
    rows["first"] = np.cumsum([0, *counts[:-1]])
    return rows


def tables(**changes: Any) -> Tables:
    schema = SchemaBlock(BLOCK, WHERE, LIMITS)
    good = Tables(
        schema=schema,
        stripes=np.array([(4096, 5000, 10, 3, 4, 0), (12_288, 8192, 5, 5, 4, 1)], STRIPE),
        owners=owners([1] * OWNERS),
        names=name_order(schema),
        page_checksums=np.array([7], "<u8"),
        sections=np.array([(1, 0, 20_480, 8, 5), (9, 0, 20_488, 8, 6)], SECTION),
        num_records=OWNERS,
    )
    return replace(good, **changes)


def decode(data: bytes, limits: Limits = LIMITS) -> Tables:
    return decode_tables(memoryview(data), DIRECTORY, HEAD_BYTES, WHERE, limits)


GOOD = encode_tables(tables(), BLOCK)


def test_tables_come_back() -> None:
    found = decode(GOOD)
    assert len(GOOD) % 8 == 0
    assert found.schema.schema() == SCHEMA
    assert found.num_records == OWNERS
    for name in ("stripes", "owners", "names", "page_checksums", "sections"):
        assert getattr(found, name).tobytes() == getattr(tables(), name).tobytes()


@given(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=20, unique=True))
def test_every_name_is_found_and_no_other(names: list[str]) -> None:
    field = Field("", Kind.SESSION_KEY, Shape.SCALAR, ValueType.INT64, width=1)
    other = replace(field, kind=Kind.DENSE, group=0)
    fields = [replace(field if i == 0 else other, name=name) for i, name in enumerate(names)]
    groups = (Group(tuple(range(1, len(names)))),) if len(names) > 1 else ()
    schema = SchemaBlock(encode_schema(Schema(tuple(fields), groups)), WHERE, LIMITS)
    found = tables(schema=schema, names=name_order(schema))
    assert [found.find(name) for name in names] == list(range(len(names)))
    assert found.find("nobody") == -1
    assert found.find("") == -1


def test_names_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "name_hash", lambda name: 42)
    data = bytearray(BLOCK)
    rows = np.frombuffer(data, SchemaBlock(BLOCK, WHERE, LIMITS).fields.dtype,
                         len(SCHEMA.fields), 16)  # fmt: skip
    rows["name_hash"] = 42
    schema = SchemaBlock(bytes(data), WHERE, LIMITS)
    found = tables(schema=schema, names=name_order(schema))
    assert [found.find(name) for name in SCHEMA.names] == list(range(len(SCHEMA.names)))
    assert found.find("nobody") == -1


def stripes(**changes: Any) -> bytes:
    """Tables whose second stripe is another."""
    rows = tables().stripes.copy()
    for name, value in changes.items():
        rows[name][1] = value
    return encode_tables(tables(stripes=rows), BLOCK)


def sections(**changes: Any) -> bytes:
    rows = tables().sections.copy()
    for name, value in changes.items():
        rows[name][1] = value
    return encode_tables(tables(sections=rows), BLOCK)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"", Reason.DIRECTORY, "tables have 0 bytes"),
        (GOOD[:-8], Reason.DIRECTORY, f"tables have {len(GOOD) - 8} bytes, {len(GOOD)} expected"),
        (GOOD + bytes(8), Reason.DIRECTORY, "expected"),
        (with_fields(GOOD, module.HEADER, schema_bytes=2**64 - 1), Reason.DIRECTORY, "schema bloc"),
        (with_fields(GOOD, module.HEADER, stripes=2**32 - 1), Reason.DIRECTORY, "expected"),
        (with_fields(GOOD, module.HEADER, records=2**63), Reason.DIRECTORY, "1 pages, "),
        (with_fields(GOOD, module.HEADER, records=9), Reason.DIRECTORY, "owners do not cover"),
        (with_fields(GOOD, module.HEADER, schema_bytes=8), Reason.SCHEMA, "8 bytes, at least 16"),
        (
            encode_tables(tables(owners=owners([2] + [1] * (OWNERS - 1))), BLOCK),
            Reason.DIRECTORY,
            "owners do not cover the records",
        ),
        (
            encode_tables(tables(owners=np.zeros(OWNERS, OWNER)), BLOCK),
            Reason.DIRECTORY,
            "owners do not cover the records",
        ),
        (
            encode_tables(tables(names=np.zeros(len(SCHEMA.fields), "<u4")), BLOCK),
            Reason.DIRECTORY,
            "name index is no permutation",
        ),
        (stripes(byte_offset=12_289), Reason.STRIPE, "stripe 1: starts at byte 12289"),
        (stripes(byte_offset=8192), Reason.STRIPE, "starts at byte 8192, before byte 9096"),
        (stripes(byte_offset=2**64 - 4096), Reason.STRIPE, "ends at byte 18446744073709555712"),
        (stripes(bytes=2**64 - 1), Reason.STRIPE, "after byte 20480"),
        (stripes(rows=0, sessions=0), Reason.STRIPE, "0 sessions of 0 rows"),
        (stripes(sessions=0), Reason.STRIPE, "0 sessions of 5 rows"),
        (stripes(sessions=6), Reason.STRIPE, "6 sessions of 5 rows"),
        (stripes(rows=2**24 + 1), Reason.LIMIT, "16777217 rows, limit 16777216"),
        (sections(id=1), Reason.SECTION, "two sections have the same id"),
        (sections(bytes=2**30 + 1), Reason.LIMIT, "section 9 of 1073741825 bytes"),
        (sections(flags=1), Reason.FEATURE, "required section 9 is unknown to this reader"),
    ],
)
def test_each_rule(data: bytes, reason: Reason, message: str) -> None:
    with broken(reason, message):
        decode(data)


def test_sections_that_are_optional_and_unknown_are_kept() -> None:
    assert decode(sections(id=0x8000_0000)).sections["id"].tolist() == [1, 0x8000_0000]
    assert SectionId.STATISTICS in SectionId.KNOWN


def test_a_page_more_or_less() -> None:
    per_page = DIRECTORY_PAGE_BYTES // RECORD.itemsize
    counts = [1] * (OWNERS - 1) + [per_page - OWNERS + 2]
    data = encode_tables(tables(owners=owners(counts), num_records=sum(counts)), BLOCK)
    with broken(Reason.DIRECTORY, "1 pages, 2 expected"):
        decode(data)
