"""Coalescing of byte ranges, and aligned memory."""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format import RecdInputError
from recd_format.io import BufferPool, aligned_empty, coalesce

RANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), max_size=20)


@settings(max_examples=400, deadline=None)
@given(RANGES, st.integers(0, 30), st.integers(1, 100))
def test_every_range_lies_in_its_read(
    ranges: list[tuple[int, int]], gap: int, max_bytes: int
) -> None:
    plan = coalesce(ranges, gap, max_bytes)
    assert len(plan.span) == len(plan.start) == len(ranges)
    held: dict[int, list[tuple[int, int]]] = {}
    for (offset, length), span, start in zip(ranges, plan.span, plan.start, strict=True):
        base, size = plan.spans[span].tolist()
        assert base + start == offset
        assert start >= 0
        assert start + length <= size
        held.setdefault(int(span), []).append((offset, length))
    assert sorted(held) == list(range(len(plan.spans)))
    for span, (base, size) in enumerate(plan.spans.tolist()):
        inside = sorted(held[span])
        assert size <= max_bytes or max(length for _, length in inside) == size or len(inside) == 1
        end = base
        for offset, length in inside:
            assert offset - end <= gap
            end = max(end, offset + length)
        assert end == base + size


def test_neighbours_are_read_together_and_far_ranges_apart() -> None:
    plan = coalesce([(1000, 10), (0, 64), (64, 64), (140, 4)], gap=12, max_bytes=1 << 20)
    assert plan.spans.tolist() == [[0, 144], [1000, 10]]
    assert plan.span.tolist() == [1, 0, 0, 0]
    assert plan.start.tolist() == [0, 0, 64, 140]


def test_no_ranges_make_no_reads() -> None:
    assert coalesce([], 0, 1).spans.shape == (0, 2)


def test_negative_ranges_are_refused() -> None:
    with pytest.raises(RecdInputError):
        coalesce([(-1, 4)], 0, 1)


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 10_000])
def test_memory_is_aligned(nbytes: int) -> None:
    memory = aligned_empty(nbytes)
    assert memory.dtype == np.uint8
    assert len(memory) == nbytes
    assert nbytes == 0 or memory.ctypes.data % 64 == 0


def test_a_pool_lends_a_buffer_again_once_nobody_refers_to_it() -> None:
    pool = BufferPool()
    first = pool.take(100_000)
    address = first.ctypes.data
    part = first[64:128].view("<u4")
    del first
    second = pool.take(100_000)
    assert second.ctypes.data != address, "a view still refers to the first buffer"
    del part
    third = pool.take(90_000)
    assert third.ctypes.data == address
    assert third.ctypes.data % 64 == 0
    assert len(third) == 90_000


def test_a_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(max_bytes=200_000)
    arrays = [pool.take(100_000) for _ in range(4)]
    arrays.clear()
    assert 100_000 <= pool.idle_bytes <= 200_000
    assert pickle.loads(pickle.dumps(pool)).idle_bytes == 0


def test_a_pool_never_lends_too_little_whenever_garbage_is_collected() -> None:
    pool = BufferPool(max_bytes=1 << 20)
    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for round_ in range(3_000):
            size = 70_000 + 60_000 * (round_ * 7 % 5)
            array = pool.take(size)
            assert len(array) == size
            cycle: list[object] = [array]
            cycle.append(cycle)
    finally:
        gc.set_threshold(*threshold)
