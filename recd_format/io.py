"""Reading byte ranges and writing one object: the protocols, and the plan of coalesced reads.

Layer: above errors and constants; knows no Arrow and no file system. `filesystem` implements the
protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recd_format.constants import STREAM_ALIGNMENT
from recd_format.errors import RecdInputError

__all__ = [
    "Arena",
    "ByteRange",
    "BytesLike",
    "ReadPlan",
    "Sink",
    "Source",
    "aligned_empty",
    "coalesce",
]

ByteRange = tuple[int, int]
"""(byte_offset, length)."""

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

    def read_ranges(
        self,
        ranges: Sequence[ByteRange],
        allocate: Callable[[int], NDArray[np.uint8]] = ...,
    ) -> list[NDArray[np.uint8]]:
        """Read ranges, each into uint8 [length]; a file offset that is a multiple of 64 lands on
        an address that is one. `allocate(nbytes)` gives the memory, one call per range.
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


def aligned_empty(nbytes: int, alignment: int = STREAM_ALIGNMENT) -> NDArray[np.uint8]:
    """Allocate uint8 [nbytes], not initialised, whose address is a multiple of `alignment`."""
    raw = np.empty(nbytes + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + nbytes]


class Arena:
    """A buffer that is kept and grown, so that repeated reads touch no new pages.

    What `take` returned is overwritten after the next `take`: one arena per thread and purpose.

    Examples
    --------
    >>> arena = Arena()
    >>> arena.take(100).shape
    (100,)
    """

    def __init__(self) -> None:
        self._buffer = aligned_empty(0)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Return uint8 [nbytes], aligned to 64 bytes, with whatever was there before."""
        if nbytes > len(self._buffer):
            # Half as much again: stripes differ in size, and each growth faults every page in.
            self._buffer = aligned_empty(max(nbytes, len(self._buffer) * 3 // 2))
        return self._buffer[:nbytes]

    def __reduce__(self) -> tuple[type[Arena], tuple[()]]:
        return (Arena, ())


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
    offsets = table[order, 0]
    ends = np.maximum.accumulate(offsets + table[order, 1])
    far = np.flatnonzero(offsets[1:] - ends[:-1] > gap) + 1
    firsts: list[int] = []
    for begin, end in zip([0, *far.tolist()], [*far.tolist(), count], strict=True):
        while begin < end:
            firsts.append(begin)
            limit = int(offsets[begin]) + max_bytes
            begin = max(begin + 1, min(end, int(np.searchsorted(ends, limit, "right"))))
    starts = np.asarray(firsts, np.int64)
    own_ends = np.maximum.reduceat(offsets + table[order, 1], starts)
    span_sorted = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))
    span = np.empty(count, np.int64)
    span[order] = span_sorted
    spans = np.stack([offsets[starts], own_ends - offsets[starts]], axis=1)
    return ReadPlan(spans, span, table[:, 0] - spans[span, 0])
