"""Session and order keys as integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format import RecdInputError
from recd_format.arrow import column_to_arrow, order_image, session_codes

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
KEYS = st.one_of(
    st.tuples(st.just(pa.int64()), st.lists(INT64)),
    st.tuples(st.just(pa.uint64()), st.lists(st.integers(0, (1 << 64) - 1))),
    st.tuples(st.just(pa.uint8()), st.lists(st.integers(0, 255))),
    st.tuples(st.just(pa.bool_()), st.lists(st.booleans())),
    st.tuples(st.just(pa.timestamp("ns")), st.lists(INT64)),
    st.tuples(st.just(pa.date32()), st.lists(st.integers(-1000, 1000))),
    st.tuples(st.just(pa.float64()), st.lists(st.floats(allow_nan=False))),
    st.tuples(st.just(pa.float32()), st.lists(st.floats(allow_nan=False, width=32))),
    st.tuples(st.just(pa.float16()), st.lists(st.floats(allow_nan=False, width=16))),
    st.tuples(st.just(pa.string()), st.lists(st.text(max_size=3))),
    st.tuples(st.just(pa.large_binary()), st.lists(st.binary(max_size=3))),
    st.tuples(st.just(pa.dictionary(pa.int8(), pa.string())), st.lists(st.text(max_size=1))),
)


def sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


@settings(max_examples=300, deadline=None)
@given(KEYS)
def test_the_order_image_orders_as_the_keys(case: tuple[pa.DataType, list[Any]]) -> None:
    type_, values = case
    image = order_image(pa.array(values, type_))
    assert image.dtype == np.int64
    if pa.types.is_dictionary(type_) or type_ == pa.string():
        values = [value.encode() for value in values]
    for i in range(len(values) - 1):
        assert sign(image[i], image[i + 1]) == sign(values[i], values[i + 1])


@settings(max_examples=300, deadline=None)
@given(KEYS)
def test_session_codes_are_equal_where_the_keys_are(case: tuple[pa.DataType, list[Any]]) -> None:
    type_, values = case
    if type_ == pa.bool_():
        return
    array = pa.array(values, type_)
    codes, unique = session_codes(pa.chunked_array([array.slice(0, 2), array.slice(2)]))
    # 0.0 and -0.0 are two keys: they differ in bits.
    keys = [repr(value) for value in values]
    assert len(set(codes.tolist())) == len(set(keys))
    assert [keys.index(key) for key in keys] == [codes.tolist().index(code) for code in codes]
    if unique is not None:
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        back = column_to_arrow(plain, unique)
        assert back.take(pa.array(codes)).to_pylist() == values
        assert codes.tolist() == sorted(set(codes.tolist())) or codes[0] == 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([1, None]), "null in row 11"),
        (pa.array(["a", None]), "null in row 11"),
        (pa.array([1.0, math.nan]), "NaN in row 11"),
        (pa.array([[1], [2]]), "not a list"),
        (pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), "not a list"),
        (pa.array([None, None]), "cannot be of type null"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
@pytest.mark.parametrize("function", [order_image, session_codes])
def test_bad_keys_are_named(function: Any, array: pa.Array, message: str) -> None:
    with pytest.raises(RecdInputError, match=f"'k'.*{message}"):
        function(array, name="k", first_row=10)
