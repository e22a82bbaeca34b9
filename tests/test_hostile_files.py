"""Files that are forged: every checksum is right, and one rule of `spec/validity.md` is broken."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format import Limits, ReadOptions, Reason, RecdFormatError
from recd_format.arrow.types import storage_of
from recd_format.codec import Encoded, encode
from recd_format.codec.base import CodecId
from recd_format.codec.list_at import ListReference, pack_reference
from recd_format.constants import ROWS_OWNER
from recd_format.filesystem import open_sink
from recd_format.format import head, postscript, schema_block, tables
from recd_format.format.record import CODES_MONOTONE, CODES_STRIPE_SCOPE, StreamKind
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType
from recd_format.format.statistics import STATISTIC
from recd_format.writer.file import FileWriter
from recd_format.writer.stream import EncodedStripe, Stream
from tests.damage import parts_of, reseal, write

SESSION_ROWS, SESSION_KEY, CODES, LENGTHS, STARTS, VALUES, WEIGHTS, VALIDITY, DICTIONARY = (
    StreamKind.SESSION_ROWS,
    StreamKind.SESSION_KEY,
    StreamKind.CODES,
    StreamKind.LENGTHS,
    StreamKind.STARTS,
    StreamKind.VALUES,
    StreamKind.WEIGHTS,
    StreamKind.VALIDITY,
    StreamKind.DICTIONARY,
)
WEIGHT_DICTIONARY = StreamKind.WEIGHT_DICTIONARY
INT64, FLOAT32 = ValueType.INT64, ValueType.FLOAT32

FIELDS = (
    Field("session", Kind.SESSION_KEY, Shape.SCALAR, INT64, width=1, nullable=False),
    Field("items", Kind.ID_LIST, Shape.LIST, INT64, group=0),
    Field("slot", Kind.ID_LIST, Shape.SCALAR, ValueType.INT32, width=1, group=1),
    Field("item", Kind.ID_LIST, Shape.SCALAR, INT64, width=1, group=1),
    Field("flag", Kind.LABEL, Shape.SCALAR, ValueType.BOOL, width=1, group=1),
    Field("scores", Kind.ID_SCORE_LIST, Shape.WEIGHTED_LIST, INT64, FLOAT32, group=2),
    Field("history", Kind.ID_LIST, Shape.LIST, INT64, group=3),
    Field("vector", Kind.DENSE, Shape.FIXED, FLOAT32, width=2, group=4),
    Field("price", Kind.DENSE, Shape.SCALAR, ValueType.FLOAT64, width=1, group=4),
)
GROUPS = (
    Group((1,)),
    Group((2, 3, 4)),
    Group((5,)),
    Group((6,), window=True),
    Group((7, 8)),
)
SCHEMA = Schema(FIELDS, GROUPS)
NUMBERS = {
    **{field.name: number for number, field in enumerate(FIELDS)},
    **{f"group {number}": len(FIELDS) + number for number in range(len(GROUPS))},
    "rows": ROWS_OWNER,
}
Streams = dict[tuple[str, StreamKind], Stream | None]


def plain(values: Any, dtype: str = "<u4", **extra: Any) -> Stream:
    """A PLAIN stream, owner and kind not yet set."""
    array = np.array(values, dtype)
    return Stream(0, VALUES, encode(array, (CodecId.PLAIN,)), array.nbytes, **extra)


def reference(count: int, to: ListReference, *own: int) -> Stream:
    """A LIST_AT stream; with indices, if `own` are given."""
    params = pack_reference(to)
    if not own:
        encoded = Encoded((CodecId.LIST_AT,), np.zeros(0, np.uint8), count, params)
    else:
        chain = (CodecId.LIST_AT, CodecId.BITPACK)
        encoded = encode(np.array(own, "<u4"), chain, params=params)
    return Stream(0, VALUES, encoded, count * 8)


def coded(values: Any, params: int, dtype: str) -> Stream:
    """A DICTIONARY > BITPACK stream of the codes `values`, and a number of entries."""
    codes = encode(np.array(values, "<u4"), (CodecId.BITPACK,))
    encoded = Encoded((CodecId.DICTIONARY, CodecId.BITPACK), codes.payload, len(values), params)
    return Stream(0, VALUES, encoded, len(values) * np.dtype(dtype).itemsize)


# Sessions of 2 rows each. `item` is `items[slot]`; history has windows on 1 2 3 4 | 5 6 7.
SOUND: Streams = {
    ("rows", SESSION_ROWS): plain([2, 2]),
    ("session", SESSION_KEY): plain([10, 20], "<i8"),
    ("items", LENGTHS): plain([2, 1, 2, 1]),
    ("items", VALUES): plain([1, 2, 3, 4, 5, 6], "<i8"),
    ("slot", VALUES): plain([1, 0, 0, 0], "<i4"),
    ("item", VALUES): reference(4, ListReference(1, 2)),
    ("flag", VALUES): plain([0, 1, 1, 0], "u1"),
    ("scores", LENGTHS): plain([1, 0, 2, 1]),
    ("scores", VALUES): plain([7, 8, 7, 9], "<i8"),
    ("scores", WEIGHTS): plain([0.5, 1.5, 0.5, 1], "<f4"),
    ("group 3", CODES): plain([1, 1, 1, 1], flags=CODES_MONOTONE, params=4),
    ("group 3", LENGTHS): plain([3, 3, 0, 3]),
    ("group 3", STARTS): plain([0, 1, 5, 4]),
    ("history", VALUES): plain([1, 2, 3, 4, 5, 6, 7], "<i8"),
    ("vector", VALUES): plain([1, 2, 3, 4, 0, 0, 7, 8], "<f4"),
    ("vector", VALIDITY): plain([1, 1, 0, 1], "u1"),
    ("price", VALUES): plain([0, 1, 2, 3], "<f8"),
    ("price", VALIDITY): plain([0, 1, 1, 1], "u1"),
}


def forge(
    changes: Streams | None = None,
    schema: Schema = SCHEMA,
    *,
    rows: int = 4,
    sessions: int = 2,
    flags: int = 0,
    base: Streams = SOUND,
) -> bytes:
    """A file of one stripe; streams of `changes` are other ones, or left out where None."""
    streams = [
        replace(stream, owner=NUMBERS[owner], kind=kind)
        for (owner, kind), stream in {**base, **(changes or {})}.items()
        if stream is not None
    ]
    sink = io.BytesIO()
    with FileWriter(open_sink(sink), schema) as writer:
        entries = np.zeros(0, STATISTIC)
        writer.write_stripe(EncodedStripe(rows, sessions, flags, tuple(streams), entries))
        writer.finish({})
    return sink.getvalue()


@contextmanager
def breaks(reason: Reason, message: str) -> Iterator[None]:
    with pytest.raises(RecdFormatError, match=re.escape(message)) as caught:
        yield
    assert caught.value.reason is reason, str(caught.value)
    assert str(caught.value).startswith("<bytes>, ")


def test_the_file_without_changes_is_sound() -> None:
    file = recd.open(forge())
    assert file.verify().stripes == 1
    assert file.read().to_pydict() == {
        "session": [10, 10, 20, 20],
        "items": [[1, 2], [3], [4, 5], [6]],
        "slot": [1, 0, 0, 0],
        "item": [2, 3, 4, 6],
        "flag": [False, True, True, False],
        "scores": [
            [{"id": 7, "weight": 0.5}],
            [],
            [{"id": 8, "weight": 1.5}, {"id": 7, "weight": 0.5}],
            [{"id": 9, "weight": 1.0}],
        ],
        "history": [[1, 2, 3], [2, 3, 4], [], [5, 6, 7]],
        "vector": [[1.0, 2.0], [3.0, 4.0], None, [7.0, 8.0]],
        "price": [None, 1.0, 2.0, 3.0],
    }


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "missing"),
    [
        ("session", [("session", SESSION_KEY)]),
        ("price", [("price", VALUES), ("price", VALIDITY)]),
        ("items", [("items", VALUES), ("items", LENGTHS)]),
        ("item", [("slot", VALUES)]),
        ("item", [("items", VALUES), ("items", LENGTHS)]),
    ],
)
def test_a_field_without_any_record(column: str, missing: list[tuple[str, StreamKind]]) -> None:
    data = forge(dict.fromkeys(missing))
    with breaks(Reason.RECORD, f"field {missing[0][0]!r} lacks a stream"):
        recd.open(data).read([column])
    with breaks(Reason.RECORD, "lacks a stream"):
        recd.open(data).verify()


DICTIONARY_OF_TWO = plain([7, 8], "<i8")
ROUND_OF_TWO = coded([0, 1, 0, 1], 2, "<i8")


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        # V-317
        ({("session", VALUES): plain([1, 2], "<i8")}, Reason.RECORD, "values or weights of the"),
        (
            {("price", SESSION_KEY): plain([1, 2], "<f8")},
            Reason.RECORD,
            "a session_key stream of another field",
        ),
        # V-318, V-509, V-516
        (
            {("scores", DICTIONARY): DICTIONARY_OF_TWO},
            Reason.RECORD,
            "a dictionary, but no chain that begins with DICTIONARY",
        ),
        (
            {("scores", WEIGHT_DICTIONARY): plain([1], "<f4"), ("scores", VALUES): ROUND_OF_TWO,
             ("scores", DICTIONARY): DICTIONARY_OF_TWO},
            Reason.RECORD,
            "weight_dictionary",
        ),
        (
            {("scores", VALUES): ROUND_OF_TWO},
            Reason.DICTIONARY,
            "'owner 5', values, byte",
        ),
        (
            {("scores", WEIGHTS): coded([0, 0, 0, 0], 1, "<f4"),
             ("scores", DICTIONARY): DICTIONARY_OF_TWO},
            Reason.DICTIONARY,
            "'owner 5', weights, byte",
        ),
        (
            {("scores", VALUES): coded([0, 1, 0, 1], 3, "<i8"),
             ("scores", DICTIONARY): DICTIONARY_OF_TWO},
            Reason.DICTIONARY,
            "3 entries by its params, 2 in its dictionary",
        ),
        # V-319
        (
            {("price", VALUES): plain([0, 1, 2, 3], "<f8", flags=1)},
            Reason.RECORD,
            "flags that its kind does not have (owner 8, kind 7, count 4, chain [1, 0, 0, 0], "
            "flags 1)",
        ),
        (
            {("group 3", CODES): plain([1, 1, 1, 1], flags=4, params=4)},
            Reason.RECORD,
            "flags that its kind does not have",
        ),
        # V-616
        (
            {("group 3", CODES): plain([1, 1, 1, 1], flags=CODES_STRIPE_SCOPE, params=4)},
            Reason.WINDOW,
            "owner 12 has windows, which no two sessions share: expected codes without stripe "
            "scope, found flags 2",
        ),
        # V-707, V-709, V-710
        (
            {("item", VALUES): reference(3, ListReference(1, 2))},
            Reason.REFERENCE,
            "LIST_AT of field 'item': expected a value for each row of the stripe, found INT64 at "
            "a list of INT64, 3 values of 4 rows, chain [7, 0, 0, 0], index field 2",
        ),
        (
            {("item", VALUES): reference(4, ListReference(1))},
            Reason.REFERENCE,
            "expected either an index field or indices of its own",
        ),
        (
            {("item", VALUES): reference(4, ListReference(1, 2), 1, 0, 0, 0)},
            Reason.REFERENCE,
            "expected either an index field or indices of its own",
        ),
        (
            {("slot", VALIDITY): plain([1, 0, 1, 0], "u1")},
            Reason.REFERENCE,
            "row 1: the index is null, the value is not",
        ),
        # V-615
        ({("price", VALIDITY): plain([0, 1, 0, 1], "u1")}, Reason.VALIDITY, "a null row holds"),
        ({("vector", VALIDITY): plain([1, 1, 1, 0], "u1")}, Reason.VALIDITY, "a null row holds"),
        ({("flag", VALIDITY): plain([1, 0, 1, 1], "u1")}, Reason.VALIDITY, "a null row holds"),
        ({("items", VALIDITY): plain([1, 1, 1, 0], "u1")}, Reason.VALIDITY, "a null row holds"),
        ({("scores", VALIDITY): plain([1, 1, 0, 1], "u1")}, Reason.VALIDITY, "a null row holds"),
        ({("history", VALIDITY): plain([1, 0, 1, 1], "u1")}, Reason.VALIDITY, "a null row holds"),
        # V-610, V-517
        ({("price", VALIDITY): plain([0, 1, 2, 1], "u1")}, Reason.VALIDITY, "neither 0 nor 1"),
        ({("flag", VALUES): plain([0, 1, 2, 0], "u1")}, Reason.ENCODING, "a BOOL is neither 0 nor"),
        (
            {("flag", VALUES): Stream(0, VALUES, Encoded((CodecId.CONSTANT,), np.zeros(0, "u1"),
                                                         4, 255), 4)},
            Reason.ENCODING,
            "a BOOL is neither 0 nor 1",
        ),
    ],
)  # fmt: skip
def test_each_rule_of_streams(changes: Streams, reason: Reason, message: str) -> None:
    data = forge(changes)
    with breaks(reason, message):
        recd.open(data).read()
    with breaks(reason, message):
        recd.open(data).verify()


@pytest.mark.parametrize(
    "changes",
    [
        {("items", VALIDITY): plain([1, 1, 1, 1], "u1")},
        {("scores", VALIDITY): plain([1, 0, 1, 1], "u1")},
        {("history", VALIDITY): plain([1, 1, 0, 1], "u1")},
        {("slot", VALIDITY): plain([1, 0, 1, 1], "u1"),
         ("item", VALIDITY): plain([1, 0, 1, 1], "u1")},
        {("item", VALUES): reference(4, ListReference(1), 1, 0, 0, 0)},
        {("scores", VALUES): ROUND_OF_TWO, ("scores", DICTIONARY): DICTIONARY_OF_TWO,
         ("scores", WEIGHTS): coded([0, 0, 0, 0], 1, "<f4"),
         ("scores", WEIGHT_DICTIONARY): plain([1], "<f4")},
    ],
)  # fmt: skip
def test_what_the_rules_of_streams_leave_alone(changes: Streams) -> None:
    file = recd.open(forge(changes))
    assert file.verify().stripes == 1
    assert file.read(rows=slice(1, 3)).equals(file.read().slice(1, 2))


def with_field(name: str, **changes: Any) -> Schema:
    fields = list(FIELDS)
    fields[NUMBERS[name]] = replace(fields[NUMBERS[name]], **changes)
    return Schema(tuple(fields), GROUPS)


@pytest.mark.parametrize(
    ("name", "changes", "streams"),
    [
        ("item", {"value_type": ValueType.UINT64}, {}),
        ("items", {"value_type": ValueType.UINT64}, {}),
        (
            "items",
            {"value_type": FLOAT32, "kind": Kind.FLOAT_LIST},
            {("items", VALUES): plain([1, 2, 3, 4, 5, 6], "<f4")},
        ),
    ],
)
def test_a_reference_to_a_list_of_another_type(
    name: str, changes: dict[str, Any], streams: Streams
) -> None:
    with breaks(Reason.REFERENCE, "expected a list of its own type, found "):
        recd.open(forge(streams, with_field(name, **changes))).read(["item"])


@pytest.mark.parametrize("at", [0, 7, 8, 63, 64, 1000])
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("rows", [1001, 1008])
def test_null_rows_anywhere(at: int, width: int, rows: int) -> None:
    """Rows of 1 to 24 bytes, eight validities at once, a part of a stripe."""
    other = 500
    for value_type in (ValueType.INT8, ValueType.UINT16, FLOAT32, INT64):
        field = replace(FIELDS[7], value_type=value_type, width=width)
        schema = Schema((FIELDS[0], replace(field, name="items", group=0)), (Group((1,)),))
        values = np.ones(rows * width, value_type.dtype)
        validity = np.ones(rows, np.uint8)
        validity[[at, other]] = 0
        values[at * width : (at + 1) * width] = 0
        values[other * width : (other + 1) * width] = 0
        streams: Streams = {
            ("rows", SESSION_ROWS): plain([rows]),
            ("session", SESSION_KEY): plain([1], "<i8"),
            ("items", VALIDITY): plain(validity, "u1"),
        }
        dtype = value_type.dtype.str
        shape = {"rows": rows, "sessions": 1, "schema": schema}
        sound = {**streams, ("items", VALUES): plain(values, dtype)}
        assert recd.open(forge(base=sound, **shape)).read()["items"].null_count == 2
        values[at * width + width - 1] = 1
        forged = {**streams, ("items", VALUES): plain(values, dtype)}
        file = recd.open(forge(base=forged, **shape))
        with breaks(Reason.VALIDITY, "a null row holds values"):
            file.read()
        with breaks(Reason.VALIDITY, "a null row holds values"):
            file.read(rows=slice(at, at + 1))
        assert file.read(rows=slice(other, other + 1))["items"].null_count == 1


# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "starts", "message"),
    [
        ([3, 3, 0, 3], [0, 1, 5, 4], None),
        ([3, 3, 0, 3], [0, 1, 4, 4], None),
        ([3, 3, 0, 3], [0, 1, 7, 4], None),
        # A gap in the first session's timeline, and in the last's.
        ([1, 2, 0, 3], [0, 2, 5, 4], "value 1 of the timelines is in no window"),
        ([2, 1, 0, 3], [0, 3, 5, 4], "value 2 of the timelines is in no window"),
        ([4, 0, 1, 1], [0, 2, 4, 6], "value 5 of the timelines is in no window"),
        ([4, 4, 1, 1], [0, 0, 4, 6], "value 5 of the timelines is in no window"),
        # A gap between two timelines, and one that another session reads.
        ([3, 0, 0, 3], [0, 1, 5, 4], "timelines do not stand end to end"),
        ([3, 2, 0, 2], [0, 3, 6, 5], None),
        ([4, 3, 0, 3], [0, 2, 5, 4], "timelines do not stand end to end"),
        # An empty row that starts in another session's timeline, or behind it.
        ([3, 3, 0, 3], [0, 1, 3, 4], "unique row 2 starts at value 3, outside of its session's"),
        ([4, 0, 0, 3], [0, 5, 4, 4], "unique row 1 starts at value 5, outside of its session's"),
    ],
)
def test_windows_cover_their_sessions_timeline(
    lengths: list[int], starts: list[int], message: str | None
) -> None:
    changes: Streams = {("group 3", LENGTHS): plain(lengths), ("group 3", STARTS): plain(starts)}
    file = recd.open(forge(changes))
    if message is None:
        assert file.verify().stripes == 1
        return
    with breaks(Reason.WINDOW, message):
        file.verify()


# --- schema -------------------------------------------------------------------------------------


def patched(sound: bytes, dtype: np.dtype[Any], at: int, **values: Any) -> bytes:
    """The file with a structure changed, checksums right."""
    damaged = bytearray(sound)
    row = np.frombuffer(damaged, dtype, 1, at)
    for name, value in values.items():
        row[name] = value
    del row
    return reseal(damaged, sound)


def with_schema(dtype: np.dtype[Any], number: int, **values: Any) -> bytes:
    """The sound file with a field or group of its tables changed."""
    sound = forge()
    at = parts_of(sound).tables.start + tables.HEADER.itemsize + schema_block.HEADER.itemsize
    if dtype == schema_block.GROUP:
        at += len(FIELDS) * schema_block.FIELD.itemsize
    return patched(sound, dtype, at + number * dtype.itemsize, **values)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("scores", {"value_type": FLOAT32}, "field 5: no id_score_list is a weighted_list of flo"),
        ("scores", {"kind": Kind.DENSE}, "no dense is a weighted_list of int64"),
        ("session", {"shape": Shape.LIST, "width": 0}, "field 0: no session_key is a list of int"),
        ("session", {"shape": Shape.FIXED}, "field 0: no session_key is a fixed of int64"),
        ("session", {"value_type": 1}, "field 0: no session_key is a scalar of bool"),
        ("items", {"value_type": 1}, "no id_list is a list of bool"),
        ("price", {"kind": Kind.ID_LIST}, "no id_list is a scalar of float64"),
        ("history", {"kind": Kind.META, "value_type": 13}, "a window group has a field of bytes"),
        ("flag", {"flags": 3}, "field 4 has an invalid flag"),
    ],
)
def test_each_rule_of_fields(name: str, values: dict[str, Any], message: str) -> None:
    with breaks(Reason.SCHEMA, message):
        recd.open(with_schema(schema_block.FIELD, NUMBERS[name], **values))


def test_unknown_flags_of_groups() -> None:
    with breaks(Reason.SCHEMA, "a group has an invalid flag"):
        recd.open(with_schema(schema_block.GROUP, 0, flags=2))


def test_kinds_shapes_and_types_are_those_of_the_arrow_types() -> None:
    numbers = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
               pa.uint64(), pa.float16(), pa.float32(), pa.float64()]  # fmt: skip
    types = [pa.bool_(), pa.string(), pa.date32(), pa.timestamp("us"), *numbers]
    types += [pa.list_(each) for each in numbers] + [pa.list_(each, 2) for each in numbers]
    types += [pa.map_(each, pa.float32()) for each in numbers[:8]]
    expected = np.zeros_like(schema_block._COMBINATIONS)
    for type_ in types:
        storage = storage_of(type_)
        assert storage is not None
        for kind in storage.kinds:
            shape = storage.shape
            if isinstance(type_, pa.FixedSizeListType):
                shape = Shape.LIST if kind in (Kind.ID_LIST, Kind.FLOAT_LIST) else Shape.FIXED
            expected[shape, storage.value_type, kind] = True
    assert np.array_equal(schema_block._COMBINATIONS, expected)


def test_flags_of_stripes() -> None:
    with breaks(Reason.STRIPE, "flags 0x2, only bit 0 is known"):
        recd.open(forge(flags=2))
    with breaks(Reason.SESSIONS, "goes on from a stripe before, but is the first"):
        recd.open(forge(flags=1))


# --- file ---------------------------------------------------------------------------------------


def test_head_and_postscript_have_one_version() -> None:
    sound = forge()
    for data, message in (
        (patched(sound, head.HEAD, 0, minor=7), "minor is 7, the postscript says 0"),
        (
            patched(sound, postscript.LAYOUT, parts_of(sound).postscript.start, minor=7),
            "minor is 0, the postscript says 7",
        ),
    ):
        assert recd.open(data).read().num_rows == 4
        with breaks(Reason.HEAD, message):
            recd.open(data).verify()


def constants(count: int, size: int) -> Stream:
    return Stream(
        0, VALUES, Encoded((CodecId.CONSTANT,), np.zeros(0, np.uint8), count, 1), count * size
    )


def test_few_bytes_that_declare_many() -> None:
    most = Limits().stream_values
    fields = (FIELDS[0], FIELDS[1], replace(FIELDS[1], name="slot", group=1))
    streams: Streams = {
        ("rows", SESSION_ROWS): plain([1]),
        ("session", SESSION_KEY): plain([1], "<i8"),
        ("items", LENGTHS): plain([most]),
        ("items", VALUES): constants(most, 8),
        ("slot", LENGTHS): plain([most]),
        ("slot", VALUES): constants(most, 8),
    }
    schema = Schema(fields, (Group((1,)), Group((2,))))
    data = forge(base=streams, schema=schema, rows=1, sessions=1)
    assert len(data) < 10_000
    message = "bytes, limit 17179869184; read fewer columns or rows at once"
    with breaks(Reason.LIMIT, message):
        recd.open(data).read()
    with breaks(Reason.LIMIT, message):
        recd.open(data).verify()


def test_the_cap_on_the_bytes_of_a_stripe_is_the_callers() -> None:
    table = pa.table({"session": np.arange(9000) // 3, "x": np.arange(9000), "y": np.arange(9000)})
    data = write(table, dedup="none")

    def read(stripe_bytes: int, *args: Any, **options: Any) -> int:
        limits = ReadOptions(limits=Limits(stripe_bytes=stripe_bytes))
        return int(recd.open(data, options=limits).read(*args, **options).num_rows)

    assert read(1 << 18) == 9000
    with breaks(Reason.LIMIT, "limit 100000; read fewer columns or rows at once"):
        read(100_000)
    assert read(100_000, ["x"]) == 9000
    assert read(100_000, rows=slice(3000, 3010)) == 10
