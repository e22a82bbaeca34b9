"""Rows cut to a number of values, for FirstN and LastN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import LISTS, UniqueOperation, set_integer

__all__ = ["Cut"]

_LONGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Cut(UniqueOperation):
    """At most `n` values of each row, from one of its ends.

    Windows are cut by their starts and lengths alone: no value moves. Rows that lie end to end
    are packed together in place, so that what comes later in the chain sees only what is kept.
    """

    takes: ClassVar[frozenset[Role]] = LISTS
    keeps_last: ClassVar[bool]
    n: int

    def __post_init__(self) -> None:
        set_integer(self, "n", 1, _LONGEST)

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Cut: new lengths, and new starts where there are some."""
        if rows.lengths is None:
            return self._cut_fixed(rows)
        if not len(rows.lengths) or int(rows.lengths.max()) <= self.n:
            return rows
        if rows.starts is not None:
            kept = np.minimum(rows.lengths, np.int32(self.n))
            starts = rows.starts
            if self.keeps_last:
                starts = starts + (rows.lengths - kept)
            return replace(rows, lengths=kept, starts=starts)
        kept = np.empty_like(rows.lengths)
        values = self._packed(feature, rows.values, rows.lengths, kept)
        weights = rows.weights
        if weights is not None:
            weights = self._packed(feature, weights, rows.lengths, kept)
        return replace(rows, values=values, lengths=kept, weights=weights)

    def _packed(
        self,
        feature: str,
        values: NDArray[Any],
        lengths: NDArray[np.int32],
        kept: NDArray[np.int32],
    ) -> NDArray[Any]:
        total = _pack(values, lengths, self.n, self.keeps_last, kept)
        if total < 0:
            raise RecdInputError(
                f"{self.name}(n={self.n}) of {feature!r}: lengths sum up to more than the "
                f"{len(values)} values"
            )
        return values[:total]

    def _cut_fixed(self, rows: UniqueRows) -> UniqueRows:
        if rows.width <= self.n:
            return rows
        part = slice(-self.n, None) if self.keeps_last else slice(0, self.n)

        def cut(values: NDArray[Any]) -> NDArray[Any]:
            return np.ascontiguousarray(values.reshape(-1, rows.width)[:, part]).reshape(-1)

        weights = None if rows.weights is None else cut(rows.weights)
        return replace(rows, values=cut(rows.values), width=self.n, weights=weights)


@kernel(
    "int64(int64[::1], const int32[::1], int64, boolean, int32[::1])",
    "int64(float32[::1], const int32[::1], int64, boolean, int32[::1])",
)
def _pack(values, lengths, n, last, kept):  # type: ignore[no-untyped-def]
    """Cut rows and pack them, in place; returns the values kept, or -1: lengths beyond values."""
    at, to = np.int64(0), np.int64(0)
    for u in range(len(lengths)):
        length = np.int64(lengths[u])
        if length < 0 or length > len(values) - at:
            return -1
        count = min(length, n)
        source = at + length - count if last else at
        if source != to:
            # Values only ever move down, so none is overwritten before it is read.
            for i in range(count):
                values[to + i] = values[source + i]
        kept[u] = count
        at += length
        to += count
    return to
