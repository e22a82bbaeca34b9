"""From unique rows to plain rows: the only place where a reader repeats values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import Limits
from recd_format.dedup.gather import take_ranges
from recd_format.errors import Reason, RecdFormatError
from recd_format.io import aligned_empty
from recd_format.jagged import Column
from recd_format.reader.data import FieldData

__all__ = ["expand", "unique_column"]


def unique_column(field: FieldData, limits: Limits) -> Column:
    """Return the unique rows of a field as a column; windows are written out."""
    if field.starts is not None:
        return expand(field, None, limits)
    if field.lengths is None:
        return Column(field.values, width=field.width, validity=field.validity)
    offsets = np.zeros(len(field.lengths) + 1, np.int64)
    np.cumsum(field.lengths, out=offsets[1:])
    return Column(field.values, offsets, weights=field.weights, validity=field.validity)


def expand(
    field: FieldData,
    lookup: NDArray[np.integer] | None,
    limits: Limits,
    allocate: Callable[[int], NDArray[np.uint8]] = aligned_empty,
) -> Column:
    """Return the rows ``lookup`` of a field's unique rows, end to end.

    Parameters
    ----------
    field
        Unique rows.
    lookup
        Unique row of each row wanted, in any order; None: each unique row once.
    limits
        `expanded_values` caps what is allocated: dedup amplifies, and a small file may declare
        billions of rows that share one list.
    allocate
        Gives the memory of the values of lists: uint8 [n].

    Raises
    ------
    RecdFormatError
        LIMIT, where more values than that would come out.
    """
    validity = field.validity
    if lookup is not None and validity is not None:
        validity = validity[lookup]
    if field.lengths is None:
        values = field.values
        if lookup is not None:
            _cap(len(lookup) * field.width, limits)
            rows = values if field.width == 1 else values.reshape(-1, field.width)
            values = rows[lookup].reshape(-1)
        return Column(values, width=field.width, validity=validity)
    starts, lengths = field.ranges()
    if lookup is not None:
        starts, lengths = starts[lookup], lengths[lookup]
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    _cap(int(offsets[-1]), limits)

    def take(values: NDArray[Any]) -> NDArray[Any]:
        out = allocate(int(offsets[-1]) * values.itemsize).view(values.dtype)
        return take_ranges(values, starts, offsets, out)

    weights = None if field.weights is None else take(field.weights)
    return Column(take(field.values), offsets, weights=weights, validity=validity)


def _cap(values: int, limits: Limits) -> None:
    if values > limits.expanded_values:
        raise RecdFormatError(
            Reason.LIMIT,
            f"reading would expand to {values} values, limit {limits.expanded_values}; read fewer "
            "rows at once, or with dedup=True",
        )
