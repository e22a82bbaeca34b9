"""Records: one 64-byte entry for each stream of each stripe (`spec/file.md`, Records)."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import STREAM_ALIGNMENT

__all__ = [
    "CODES_MONOTONE",
    "CODES_STRIPE_SCOPE",
    "RECORD",
    "Records",
    "StreamKind",
    "kind_mask",
    "padded",
    "sort_records",
]


class StreamKind(IntEnum):
    """What a stream holds. 3 and 12 are reserved (order_key, element_validity)."""

    SESSION_ROWS = 1
    SESSION_KEY = 2
    CODES = 4
    LENGTHS = 5
    STARTS = 6
    VALUES = 7
    WEIGHTS = 8
    VALIDITY = 9
    DICTIONARY = 10
    WEIGHT_DICTIONARY = 11


RECORD: np.dtype[np.void] = np.dtype(
    [
        ("owner", "<u4"),
        ("stripe", "<u4"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("chain", "u1", (4,)),
        ("pad", "<u2"),
        ("count", "<u8"),
        ("byte_offset", "<u8"),
        ("stored", "<u8"),
        ("decoded", "<u8"),
        ("xxh3", "<u8"),
        ("params", "<u8"),
    ]
)
"""Layout of a record; `byte_offset` is relative to the start of the stripe."""

Records: TypeAlias = NDArray[np.void]
"""A structured array of dtype `RECORD`."""

# Flags of a CODES record.
CODES_MONOTONE = 1
CODES_STRIPE_SCOPE = 2


def kind_mask(*kinds: StreamKind) -> NDArray[np.bool_]:
    """Return a table, bool [256], that is True at `kinds`: ``mask[records["kind"]]``.

    On the few records of a stripe a table look-up costs less than `np.isin` does.
    """
    mask = np.zeros(256, np.bool_)
    mask[list(kinds)] = True
    return mask


def padded(size: int, alignment: int = STREAM_ALIGNMENT) -> int:
    """Return `size` rounded up to a multiple of `alignment`.

    Examples
    --------
    >>> padded(65)
    128
    """
    return -(-size // alignment) * alignment


def sort_records(records: Records) -> Records:
    """Return the records in directory order: by owner, then stripe, then kind."""
    order = np.lexsort((records["kind"], records["stripe"], records["owner"]))
    return records[order]
