"""The survey tells sizes to the byte: those of a plain count, and those of what is written."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recd_format.codec import encode
from recd_format.codec.base import is_signed, to_u64
from recd_format.codec.survey import survey
from tests.codec.checks import COUNTS, DTYPES, SHAPES, values_of

BITPACK, DELTA_BITPACK = (3,), (4, 3)


def padded(size: int) -> int:
    return -(-size // 8) * 8


def words_of(count: int, width: int) -> int:
    return 16 * -(-(-(-count // 16) * width) // 64)


def smallest(blocks: list[list[int]], signed: bool, sum_bytes: int) -> int:
    """Bytes of the smallest of the four layouts, each counted out."""

    def least(block: list[int]) -> int:
        if not signed:
            return min(block)
        return min(block, key=lambda value: value - 2**64 if value >> 63 else value)

    sizes = []
    for bases in ([0] * len(blocks), [least(block) for block in blocks]):
        widths = [
            max((value - base) % 2**64 for value in block).bit_length()
            for base, block in zip(bases, blocks, strict=True)
        ]
        needed = -(-max(bases, default=0).bit_length() // 8)
        base_bytes = next(size for size in (0, 1, 2, 4, 8) if size >= needed)
        tables = padded(len(blocks) * base_bytes)
        one = sum(words_of(len(block), max(widths)) for block in blocks)
        each = sum(map(words_of, map(len, blocks), widths))
        sizes.append(tables + 8 * one)
        sizes.append(tables + 8 * each + padded(4 * len(blocks)) + padded(len(blocks)))
    return 8 + min(sizes) + padded(max(len(blocks) - 1, 0) * sum_bytes)


def blocks_of(values: np.ndarray) -> list[list[int]]:
    return [values[at : at + 1024].tolist() for at in range(0, len(values), 1024)]


def zigzag_blocks(wide: np.ndarray) -> list[list[int]]:
    """Codes of the differences within each block; the first slot repeats the second."""
    found = []
    for block in blocks_of(wide):
        steps = [(b - a) % 2**64 for a, b in pairwise(block)]
        codes = [2 * step if step < 2**63 else 2 * (2**64 - step) - 1 for step in steps]
        found.append([*codes[:1], *codes] if codes else [0])
    return found


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.itemsize in (1, 8)], ids=str)
@pytest.mark.parametrize("count", [0, 1, 17, 1025, 3000])
def test_sizes_are_those_of_the_smallest_layouts(dtype: np.dtype, count: int) -> None:
    signed = is_signed(dtype)
    for seed, shape in enumerate(SHAPES):
        values = values_of(dtype, count, shape, seed)
        wide = to_u64(values)
        found = survey(wide, signed, deltas=True)
        assert found.packed_bytes == smallest(blocks_of(wide), signed, 0)
        assert found.packed_bytes == len(encode(values, BITPACK).payload)
        if dtype.kind in "iu":
            codes = zigzag_blocks(wide)
            assert found.delta_bytes == 8 * len(codes) + smallest(codes, False, 0)
            assert found.delta_bytes == len(encode(values, DELTA_BITPACK).payload)


@pytest.mark.parametrize("signed", [True, False])
def test_lows_and_highs_are_those_of_each_block(signed: bool) -> None:
    rng = np.random.default_rng(8)
    for values in (rng.integers(-(2**63), 2**63 - 1, 5000), rng.integers(-9, 9, 1025)):
        typed = values if signed else values.view("<u8")
        found = survey(values.view("<u8"), signed)
        blocks = blocks_of(typed)
        assert found.lows.view(typed.dtype).tolist() == [min(block) for block in blocks]
        assert found.highs.view(typed.dtype).tolist() == [max(block) for block in blocks]


@pytest.mark.parametrize("count", COUNTS)
def test_sums_are_those_before_each_block(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 3, count).astype("<u8")
    starts = range(0, count, 1024)
    sizes = blocks_of(values)
    for sums, each in (("values", values), ("ones", values == 1)):
        found = survey(values, False, sums)
        assert found.sums.tolist() == [int(each[:at].sum()) for at in starts]
        assert found.packed_bytes == smallest(sizes, False, 4)
    large = values + np.uint64(2**40)
    if count > 1024:
        assert survey(large, False, "values").packed_bytes == smallest(blocks_of(large), False, 8)


def test_constant_is_one_value_in_all_blocks() -> None:
    assert not survey(np.zeros(0, "<u8"), False).is_constant
    values = np.full(2100, 2**63, "<u8")
    for signed in (True, False):
        assert survey(values, signed).is_constant
        for at in (0, 1500, 2099):
            other = values.copy()
            other[at] += np.uint64(1)
            assert not survey(other, signed).is_constant
    steps = np.repeat(np.array([4, 5], "<u8"), 1024)  # each block has one value, not the same
    assert not survey(steps, False).is_constant
