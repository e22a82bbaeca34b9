"""Floats with a given mean and deviation to mean 0 and deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import FLOATS, UniqueOperation, set_number

__all__ = ["Normalize"]


@dataclass(frozen=True, slots=True)
class Normalize(UniqueOperation):
    """Replace x by (x - mean) / std, computed in float64; NaN stays.

    Parameters
    ----------
    mean, std : number
        `std` is positive.
    """

    takes: ClassVar[frozenset[Role]] = FLOATS
    mean: float
    std: float

    def __post_init__(self) -> None:
        set_number(self, "mean")
        set_number(self, "std")
        if self.std <= 0:
            raise RecdInputError(f"Normalize(std={self.std}): expected more than 0")

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Replace in place."""
        _normalize(rows.values, float(self.mean), float(self.std))
        return rows


@kernel("void(float32[::1], float64, float64)")
def _normalize(values, mean, std):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        values[i] = np.float32((np.float64(values[i]) - mean) / std)
