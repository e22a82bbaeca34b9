"""DELTA: per block a base and zigzag differences, which a child codec stores (`delta.md`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import num_blocks

__all__ = ["join_deltas", "split_deltas", "sum_deltas"]


@kernel()
def sum_deltas(codes, base, number):  # type: ignore[no-untyped-def]
    """Replace zigzag codes[:number] by the running sum of their differences from `base`."""
    one = np.uint64(1)
    value = base
    for i in range(number):
        at = np.uint64(i)
        code = codes[at]
        value += (code >> one) ^ (np.uint64(0) - (code & one))
        codes[at] = value


@kernel("void(const uint64[::1], uint64[::1], uint64[::1])")
def take_deltas(values, bases, codes):  # type: ignore[no-untyped-def]
    """Zigzag differences of each block; slot 0 repeats slot 1, so it never widens the block."""
    one = np.uint64(1)
    count = len(values)
    for b in range(len(bases)):
        start = b << 10
        stop = min(count, start + 1024)
        step = np.uint64(0)
        if stop - start > 1:
            step = values[start + 1] - values[start]
        bases[b] = values[start] - step
        codes[start] = (step << one) ^ (np.uint64(0) - (step >> np.uint64(63)))
        for i in range(start + 1, stop):
            step = values[np.uint64(i)] - values[np.uint64(i - 1)]
            codes[np.uint64(i)] = (step << one) ^ (np.uint64(0) - (step >> np.uint64(63)))


@kernel("void(const uint64[::1], int64, uint64[::1])")
def sum_blocks(bases, first, codes):  # type: ignore[no-untyped-def]
    """Undo `take_deltas` in place for whole blocks from block `first`."""
    count = len(codes)
    for b in range((count + 1023) >> 10):
        start = b << 10
        sum_deltas(codes[start:], bases[first + b], min(1024, count - start))


def split_deltas(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return (bases, zigzag codes) of u64-domain values."""
    bases = np.empty(num_blocks(len(values)), np.uint64)
    codes = np.empty(len(values), np.uint64)
    take_deltas(values, bases, codes)
    return bases, codes


def join_deltas(bases: NDArray[np.uint64], codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the values; `codes` is overwritten with them."""
    sum_blocks(bases, 0, codes)
    return codes
