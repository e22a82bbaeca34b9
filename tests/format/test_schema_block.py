"""The schema block: any schema comes back, and each rule is checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format import Limits, Reason, RecdInputError
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType
from recd_format.format.schema_block import (
    FIELD,
    GROUP,
    HEADER,
    SchemaBlock,
    encode_schema,
    name_hash,
)
from tests.format.sealing import SCHEMA, WHERE, broken, with_fields

LIMITS = Limits()
GOOD = encode_schema(SCHEMA)
FIELDS = HEADER.itemsize
GROUPS = FIELDS + len(SCHEMA.fields) * FIELD.itemsize
HEAP = GROUPS + len(SCHEMA.groups) * GROUP.itemsize
SESSION, TS, IDS, SCORES, VECTOR, SIZE = range(6)
COMBINATIONS = [
    (Shape.SCALAR, ValueType.BOOL, Kind.LABEL),
    (Shape.SCALAR, ValueType.UINT64, Kind.ID_LIST),
    (Shape.SCALAR, ValueType.INT8, Kind.META),
    (Shape.SCALAR, ValueType.FLOAT16, Kind.WEIGHT),
    (Shape.LIST, ValueType.BYTES, Kind.META),
    (Shape.LIST, ValueType.INT64, Kind.ID_LIST),
    (Shape.LIST, ValueType.FLOAT64, Kind.FLOAT_LIST),
    (Shape.FIXED, ValueType.FLOAT32, Kind.DENSE),
    (Shape.WEIGHTED_LIST, ValueType.UINT16, Kind.ID_SCORE_LIST),
]
FLOATS = [ValueType.FLOAT16, ValueType.FLOAT32, ValueType.FLOAT64]


def block(data: bytes = GOOD, limits: Limits = LIMITS) -> SchemaBlock:
    return SchemaBlock(data, WHERE, limits)


def with_field(index: int, **values: Any) -> bytes:
    return with_fields(GOOD, FIELD, FIELDS + index * FIELD.itemsize, **values)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    names = draw(st.lists(st.text(min_size=1, max_size=5).filter(str.isprintable), min_size=1,
                          max_size=8, unique=True))  # fmt: skip
    fields = [Field(names[0], Kind.SESSION_KEY, Shape.SCALAR, ValueType.INT64, width=1)]
    groups: list[Group] = []
    for index, name in enumerate(names[1:], 1):
        shape, value, kind = draw(st.sampled_from(COMBINATIONS))
        weight = draw(st.sampled_from(FLOATS)) if shape is Shape.WEIGHTED_LIST else None
        width = {Shape.SCALAR: 1, Shape.FIXED: draw(st.integers(1, 1 << 31))}.get(shape, 0)
        joined = groups and not groups[-1].window and draw(st.booleans())
        if joined:
            groups[-1] = replace(groups[-1], fields=(*groups[-1].fields, index))
        else:
            jagged = shape in (Shape.LIST, Shape.WEIGHTED_LIST)
            groups.append(
                Group((index,), jagged and value is not ValueType.BYTES and draw(st.booleans()))
            )
        fields.append(
            Field(name, kind, shape, value, weight, width, draw(st.booleans()),
                  len(groups) - 1)
        )  # fmt: skip
    return Schema(tuple(fields), tuple(groups))


@given(schemas())
def test_any_schema_comes_back(schema: Schema) -> None:
    data = encode_schema(schema)
    assert len(data) % 8 == 0
    found = block(data)
    assert found.schema() == schema
    assert (found.num_fields, found.num_groups) == (len(schema.fields), len(schema.groups))
    for index, field in enumerate(schema.fields):
        assert found.field(index) == field
        assert found.name(index) == field.name
        assert int(found.fields["name_hash"][index]) == name_hash(field.name)
    assert tuple(found.group(index) for index in range(found.num_groups)) == schema.groups


def test_a_schema_without_fields() -> None:
    assert block(encode_schema(Schema((), ()))).schema() == Schema((), ())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "schema block has 0 bytes, at least 16 expected"),
        (GOOD[:-8], "expected"),
        (GOOD + bytes(8), "expected"),
        (with_fields(GOOD, HEADER, fields=7), "expected"),
        (with_fields(GOOD, HEADER, groups=4), "expected"),
        (with_fields(GOOD, HEADER, heap_bytes=2**32 - 1), "expected"),
        (with_field(TS, name_offset=2**32 - 1), "field 1 has an invalid name range"),
        (with_field(SIZE, name_bytes=200), "field 5 has an invalid name range"),
        (with_field(TS, name_bytes=0), "field 1 has an invalid name range"),
        (with_field(TS, kind=0), "field 1 has an invalid kind"),
        (with_field(TS, kind=10), "field 1 has an invalid kind"),
        (with_field(TS, shape=0), "field 1 has an invalid shape"),
        (with_field(TS, shape=5), "field 1 has an invalid shape"),
        (with_field(TS, value_type=0), "field 1 has an invalid value type"),
        (with_field(TS, value_type=14), "field 1 has an invalid value type"),
        (with_field(SCORES, weight_type=0), "field 3 has an invalid weight type"),
        (with_field(SCORES, weight_type=5), "field 3 has an invalid weight type"),
        (with_field(IDS, weight_type=11), "field 2 has an invalid weight type"),
        (with_field(TS, width=0), "field 1 has an invalid width"),
        (with_field(IDS, width=1), "field 2 has an invalid width"),
        (with_field(VECTOR, width=0), "field 4 has an invalid width"),
        (with_field(TS, value_type=13), "field 1 has an invalid type of a string"),
        (with_field(TS, group=3), "field 1 has an invalid group"),
        (with_field(TS, group=2**32 - 1), "field 1 has an invalid group"),
        (with_field(SESSION, group=0), "field 0 has an invalid group"),
        (with_field(SESSION, kind=9, group=0), "0 session keys, 1 expected"),
        (with_field(TS, kind=7, group=2**32 - 1), "2 session keys, 1 expected"),
        (with_field(SIZE, kind=8), "more than one order key"),
        (with_field(SIZE, group=0), "a group's number of fields disagrees with its members"),
        (
            with_fields(GOOD, GROUP, GROUPS, flags=1),
            "a window group has a field that is not a list",
        ),
    ],
)
def test_each_rule(data: bytes, message: str) -> None:
    with broken(Reason.SCHEMA, message):
        block(data)


def test_names_that_are_not_text() -> None:
    bad = GOOD[:HEAP] + b"\xff" + GOOD[HEAP + 1 :]
    with broken(Reason.SCHEMA, "name of field 0 is not UTF-8"):
        block(bad).name(0)
    with broken(Reason.SCHEMA, "name of field 0 is not UTF-8"):
        block(bad).schema()


def test_two_fields_of_one_name() -> None:
    row = np.frombuffer(GOOD, FIELD, 1, FIELDS + TS * FIELD.itemsize)[0]
    data = with_field(IDS, name_offset=row["name_offset"], name_bytes=row["name_bytes"])
    with broken(Reason.SCHEMA, "two fields have the same name"):
        block(data).schema()


def test_more_fields_or_groups_than_the_limit() -> None:
    with broken(Reason.LIMIT, "6 fields, 3 groups, limit 5"):
        block(limits=Limits(fields=5))
    with broken(Reason.LIMIT, "groups, limit"):
        block(with_fields(GOOD, HEADER, groups=2**32 - 1))


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "column 0 has no name"), ("é" * 40_000, "a name of 80000 bytes, at most 65535 fit")],
)
def test_names_that_cannot_be_stored(name: str, message: str) -> None:
    schema = Schema((replace(SCHEMA.fields[0], name=name),), ())
    with pytest.raises(RecdInputError, match=message):
        encode_schema(schema)
