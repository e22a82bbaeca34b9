"""Arrow arrays to columns and back: every type, any chunking, slices, nulls."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format import RecdFormatError, RecdInputError
from recd_format.arrow import (
    column_from_arrow,
    column_to_arrow,
    column_to_chunks,
    columns_out,
    concat_columns,
    empty_array,
    infer_schema,
    shared_to_arrow,
    shared_type,
    windows_to_arrow,
)
from recd_format.arrow.types import storage_of
from recd_format.format.schema import Field
from recd_format.jagged import Column

INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
UINTS = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
TEMPORAL = [
    pa.date32(),
    pa.date64(),
    pa.timestamp("s"),
    pa.timestamp("ms"),
    pa.timestamp("us", "Europe/Berlin"),
    pa.duration("us"),
    pa.time32("s"),
    pa.time64("us"),
]
TEXT = [pa.string(), pa.large_string(), pa.string_view()]
BINARY = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)]
ODD = pa.field("element", pa.int32(), nullable=False, metadata={"unit": "id"})
PAIR = pa.struct([pa.field("id", pa.int64(), nullable=False), pa.field("weight", pa.float32())])
LISTS = [
    *[pa.list_(each) for each in (*INTS, *UINTS, *FLOATS)],
    pa.list_(ODD),
    pa.large_list(ODD),
    pa.list_view(ODD),
    pa.large_list_view(pa.float64()),
    pa.list_(pa.int64(), 3),
    pa.list_(pa.field("x", pa.float32(), nullable=False), 2),
    pa.list_(pa.float16(), 1),
]
WEIGHTED = [
    pa.list_(PAIR),
    pa.large_list(pa.field("e", PAIR, nullable=False)),
    pa.list_view(PAIR),
    pa.list_(pa.struct([pa.field("score", pa.float64()), pa.field("key", pa.uint16())])),
    pa.map_(pa.int32(), pa.float16()),
    pa.map_(pa.int64(), pa.field("w", pa.float32(), nullable=False)),
]
DICTIONARIES = [
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint32(), pa.large_string()),
    pa.dictionary(pa.int32(), pa.int64()),
    pa.dictionary(pa.int16(), pa.float32()),
]
ALL = [
    pa.bool_(),
    *INTS,
    *UINTS,
    *FLOATS,
    *TEMPORAL,
    *TEXT,
    *BINARY,
    *LISTS,
    *WEIGHTED,
    *DICTIONARIES,
    pa.uuid(),
]


def field_of(type_: pa.DataType) -> Field:
    """The field a column `x` of a type becomes when nobody says."""
    schema = pa.schema([pa.field("key", pa.int64()), pa.field("x", type_)])
    return infer_schema(schema, session_key="key")[1]


def values_of(type_: pa.DataType) -> st.SearchStrategy[Any]:
    """Python values of a type, nulls aside."""
    if isinstance(type_, pa.BaseExtensionType):
        return st.binary(min_size=16, max_size=16)
    if pa.types.is_dictionary(type_):
        return values_of(type_.value_type)
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_integer(type_):
        bits, signed = type_.bit_width, pa.types.is_signed_integer(type_)
        low = -(1 << (bits - 1)) if signed else 0
        return st.integers(low, low + (1 << bits) - 1)
    if pa.types.is_floating(type_):
        return st.floats(width=type_.bit_width)
    if pa.types.is_date(type_):
        return st.dates(date(1900, 1, 1), date(2200, 1, 1))
    if pa.types.is_timestamp(type_):
        times = st.datetimes(datetime(1901, 1, 1), datetime(2200, 1, 1))
        return times.map(lambda t: t.replace(microsecond=0))
    if pa.types.is_duration(type_):
        return st.integers(-(10**9), 10**9).map(lambda n: timedelta(microseconds=n))
    if pa.types.is_time(type_):
        return st.times().map(lambda t: t.replace(microsecond=0))
    if pa.types.is_fixed_size_binary(type_):
        return st.binary(min_size=3, max_size=3)
    if type_ in TEXT:
        return st.text(max_size=5)
    if type_ in BINARY:
        return st.binary(max_size=5)
    if pa.types.is_map(type_):
        pair = st.tuples(values_of(type_.key_type), values_of(type_.item_type))
        return st.lists(pair, max_size=4)
    if pa.types.is_struct(type_):
        return st.fixed_dictionaries({each.name: values_of(each.type) for each in type_})
    if pa.types.is_fixed_size_list(type_):
        size = type_.list_size
        return st.lists(values_of(type_.value_type), min_size=size, max_size=size)
    return st.lists(values_of(type_.value_type), max_size=4)


def plain(value: Any) -> Any:
    """A value that is equal where its bits are, NaN payloads aside."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def same(one: pa.Array | pa.ChunkedArray, two: pa.Array | pa.ChunkedArray) -> bool:
    return one.type.equals(two.type, check_metadata=True) and plain(one.to_pylist()) == plain(
        two.to_pylist()
    )


@st.composite
def chunked(draw: st.DrawFn) -> pa.ChunkedArray:
    """Chunks of one type, each a slice of a longer array."""
    type_ = draw(st.sampled_from(ALL))
    rows = st.lists(st.none() | values_of(type_), max_size=12)
    chunks = []
    for values in draw(st.lists(rows, max_size=3)):
        array = pa.array(values, type_)
        begin = draw(st.integers(0, len(array)))
        chunks.append(array.slice(begin, draw(st.integers(0, len(array)))))
    return pa.chunked_array(chunks, type_)


@settings(max_examples=600, deadline=None)
@given(chunked())
def test_any_array_comes_back_with_its_exact_type(array: pa.ChunkedArray) -> None:
    column = column_from_arrow(field_of(array.type), array)
    assert column.num_rows == len(array)
    back = column_to_arrow(array.type, column)
    back.validate(full=True)
    assert same(back, array)
    if column.validity is not None:
        nulls = column.lengths[~column.validity]
        if column.offsets is not None:
            assert not nulls.any()
        else:
            dead = column.values.reshape(-1, column.width)[~column.validity]
            assert not np.ascontiguousarray(dead).view(np.uint8).any()


@settings(max_examples=200, deadline=None)
@given(chunked())
def test_chunks_give_the_same_column_as_one_array(array: pa.ChunkedArray) -> None:
    field = field_of(array.type)
    whole = column_from_arrow(field, array)
    parts = [column_from_arrow(field, array.slice(i, 1)) for i in range(len(array))]
    if parts:
        again = concat_columns(parts)
        assert again.values.tobytes() == whole.values.tobytes()
        assert np.array_equal(again.lengths, whole.lengths)
        if whole.weights is not None:
            assert again.weights is not None
            assert again.weights.tobytes() == whole.weights.tobytes()


@settings(max_examples=300, deadline=None)
@given(chunked(), st.data())
def test_shared_arrays_read_as_the_expanded_rows(
    array: pa.ChunkedArray, data: st.DataObject
) -> None:
    if not len(array):
        return
    unique = column_from_arrow(field_of(array.type), array)
    places = st.lists(st.integers(0, len(array) - 1), max_size=20)
    inverse = np.array(data.draw(places), np.int32)
    shared = shared_to_arrow(array.type, unique, inverse)
    shared.validate(full=True)
    assert shared.type == shared_type(array.type)
    rows = column_to_arrow(array.type, unique)
    if isinstance(array.type, pa.BaseExtensionType):
        rows = rows.storage
    expected = [rows[int(i)].as_py() for i in inverse]
    got = shared.to_pylist()
    if pa.types.is_map(array.type):
        got = [None if r is None else [tuple(e.values()) for e in r] for r in got]
    assert plain(got) == plain(expected)


@pytest.mark.parametrize("type_", ALL, ids=str)
def test_a_column_without_rows_comes_back(type_: pa.DataType) -> None:
    for array in (empty_array(type_), pa.chunked_array([], type_)):
        back = column_to_arrow(type_, column_from_arrow(field_of(type_), array))
        assert back.type == type_
        assert len(back) == 0


@pytest.mark.parametrize("type_", [pa.int64(), pa.float32(), pa.timestamp("ns")], ids=str)
def test_one_chunk_of_numbers_is_not_copied(type_: pa.DataType) -> None:
    array = pa.array(np.arange(100)).cast(type_ if type_ != pa.float32() else pa.float32())
    values = column_from_arrow(field_of(type_), array.slice(7)).values
    size = type_.bit_width // 8
    assert values.ctypes.data == array.buffers()[1].address + 7 * size


def test_list_values_are_not_copied() -> None:
    array = pa.array([[1, 2], [3], [], [4, 5, 6]], pa.large_list(pa.int64()))
    column = column_from_arrow(field_of(array.type), array.slice(1))
    assert column.values.ctypes.data == array.values.buffers()[1].address + 16
    assert column.values.tolist() == [3, 4, 5, 6]
    assert column.offsets is not None
    assert column.offsets.tolist() == [0, 1, 1, 4]


def test_values_leave_without_a_copy() -> None:
    values = np.arange(10)
    column = Column(values, np.array([0, 4, 10]))
    array = column_to_arrow(pa.large_list(pa.int64()), column)
    assert array.values.buffers()[1].address == values.ctypes.data


@pytest.mark.parametrize("dtype", ["u2", "u4", "u8"])
def test_nan_payloads_and_signed_zeros_keep_their_bits(dtype: str) -> None:
    width = int(dtype[1]) * 8
    exponent = {16: 0x7C00, 32: 0x7F80_0000, 64: 0x7FF0_0000_0000_0000}[width]
    bits = np.array([exponent + 1, exponent + 2, 1 << (width - 1), 0, exponent + 1], dtype)
    type_ = {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}[width]
    flat = pa.Array.from_buffers(type_, 5, [None, pa.py_buffer(bits)])
    listed = pa.ListArray.from_arrays(pa.array([0, 2, 5], pa.int32()), flat)
    index = pa.array([0, 1, 2, 3, 4], pa.int8())
    for array in (flat, listed, pa.DictionaryArray.from_arrays(index, flat)):
        column = column_from_arrow(field_of(array.type), array)
        assert column.values.view(dtype).tolist() == bits.tolist()
        back = column_from_arrow(field_of(array.type), column_to_arrow(array.type, column))
        assert back.values.view(dtype).tolist() == bits.tolist()


@pytest.mark.parametrize("large", [False, True])
def test_lists_under_null_rows_are_dropped(large: bool) -> None:
    make = pa.LargeListArray if large else pa.ListArray
    offsets = pa.array([0, 2, 4, 5], pa.int64() if large else pa.int32())
    mask = pa.array([False, True, False])
    array = make.from_arrays(offsets, pa.array([1, 2, 3, None, 5]), mask=mask)
    column = column_from_arrow(field_of(array.type), array)
    assert column.values.tolist() == [1, 2, 5]
    assert column.lengths.tolist() == [2, 0, 1]
    assert column.validity is not None
    assert column.validity.tolist() == [True, False, True]


def test_weights_under_null_rows_are_dropped() -> None:
    pairs = pa.StructArray.from_arrays(
        [pa.array([1, 2, 3, None, 5]), pa.array([0.5, 1.5, None, 3.5, 4.5], pa.float32())],
        ["id", "weight"],
    )
    mask = pa.array([False, True, False])
    array = pa.ListArray.from_arrays(pa.array([0, 2, 4, 5], pa.int32()), pairs, mask=mask)
    column = column_from_arrow(field_of(array.type), array.slice(0))
    assert column.values.tolist() == [1, 2, 5]
    assert column.weights is not None
    assert column.weights.tolist() == [0.5, 1.5, 4.5]


def test_numbers_and_vectors_under_nulls_become_zero_bits() -> None:
    valid = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little"))
    numbers = pa.py_buffer(np.array([7, 8, 9], np.int64))
    array = pa.Array.from_buffers(pa.int64(), 3, [valid, numbers])
    assert column_from_arrow(field_of(pa.int64()), array).values.tolist() == [7, 0, 9]
    type_ = pa.list_(pa.float32(), 2)
    child = pa.array([1, 2, None, -4, 5, 6], pa.float32())
    vectors = pa.Array.from_buffers(type_, 3, [valid], children=[child])
    assert column_from_arrow(field_of(type_), vectors).values.tolist() == [1, 2, 0, 0, 5, 6]


def test_text_under_nulls_is_dropped() -> None:
    valid = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little"))
    offsets = pa.py_buffer(np.array([0, 2, 5, 6], np.int32))
    array = pa.Array.from_buffers(pa.string(), 3, [valid, offsets, pa.py_buffer(b"abSECx")])
    column = column_from_arrow(field_of(pa.string()), array)
    assert column.values.tobytes() == b"abx"


def test_overlapping_and_reordered_list_views_are_read_in_row_order() -> None:
    type_ = pa.list_view(pa.int64())
    for starts, sizes in (([3, 0, 1], [2, 3, 0]), ([0, 0, 0], [5, 5, 5]), ([2, 9, 4], [2, 0, 1])):
        buffers = [None, *[pa.py_buffer(np.array(each, np.int32)) for each in (starts, sizes)]]
        child = pa.array([10, 11, 12, 13, 14])
        array = pa.Array.from_buffers(type_, 3, buffers, children=[child])
        column = column_from_arrow(field_of(type_), array)
        expected = [[10 + s + i for i in range(n)] for s, n in zip(starts, sizes, strict=True)]
        assert column_to_arrow(type_, column).to_pylist() == expected


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1], None, [2, None]]),
        pa.array([[1], None, [2, None]], pa.large_list(pa.int32())),
        pa.array([[1], None, [2, None]], pa.list_view(pa.int32())),
        pa.array([[1, 2], None, [2, None]], pa.list_(pa.float32(), 2)),
        pa.array([[(1, 1.0)], None, [(2, 1.0), (3, None)]], pa.map_(pa.int64(), pa.float32())),
        pa.array([[{"id": 1, "weight": 1.0}], None, [{"id": 2, "weight": 2.0}, None]]),
        pa.array(
            [[{"id": 1, "weight": 1.0}], None, [{"id": 2, "weight": 2}, {"id": None, "weight": 1}]]
        ),
    ],
    ids=lambda array: str(array.type),
)
def test_a_null_inside_a_list_names_column_and_row(array: pa.Array) -> None:
    chunks = pa.chunked_array([array.slice(0, 1), array.slice(1)])
    with pytest.raises(RecdInputError, match=r"column 'x', row 102: element 1 of the list is null"):
        column_from_arrow(field_of(array.type), chunks, first_row=100)


def test_a_null_in_a_field_declared_without_nulls_is_an_error() -> None:
    schema = pa.schema([pa.field("key", pa.int64()), pa.field("x", pa.int64(), nullable=False)])
    field = infer_schema(schema, session_key="key")[1]
    with pytest.raises(RecdInputError, match="row 1 is null"):
        column_from_arrow(field, pa.array([1, None]))


def test_another_type_than_declared_is_an_error() -> None:
    with pytest.raises(RecdInputError, match=r"column 'x' has type string"):
        column_from_arrow(field_of(pa.int64()), pa.array(["a"]))


def test_broken_offsets_are_an_error() -> None:
    for ends in ([0, 3, 1], [0, -1, 1]):
        buffers = [None, pa.py_buffer(np.array(ends, np.int32))]
        array = pa.Array.from_buffers(pa.list_(pa.int64()), 2, buffers, children=[pa.array([1])])
        with pytest.raises(RecdInputError, match="offsets out of range"):
            column_from_arrow(field_of(array.type), array)


def test_misaligned_buffers_are_copied_to_aligned_ones() -> None:
    raw = np.zeros(8 * 5 + 1, np.uint8)
    raw[1:] = np.arange(5, dtype=np.int64).view(np.uint8)
    array = pa.Array.from_buffers(pa.int64(), 5, [None, pa.py_buffer(raw[1:])])
    values = column_from_arrow(field_of(pa.int64()), array).values
    assert values.flags.aligned
    assert values.tolist() == [0, 1, 2, 3, 4]


def test_ids_decoded_wider_than_their_type_are_narrowed() -> None:
    for type_ in (*INTS, *UINTS):
        bits = type_.bit_width
        low = -(1 << (bits - 1)) if pa.types.is_signed_integer(type_) else 0
        wide = np.array([low, low + (1 << bits) - 1], np.uint64 if bits == 64 and not low else None)
        column = Column(wide.view(np.int64), np.array([0, 1, 2]))
        assert column_to_arrow(pa.list_(type_), column).to_pylist() == [[v] for v in wide.tolist()]


def test_columns_too_long_for_32_bit_offsets_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_out, "_INT32_MAX", 5)
    lists = [[1, 2, 3], [4, 5], [6], [], None, [7, 8, 9, 10, 11], [12]]
    for type_, chunks in ((pa.list_(pa.int8()), 4), (pa.large_list(pa.int8()), 1)):
        column = column_from_arrow(field_of(type_), pa.array(lists, type_))
        arrays = column_to_chunks(type_, column)
        assert len(arrays) == chunks
        assert pa.chunked_array(arrays).to_pylist() == lists
    with pytest.raises(RecdInputError, match="read fewer rows"):
        column_to_arrow(pa.list_(pa.int8()), column)


def test_text_that_is_not_utf8_is_a_format_error() -> None:
    column = Column(np.array([0xFF, 0xFE], np.uint8), np.array([0, 2]))
    for type_ in TEXT:
        with pytest.raises(RecdFormatError, match="UTF-8"):
            column_to_arrow(type_, column)
    assert column_to_arrow(pa.binary(), column).to_pylist() == [b"\xff\xfe"]


def test_rows_of_another_length_than_a_fixed_list_are_a_format_error() -> None:
    column = Column(np.arange(5), np.array([0, 3, 5]))
    with pytest.raises(RecdFormatError, match="row 1 has 2 values"):
        column_to_arrow(pa.list_(pa.int64(), 3), column)


def test_too_many_distinct_values_for_dictionary_indices_are_an_error() -> None:
    column = Column(np.arange(200))
    with pytest.raises(RecdInputError, match="200 distinct values do not fit"):
        column_to_arrow(pa.dictionary(pa.int8(), pa.int64()), column)


def test_windows_become_list_views_on_the_timeline() -> None:
    timeline = Column(np.arange(10, 20), validity=np.array([True, False, True]))
    starts, lengths = np.array([0, 0, 3], np.uint32), np.array([4, 0, 5], np.uint32)
    inverse = np.array([0, 2, 2, 1], np.int32)
    array = windows_to_arrow(pa.list_(pa.int64()), timeline, starts, lengths, inverse)
    array.validate(full=True)
    window = [13, 14, 15, 16, 17]
    assert array.to_pylist() == [[10, 11, 12, 13], window, window, None]
    assert array.values.buffers()[1].address == timeline.values.ctypes.data


def test_every_supported_type_has_a_storage() -> None:
    assert all(storage_of(type_) is not None for type_ in ALL)
