"""BITPACK: blocks of 1,024 values in 16 lanes, a base and a width per block (`bitpack.md`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import CodecId, Encoded, Fault, SumsKind, corrupt, num_blocks
from recd_format.constants import BLOCK_VALUES

__all__ = [
    "BITPACK_CHAIN",
    "Survey",
    "block_sums",
    "open_stream",
    "pack_bits",
    "survey",
    "unpack_slots",
]

BITPACK_CHAIN = (int(CodecId.BITPACK),)
_SUMS = {None: 0, "values": 1, "ones": 2}
_WIDTHS_VARY = 255

# Slots of `open_stream`'s result.
BASES, BASE_BYTES, WIDTH, OFFSETS, WIDTHS, WORDS, NUM_WORDS = range(7)
PARTS = 7

_FAULT_STORED = int(Fault.STORED)
_FAULT_HEADER = int(Fault.HEADER)
_FAULT_WORDS = int(Fault.WORDS)


# --- decoding -----------------------------------------------------------------------------------


@kernel()
def load(source, at, size):  # type: ignore[no-untyped-def]
    """Little-endian unsigned integer of `size` bytes."""
    value = np.uint64(0)
    for i in range(size):
        value |= np.uint64(source[np.uint64(at + i)]) << np.uint64(8 * i)
    return value


@kernel()
def block_words(values, width):  # type: ignore[no-untyped-def]
    """Words of a block of `values` (0..1024) values."""
    return 16 * ((((values + 15) >> 4) * width + 63) >> 6)


@kernel()
def open_stream(source, start, stored, count, parts):  # type: ignore[no-untyped-def]
    """Read and check the header; parts = places of the tables. Returns a fault or 0."""
    blocks = (count + 1023) >> 10
    if stored < 8:
        return _FAULT_STORED
    base_bytes = np.int64(source[start])
    sum_bytes = np.int64(source[start + 1])
    width = np.int64(source[start + 2])
    sums = np.int64(source[start + 3])
    if not (base_bytes <= 2 or base_bytes == 4 or base_bytes == 8):
        return _FAULT_HEADER
    if sums > 2 or not ((sum_bytes == 0 and sums == 0) or sum_bytes == 4 or sum_bytes == 8):
        return _FAULT_HEADER
    if (sums == 0 and sum_bytes != 0) or (width > 64 and width != 255):
        return _FAULT_HEADER
    size = np.int64(4)
    if np.int64(load(source, start + 4, size)) != blocks:
        return _FAULT_HEADER
    at = 8
    parts[BASES] = start + at
    parts[BASE_BYTES] = base_bytes
    parts[WIDTH] = width
    at += (blocks * base_bytes + 7) & ~7
    if blocks > 1:
        at += ((blocks - 1) * sum_bytes + 7) & ~7
    parts[OFFSETS] = start + at
    if width == 255:
        at += (blocks * 4 + 7) & ~7
        parts[WIDTHS] = start + at
        at += (blocks + 7) & ~7
    if at > stored or (stored - at) & 7:
        return _FAULT_STORED
    words = (stored - at) >> 3
    parts[WORDS] = (start + at) >> 3
    parts[NUM_WORDS] = words
    last = count - ((blocks - 1) << 10)
    if blocks == 0:
        expected = np.int64(0)
    elif width == 255:
        wide = np.int64(source[parts[WIDTHS] + blocks - 1])
        if wide > 64:
            return _FAULT_WORDS
        expected = np.int64(load(source, parts[OFFSETS] + 4 * (blocks - 1), size))
        expected += block_words(last, wide)
    else:
        expected = (blocks - 1) * 16 * width + block_words(last, width)
    return 0 if words == expected else _FAULT_STORED


@kernel()
def unpack_slots(words, at, width, base, first, last, out, to):  # type: ignore[no-untyped-def]
    """Slots first..last of the block whose words start at `at`, 16 values each, plus base.

    Unsigned indices: with signed ones Numba's negative-index test halves the speed
    (measured: 8 against 16 GB/s).
    """
    if width == 0:
        for i in range((last - first) << 4):
            out[np.uint64(to + i)] = base
        return
    mask = ~np.uint64(0) >> np.uint64(64 - width)
    for slot in range(first, last):
        bit = slot * width
        word = np.uint64(at + ((bit >> 6) << 4))
        shift = np.uint64(bit & 63)
        place = np.uint64(to + ((slot - first) << 4))
        if (bit & 63) + width > 64:
            back = np.uint64(64) - shift
            for i in range(16):
                lane = np.uint64(i)
                low = words[word + lane] >> shift
                high = words[word + np.uint64(16) + lane] << back
                out[place + lane] = ((low | high) & mask) + base
        else:
            for i in range(16):
                lane = np.uint64(i)
                out[place + lane] = ((words[word + lane] >> shift) & mask) + base


@kernel()
def unpack_part(source, words, parts, block, count, first, last, out, to):  # type: ignore[no-untyped-def]
    """Slots first..last of one block into out[to:]. Returns a fault or 0."""
    base = np.uint64(0)
    size = parts[BASE_BYTES]
    if size:
        base = load(source, parts[BASES] + block * size, size)
    width = parts[WIDTH]
    at = block * 16 * width
    if width == 255:
        width = np.int64(source[parts[WIDTHS] + block])
        size = np.int64(4)
        at = np.int64(load(source, parts[OFFSETS] + 4 * block, size))
        values = min(count - (block << 10), 1024)
        if width > 64 or at + block_words(values, width) > parts[NUM_WORDS]:
            return _FAULT_WORDS
    unpack_slots(words, parts[WORDS] + at, width, base, first, last, out, to)
    return 0


# --- encoding -----------------------------------------------------------------------------------

# Slots of the survey's result.
SIZE, VARIANT, BASE_SIZE, SUM_SIZE, UNIFORM = range(5)


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


@kernel()
def store(target, at, size, value):  # type: ignore[no-untyped-def]
    """Write a little-endian unsigned integer."""
    for i in range(size):
        target[at + i] = np.uint8((value >> np.uint64(8 * i)) & np.uint64(255))


@kernel(
    "void(const uint64[::1], const uint64[::1], const uint64[::1], const uint64[::1], int64, "
    "const int64[::1], uint8[::1], uint64[::1])"
)
def write_packed(values, lows, highs, sums, sums_kind, layout, out, words):  # type: ignore[no-untyped-def]
    """Write the stream into zeroed `out` (`words` views the same memory)."""
    count = len(values)
    blocks = (count + 1023) >> 10
    base_size = layout[BASE_SIZE]
    out[0] = np.uint8(base_size)
    out[1] = np.uint8(layout[SUM_SIZE])
    out[2] = np.uint8(layout[UNIFORM])
    out[3] = np.uint8(sums_kind)
    four = np.int64(4)
    store(out, four, four, np.uint64(blocks))
    bases_at = 8
    sums_at = bases_at + ((blocks * base_size + 7) & ~7)
    offsets_at = sums_at + ((max(blocks - 1, 0) * layout[SUM_SIZE] + 7) & ~7)
    widths_at = offsets_at
    at = offsets_at
    if layout[UNIFORM] == 255:
        widths_at += (blocks * 4 + 7) & ~7
        at = widths_at + ((blocks + 7) & ~7)
    first_word = at >> 3
    word = first_word
    for b in range(blocks):
        base = np.uint64(0)
        if base_size:
            base = lows[b]
            store(out, bases_at + b * base_size, base_size, base)
        if b and layout[SUM_SIZE]:
            store(out, sums_at + (b - 1) * layout[SUM_SIZE], layout[SUM_SIZE], sums[b])
        width = layout[UNIFORM]
        if width == 255:
            width = bits_of(highs[b] - base if base_size else max(highs[b], lows[b]))
            store(out, offsets_at + 4 * b, four, np.uint64(word - first_word))
            out[widths_at + b] = np.uint8(width)
        start = b << 10
        here = min(count - start, 1024)
        if width:
            for slot in range((here + 15) >> 4):
                bit = slot * width
                place = np.uint64(word + ((bit >> 6) << 4))
                shift = np.uint64(bit & 63)
                spill = (bit & 63) + width > 64
                back = np.uint64(64) - shift
                origin = np.uint64(start + (slot << 4))
                for i in range(min(16, here - (slot << 4))):
                    lane = np.uint64(i)
                    value = values[origin + lane] - base
                    words[place + lane] |= value << shift
                    if spill:
                        words[place + np.uint64(16) + lane] |= value >> back
        word += block_words(here, width)


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


def pack_bits(values: NDArray[np.uint64], found: Survey, *, zigzag: bool = False) -> Encoded:
    """Encode u64-domain values that `found` describes (zigzag: the values are its deltas)."""
    layout = found.zigzag if zigzag else found.packed
    lows, highs = (found.zig_lows, found.zig_highs) if zigzag else (found.lows, found.highs)
    out = np.zeros(int(layout[SIZE]), np.uint8)
    kind = 0 if zigzag else found.sums_kind
    write_packed(values, lows, highs, found.sums, kind, layout, out, out.view("<u8"))
    return Encoded(BITPACK_CHAIN, out, len(values))


def block_sums(payload: NDArray[np.uint8], count: int) -> NDArray[np.uint64] | None:
    """Return the sum before each block, uint64 [blocks], or None where none are stored."""
    blocks = num_blocks(count)
    if len(payload) < 8:
        raise corrupt(f"BITPACK stream of {len(payload)} bytes has no header")
    base_bytes, sum_bytes, _, kind = (int(x) for x in payload[:4])
    if int(payload[4:8].view("<u4")[0]) != blocks:
        raise corrupt(f"BITPACK header counts other than {blocks} blocks")
    if kind == 0:
        return None
    if kind > 2 or sum_bytes not in (4, 8) or base_bytes > 8:
        raise corrupt("BITPACK header has an invalid sums field")
    sums = np.zeros(blocks, np.uint64)
    if blocks > 1:
        start = 8 + ((blocks * base_bytes + 7) & ~7)
        table = payload[start : start + (blocks - 1) * sum_bytes]
        if len(table) != (blocks - 1) * sum_bytes:
            raise corrupt("BITPACK table of sums ends past the stream")
        sums[1:] = np.frombuffer(table.tobytes(), f"<u{sum_bytes}")
    return sums


def sums_of(values: NDArray[np.uint64], ones: bool) -> NDArray[np.uint64]:
    """Return the sum before each block, computed from the values."""
    if len(values) == 0:
        return np.zeros(0, np.uint64)
    each = (values == 1).astype(np.uint64) if ones else values
    totals = np.add.reduceat(each, np.arange(0, len(values), BLOCK_VALUES))
    return np.r_[np.uint64(0), np.cumsum(totals)[:-1]].astype(np.uint64)
