"""How often ids occur in rows, counted on unique rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.reader.data import FieldData, GroupData

__all__ = ["IdCounter"]

_MOST_PENDING = 1 << 22


class IdCounter:
    """Counts ids as if every row were written out, without doing so.

    An id that is in a unique row counts once for each row that refers to it, and twice that where
    it is there twice.
    """

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.int64)
        self._counts = np.zeros(0, np.int64)
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._held = 0

    def add(self, field: FieldData, group: GroupData) -> None:
        """Count the ids of one field of a stripe.

        Parameters
        ----------
        field : FieldData
            Of integers.
        group : GroupData
            The group of the field.
        """
        times = _times_used(field, group)
        ids, counts = _summed(field.values.astype(np.int64), times)
        self._pending.append((ids, counts))
        self._held += len(ids)
        if self._held > _MOST_PENDING + len(self._ids):
            self._settle()

    def most_frequent(
        self, min_count: int = 1, max_size: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and counts, the most frequent first, of equal counts the smaller id first.

        Parameters
        ----------
        min_count
            Leave out ids that occur less often.
        max_size
            Return so many at most.
        """
        self._settle()
        kept = np.flatnonzero(self._counts >= min_count)
        order = kept[np.lexsort((self._ids[kept], -self._counts[kept]))][:max_size]
        return self._ids[order], self._counts[order]

    @property
    def num_ids(self) -> int:
        """Distinct ids."""
        self._settle()
        return len(self._ids)

    @property
    def total(self) -> int:
        """Sum of all counts."""
        self._settle()
        return int(self._counts.sum())

    def _settle(self) -> None:
        if self._pending:
            parts = [(self._ids, self._counts), *self._pending]
            ids = np.concatenate([part[0] for part in parts])
            counts = np.concatenate([part[1] for part in parts])
            self._ids, self._counts = _summed(ids, counts)
            self._pending, self._held = [], 0


def _times_used(field: FieldData, group: GroupData) -> NDArray[np.int64]:
    """Rows that each value is in; a value of a timeline may be in many windows."""
    starts, lengths = field.ranges()
    if group.inverse_lookup is None:
        rows = np.ones(len(starts), np.int64)
    else:
        rows = np.bincount(group.inverse_lookup, minlength=len(starts)).astype(np.int64)
    if field.validity is not None:
        rows = rows * field.validity
    if field.starts is None:
        return np.repeat(rows, lengths)
    # Each window adds its rows where it begins and takes them away where it ends.
    steps = np.zeros(len(field.values) + 1, np.int64)
    np.add.at(steps, starts, rows)
    np.subtract.at(steps, starts + lengths, rows)
    return np.cumsum(steps[:-1])


def _summed(
    ids: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct ids in rising order, and the sum of the counts of each, those of none left out."""
    used = counts > 0
    ids, counts = ids[used], counts[used]
    order = np.argsort(ids, kind="stable")
    ids, counts = ids[order], counts[order]
    first = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]][: len(ids)])
    if not len(first):
        return ids, counts
    return ids[first], np.add.reduceat(counts, first)
