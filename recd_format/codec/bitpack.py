"""BITPACK: blocks of 1,024 values in 16 lanes, a base and a width per block (`bitpack.md`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import CodecId, Encoded, Fault, corrupt, num_blocks
from recd_format.codec.survey import (
    BASE_SIZE,
    SIZE,
    SUM_SIZE,
    UNIFORM,
    Survey,
    bits_of,
    block_words,
)
from recd_format.constants import BLOCK_VALUES

__all__ = [
    "BITPACK_CHAIN",
    "PARTS",
    "block_sums",
    "open_stream",
    "pack_bits",
    "sums_of",
    "unpack_part",
    "unpack_slots",
]

BITPACK_CHAIN = (int(CodecId.BITPACK),)

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
    before: NDArray[np.uint64] = np.zeros(len(totals), np.uint64)
    np.cumsum(totals[:-1], out=before[1:])
    return before
