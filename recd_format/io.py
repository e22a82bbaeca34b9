"""Reading byte ranges and writing one object: the protocols, and the plan of coalesced reads.

Layer: above errors and constants; knows no Arrow and no file system. `filesystem` implements the
protocols.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recd_format.constants import STREAM_ALIGNMENT
from recd_format.errors import RecdInputError

__all__ = [
    "BufferPool",
    "BytesLike",
    "ForkSafeLock",
    "ReadPlan",
    "Sink",
    "Source",
    "aligned_empty",
    "coalesce",
]

BytesLike = bytes | bytearray | memoryview | NDArray[Any]
"""Anything with a contiguous buffer."""


@runtime_checkable
class Source(Protocol):
    """Random access to the bytes of one file. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """Path or URI, for messages."""

    @property
    def gap_bytes(self) -> int:
        """Bytes worth reading in vain to save a request."""

    def size(self) -> int:
        """Bytes of the file."""

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on.

        Raises
        ------
        RecdFormatError
            With `Reason.TRUNCATED` where the file ends before the buffer is full.
        RecdInputError
            Where the file cannot be read.
        """

    def read_many(self, parts: Sequence[tuple[int, NDArray[np.uint8]]]) -> None:
        """Fill each buffer with the bytes from its byte offset on; raises as `read_into` does.

        Where requests are slow, several are in flight at a time.
        """

    def close(self) -> None:
        """Let go of handles; a later read opens them again."""


@runtime_checkable
class Sink(Protocol):
    """One object that is written front to back, and appears whole or not at all."""

    @property
    def name(self) -> str:
        """Path or URI of the target, for messages."""

    def write(self, data: BytesLike) -> None:
        """Append the bytes of `data`."""

    def tell(self) -> int:
        """Bytes written so far."""

    def commit(self) -> None:
        """Make the object appear under its name."""

    def abort(self) -> None:
        """Remove what was written. Does nothing after `commit` or a first `abort`."""


# Smaller arrays come from malloc without a page fault.
_LEAST_POOLED = 64 << 10


def aligned_empty(nbytes: int, alignment: int = STREAM_ALIGNMENT) -> NDArray[np.uint8]:
    """Allocate uint8 [nbytes], not initialised, whose address is a multiple of `alignment`."""
    raw = np.empty(nbytes + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + nbytes]


class ForkSafeLock:
    """A lock that is free in a forked child, whoever held it in the parent."""

    def __init__(self) -> None:
        self._renew()
        _LOCKS.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_LOCKS: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew_locks() -> None:
    for lock in list(_LOCKS):
        lock._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class BufferPool:
    """Buffers that come back to the pool when the last array on them is gone.

    Reading stripe after stripe then touches no new pages: on trivago page faults were 8 of 25 ms
    (measured). Arrays that a caller keeps are his, and their buffer is not used again.

    Parameters
    ----------
    max_bytes : int
        Most bytes kept while nobody uses them.

    Examples
    --------
    >>> pool = BufferPool()
    >>> array = pool.take(100_000)
    >>> array.shape
    (100000,)
    >>> del array
    >>> pool.idle_bytes >= 100_000
    True
    """

    def __init__(self, max_bytes: int = 512 << 20) -> None:
        self._max_bytes = max_bytes
        self._idle: list[NDArray[np.uint8]] = []
        # Finalizers run at any moment, inside `take` too: they touch nothing but this, in one
        # atomic step, and what is more than it holds is freed.
        self._returned: deque[NDArray[np.uint8]] = deque(maxlen=16)
        self._lock = ForkSafeLock()

    def _collect(self) -> None:
        """Move what came back to the idle buffers, the oldest out where they are too many."""
        if not self._returned:
            return
        while self._returned:
            self._idle.append(self._returned.popleft())
        while sum(len(buffer) for buffer in self._idle) > self._max_bytes:
            self._idle.pop(0)

    @property
    def idle_bytes(self) -> int:
        """Bytes of the buffers that nobody uses."""
        with self._lock:
            self._collect()
            return sum(len(buffer) for buffer in self._idle)

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Return uint8 [nbytes], aligned to 64 bytes, with whatever was there before."""
        if nbytes < _LEAST_POOLED:
            return aligned_empty(nbytes)
        with self._lock:
            self._collect()
            fitting = [i for i, b in enumerate(self._idle) if nbytes <= len(b) <= 4 * nbytes]
            best = min(fitting, key=lambda i: len(self._idle[i]), default=None)
            buffer = None if best is None else self._idle.pop(best)
        if buffer is None:
            # A quarter more: stripes differ a little in size.
            buffer = aligned_empty(nbytes + nbytes // 4)
        # Views refer to `lent`, not to the buffer below it: a memoryview is no array to skip to.
        lent = np.frombuffer(memoryview(buffer), np.uint8)
        weakref.finalize(lent, self._returned.append, buffer).atexit = False
        return lent[:nbytes]

    def __reduce__(self) -> tuple[type[BufferPool], tuple[int]]:
        return (BufferPool, (self._max_bytes,))


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Few large reads that together hold many small ranges.

    Attributes
    ----------
    spans : ndarray of int64, shape [spans, 2]
        (byte_offset, length) of each read, by rising offset.
    span : ndarray of int64, shape [ranges]
        For each range asked for, the read that holds it.
    start : ndarray of int64, shape [ranges]
        Where in that read the range begins.
    """

    spans: NDArray[np.int64]
    span: NDArray[np.int64]
    start: NDArray[np.int64]


def coalesce(ranges: ArrayLike, gap: int, max_bytes: int) -> ReadPlan:
    """Plan reads that cover `ranges`.

    Neighbours with at most `gap` bytes between them are read together, as long as a read stays
    within `max_bytes`; a single range larger than that is one read. Ranges may come in any order,
    be empty, repeat or overlap.

    Parameters
    ----------
    ranges : array_like of int, shape [ranges, 2]
        (byte_offset, length) pairs.
    gap : int
        Bytes worth reading in vain to save a request.
    max_bytes : int
        Most bytes of one read.
    """
    table = np.asarray(ranges, np.int64).reshape(-1, 2)
    if (table < 0).any():
        raise RecdInputError("byte ranges must not be negative")
    count = len(table)
    if count == 0:
        none = np.empty(0, np.int64)
        return ReadPlan(np.empty((0, 2), np.int64), none, none)
    order = np.lexsort((table[:, 1], table[:, 0]))
    offsets, lengths = table[order, 0], table[order, 1]
    ends = np.maximum.accumulate(offsets + lengths)
    begins = np.concatenate([[0], np.flatnonzero(offsets[1:] - ends[:-1] > gap) + 1])
    stops = np.append(begins[1:], count)
    starts = begins
    long = ends[stops - 1] - offsets[begins] > max_bytes
    if long.any():
        firsts = begins[~long].tolist()
        for begin, end in zip(begins[long].tolist(), stops[long].tolist(), strict=True):
            while begin < end:
                firsts.append(begin)
                limit = int(offsets[begin]) + max_bytes
                stop = max(begin + 1, min(end, int(np.searchsorted(ends, limit, "right"))))
                # A range that bridged a gap may have gone to the read before.
                own = np.maximum.accumulate(offsets[begin:stop] + lengths[begin:stop])
                gaps = np.flatnonzero(offsets[begin + 1 : stop] - own[:-1] > gap)
                begin = begin + 1 + int(gaps[0]) if len(gaps) else stop
        starts = np.sort(np.asarray(firsts, np.int64))
    own_ends = np.maximum.reduceat(offsets + lengths, starts)
    span_sorted = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))
    span = np.empty(count, np.int64)
    span[order] = span_sorted
    spans = np.stack([offsets[starts], own_ends - offsets[starts]], axis=1)
    return ReadPlan(spans, span, table[:, 0] - spans[span, 0])
