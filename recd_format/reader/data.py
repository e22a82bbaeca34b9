"""Decoded rows of a stripe: unique rows of each field, and one inverse lookup per group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FieldData", "GroupData", "StripeData"]


@dataclass(frozen=True, slots=True)
class GroupData:
    """How the rows refer to a group's unique rows.

    Attributes
    ----------
    num_unique : int
        Unique rows decoded.
    inverse_lookup : ndarray of int32, shape [rows], or None
        Unique row of each row; None: row i is unique row i.
    monotone : bool
        True where `inverse_lookup` never falls.
    """

    num_unique: int
    inverse_lookup: NDArray[np.int32] | None
    monotone: bool


@dataclass(frozen=True, slots=True)
class FieldData:
    """Unique rows of a field.

    Attributes
    ----------
    group : int
        Its group; -1 for the session key, whose rows are the sessions.
    values : ndarray, 1-D
        Values end to end: of the unique rows, or of the sessions' timelines where windowed.
    lengths : ndarray of int32, shape [unique rows], or None
        Values of each unique row, for jagged fields.
    starts : ndarray of int32, shape [unique rows], or None
        Where windowed: unique row u is ``values[starts[u]:starts[u] + lengths[u]]``.
    width : int
        Values of a unique row where `lengths` is None.
    weights : ndarray or None
        Parallel to `values`.
    validity : ndarray of bool, shape [unique rows], or None
    """

    group: int
    values: NDArray[Any]
    lengths: NDArray[np.int32] | None
    starts: NDArray[np.int32] | None
    width: int
    weights: NDArray[Any] | None
    validity: NDArray[np.bool_] | None

    def ranges(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return where each unique row begins in `values`, int64, and how long it is, int32."""
        if self.lengths is None:
            count = len(self.values) // self.width
            return np.arange(count) * self.width, np.full(count, self.width, np.int32)
        if self.starts is not None:
            return self.starts.astype(np.int64), self.lengths
        starts = np.zeros(len(self.lengths), np.int64)
        np.cumsum(self.lengths[:-1], out=starts[1:])
        return starts, self.lengths


@dataclass(frozen=True, slots=True)
class StripeData:
    """Decoded rows of one stripe.

    Attributes
    ----------
    first_row : int
        Number in the stripe of the first row.
    num_rows : int
    session_offsets : ndarray of int64, shape [sessions + 1]
        Row offsets of the stripe's sessions, all of them, relative to the stripe.
    groups : dict of int to GroupData
    fields : dict of int to FieldData
    """

    first_row: int
    num_rows: int
    session_offsets: NDArray[np.int64]
    groups: dict[int, GroupData]
    fields: dict[int, FieldData]
