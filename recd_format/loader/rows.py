"""Unique rows of one feature in one stripe, as batches and transforms see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["UniqueRows"]


@dataclass(frozen=True, slots=True)
class UniqueRows:
    """Unique rows of a feature; nulls are already empty rows, or NaN.

    `values` and `weights` belong to this feature alone and may be overwritten. `lengths` and
    `starts` may be shared by features of a group: whoever changes them makes new arrays.

    Attributes
    ----------
    values : ndarray of int64 (ids) or float32 (all others), 1-D
        Values end to end: of the rows, or of the sessions' timelines where windowed.
    lengths : ndarray of int32, shape [unique rows], or None
        Values of each row; None: every row has `width` values.
    starts : ndarray of int32, shape [unique rows], or None
        Where windowed: row u is ``values[starts[u]:starts[u] + lengths[u]]``. Rows may overlap.
    width : int
        Values of a row where `lengths` is None.
    weights : ndarray of float32, or None
        Parallel to `values`.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int32] | None = None
    starts: NDArray[np.int32] | None = None
    width: int = 1
    weights: NDArray[np.float32] | None = None

    @property
    def num_rows(self) -> int:
        """Unique rows."""
        if self.lengths is not None:
            return len(self.lengths)
        return len(self.values) // self.width if self.width else 0
