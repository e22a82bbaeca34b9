"""Logarithms of counts and durations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import FLOATS, UniqueOperation

__all__ = ["Log1p"]


@dataclass(frozen=True, slots=True)
class Log1p(UniqueOperation):
    """Replace x by log(1 + x), computed in float64; NaN stays."""

    takes: ClassVar[frozenset[Role]] = FLOATS

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Replace in place.

        Raises
        ------
        RecdInputError
            A value is -1 or less: its logarithm would be a null or infinite.
        """
        bad = _log1p(rows.values)
        if bad >= 0:
            raise RecdInputError(
                f"Log1p of {feature!r}: expected values above -1, found "
                f"{float(rows.values[bad])}; Clip(low=0) before it would hold them"
            )
        return rows


@kernel("int64(float32[::1])")
def _log1p(values):  # type: ignore[no-untyped-def]
    """Logarithms in place; returns the place of the first value that has none, or -1."""
    for i in range(len(values)):
        value = values[i]
        if value <= np.float32(-1):
            return i
        values[i] = np.float32(math.log1p(np.float64(value)))
    return -1
