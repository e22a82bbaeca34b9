"""BYTE_STREAM_SPLIT: plane b holds byte b of every value (`byte_stream_split.md`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import CodecId, Encoded, as_bytes

__all__ = ["encode_split", "merge_planes", "split_planes"]


@kernel()
def merge_planes(source, start, itemsize, count, first, number, out):  # type: ignore[no-untyped-def]
    """Values first..first+number of the planes at byte `start` into u64 out[0:]."""
    for i in range(number):
        out[np.uint64(i)] = np.uint64(source[np.uint64(start + first + i)])
    for plane in range(1, itemsize):
        at = np.uint64(start + plane * count + first)
        shift = np.uint64(8 * plane)
        for i in range(number):
            out[np.uint64(i)] |= np.uint64(source[at + np.uint64(i)]) << shift


def split_planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the planes end to end, uint8 [count * itemsize]."""
    planes = as_bytes(values).reshape(-1, values.dtype.itemsize).T
    return np.ascontiguousarray(planes).reshape(-1)


def encode_split(values: NDArray[Any]) -> Encoded:
    """Store the planes without compression."""
    return Encoded((int(CodecId.BYTE_STREAM_SPLIT),), split_planes(values), len(values))
