"""Batches of a plan: stripes decoded ahead in threads, batches assembled ahead in one."""

from __future__ import annotations

import queue
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from recd_format.loader.assemble import Assembler, Piece
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.plan import RankPlan
from recd_format.loader.stage import StagedStripe

__all__ = ["StripeReader", "ahead", "batches"]

T = TypeVar("T")


class StripeReader(Protocol):
    """What the pipeline asks of the files; `read` is called from several threads."""

    def read(self, stripe: int, begin: int, end: int) -> StagedStripe:
        """Decode at least rows ``begin:end`` of one of the plan's stripes, and stage them."""

    def finish(self, piece: Piece, assembler: Assembler, batch: int) -> tuple[dict[str, Any], Any]:
        """Meta columns and cursor of a batch."""


def batches(
    plan: RankPlan,
    intervals: Sequence[tuple[int, int]],
    reader: StripeReader,
    assembler: Assembler,
    *,
    threads: int,
    prefetch: int,
) -> Iterator[BatchBuffer]:
    """Yield the batches of some intervals of a plan's batch numbers.

    Parameters
    ----------
    plan
        The rank's plan.
    intervals
        ``(first, end)`` of batch numbers, in the order they are given.
    reader
        Decodes stripes.
    assembler
        Makes batches.
    threads
        That decode; 0: stripes are decoded when they are needed, in the caller's thread.
    prefetch
        Stripes decoded ahead of the window that batches are made of, and those that complete the
        window they are of.
    """
    visits = _Visits(plan, intervals, reader, assembler, threads, max(prefetch, threads))
    try:
        for number in _numbers(intervals):
            piece = _piece(plan, number, visits)
            meta, cursor = reader.finish(piece, assembler, number)
            batch = assembler.assemble(piece, meta, cursor)
            visits.release()
            yield batch
            # Else its memory were not free before the next one is made.
            del batch
    finally:
        visits.close()


def _numbers(intervals: Sequence[tuple[int, int]]) -> Iterator[int]:
    for first, end in intervals:
        yield from range(first, end)


def _piece(plan: RankPlan, number: int, visits: _Visits) -> Piece:
    """Where the rows of a batch are staged."""
    parts = []
    for begin, end in plan.batch_rows(number):
        at = begin
        while at < end:
            visit = visits.reach(at)
            stop = min(end, visit.end)
            start = int(plan.window_rows[visit.window])
            place, low, high, factor = plan.window(visit.window).rows(at - start, stop - start)
            # What is staged of a stripe may begin after its first row.
            first = visit.first_rows[place]
            parts.append(Piece(visit.slots[place], low - first, high - first, factor))
            at = stop
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Piece]) -> Piece:
    factor = None
    if any(part.factor is not None for part in parts):
        factor = np.concatenate(
            [
                np.ones(len(part.slots), np.float32) if part.factor is None else part.factor
                for part in parts
            ]
        )
    return Piece(
        np.concatenate([part.slots for part in parts]),
        np.concatenate([part.begin for part in parts]),
        np.concatenate([part.end for part in parts]),
        factor,
    )


@dataclass(slots=True)
class _Visit:
    """Rows ``begin:end`` of the rank's sequence, all of one window, and the stripes they are of.

    `slots` and `first_rows` are by the window's places; -1 where no row of a stripe is wanted.
    """

    window: int
    begin: int
    end: int
    coming: dict[int, Future[StagedStripe]] = field(default_factory=dict)
    slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    first_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class _Visits:
    """The windows that rows are taken from, in turn, and the stripes decoded ahead of them.

    A window is visited once, unless a rank comes round to its first rows again.
    """

    def __init__(
        self,
        plan: RankPlan,
        intervals: Sequence[tuple[int, int]],
        reader: StripeReader,
        assembler: Assembler,
        threads: int,
        pending: int,
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._assembler = assembler
        self._pending = pending
        self._pool = ThreadPoolExecutor(threads, "recd-decode", _OURS.mark) if threads else None
        # Nobody closes this from here but the iterator itself: threads may be waited for.
        self._runs_in = threading.get_ident()
        self._planned = _plan_visits(plan, intervals)
        self._ahead: deque[_Visit] = deque()
        self._current: _Visit | None = None
        self._left: list[_Visit] = []

    def close(self) -> None:
        """Stop decoding; threads are gone afterwards."""
        if self._pool is not None:
            own = threading.get_ident() == self._runs_in
            self._pool.shutdown(wait=own or not _OURS.here, cancel_futures=True)

    def release(self) -> None:
        """Let go of the stripes of visits that are over, a batch having been made of them, and
        have the next ones decoded."""
        for visit in self._left:
            for slot in visit.slots.tolist():
                if slot >= 0:
                    self._assembler.drop(slot)
        self._left.clear()
        # Not before: else the window before last were still here.
        while (
            self._pool is not None
            and self._current is not None
            and sum(len(each.coming) for each in self._ahead) < self._pending
        ):
            planned = next(self._planned, None)
            if planned is None:
                break
            self._ahead.append(self._begin(planned))

    def reach(self, row: int) -> _Visit:
        """Return the visit that has a row of the rank's sequence; rows come in planned order."""
        current = self._current
        while current is None or not current.begin <= row < current.end:
            if current is not None:
                self._left.append(current)
            current = self._current = self._next()
        return current

    def _next(self) -> _Visit:
        if not self._ahead:
            self._ahead.append(self._begin(next(self._planned)))
        visit = self._ahead.popleft()
        for place, future in visit.coming.items():
            stripe = future.result()
            visit.first_rows[place] = stripe.first_row
            visit.slots[place] = self._assembler.put(stripe)
        visit.coming.clear()
        return visit

    def _begin(self, visit: _Visit) -> _Visit:
        """Start decoding the stripes of a visit, those rows at least that it wants."""
        start = int(self._plan.window_rows[visit.window])
        window = self._plan.window(visit.window)
        place, low, high, _ = window.rows(visit.begin - start, visit.end - start)
        stripes = len(window.stripes)
        visit.slots = np.full(stripes, -1, np.int64)
        visit.first_rows = np.zeros(stripes, np.int64)
        first = np.full(stripes, np.iinfo(np.int64).max)
        last = np.zeros(stripes, np.int64)
        np.minimum.at(first, place, low)
        np.maximum.at(last, place, high)
        for number in np.flatnonzero(last).tolist():
            rows = (window.stripes[number], int(first[number]), int(last[number]))
            visit.coming[number] = self._submit(*rows)
        return visit

    def _submit(self, stripe: int, begin: int, end: int) -> Future[StagedStripe]:
        if self._pool is not None:
            return self._pool.submit(self._reader.read, stripe, begin, end)
        done: Future[StagedStripe] = Future()
        done.set_result(self._reader.read(stripe, begin, end))
        return done


def _plan_visits(plan: RankPlan, intervals: Sequence[tuple[int, int]]) -> Iterator[_Visit]:
    """Rows of the batches in order, joined as long as they are of one window."""
    current: _Visit | None = None
    for number in _numbers(intervals):
        for begin, end in plan.batch_rows(number):
            at = begin
            while at < end:
                window = int(np.searchsorted(plan.window_rows, at, side="right")) - 1
                stop = min(end, int(plan.window_rows[window + 1]))
                if current is not None and current.window == window and current.end == at:
                    current.end = stop
                else:
                    if current is not None:
                        yield current
                    current = _Visit(window, at, stop)
                at = stop
    if current is not None:
        yield current


class _Ours(threading.local):
    """Tells the threads of pipelines from all others.

    The garbage collector runs in any thread, and may close an iterator there that nobody refers
    to: one of ours must not wait for itself, or for another that waits for it.
    """

    here = False

    def mark(self) -> None:
        self.here = True


_OURS = _Ours()
_PATIENCE = 10.0
_END = object()


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yield `items`, taken by a thread that is `depth` of them ahead.

    Closing this iterator closes `items`, in its thread, and waits for the thread. What `items`
    raises is raised here, after the items before it.
    """
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(
        target=_take, args=(items, ready, stop), name="recd-batches", daemon=True
    )
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if item is _END:
                if error is None:
                    return
                try:
                    raise error
                finally:
                    # Else the error, its traceback and this frame refer to each other, and
                    # what they hold lives until the garbage collector comes.
                    del error
            yield item
            del item
    finally:
        stop.set()
        # At the end of the process daemon threads stand still: there is nobody to wait for.
        if not _OURS.here and not sys.is_finalizing():
            # The garbage collector may have come while this thread holds a lock that ours wait
            # for: they end by themselves once it goes on.
            thread.join(_PATIENCE)


def _take(items: Iterator[Any], ready: queue.Queue[Any], stop: threading.Event) -> None:
    """What the thread of `ahead` does."""
    _OURS.mark()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False

    error: BaseException | None = None
    try:
        for item in items:
            if not put((item, None)):
                break
            del item
    except BaseException as raised:  # raised again where the items are awaited
        error = raised
    finally:
        try:
            items.close()  # type: ignore[attr-defined]
        finally:
            put((_END, error))
            del error
