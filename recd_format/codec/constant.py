"""CONSTANT: one value for the whole stream, in the record's params; no bytes (`constant.md`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.base import CodecId, Encoded, num_blocks
from recd_format.constants import BLOCK_VALUES
from recd_format.errors import RecdInputError

__all__ = ["constant_sums", "encode_constant"]


def encode_constant(values: NDArray[np.uint64]) -> Encoded:
    """Encode u64-domain values that are all equal.

    Raises
    ------
    RecdInputError
        If they are not, or there are none.
    """
    if len(values) == 0 or (values != values[0]).any():
        raise RecdInputError("CONSTANT takes one or more equal values")
    empty = np.zeros(0, np.uint8)
    return Encoded((int(CodecId.CONSTANT),), empty, len(values), int(values[0]))


def constant_sums(count: int, params: int) -> NDArray[np.uint64]:
    """Return the sum before each block."""
    return np.arange(num_blocks(count), dtype=np.uint64) * np.uint64(BLOCK_VALUES * params % 2**64)
