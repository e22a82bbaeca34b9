"""Durations in the units of an order key."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

__all__ = ["duration_in", "units_per_second"]

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SECONDS = {"ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Epoch times between 1973 and 2286 have distinct magnitudes in s, ms, us and ns.
_EPOCH_SECONDS = (1e8, 1e10)
_SIGN = np.uint64(1 << 63)


def units_per_second(arrow_type: pa.DataType, image: NDArray[np.int64]) -> int | None:
    """Return how many units of the order key make a second, or None where nobody can know.

    Integers are taken for epoch times where their magnitude is that of one in s, ms, us or ns.
    `image` is the key's `recd_format.arrow.order_image`.

    Examples
    --------
    >>> units_per_second(pa.int64(), np.array([1_541_548_955_000]))
    1000
    """
    if pt.is_timestamp(arrow_type):
        return _UNITS[arrow_type.unit]
    if pt.is_date64(arrow_type):
        return _UNITS["ms"]
    if pt.is_integer(arrow_type) and len(image):
        # The image of uint64 has its sign bit flipped, see `order_image`.
        unsigned = pt.is_uint64(arrow_type)
        middle = float(np.median(image.view(np.uint64) ^ _SIGN if unsigned else image))
        for units in _UNITS.values():
            if _EPOCH_SECONDS[0] <= middle / units < _EPOCH_SECONDS[1]:
                return units
    return None


def duration_in(value: Any, units: int | None, argument: str) -> int | None:
    """Return a duration in units of the order key.

    Parameters
    ----------
    value
        None, an integer in the key's own units, a timedelta, or a text like "30m", "1.5h", "2d".
    units
        From `units_per_second`.
    argument
        Its name, for messages.

    Examples
    --------
    >>> duration_in("30m", 1000, "session_gap")
    1800000
    """
    if value is None:
        return None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        _check_not_negative(value, int(value), argument)
        return int(value)
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        _check_not_negative(value, seconds, argument)
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value))
        if match is None or match[2] not in _SECONDS:
            raise RecdInputError(
                f"{argument}={value!r}: expected a number with one of {', '.join(_SECONDS)}, e.g. "
                '"30m", a timedelta, or an integer in units of the order key'
            )
        seconds = float(match[1]) * _SECONDS[match[2]]
    if units is None:
        raise RecdInputError(
            f"{argument}={value!r}: the order key is neither a timestamp nor an epoch time, so its "
            "unit is not known; give an integer in its own units"
        )
    return round(seconds * units)


def _check_not_negative(value: Any, number: float, argument: str) -> None:
    if number < 0:
        raise RecdInputError(f"{argument}={value}: expected a duration of at least 0")
