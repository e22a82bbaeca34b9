"""Session logs that Hypothesis draws: every type, nulls, repeats that go away and come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

__all__ = ["session_logs"]

_INT_BITS = {pa.int8(): 8, pa.int16(): 16, pa.int32(): 32, pa.int64(): 64}
_UINT_BITS = {pa.uint8(): 8, pa.uint16(): 16, pa.uint32(): 32, pa.uint64(): 64}
_FLOAT_BITS = {pa.float16(): 16, pa.float32(): 32, pa.float64(): 64}
_TEMPORAL = [pa.date32(), pa.timestamp("ms"), pa.timestamp("ns", "UTC"), pa.timestamp("s")]


def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 5).filter(lambda x: x <= high), st.sampled_from([low, high]),
                     st.integers(low, high))  # fmt: skip


def _floats(bits: int) -> st.SearchStrategy[int]:
    """Bit patterns of floats: NaN payloads, infinities and -0.0 among them."""
    top = 1 << (bits - 1)
    return st.one_of(st.integers(0, (1 << bits) - 1), st.sampled_from([0, top]), st.integers(0, 3))


def number_type() -> st.SearchStrategy[pa.DataType]:
    return st.sampled_from([*_INT_BITS, *_UINT_BITS, *_FLOAT_BITS])


def numbers(type_: pa.DataType) -> st.SearchStrategy[int]:
    """Values of a number type; floats as bits."""
    if type_ in _INT_BITS:
        bits = _INT_BITS[type_]
        return _integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if type_ in _UINT_BITS:
        return _integers(0, (1 << _UINT_BITS[type_]) - 1)
    return _floats(_FLOAT_BITS[type_])


def _number_array(type_: pa.DataType, values: list[int | None]) -> pa.Array:
    if type_ not in _FLOAT_BITS:
        return pa.array(values, type_)
    bits = _FLOAT_BITS[type_]
    plain = np.array([value or 0 for value in values], f"<u{bits // 8}").view(f"<f{bits // 8}")
    mask = np.array([value is None for value in values], bool)
    return pa.array(plain, type_, mask=mask)


@st.composite
def _scalars(draw: st.DrawFn, rows: int) -> pa.Array:
    others = st.sampled_from([pa.bool_(), *_TEMPORAL, pa.string(), pa.binary()])
    type_ = draw(st.one_of(number_type(), others))
    if type_ == pa.bool_():
        element: st.SearchStrategy[Any] = st.booleans()
    elif type_ == pa.string():
        element = st.text(max_size=4)
    elif type_ == pa.binary():
        element = st.binary(max_size=4)
    elif type_ in _TEMPORAL:
        element = st.integers(-(2**31), 2**31 - 1)
    else:
        element = numbers(type_)
    pool = draw(st.lists(st.one_of(st.none(), element), min_size=1, max_size=4))
    picks = draw(_picks(rows, len(pool)))
    values = [pool[pick] for pick in picks]
    if type_ in _TEMPORAL:
        width = pa.int32() if type_ == pa.date32() else pa.int64()
        return pa.array(values, width).cast(type_)
    if type_ in (pa.bool_(), pa.string(), pa.binary()):
        return pa.array(values, type_)
    return _number_array(type_, values)


def _picks(rows: int, pool: int) -> st.SearchStrategy[list[int]]:
    """Which value each row has: runs, so that neighbours repeat."""

    def unroll(runs: list[tuple[int, int]]) -> list[int]:
        flat = [value for value, length in runs for _ in range(length)]
        return [flat[i % len(flat)] for i in range(rows)]

    return st.lists(
        st.tuples(st.integers(0, pool - 1), st.integers(1, 4)), min_size=1, max_size=10
    ).map(unroll)


@st.composite
def _windows(draw: st.DrawFn, rows: int) -> list[tuple[int, int]]:
    """(start, end) of lists that slide over a timeline, both ways, and jump now and then."""
    start, end = draw(st.integers(0, 4)), draw(st.integers(4, 9))
    found = []
    for _ in range(rows):
        found.append((start, end))
        step = draw(st.integers(-2, 2))
        if draw(st.booleans()):
            end = min(30, max(start, end + step))
        if draw(st.booleans()):
            start = max(0, min(end, start + step))
    return found


def _list_of(type_: pa.DataType, lists: list[list[int] | None], large: bool) -> pa.Array:
    flat: list[int | None] = [value for row in lists if row is not None for value in row]
    lengths = [0 if row is None else len(row) for row in lists]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64 if large else np.int32)
    mask = pa.array([row is None for row in lists], pa.bool_())
    child = _number_array(type_, flat)
    make = pa.LargeListArray if large else pa.ListArray
    return make.from_arrays(pa.array(offsets), child, mask=mask)


@st.composite
def _lists(draw: st.DrawFn, rows: int) -> pa.Array:
    type_ = draw(number_type())
    if draw(st.booleans()):
        timeline = draw(st.lists(numbers(type_), min_size=31, max_size=31))
        lists: list[list[int] | None] = [timeline[a:b] for a, b in draw(_windows(rows))]
    else:
        element = st.one_of(st.none(), st.lists(numbers(type_), max_size=5))
        pool = draw(st.lists(element, min_size=1, max_size=4))
        lists = [pool[pick] for pick in draw(_picks(rows, len(pool)))]
    return _list_of(type_, lists, draw(st.booleans()))


@st.composite
def _weighted(draw: st.DrawFn, rows: int) -> pa.Array:
    pair = st.tuples(numbers(pa.int64()), st.floats(width=32, allow_nan=False))
    pool = draw(st.lists(st.one_of(st.none(), st.lists(pair, max_size=3)), min_size=1, max_size=3))
    lists = [pool[pick] for pick in draw(_picks(rows, len(pool)))]
    if draw(st.booleans()):
        return pa.array(lists, pa.map_(pa.int64(), pa.float32()))
    type_ = pa.list_(pa.struct([pa.field("id", pa.int64()), pa.field("weight", pa.float32())]))
    rows_ = [None if row is None else [{"id": a, "weight": b} for a, b in row] for row in lists]
    return pa.array(rows_, type_)


@st.composite
def _fixed(draw: st.DrawFn, rows: int) -> pa.Array:
    size = draw(st.integers(1, 3))
    element = st.lists(st.floats(width=32, allow_nan=False), min_size=size, max_size=size)
    pool = draw(st.lists(st.one_of(st.none(), element), min_size=1, max_size=3))
    return pa.array(
        [pool[pick] for pick in draw(_picks(rows, len(pool)))], pa.list_(pa.float32(), size)
    )


_COLUMNS: list[Callable[..., st.SearchStrategy[pa.Array]]] = [
    _scalars, _lists, _weighted, _fixed,
]  # fmt: skip


@st.composite
def session_logs(draw: st.DrawFn, *, max_rows: int = 40, min_columns: int = 0) -> pa.Table:
    """A log with columns session, ts and some features, in an order that mixes sessions."""
    rows = draw(st.integers(0, max_rows))
    sessions = draw(st.integers(1, 5))
    keys = draw(st.lists(st.integers(0, sessions - 1), min_size=rows, max_size=rows))
    key_type = draw(st.sampled_from([pa.int64(), pa.uint64(), pa.int8(), pa.string()]))
    if key_type == pa.string():
        session = pa.array([f"user-{key}" for key in keys], key_type)
    elif key_type == pa.uint64():
        session = pa.array([2**64 - 1 - key for key in keys], key_type)
    else:
        session = pa.array(keys, key_type)
    order = pa.array(draw(st.lists(st.integers(-3, 50), min_size=rows, max_size=rows)), pa.int64())
    table = {"session": session, "ts": order}
    for number in range(draw(st.integers(min_columns, 5))):
        column = draw(st.sampled_from(_COLUMNS))(rows)
        table[f"f{number}"] = draw(column)
    return pa.table(table)
