"""Items taken ahead by a thread, and stripes decoded ahead of the batches that are made of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.assemble import Assembler, Piece
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.options import LoaderOptions
from recd_format.loader.pipeline import ahead, batches
from recd_format.loader.plan import RankPlan, plan_rank
from recd_format.loader.segments import Segments, StripeInfo
from recd_format.loader.stage import StagedStripe
from tests.loader.expansion import expand_batch
from tests.loader.logs import write
from tests.loader.staging import CURSOR, Stripes


class Items:
    """Numbers, and where they are taken and closed."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.taken: list[int] = []
        self.threads: set[str] = set()
        self.closed_in: str | None = None
        self._count, self._fails_at = count, fails_at

    def __call__(self) -> Iterator[int]:
        try:
            for number in range(self._count):
                if number == self._fails_at:
                    raise RecdInputError("item 3 is bad")
                self.taken.append(number)
                self.threads.add(threading.current_thread().name)
                yield number
        finally:
            self.closed_in = threading.current_thread().name


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Threads are those there were before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_items_come_in_order_from_another_thread(depth: int) -> None:
    items = Items(30)
    assert list(ahead(items(), depth)) == list(range(30))
    assert items.threads == {"recd-batches"}
    assert items.closed_in == "recd-batches"


def test_it_is_so_far_ahead() -> None:
    items = Items(30)
    run = ahead(items(), 3)
    assert next(run) == 0
    until(lambda: len(items.taken) == 5)
    # One was given, three wait, and one more is in hand.
    time.sleep(0.2)
    assert len(items.taken) == 5
    run.close()  # type: ignore[attr-defined]
    assert items.closed_in == "recd-batches"


def until(condition: Any) -> None:
    """Wait for what another thread does."""
    while not condition():
        time.sleep(0.001)


@pytest.mark.parametrize("depth", [1, 10])
def test_errors_come_after_the_items_before_them(depth: int) -> None:
    items = Items(30, fails_at=3)
    run = ahead(items(), depth)
    assert [next(run) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RecdInputError, match="item 3 is bad"):
        next(run)
    assert list(run) == []
    assert items.closed_in == "recd-batches"


def test_an_error_at_once() -> None:
    with pytest.raises(RecdInputError, match="item 3 is bad"):
        list(ahead(Items(5, fails_at=0)(), 2))


def test_nothing() -> None:
    assert list(ahead(Items(0)(), 2)) == []


@pytest.mark.parametrize("taken", [1, 4])
def test_a_loop_that_is_left_ends_the_thread(taken: int) -> None:
    items = Items(1000)
    for number in ahead(items(), 2):
        if number + 1 == taken:
            break
    until(lambda: items.closed_in is not None)
    assert len(items.taken) < 20


def test_closing_waits_for_the_thread() -> None:
    released, closing = threading.Event(), threading.Event()
    done = []

    def slow() -> Iterator[int]:
        yield 0
        closing.set()
        released.wait()
        done.append(1)
        yield 1

    run = ahead(slow(), 1)
    next(run)
    closing.wait()
    threading.Timer(0.1, released.set).start()
    run.close()  # type: ignore[attr-defined]
    assert done == [1]


def test_a_run_that_never_began() -> None:
    run = ahead(Items(5)(), 2)
    run.close()  # type: ignore[attr-defined]


def test_an_error_while_it_is_closed_is_raised_nowhere_else() -> None:
    # The consumer is gone: nobody waits for what comes after.
    def items() -> Iterator[int]:
        yield from range(3)
        raise RecdInputError("too late")

    run = ahead(items(), 1)
    assert next(run) == 0
    run.close()  # type: ignore[attr-defined]


class Reader:
    """What the pipeline asks of a file: what was read, and in which threads."""

    def __init__(self, stripes: Stripes, fails_at: int | None = None) -> None:
        self.stripes = stripes
        self.read_ranges: list[tuple[int, int, int]] = []
        self.threads: set[str] = set()
        self.held: list[int] = []
        self._fails_at = fails_at

    def read(self, stripe: int, begin: int, end: int) -> StagedStripe:
        self.read_ranges.append((stripe, begin, end))
        self.threads.add(threading.current_thread().name)
        if stripe == self._fails_at:
            raise RecdInputError(f"stripe {stripe} is bad")
        return self.stripes.stage(0, stripe, begin, end)

    def finish(self, piece: Piece, assembler: Assembler, batch: int) -> tuple[dict[str, Any], Any]:
        self.held.append(sum(stripe is not None for stripe in assembler._stripes))
        return {"batch": batch}, CURSOR


ROWS = 80


@cache
def small_stripes() -> Stripes:
    """Ten stripes of two sessions of four rows."""
    table = pa.table({
        "session": np.arange(ROWS) // 4, "ts": np.arange(ROWS), "row": np.arange(ROWS),
    })  # fmt: skip
    return Stripes([write(table, stripe_rows=8)], LoaderOptions())


@pytest.fixture
def stripes() -> Stripes:
    return small_stripes()


def plan_of(stripes: Stripes, **options: Any) -> RankPlan:
    rows = stripes.readers[0].stripe_rows.tolist()
    infos = [StripeInfo(0, number, count) for number, count in enumerate(rows)]
    return plan_rank(
        infos, lambda number: Segments.whole(np.arange(0, rows[number] + 1, 4)),
        LoaderOptions(**options), epoch=0, rank=0, world=1,
    )  # fmt: skip


def run(
    stripes: Stripes, plan: RankPlan, intervals: Sequence[tuple[int, int]], *, threads: int = 0,
    prefetch: int = 2, fails_at: int | None = None,
) -> tuple[Reader, Iterator[BatchBuffer]]:  # fmt: skip
    reader = Reader(stripes, fails_at)
    assembler = Assembler(stripes.columns.schema)
    return reader, batches(plan, intervals, reader, assembler, threads=threads, prefetch=prefetch)


def rows_of(batch: BatchBuffer) -> list[int]:
    return expand_batch(batch)["row"].values.tolist()


@settings(max_examples=50)
@given(data=st.data())
def test_batches_of_any_intervals(data: st.DataObject) -> None:
    files = small_stripes()
    size = data.draw(st.integers(1, 30))
    plan = plan_of(
        files, batch_size=size, shuffle=data.draw(st.booleans()),
        shuffle_run=data.draw(st.integers(1, 3)), window=data.draw(st.integers(1, 4)),
        mix=data.draw(st.sampled_from(["session", "rows"])),
    )  # fmt: skip
    whole = [rows_of(batch) for batch in run(files, plan, [(0, plan.num_batches)])[1]]
    assert sorted(row for batch in whole for row in batch) == list(range(ROWS))
    numbers = st.integers(0, plan.num_batches)
    pairs = st.tuples(numbers, numbers).map(sorted).map(tuple)
    intervals = data.draw(st.lists(pairs, max_size=3))
    threads, prefetch = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 3))
    reader, given_ = run(files, plan, intervals, threads=threads, prefetch=prefetch)
    found = [(batch.meta["batch"], rows_of(batch)) for batch in given_]
    expected = [number for low, high in intervals for number in range(low, high)]
    assert found == [(number, whole[number]) for number in expected]
    assert all(name.startswith("recd-decode") for name in reader.threads) or not threads
    # Of the window that is left, the one begun, and one that the same batch goes on into.
    assert max(reader.held, default=0) <= 3 * 4


def test_each_stripe_is_read_once(stripes: Stripes) -> None:
    plan = plan_of(stripes, batch_size=5, shuffle=True, window=3)
    reader, given_ = run(stripes, plan, [(0, plan.num_batches)])
    list(given_)
    assert sorted(stripe for stripe, _, _ in reader.read_ranges) == list(range(10))


def test_stripes_are_decoded_ahead(stripes: Stripes) -> None:
    plan = plan_of(stripes, batch_size=8)
    for threads, prefetch, expected in ((0, 3, 1), (1, 0, 2), (1, 3, 4), (2, 0, 3)):
        reader, given_ = run(stripes, plan, [(0, 10)], threads=threads, prefetch=prefetch)
        next(given_)
        until(lambda reader=reader, expected=expected: len(reader.read_ranges) == expected)
        time.sleep(0.05)
        assert len(reader.read_ranges) == expected
        given_.close()  # type: ignore[attr-defined]


def test_stripes_are_let_go(stripes: Stripes) -> None:
    plan = plan_of(stripes, batch_size=4)
    reader, given_ = run(stripes, plan, [(0, plan.num_batches)])
    assert len(list(given_)) == 20
    # The one before stays until a batch of the next is made.
    assert set(reader.held) == {1, 2}


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_an_error_of_a_stripe(stripes: Stripes, threads: int) -> None:
    plan = plan_of(stripes, batch_size=8)
    _, given_ = run(stripes, plan, [(0, 10)], threads=threads, fails_at=4)
    assert [rows_of(next(given_))[0] for _ in range(4)] == [0, 8, 16, 24]
    with pytest.raises(RecdInputError, match="stripe 4 is bad"):
        next(given_)
    assert list(given_) == []


def test_leaving_early_cancels_what_was_not_begun(stripes: Stripes) -> None:
    plan = plan_of(stripes, batch_size=8)
    reader, given_ = run(stripes, plan, [(0, 10)], threads=1, prefetch=9)
    next(given_)
    given_.close()  # type: ignore[attr-defined]
    # The thread is gone: nothing more is read.
    count = len(reader.read_ranges)
    time.sleep(0.05)
    assert len(reader.read_ranges) == count
