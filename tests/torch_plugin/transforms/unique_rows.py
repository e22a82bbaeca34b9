"""Unique rows as Hypothesis draws them: end to end, windowed, of fixed width; and as lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from recd_format.loader.rows import UniqueRows

INT64 = st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**63 - 1))
IDS = st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1))
FLOATS = st.one_of(
    st.floats(width=32), st.floats(-100, 100, width=32), st.sampled_from([float("nan"), -0.0])
)


def shared(values: Any) -> np.ndarray:
    """Lengths or starts that other features use too: writing to them raises."""
    array = np.array(values, np.int32)
    array.flags.writeable = False
    return array


def plain(lists: list[list[Any]], dtype: Any = np.int64, weights: Any = None) -> UniqueRows:
    return UniqueRows(
        np.array([x for row in lists for x in row], dtype),
        shared([len(row) for row in lists]),
        weights=None if weights is None else np.array(weights, np.float32),
    )


def fixed(values: list[Any], dtype: Any = np.int64, width: int = 1) -> UniqueRows:
    return UniqueRows(np.array(values, dtype), width=width)


def windowed(values: list[Any], windows: list[tuple[int, int]], dtype: Any = np.int64):
    """Rows as (start, length) on a timeline."""
    return UniqueRows(
        np.array(values, dtype),
        shared([length for _, length in windows]),
        shared([start for start, _ in windows]),
    )


def as_lists(rows: UniqueRows, of: str = "values") -> list[list[Any]]:
    """What the rows are, computed plainly."""
    held = getattr(rows, of).tolist()
    if rows.lengths is None:
        return [held[i : i + rows.width] for i in range(0, len(held), rows.width)]
    lengths = rows.lengths.tolist()
    if rows.starts is None:
        assert sum(lengths) == len(held)
        starts = [sum(lengths[:u]) for u in range(len(lengths))]
    else:
        assert rows.starts.dtype == np.int32
        starts = rows.starts.tolist()
    assert rows.lengths.dtype == np.int32
    return [held[a : a + n] for a, n in zip(starts, lengths, strict=True)]


def copied(rows: UniqueRows) -> UniqueRows:
    """The same rows in values of their own; lengths and starts stay shared."""
    weights = None if rows.weights is None else rows.weights.copy()
    return replace(rows, values=rows.values.copy(), weights=weights)


@st.composite
def any_rows(
    draw: st.DrawFn,
    elements: st.SearchStrategy[Any] = INT64,
    dtype: Any = np.int64,
    *,
    weights: bool = False,
    forms: tuple[str, ...] = ("plain", "windowed", "fixed"),
) -> UniqueRows:
    form = draw(st.sampled_from(forms))
    if form == "plain":
        rows = plain(draw(st.lists(st.lists(elements, max_size=6), max_size=8)), dtype)
    elif form == "fixed":
        width = draw(st.integers(1, 4))
        count = width * draw(st.integers(0, 5))
        values = draw(st.lists(elements, min_size=count, max_size=count))
        rows = fixed(values, dtype, width)
    else:
        values = draw(st.lists(elements, max_size=12))
        start = st.integers(0, len(values))
        pairs = draw(st.lists(st.tuples(start, start), max_size=8))
        windows = [(min(pair), abs(pair[0] - pair[1])) for pair in pairs]
        rows = windowed(values, windows, dtype)
    if weights and draw(st.booleans()):
        rows = replace(rows, weights=np.arange(len(rows.values), dtype=np.float32))
    return rows


def id_rows(elements: st.SearchStrategy[int] = INT64) -> st.SearchStrategy[UniqueRows]:
    return any_rows(elements, weights=True)


def float_rows(elements: st.SearchStrategy[float] = FLOATS) -> st.SearchStrategy[UniqueRows]:
    return any_rows(elements, np.float32)
