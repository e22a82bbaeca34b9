"""Floats to ids, by borders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import FLOAT32_MAX, FLOATS, UniqueOperation, is_number

__all__ = ["Bucketize"]


@dataclass(frozen=True, slots=True)
class Bucketize(UniqueOperation):
    """Map a float to the number of borders that are not above it; the feature becomes an id_list.

    Ids are as `numpy.digitize` gives them, 0 to ``len(borders)``, and NaN (a null) has an id of
    its own behind them, ``len(borders) + 1``. Values and borders are compared as float32.

    Parameters
    ----------
    borders : sequence of numbers
        At least one, rising.
    """

    takes: ClassVar[frozenset[Role]] = FLOATS
    borders: Sequence[float]

    def __post_init__(self) -> None:
        given: Any = self.borders
        if isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)):
            raise RecdInputError(f"Bucketize(borders={given!r}): expected a list of numbers")
        for border in given:
            if not is_number(border):
                raise RecdInputError(f"Bucketize: border {border!r}: expected a number")
            if not abs(border) <= FLOAT32_MAX:
                raise RecdInputError(f"Bucketize: border {border!r}: expected a finite float32")
        borders = tuple(float(border) for border in given)
        if not borders:
            raise RecdInputError("Bucketize(borders=[]): expected at least one border")
        for low, high in itertools.pairwise(borders):
            if np.float32(low) >= np.float32(high):
                raise RecdInputError(
                    f"Bucketize: border {high} after {low}: expected rising borders, as float32"
                )
        object.__setattr__(self, "borders", borders)

    def role_after(self, feature: str, role: Role) -> Role:
        """An id_list."""
        UniqueOperation.role_after(self, feature, role)
        return Role.SPARSE

    def bound_after(self, bound: int | None) -> int | None:
        """Buckets and the id of NaN."""
        return len(self.borders) + 2

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Make ids of the values."""
        ids = np.empty(len(rows.values), np.int64)
        _bucketize(rows.values, np.array(self.borders, np.float32), ids)
        return replace(rows, values=ids)


@kernel("void(const float32[::1], const float32[::1], int64[::1])")
def _bucketize(values, borders, ids):  # type: ignore[no-untyped-def]
    count = len(borders)
    for i in range(len(values)):
        value = values[i]
        if np.isnan(value):
            ids[i] = count + 1
            continue
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            if borders[middle] <= value:
                low = middle + 1
            else:
                high = middle
        ids[i] = low
