"""Kinds from types, and messages for what cannot be held."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from recd_format import RecdFormatError, RecdInputError
from recd_format.arrow import (
    arrow_schema_of,
    check_arrow_schema,
    infer_schema,
    leak_warnings,
    schema_from_bytes,
    schema_to_bytes,
)
from recd_format.format.schema import Kind, Shape, ValueType

PAIR = pa.struct([("id", pa.int64()), ("weight", pa.float32())])
LOG = pa.schema(
    [
        pa.field("session", pa.string()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("clicked", pa.bool_()),
        pa.field("item", pa.uint32()),
        pa.field("history", pa.list_(pa.int64())),
        pa.field("scores", pa.list_(PAIR)),
        pa.field("tags", pa.map_(pa.int16(), pa.float64())),
        pa.field("prices", pa.large_list(pa.float32())),
        pa.field("vector", pa.list_(pa.float16(), 4)),
        pa.field("trio", pa.list_(pa.int32(), 3)),
        pa.field("age", pa.float64()),
        pa.field("country", pa.dictionary(pa.int8(), pa.string())),
        pa.field("w", pa.float32(), nullable=False),
        pa.field("request", pa.int64()),
    ],
    metadata={"origin": "test"},
)


def test_kinds_follow_types_and_arguments() -> None:
    fields = infer_schema(
        LOG,
        session_key="session",
        order_key="time",
        labels=["clicked"],
        kinds={"request": "meta", "trio": "dense"},
        sample_weight="w",
    )
    found = {f.name: (f.kind, f.shape, f.value_type, f.weight_type, f.width) for f in fields}
    assert found == {
        "session": (Kind.SESSION_KEY, Shape.LIST, ValueType.BYTES, None, 0),
        "time": (Kind.ORDER_KEY, Shape.SCALAR, ValueType.INT64, None, 1),
        "clicked": (Kind.LABEL, Shape.SCALAR, ValueType.BOOL, None, 1),
        "item": (Kind.ID_LIST, Shape.SCALAR, ValueType.UINT32, None, 1),
        "history": (Kind.ID_LIST, Shape.LIST, ValueType.INT64, None, 0),
        "scores": (Kind.ID_SCORE_LIST, Shape.WEIGHTED_LIST, ValueType.INT64, ValueType.FLOAT32, 0),
        "tags": (Kind.ID_SCORE_LIST, Shape.WEIGHTED_LIST, ValueType.INT16, ValueType.FLOAT64, 0),
        "prices": (Kind.FLOAT_LIST, Shape.LIST, ValueType.FLOAT32, None, 0),
        "vector": (Kind.DENSE, Shape.FIXED, ValueType.FLOAT16, None, 4),
        "trio": (Kind.DENSE, Shape.FIXED, ValueType.INT32, None, 3),
        "age": (Kind.DENSE, Shape.SCALAR, ValueType.FLOAT64, None, 1),
        "country": (Kind.META, Shape.LIST, ValueType.BYTES, None, 0),
        "w": (Kind.WEIGHT, Shape.SCALAR, ValueType.FLOAT32, None, 1),
        "request": (Kind.META, Shape.SCALAR, ValueType.INT64, None, 1),
    }
    nullable = {f.name for f in fields if f.nullable}
    assert nullable == set(LOG.names) - {"session", "time", "w"}
    assert all(field.group == -1 for field in fields)
    check_arrow_schema(LOG, fields)


def test_schema_and_metadata_survive_as_bytes() -> None:
    back = schema_from_bytes(schema_to_bytes(LOG))
    assert back.equals(LOG, check_metadata=True)
    assert schema_to_bytes(back) == schema_to_bytes(LOG)


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 64, bytes(range(200))])
def test_bytes_that_are_no_schema_are_a_format_error(data: bytes) -> None:
    with pytest.raises(RecdFormatError, match="IPC schema"):
        schema_from_bytes(data)


def test_a_schema_cut_or_flipped_never_raises_anything_else() -> None:
    data = schema_to_bytes(LOG)
    for place in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 0x5A
        for bad in (data[:place], bytes(flipped)):
            try:
                schema_from_bytes(bad)
            except RecdFormatError:
                continue


def test_a_file_without_arrow_schema_gets_plain_types() -> None:
    fields = infer_schema(LOG, session_key="session", order_key="time")
    plain = arrow_schema_of(fields)
    assert plain.field("session").type == pa.binary()
    assert plain.field("scores").type == pa.list_(PAIR)
    assert plain.field("vector").type == pa.list_(pa.float16(), 4)
    assert infer_schema(plain, session_key="session", order_key="time")[4:8] == fields[4:8]


def test_an_arrow_schema_that_does_not_fit_the_fields_is_a_format_error() -> None:
    fields = infer_schema(LOG, session_key="session")
    for bad in (
        LOG.set(3, pa.field("item", pa.int64())),
        LOG.set(3, pa.field("other", pa.uint32())),
        LOG.set(3, pa.field("item", pa.list_(pa.uint32()))),
        LOG.set(3, pa.field("item", pa.decimal128(5, 2))),
        LOG.set(8, pa.field("vector", pa.list_(pa.float16(), 5))),
        LOG.remove(0),
    ):
        with pytest.raises(RecdFormatError, match="arrow_schema section"):
            check_arrow_schema(bad, fields)


@pytest.mark.parametrize(
    ("type_", "advice"),
    [
        (pa.array([Decimal("1.5")]).type, "cast it to float64"),
        (pa.list_(pa.bool_()), "list of int8"),
        (pa.list_(pa.list_(pa.int64())), "flatten"),
        (pa.list_(pa.string()), "integer ids"),
        (pa.list_(pa.timestamp("s")), "list of int64"),
        (pa.list_(pa.decimal128(5, 2)), "list of float64"),
        (pa.list_(pa.struct([("a", pa.int64())])), "one integer id and one float weight"),
        (pa.list_(pa.dictionary(pa.int8(), pa.string())), "integer ids"),
        (pa.list_(pa.float32(), 0), "leave it out"),
        (pa.map_(pa.string(), pa.float32()), "integer ids"),
        (pa.struct([("a", pa.int64())]), "flatten"),
        (pa.null(), "cast it to the type"),
        (pa.dictionary(pa.int8(), pa.string(), ordered=True), "cast it to string"),
        (pa.dictionary(pa.int8(), pa.decimal128(5, 2)), "cast it to float64"),
        (pa.month_day_nano_interval(), "leave it out"),
        (pa.run_end_encoded(pa.int32(), pa.int64()), "leave it out"),
        (pa.dense_union([pa.field("a", pa.int64())]), "leave it out"),
    ],
    ids=str,
)
def test_an_unsupported_type_is_named_with_a_way_out(type_: pa.DataType, advice: str) -> None:
    schema = pa.schema([("s", pa.int64()), ("odd", type_)])
    with pytest.raises(RecdInputError, match=advice) as caught:
        infer_schema(schema, session_key="s")
    assert "'odd'" in str(caught.value)
    assert str(type_) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"session_key": "sesion"}, "session_key: there is no column 'sesion'.*'session'"),
        ({"session_key": "session", "order_key": "zzz"}, "order_key: there is no column 'zzz'"),
        ({"session_key": "session", "labels": ["nope"]}, "labels: there is no column"),
        ({"session_key": "session", "kinds": {"nope": "meta"}}, "kinds: there is no column"),
        ({"session_key": "session", "sample_weight": "n"}, "sample_weight: there is no column"),
        ({"session_key": "session", "kinds": {"item": "banana"}}, "can be one of"),
        ({"session_key": "session", "kinds": {"item": "order_key"}}, "argument of that name"),
        ({"session_key": "session", "kinds": {"history": "dense"}}, "'history'.*cannot be a dense"),
        ({"session_key": "session", "kinds": {"age": "id_list"}}, "'age'.*cannot be a id_list"),
        ({"session_key": "history"}, "'history'.*cannot be a session_key"),
        ({"session_key": "clicked"}, "'clicked'.*cannot be a session_key"),
        ({"session_key": "session", "order_key": "session"}, "named by both"),
        ({"session_key": "session", "labels": ["country"]}, "'country'.*cannot be a label"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        infer_schema(LOG, **arguments)  # type: ignore[arg-type]


def test_doubled_column_names_are_an_error() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("a", pa.int64())])
    with pytest.raises(RecdInputError, match=r"\['a'\]"):
        infer_schema(schema, session_key="b")


def test_a_label_may_be_one_string() -> None:
    fields = infer_schema(LOG, session_key="session", labels="clicked")
    assert fields[2].kind == Kind.LABEL


def test_features_named_like_labels_draw_a_warning() -> None:
    fields = infer_schema(LOG, session_key="session")
    assert len(leak_warnings(fields)) == 1
    assert "'clicked'" in leak_warnings(fields)[0]
    assert leak_warnings(infer_schema(LOG, session_key="session", labels=["clicked"])) == ()
