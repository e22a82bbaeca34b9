"""Rules of bytes that are 0 or 1, and of null rows: checked for a whole stripe in one call each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel

__all__ = ["find_beyond_one", "find_filled_null"]

# Eight bytes at once: with a bit other than the lowest of each, and of eight valid rows.
_BEYOND = np.uint64(0xFEFEFEFEFEFEFEFE)
_VALID = np.uint64(0x0101010101010101)


def find_beyond_one(ranges: NDArray[np.int64], arena: NDArray[np.uint8]) -> int:
    """Return the first of some byte ranges that has a byte other than 0 and 1, or -1.

    Parameters
    ----------
    ranges : int64 [n, 2]
        Begin and end of each in `arena`; begins are multiples of 8.
    arena : uint8, contiguous
        Its size is a multiple of 8.
    """
    return int(_beyond_one(ranges, arena, arena.view("<u8")))


def find_filled_null(
    table: NDArray[np.int64], validity: NDArray[np.uint8], rows: NDArray[np.uint8]
) -> int:
    """Return the first of some columns that has a null row with a bit that is not zero, or -1.

    Parameters
    ----------
    table : int64 [n, 4]
        Of each column: where its validity (a byte a row, 0 or 1) begins in `validity`, a multiple
        of 8; number of rows; where its rows begin in `rows`; bytes of a row. Rows of 4 or 8 bytes,
        or a multiple, are aligned to 4 or 8.
    validity, rows : uint8, contiguous
        Their sizes are multiples of 8.
    """
    words = validity.view("<u8")
    return int(_filled_null(table, validity, words, rows, rows.view("<u4"), rows.view("<u8")))


@kernel("int64(int64[:, ::1], const uint8[::1], const uint64[::1])")
def _beyond_one(ranges, arena, words):  # type: ignore[no-untyped-def]
    for i in range(len(ranges)):
        begin, end = ranges[i, 0], ranges[i, 1]
        found = np.uint64(0)
        for word in range(np.uint64(begin >> 3), np.uint64(end >> 3)):
            found |= words[word]
        for place in range(np.uint64(end & ~7), np.uint64(end)):
            found |= np.uint64(arena[place])
        if found & _BEYOND:
            return i
    return -1


@kernel(
    "int64(int64[:, ::1], const uint8[::1], const uint64[::1], const uint8[::1],"
    " const uint32[::1], const uint64[::1])"
)
def _filled_null(table, validity, words, r1, r4, r8):  # type: ignore[no-untyped-def]
    for i in range(len(table)):
        first, count, begin, size = table[i, 0], table[i, 1], table[i, 2], table[i, 3]
        for block in range(0, count, 8):
            if words[np.uint64((first + block) >> 3)] == _VALID:
                continue
            for row in range(block, min(block + 8, count)):
                if validity[np.uint64(first + row)]:
                    continue
                at = begin + row * size
                found = np.uint64(0)
                if size & 7 == 0:
                    for place in range(np.uint64(at >> 3), np.uint64((at + size) >> 3)):
                        found |= r8[place]
                elif size & 3 == 0:
                    for place in range(np.uint64(at >> 2), np.uint64((at + size) >> 2)):
                        found |= np.uint64(r4[place])
                else:
                    for place in range(np.uint64(at), np.uint64(at + size)):
                        found |= np.uint64(r1[place])
                if found:
                    return i
    return -1
