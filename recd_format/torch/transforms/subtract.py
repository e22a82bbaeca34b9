"""The difference of two columns of one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import RowOperation, check_name, only_value

__all__ = ["Subtract"]


@dataclass(frozen=True, slots=True)
class Subtract(RowOperation):
    """A dense feature ``left - right``, for instance an age: now less the time of an event.

    Integers are subtracted exactly and the difference is rounded to float32; where one of the two
    is a float, both are taken as float64. NaN where one is null.

    Parameters
    ----------
    left, right : str
        Columns of one number a row: features, or any others of the files, as the order key.
    output : str
        Name of the feature.
    """

    output_role: ClassVar[Role] = Role.DENSE
    takes: ClassVar[frozenset[Role]] = frozenset({Role.SPARSE, Role.DENSE, Role.LABEL, Role.WEIGHT})
    left: str
    right: str
    output: str

    def __post_init__(self) -> None:
        for field in ("left", "right", "output"):
            check_name(self, field)

    @property
    def inputs(self) -> tuple[str, ...]:
        """`left` and `right`."""
        return (self.left, self.right)

    def apply(self, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """Subtract row by row.

        Raises
        ------
        RecdInputError
            A row has more than one value.
        """
        left, has_left = only_value(self, self.left, inputs[self.left])
        right, has_right = only_value(self, self.right, inputs[self.right])
        if left.dtype.kind == right.dtype.kind == "i":
            # Integers wrap around; only then is the sign of the result not that of `left`.
            exact = left - right
            values = exact.astype(np.float32)
            wrapped = ((left ^ right) & (left ^ exact)) < 0
            if wrapped.any():
                values[wrapped] = left[wrapped].astype(np.float64) - right[wrapped]
        else:
            with np.errstate(invalid="ignore", over="ignore"):
                values = (left.astype(np.float64) - right).astype(np.float32)
        for present in (has_left, has_right):
            if present is not None:
                values[~present] = np.nan
        return UniqueRows(values)
