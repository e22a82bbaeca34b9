"""Ids or floats, held within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import (
    FLOATS,
    IDS,
    INT64_MAX,
    UniqueOperation,
    set_number,
)

__all__ = ["Clip"]


@dataclass(frozen=True, slots=True)
class Clip(UniqueOperation):
    """Raise values below `low` to it, and lower values above `high` to it; NaN stays.

    Parameters
    ----------
    low, high : number or None
        None: no bound. Of ids both are integers, and `low` is at least 0: no negative id is left.
    """

    takes: ClassVar[frozenset[Role]] = IDS | FLOATS
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for field in ("low", "high"):
            if getattr(self, field) is not None:
                set_number(self, field)
        if self.low is None and self.high is None:
            raise RecdInputError("Clip(): expected low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise RecdInputError(f"Clip(low={self.low}, high={self.high}): expected low <= high")

    def role_after(self, feature: str, role: Role) -> Role:
        """The same role; of ids, the bounds are checked."""
        # The rule stands below; zero-argument super() does not work in slotted dataclasses.
        UniqueOperation.role_after(self, feature, role)
        if role in IDS:
            self._id_bounds(feature)
        return role

    def bound_after(self, bound: int | None) -> int | None:
        """One more than the largest id that is left."""
        low = 0 if self.low is None else int(self.low)
        if self.high is None:
            return None if bound is None else max(bound, low + 1)
        high = int(self.high)
        return 1 + (high if bound is None else max(low, min(high, bound - 1)))

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Replace every value in place."""
        if rows.values.dtype == np.int64:
            low, high = self._id_bounds(feature)
            _clip_ids(rows.values, low, high)
        else:
            _clip_floats(
                rows.values,
                np.float32(-np.inf if self.low is None else self.low),
                np.float32(np.inf if self.high is None else self.high),
            )
        return rows

    def _id_bounds(self, feature: str) -> tuple[int, int]:
        high = INT64_MAX if self.high is None else self.high
        bounds: tuple[Any, Any] = (self.low, high)
        for bound in bounds:
            if not isinstance(bound, int) or not 0 <= bound <= INT64_MAX:
                raise RecdInputError(
                    f"Clip(low={self.low}, high={self.high}) of the ids of {feature!r}: expected "
                    f"integers from 0 to {INT64_MAX}, and low given: no id may stay negative"
                )
        return bounds


@kernel("void(int64[::1], int64, int64)")
def _clip_ids(values, low, high):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        values[i] = min(max(values[i], low), high)


@kernel("void(float32[::1], float32, float32)")
def _clip_floats(values, low, high):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        value = values[i]
        # Comparisons with NaN are false: it stays.
        if value < low:
            value = low
        elif value > high:
            value = high
        values[i] = value
