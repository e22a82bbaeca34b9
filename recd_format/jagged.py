"""Columns as NumPy arrays: what the layers hand to each other.

Layer: above errors and constants; knows no Arrow, no file and no torch.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

__all__ = ["Column", "session_ids"]


@dataclass(frozen=True, slots=True)
class Column:
    """Rows of one field.

    Attributes
    ----------
    values : ndarray, 1-D
        All values end to end, in their own dtype (bool as uint8, dates and timestamps as
        int32/int64, strings and binaries as uint8 bytes).
    offsets : ndarray of int64, shape [rows + 1], or None
        Row i of a jagged column is ``values[offsets[i]:offsets[i + 1]]``; ``offsets[0]`` may be
        greater than 0. None: every row has `width` values.
    width : int
        Values of a row where `offsets` is None: 1 for scalars, the list size of fixed-size lists.
    weights : ndarray, 1-D, or None
        Parallel to `values`, for weighted id lists.
    validity : ndarray of bool, shape [rows], or None
        False where the row is null; None: no row is null. A null row has no values where
        jagged, zero bits otherwise.
    """

    values: NDArray[Any]
    offsets: NDArray[np.int64] | None = None
    width: int = 1
    weights: NDArray[Any] | None = None
    validity: NDArray[np.bool_] | None = None

    @property
    def num_rows(self) -> int:
        """Rows of the column."""
        if self.offsets is not None:
            return len(self.offsets) - 1
        return len(self.values) // self.width if self.width else 0

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Values of each row, int64 [rows]."""
        if self.offsets is None:
            return np.full(self.num_rows, self.width, np.int64)
        return np.diff(self.offsets)


def session_ids(keys: Column) -> NDArray[np.int64]:
    """Session ids that models and readers work with: int64, one per key.

    Integers are bit-cast (sign- or zero-extended); strings, binaries and floats are the XXH3-64
    of their bytes (FORMAT section 2).

    Examples
    --------
    >>> session_ids(Column(np.array([3, 2**64 - 1], np.uint64)))
    array([ 3, -1])
    """
    values = keys.values
    if keys.offsets is None and values.dtype.kind in "iub":
        if values.dtype.kind == "i":
            return values.astype(np.int64)
        return values.astype(np.uint64).view(np.int64)
    data = memoryview(np.ascontiguousarray(values).view(np.uint8))
    if keys.offsets is None:
        size = values.itemsize
        bounds = np.arange(len(values) + 1) * size
    else:
        bounds = keys.offsets
    ids = [xxh3_64_intdigest(data[a:b]) for a, b in itertools.pairwise(bounds.tolist())]
    return np.array(ids, np.uint64).view(np.int64)
