"""Which rows of which stripes: pure functions of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recd_format.errors import RecdInputError

__all__ = ["RowRange", "normalise_rows", "row_numbers", "split_rows"]


class RowRange(NamedTuple):
    """Rows `begin` to `end` (exclusive) of a file."""

    begin: int
    end: int


def row_numbers(indices: ArrayLike) -> NDArray[np.generic]:
    """Return the row numbers of a `take`; RecdInputError where they are none."""
    numbers = np.asarray(indices).reshape(-1)
    if len(numbers) and numbers.dtype.kind not in "iu":
        raise RecdInputError(f"indices: expected row numbers, found {numbers.dtype}")
    return numbers


def normalise_rows(
    rows: slice | ArrayLike | None, num_rows: int
) -> tuple[RowRange | NDArray[np.int64], NDArray[np.int64] | None]:
    """Return rows as a range or ascending unique numbers, and the order to take from those.

    Parameters
    ----------
    rows
        A slice, row numbers (negative ones count from the end), a mask of all rows, or None.
    num_rows
        Rows there are.

    Raises
    ------
    RecdInputError
        A number is out of range.

    Examples
    --------
    >>> normalise_rows([4, 2, 4], 5)
    (array([2, 4]), array([1, 0, 1]))
    """
    if rows is None:
        return RowRange(0, num_rows), None
    if isinstance(rows, slice):
        begin, end, step = rows.indices(num_rows)
        if step == 1:
            return RowRange(begin, max(begin, end)), None
        rows = np.arange(begin, end, step)
    numbers = np.atleast_1d(np.asarray(rows))
    if numbers.dtype == np.bool_:
        if len(numbers) != num_rows:
            raise RecdInputError(f"rows: a mask of {len(numbers)} for {num_rows} rows")
        return np.flatnonzero(numbers), None
    if len(numbers) and numbers.dtype.kind not in "iu":
        raise RecdInputError(f"rows: expected integers, found {numbers.dtype}")
    numbers = numbers.reshape(-1)
    # Before the cast: a uint64 may be a negative int64.
    wrong = (numbers < -num_rows) | (numbers >= num_rows)
    if wrong.any():
        raise RecdInputError(f"row {int(numbers[np.argmax(wrong)])} of a file of {num_rows} rows")
    numbers = numbers.astype(np.int64)
    wrapped = np.where(numbers < 0, numbers + num_rows, numbers)
    unique, order = np.unique(wrapped, return_inverse=True)
    if np.array_equal(order, np.arange(len(unique))):
        return unique, None
    return unique, order


def split_rows(
    rows: RowRange | NDArray[np.int64], stripes: Sequence[RowRange]
) -> Iterator[tuple[int, int, int, NDArray[np.int64] | None]]:
    """Yield what must be decoded of each stripe: (stripe, begin, end, rows among those or None).

    All numbers are relative to the stripe.
    """
    for number, stripe in enumerate(stripes):
        if isinstance(rows, RowRange):
            begin, end = max(rows.begin, stripe.begin), min(rows.end, stripe.end)
            if begin < end:
                yield number, begin - stripe.begin, end - stripe.begin, None
            continue
        low, high = np.searchsorted(rows, [stripe.begin, stripe.end])
        if low == high:
            continue
        mine = rows[low:high] - stripe.begin
        yield number, int(mine[0]), int(mine[-1]) + 1, mine
