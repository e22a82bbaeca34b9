"""Columns, rows and strategies shared by the tests of this folder."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from recd_format.jagged import Column

DTYPES = ["<i8", "<i4", "<f4", "u1", "<f2"]


def jagged(rows, dtype="<i8", weights=None, nulls=None, skip=0):
    """A jagged column of the lists `rows`; `skip` unused values stand before the first."""
    lengths = [len(row) for row in rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64) + skip
    flat = [0] * skip + [x for row in rows for x in row]
    values = np.array(flat, dtype)
    scores = None
    if weights is not None:
        scores = np.array([0] * skip + [w for row in weights for w in row], "<f4")
    validity = None if nulls is None else ~np.array(nulls, bool)
    return Column(values, offsets, 1, scores, validity)


def row_bits(column, row):
    """Everything that makes two rows equal."""
    if column.offsets is None:
        begin, end = row * column.width, (row + 1) * column.width
    else:
        begin, end = column.offsets[row], column.offsets[row + 1]
    return (
        int(end - begin),
        column.values[begin:end].tobytes(),
        b"" if column.weights is None else column.weights[begin:end].tobytes(),
        True if column.validity is None else bool(column.validity[row]),
    )


@st.composite
def clustered(draw, max_rows=40):
    """A permutation and session offsets over at least one row."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    seed = draw(st.integers(0, 2**16))
    permutation = np.random.default_rng(seed).permutation(offsets[-1]).astype(np.int64)
    return permutation, offsets


@st.composite
def columns(draw, rows):
    """A column of few distinct rows, of any shape."""
    shape = draw(st.sampled_from(["jagged", "weighted", "scalar", "fixed"]))
    dtype = draw(st.sampled_from(DTYPES))
    distinct = draw(
        st.lists(
            st.lists(st.integers(0, 2), max_size=draw(st.sampled_from([1, 3, 40]))),
            min_size=1,
            max_size=5,
        )
    )
    seed = draw(st.integers(0, 2**16))
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(distinct), rows)
    nulls = random.random(rows) < 0.2 if draw(st.booleans()) else None
    if shape in ("scalar", "fixed"):
        width = 1 if shape == "scalar" else 3
        values = random.integers(0, 2, rows * width).astype(dtype)
        if nulls is not None:
            values.reshape(rows, width)[nulls] = 0
        return Column(values, None, width, None, None if nulls is None else ~nulls)
    lists = [distinct[p] for p in picks]
    if nulls is not None:
        lists = [[] if null else row for row, null in zip(lists, nulls, strict=True)]
    weights = None
    if shape == "weighted":
        weights = [random.integers(0, 2, len(row)).tolist() for row in lists]
    return jagged(lists, dtype, weights, nulls, skip=draw(st.integers(0, 3)))
