"""Ids modulo a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import IDS, INT64_MAX, UniqueOperation, set_integer

__all__ = ["Modulo"]


@dataclass(frozen=True, slots=True)
class Modulo(UniqueOperation):
    """Map ids to [0, n) by their remainder; a negative id raises.

    Parameters
    ----------
    n : int
        At least 1.
    """

    takes: ClassVar[frozenset[Role]] = IDS
    n: int

    def __post_init__(self) -> None:
        set_integer(self, "n", 1, INT64_MAX)

    def bound_after(self, bound: int | None) -> int | None:
        """`n`, or less where the ids were smaller before."""
        return self.n if bound is None else min(bound, self.n)

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Replace every id in place.

        Raises
        ------
        RecdInputError
            An id is negative, in a part of a timeline that no row has any more too.
        """
        bad = _modulo(rows.values, self.n)
        if bad >= 0:
            raise RecdInputError(
                f"Modulo(n={self.n}) of {feature!r}: expected no negative id, "
                f"found {int(rows.values[bad])}"
            )
        return rows


@kernel("int64(int64[::1], int64)")
def _modulo(values, n):  # type: ignore[no-untyped-def]
    """Values modulo n in place; returns the place of the first negative one, or -1."""
    mask = np.uint64(n - 1)
    divisor = np.uint64(n)
    # A division takes about ten times as long as everything else here.
    if np.uint64(n) & mask == np.uint64(0):
        for i in range(len(values)):
            if values[i] < 0:
                return i
            values[i] = np.int64(np.uint64(values[i]) & mask)
        return -1
    for i in range(len(values)):
        value = values[i]
        if value < 0:
            return i
        if value >= n:
            values[i] = np.int64(np.uint64(value) % divisor)
    return -1
