"""Sums and bounds of decoded codes, lengths and windows: one kernel call for all of a stripe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel

__all__ = ["bound_codes", "sum_lengths"]


def bound_codes(
    spans: NDArray[np.int64], monotone: NDArray[np.bool_], arena: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return the lowest and the highest unique row of each inverse lookup, int64 [groups, 2].

    Lookups that do not begin at 0 are made to.

    Parameters
    ----------
    spans : int64 [groups, 2]
        Byte in `arena` where each lookup begins, a multiple of 4, and its rows, at least 1.
    monotone : bool [groups]
        Lookups that never fall: first and last row are the bounds.
    arena : uint8, 4-byte aligned
    """
    bounds = np.zeros((len(spans), 2), np.int64)
    words = arena[: len(arena) // 4 * 4].view(np.int32)
    _bound_codes(np.ascontiguousarray(spans), monotone, words, bounds)
    return bounds


def sum_lengths(spans: NDArray[np.int64], arena: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sums of uint32 lengths, int64 [streams, 2]: of those skipped, and of the others.

    Parameters
    ----------
    spans : int64 [streams, 3]
        Byte in `arena` where each stream begins, a multiple of 4; lengths skipped; lengths after.
    arena : uint8, 4-byte aligned
    """
    sums = np.zeros((len(spans), 2), np.int64)
    words = arena[: len(arena) // 4 * 4].view(np.uint32)
    _sum_lengths(np.ascontiguousarray(spans), words, sums)
    return sums


@kernel("void(int64[:, ::1], boolean[::1], int32[::1], int64[:, ::1])")
def _bound_codes(spans, monotone, words, bounds):  # type: ignore[no-untyped-def]
    for i in range(len(spans)):
        begin, rows = np.uint64(spans[i, 0] >> 2), np.uint64(spans[i, 1])
        low, high = words[begin], words[begin + rows - np.uint64(1)]
        if not monotone[i]:
            for k in range(rows):
                low = min(low, words[begin + k])
                high = max(high, words[begin + k])
        if low > 0:
            for k in range(rows):
                words[begin + k] -= low
        bounds[i, 0], bounds[i, 1] = low, high


@kernel("void(int64[:, ::1], uint32[::1], int64[:, ::1])")
def _sum_lengths(spans, words, sums):  # type: ignore[no-untyped-def]
    for i in range(len(spans)):
        begin, skip, count = np.uint64(spans[i, 0] >> 2), spans[i, 1], spans[i, 2]
        total = np.int64(0)
        for k in range(np.uint64(skip)):
            total += np.int64(words[begin + k])
        sums[i, 0] = total
        begin += np.uint64(skip)
        total = np.int64(0)
        for k in range(np.uint64(count)):
            total += np.int64(words[begin + k])
        sums[i, 1] = total
