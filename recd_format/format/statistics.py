"""Statistics section: minimum, maximum and nulls of each scalar field in each stripe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import Location, Reason, RecdFormatError

__all__ = ["HAS_RANGE", "STATISTIC", "decode_statistics", "field_statistics", "statistic_values"]

STATISTIC: np.dtype[np.void] = np.dtype(
    [
        ("field", "<u4"),
        ("stripe", "<u4"),
        ("nulls", "<u8"),
        ("minimum", "<u8"),
        ("maximum", "<u8"),
        ("flags", "<u4"),
        ("reserved", "<u4"),
    ]
)

HAS_RANGE = 1


def field_statistics(
    field: int, stripe: int, values: NDArray[np.generic], nulls: int
) -> NDArray[np.void]:
    """Return the entry of one scalar field in one stripe.

    Parameters
    ----------
    values
        Values of the rows that are not null. Minimum and maximum are stored as the bits of a
        value, sign- or zero-extended to 64; there are none where a value is NaN or none is left.
    nulls
        Null unique rows.
    """
    row = np.zeros(1, STATISTIC)
    row["field"], row["stripe"], row["nulls"] = field, stripe, nulls
    if len(values):
        ends = np.array([values.min(), values.max()])
        if ends.dtype.kind != "f" or not np.isnan(ends).any():
            row["minimum"], row["maximum"] = _bits(ends)
            row["flags"] = HAS_RANGE
    return row


def _bits(values: NDArray[np.generic]) -> NDArray[np.uint64]:
    if values.dtype.kind == "f":
        return values.view(f"<u{values.dtype.itemsize}").astype("<u8")
    if values.dtype.kind == "i":
        return values.astype("<i8").view("<u8")
    return values.astype("<u8")


def statistic_values(bits: NDArray[np.uint64], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return stored minima or maxima as values of `dtype`."""
    if dtype.kind == "f":
        return bits.astype(f"<u{dtype.itemsize}").view(dtype)
    if dtype.kind == "i":
        return bits.view("<i8").astype(dtype)
    return bits.astype(dtype)


def decode_statistics(data: bytes | memoryview, location: Location) -> NDArray[np.void]:
    """Return the entries of a statistics section, sorted by (field, stripe)."""
    if len(data) % STATISTIC.itemsize:
        raise RecdFormatError(
            Reason.SECTION,
            f"statistics have {len(data)} bytes, not a multiple of {STATISTIC.itemsize}",
            location,
        )
    return np.frombuffer(data, STATISTIC)
