"""Decoded rows of a stripe: unique rows of each field, and one inverse lookup per group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FieldData", "GroupData", "Lazy", "StripeData", "StripeTable"]

T = TypeVar("T")


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
class StripeTable:
    """Where the decoded arrays of a stripe are, for kernels: a row a field, a row a group.

    Addresses hold as long as the `StripeData` does; 0 where there is no such array.

    Attributes
    ----------
    row_of_field : ndarray of int64, shape [fields of the file]
        Row of `fields`; -1 for fields that were not read.
    fields : ndarray of int64, shape [fields read, 8]
        Addresses and sizes: values, number of values, lengths, starts, weights, width (0 where
        there are lengths), entries, number of entries. Where there are entries, of 8 bytes,
        values are uint32 numbers of them; no other wide field has values of less than 8 bytes.
    value_types, weight_types : ndarray of int64, shape [fields read]
        Types of values and weights in the file; 0 for no weights.
    wide : ndarray of bool, shape [fields read]
        Integers that were decoded to 8 bytes.
    plain : ndarray of bool, shape [fields read]
        False where the row of `fields` does not say all: fields with nulls, and LIST_AT.
    groups : ndarray of int64, shape [groups of the file, 3]; [1, 3] where it has none
        Address of the inverse lookup, number of unique rows, 1 where it never falls.
    """

    row_of_field: NDArray[np.int64]
    fields: NDArray[np.int64]
    value_types: NDArray[np.int64]
    weight_types: NDArray[np.int64]
    wide: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    groups: NDArray[np.int64]


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
    groups : mapping of int to GroupData
    fields : mapping of int to FieldData
        Made when they are asked for: a stripe may have thousands.
    table : StripeTable
        The same without an object a field.
    """

    first_row: int
    num_rows: int
    session_offsets: NDArray[np.int64]
    groups: Mapping[int, GroupData]
    fields: Mapping[int, FieldData]
    table: StripeTable


class Lazy(Mapping[int, T]):
    """A mapping whose values are made at first use, and kept.

    Parameters
    ----------
    keys
        Its keys, in order.
    make
        Gives the value of a key.
    """

    def __init__(self, keys: Sequence[int], make: Callable[[int], T]) -> None:
        self._keys = dict.fromkeys(keys)
        self._make = make
        self._made: dict[int, T] = {}

    def __getitem__(self, key: int) -> T:
        if key not in self._made:
            if key not in self._keys:
                raise KeyError(key)
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
