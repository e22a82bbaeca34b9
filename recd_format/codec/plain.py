"""PLAIN: little-endian values at their native width (`plain.md`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import CodecId, Encoded, as_bytes

__all__ = ["encode_plain", "extend_sign", "load_values", "store_values"]


def encode_plain(values: NDArray[Any]) -> Encoded:
    """Store the values as they are."""
    return Encoded((int(CodecId.PLAIN),), as_bytes(values), len(values))


@kernel()
def extend_sign(values, number, itemsize):  # type: ignore[no-untyped-def]
    """Sign-extend the first `number` values of `itemsize` bytes to 64 bit, in place."""
    sign = np.uint64(1) << np.uint64(8 * itemsize - 1)
    for i in range(number):
        at = np.uint64(i)
        values[at] = (values[at] ^ sign) - sign


@kernel()
def load_values(s1, s2, s4, s8, at, itemsize, number, out):  # type: ignore[no-untyped-def]
    """Values of `itemsize` bytes at byte `at` (a multiple of itemsize) into u64 out[0:]."""
    if itemsize == 8:
        first = np.uint64(at >> 3)
        for i in range(number):
            out[np.uint64(i)] = s8[first + np.uint64(i)]
    elif itemsize == 4:
        first = np.uint64(at >> 2)
        for i in range(number):
            out[np.uint64(i)] = np.uint64(s4[first + np.uint64(i)])
    elif itemsize == 2:
        first = np.uint64(at >> 1)
        for i in range(number):
            out[np.uint64(i)] = np.uint64(s2[first + np.uint64(i)])
    else:
        first = np.uint64(at)
        for i in range(number):
            out[np.uint64(i)] = np.uint64(s1[first + np.uint64(i)])


@kernel()
def store_values(values, skip, number, a1, a2, a4, a8, at, itemsize):  # type: ignore[no-untyped-def]
    """values[skip:skip + number], truncated to `itemsize`, at byte `at` of the arena."""
    start = np.uint64(skip)
    if itemsize == 8:
        first = np.uint64(at >> 3)
        for i in range(number):
            a8[first + np.uint64(i)] = values[start + np.uint64(i)]
    elif itemsize == 4:
        first = np.uint64(at >> 2)
        for i in range(number):
            a4[first + np.uint64(i)] = np.uint32(values[start + np.uint64(i)])
    elif itemsize == 2:
        first = np.uint64(at >> 1)
        for i in range(number):
            a2[first + np.uint64(i)] = np.uint16(values[start + np.uint64(i)])
    else:
        first = np.uint64(at)
        for i in range(number):
            a1[first + np.uint64(i)] = np.uint8(values[start + np.uint64(i)])
