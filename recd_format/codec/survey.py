"""One pass over a stream that tells what BITPACK and DELTA>BITPACK take, to the byte."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import SumsKind, num_blocks

__all__ = ["Survey", "bits_of", "block_words", "survey"]

_SUMS = {None: 0, "values": 1, "ones": 2}

# Slots of the survey's result.
SIZE, VARIANT, BASE_SIZE, SUM_SIZE, UNIFORM = range(5)


@kernel()
def block_words(values, width):  # type: ignore[no-untyped-def]
    """Words of a block of `values` (0..1024) values."""
    return 16 * ((((values + 15) >> 4) * width + 63) >> 6)


@kernel()
def bits_of(value):  # type: ignore[no-untyped-def]
    """Bits of an unsigned integer, 0 for 0."""
    bits = 0
    shift = 32
    while shift:
        if value >> np.uint64(shift):
            value >>= np.uint64(shift)
            bits += shift
        shift >>= 1
    return bits + np.int64(value)


@kernel()
def bytes_of(value):  # type: ignore[no-untyped-def]
    """Smallest of 0, 1, 2, 4, 8 bytes that hold an unsigned integer."""
    bits = bits_of(value)
    if bits <= 16:
        return (bits + 7) >> 3
    return 4 if bits <= 32 else 8


@kernel()
def smallest_layout(lows, highs, count, sum_size, result):  # type: ignore[no-untyped-def]
    """Exact sizes of the four layouts (bases or none; one width or a width per block)."""
    blocks = (count + 1023) >> 10
    top = np.uint64(0)  # largest base
    reach = np.int64(0)  # widest block over its base
    reach_zero = np.int64(0)  # widest block over base 0
    varying = np.int64(0)
    varying_zero = np.int64(0)
    for b in range(blocks):
        values = min(count - (b << 10), 1024)
        low = lows[b]
        high = highs[b]
        top = max(top, low)
        width = bits_of(high - low)
        # a signed block that spans 0 has low > high as unsigned: all 64 bits
        width_zero = bits_of(max(high, low))
        reach = max(reach, width)
        reach_zero = max(reach_zero, width_zero)
        varying += block_words(values, width)
        varying_zero += block_words(values, width_zero)
    full = max(blocks - 1, 0)
    last = count - (full << 10)
    uniform = full * 16 * reach + block_words(last, reach)
    uniform_zero = full * 16 * reach_zero + block_words(last, reach_zero)
    base_size = bytes_of(top)
    bases = (blocks * base_size + 7) & ~7
    table = ((4 * blocks + 7) & ~7) + ((blocks + 7) & ~7)
    size = 8 * uniform_zero
    variant = 0
    if 8 * uniform + bases < size:
        size = 8 * uniform + bases
        variant = 1
    if 8 * varying_zero + table < size:
        size = 8 * varying_zero + table
        variant = 2
    if 8 * varying + table + bases < size:
        size = 8 * varying + table + bases
        variant = 3
    result[VARIANT] = variant
    result[BASE_SIZE] = base_size if variant & 1 else 0
    result[SUM_SIZE] = sum_size
    result[UNIFORM] = 255 if variant & 2 else (reach if variant & 1 else reach_zero)
    result[SIZE] = 8 + size + ((full * sum_size + 7) & ~7)


@kernel(
    "void(const uint64[::1], int64, int64, boolean, uint64[::1], uint64[::1], uint64[::1], "
    "uint64[::1], uint64[::1], int64[::1], int64[::1])"
)
def survey_blocks(  # type: ignore[no-untyped-def]
    values, signed, sums_kind, deltas, lows, highs, zig_lows, zig_highs, sums, packed, zigzag
):
    """Lowest and highest value per block, of the zigzag deltas too, and the exact sizes."""
    count = len(values)
    flip = np.uint64(1) << np.uint64(63) if signed else np.uint64(0)
    total = np.uint64(0)
    one = np.uint64(1)
    for b in range((count + 1023) >> 10):
        start = b << 10
        stop = min(count, start + 1024)
        low = values[np.uint64(start)] ^ flip
        high = low
        for i in range(start, stop):
            value = values[np.uint64(i)] ^ flip
            low = min(low, value)
            high = max(high, value)
        lows[b] = low ^ flip
        highs[b] = high ^ flip
        sums[b] = total
        if sums_kind == 1:
            for i in range(start, stop):
                total += values[np.uint64(i)]
        elif sums_kind == 2:
            for i in range(start, stop):
                total += np.uint64(values[np.uint64(i)] == one)
        if deltas:
            low = ~np.uint64(0)
            high = np.uint64(0)
            for i in range(start + 1, stop):
                step = values[np.uint64(i)] - values[np.uint64(i - 1)]
                code = (step << one) ^ (np.uint64(0) - (step >> np.uint64(63)))
                low = min(low, code)
                high = max(high, code)
            zig_lows[b] = min(low, high)
            zig_highs[b] = high
    none = np.int64(0)
    sum_size = none
    if sums_kind:
        last = sums[((count + 1023) >> 10) - 1] if count else np.uint64(0)
        sum_size += 4 if last >> np.uint64(32) == 0 else 8
    smallest_layout(lows, highs, count, sum_size, packed)
    if deltas:
        smallest_layout(zig_lows, zig_highs, count, none, zigzag)


class Survey(NamedTuple):
    """What one pass over the values learns: extremes per block and exact sizes in bytes."""

    sums_kind: int
    lows: NDArray[np.uint64]
    highs: NDArray[np.uint64]
    zig_lows: NDArray[np.uint64]
    zig_highs: NDArray[np.uint64]
    sums: NDArray[np.uint64]
    packed: NDArray[np.int64]
    zigzag: NDArray[np.int64]

    @property
    def packed_bytes(self) -> int:
        """Size of the BITPACK stream."""
        return int(self.packed[SIZE])

    @property
    def delta_bytes(self) -> int:
        """Size of the DELTA>BITPACK stream."""
        return int(self.zigzag[SIZE]) + 8 * len(self.lows)

    @property
    def is_constant(self) -> bool:
        """True where there is at least one value and all are equal."""
        lows, highs = self.lows, self.highs
        return bool(len(lows) and (lows == lows[0]).all() and (highs == lows[0]).all())


def survey(
    values: NDArray[np.uint64], signed: bool, sums: SumsKind = None, deltas: bool = False
) -> Survey:
    """Learn what BITPACK (and DELTA>BITPACK) of u64-domain values take."""
    table = np.empty((5, num_blocks(len(values))), np.uint64)
    sizes = np.zeros((2, 5), np.int64)
    lows, highs, zig_lows, zig_highs, totals = table
    kind = _SUMS[sums]
    survey_blocks(
        values, int(signed), kind, deltas, lows, highs, zig_lows, zig_highs, totals, *sizes
    )
    return Survey(kind, lows, highs, zig_lows, zig_highs, totals, *sizes)
