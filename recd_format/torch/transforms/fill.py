"""A value in place of nulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recd_format._jit import kernel
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import FLOATS, UniqueOperation, set_number

__all__ = ["Fill"]


@dataclass(frozen=True, slots=True)
class Fill(UniqueOperation):
    """Replace NaN, which is what nulls are, by `value`.

    Parameters
    ----------
    value : number
    """

    takes: ClassVar[frozenset[Role]] = FLOATS
    value: float

    def __post_init__(self) -> None:
        set_number(self, "value")

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Replace in place."""
        _fill(rows.values, np.float32(self.value))
        return rows


@kernel("void(float32[::1], float32)")
def _fill(values, value):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        if np.isnan(values[i]):
            values[i] = value
