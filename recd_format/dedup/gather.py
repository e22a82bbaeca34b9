"""Contiguous copies of chosen rows: made once, for unique rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.dedup._bytes import as_bytes
from recd_format.jagged import Column

__all__ = ["take_ranges", "take_rows", "take_values"]


def take_rows(column: Column, rows: NDArray[np.int64]) -> Column:
    """Rows of a column, end to end.

    Parameters
    ----------
    column : Column
        Any shape.
    rows : ndarray of int64, shape [n]
        Row numbers of the column, in any order.

    Returns
    -------
    Column
        n rows with arrays of its own; ``offsets[0] == 0`` where jagged.
    """
    validity = None if column.validity is None else column.validity[rows]
    if column.offsets is None:
        values = column.values
        if column.width != 1:
            values = values.reshape(-1, column.width)
        return Column(values[rows].reshape(-1), width=column.width, validity=validity)
    starts = column.offsets[rows]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(column.offsets[rows + 1] - starts, out=offsets[1:])
    return Column(
        take_ranges(column.values, starts, offsets),
        offsets,
        column.width,
        None if column.weights is None else take_ranges(column.weights, starts, offsets),
        validity,
    )


def take_values(column: Column, positions: NDArray[np.int64]) -> Column:
    """Single values (and weights) of a jagged column, at `positions` after its first value.

    Returns a Column of width 1; for the timelines of `find_windows`.
    """
    base = 0 if column.offsets is None or not len(column.offsets) else int(column.offsets[0])
    weights = column.weights
    return Column(
        column.values[base:][positions],
        weights=None if weights is None else weights[base:][positions],
    )


def take_ranges(
    values: NDArray[Any],
    starts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Ranges of `values` end to end: range i begins at ``starts[i]``, goes to ``offsets[i]``.

    Parameters
    ----------
    values : ndarray, 1-D
        Any dtype.
    starts : ndarray of int64, shape [n]
        Where each range begins.
    offsets : ndarray of int64, shape [n + 1]
        Where each range goes; their differences are the lengths.
    out : ndarray of the dtype of `values`, contiguous, shape [offsets[-1]], optional
        Where the result goes.

    Returns
    -------
    ndarray, shape [offsets[-1]]
        Of the dtype of `values`.
    """
    values = np.ascontiguousarray(values)
    item = values.itemsize
    out = np.empty(int(offsets[-1]), values.dtype) if out is None else out
    empty = np.zeros(0, np.uint64)
    whole = item == 8
    _take_ranges(
        np.ascontiguousarray(starts, np.int64),
        np.ascontiguousarray(offsets, np.int64),
        item,
        as_bytes(values),
        values.view(np.uint64) if whole else empty,
        out.view(np.uint8),
        out.view(np.uint64) if whole else empty,
    )
    return out


@kernel(
    "void(const int64[::1], const int64[::1], int64, const uint8[::1], const uint64[::1],"
    " uint8[::1], uint64[::1])"
)
def _take_ranges(starts, offsets, item, source1, source8, out1, out8):  # type: ignore[no-untyped-def]
    for i in range(len(starts)):
        if item == 8:
            begin = np.uint64(starts[i])
            to = np.uint64(offsets[i])
            for j in range(np.uint64(offsets[i + 1] - offsets[i])):
                out8[to + j] = source8[begin + j]
        else:
            begin = np.uint64(starts[i] * item)
            to = np.uint64(offsets[i] * item)
            for j in range(np.uint64((offsets[i + 1] - offsets[i]) * item)):
                out1[to + j] = source1[begin + j]
