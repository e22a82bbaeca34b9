"""Sliding windows: the overlapping lists of a session stored once, as a timeline.

A unique row becomes ``(start, length)`` on its session's timeline (FORMAT, Window mode).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.dedup.exact import combine, encode_codes, first_equal
from recd_format.dedup.gather import take_ranges, take_rows
from recd_format.errors import RecdInputError
from recd_format.jagged import Column

__all__ = ["Windows", "find_windows"]

_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True)
class Windows:
    """Parallel lists as windows on a timeline per session.

    Attributes
    ----------
    codes : ndarray of uint32, shape [rows]
        As of `exact.Codes`, session scope.
    unique_rows : ndarray of int64, shape [U]
        Clustered row of the first copy of each unique row.
    starts : ndarray of int64, shape [U]
        Where the row's window begins on the stripe's timeline (all sessions' end to end).
    lengths : ndarray of int64, shape [U]
        Values of the row; 0 where it is empty or null.
    timeline : ndarray of int64, shape [T]
        Position of each timeline element in every column's values, from its first offset on:
        ``values[offsets[0] + timeline]`` is the column's stored values.
    session_timeline_offsets : ndarray of int64, shape [sessions + 1]
        The timeline of session s; its windows lie in it and cover it.
    """

    codes: NDArray[np.uint32]
    unique_rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    timeline: NDArray[np.int64]
    session_timeline_offsets: NDArray[np.int64]


def find_windows(
    columns: Sequence[Column],
    permutation: NDArray[np.int64],
    session_offsets: NDArray[np.int64],
) -> Windows:
    """Merge the lists of each session into a timeline.

    Per session the lists are taken to grow at the end, or at the front (most recent first),
    whichever gives the shorter timeline; a list that lies in the recent timeline adds nothing.

    Parameters
    ----------
    columns
        Jagged columns in input order, with the same length in every row; elements are equal
        where the bits of all columns' values and weights are.
    permutation, session_offsets
        As of `cluster`.

    Raises
    ------
    RecdInputError
        A column is not jagged, or the lengths of the columns differ.
    """
    uniques = []
    firsts = [first_equal(column, permutation, session_offsets) for column in columns]
    first = combine(firsts, session_offsets, "session")
    codes = encode_codes(first, session_offsets, "session")
    rows = permutation[codes.unique_rows]
    for column in columns:
        if column.offsets is None:
            raise RecdInputError("only columns of lists can be stored as windows")
        uniques.append(take_rows(column, rows))
    offsets = uniques[0].offsets
    for other in uniques[1:]:
        if not np.array_equal(other.offsets, offsets):  # type: ignore[arg-type]
            raise RecdInputError("parallel lists of a window group must have equal lengths")
    if offsets is None or columns[0].offsets is None:
        raise RecdInputError("only columns of lists can be stored as windows")
    sources = columns[0].offsets[rows] - columns[0].offsets[0]
    bounds = np.searchsorted(codes.unique_rows, session_offsets).astype(np.int64)
    elements, exact = _elements(uniques)
    timeline = np.empty(int(offsets[-1]), np.int64)
    starts = np.empty(len(rows), np.int64)
    session_timeline = np.zeros(len(bounds), np.int64)
    longest = int(np.diff(offsets[bounds]).max(initial=0))
    used = _find_windows(
        elements, offsets, sources, bounds, longest, starts, timeline, session_timeline
    )
    lengths = np.diff(offsets)
    windows = Windows(
        codes.codes, codes.unique_rows, starts, lengths, timeline[:used].copy(), session_timeline
    )
    if not exact and not _windows_hold(columns, uniques, windows):
        return _whole_lists(windows, sources, offsets, bounds)
    return windows


def _elements(uniques: Sequence[Column]) -> tuple[NDArray[np.uint64], bool]:
    """One uint64 per element; False where it is a hash of several arrays, not the bits."""
    arrays = [array for u in uniques for array in (u.values, u.weights) if array is not None]
    images = [array.view(f"<u{array.itemsize}") for array in arrays]
    if len(images) == 1:
        return images[0].astype(np.uint64, copy=False), True
    if len(images) == 2 and max(array.itemsize for array in images) <= 4:
        return (images[0].astype(np.uint64) << np.uint64(32)) | images[1], True
    mixed = np.zeros(len(images[0]), np.uint64)
    for image in images:
        mixed ^= image
        mixed *= _MULTIPLY
        mixed ^= mixed >> _SHIFT
    return mixed, False


def _windows_hold(columns: Sequence[Column], uniques: Sequence[Column], found: Windows) -> bool:
    """True where every window reads back as its row, in every column."""
    ends = np.zeros(len(found.lengths) + 1, np.int64)
    np.cumsum(found.lengths, out=ends[1:])
    for column, unique in zip(columns, uniques, strict=True):
        pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [(column.values, unique.values)]
        if column.weights is not None and unique.weights is not None:
            pairs.append((column.weights, unique.weights))
        base = 0 if column.offsets is None else int(column.offsets[0])
        for stored, wanted in pairs:
            read = take_ranges(stored[base:][found.timeline], found.starts, ends)
            if read.tobytes() != wanted.tobytes():
                return False
    return True


def _whole_lists(
    found: Windows,
    sources: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bounds: NDArray[np.int64],
) -> Windows:
    """Windows that share nothing: what is left when two different elements hash alike."""
    timeline = np.repeat(sources - offsets[:-1], found.lengths) + np.arange(offsets[-1])
    return Windows(
        found.codes,
        found.unique_rows,
        offsets[:-1].copy(),
        found.lengths,
        timeline,
        offsets[bounds],
    )


@kernel()
def _merge_session(  # type: ignore[no-untyped-def]
    elements, offsets, sources, begin, end, backward, limit, text, places, starts, prefix
):
    """Timeline of one session's unique rows, lists read backward if `backward`.

    Fills `text` (elements), `places` (their positions in the columns) and `starts`; gives up
    with -1 when the timeline reaches `limit`.
    """
    size = 0
    longest = 0
    for u in range(begin, end):
        first = offsets[u]
        n = offsets[u + 1] - first
        last = first + n - 1
        longest = max(longest, n)
        if n == 0:
            starts[u] = size
            continue
        # How much of the list's head is the timeline's tail: the prefix function of the list,
        # run over the tail of the timeline.
        step = -1 if backward else 1
        head = last if backward else first
        prefix[0] = 0
        k = 0
        overlap = 0
        tail = min(size, n)
        if tail > 0:
            for j in range(1, n):
                x = elements[head + step * j]
                while k > 0 and x != elements[head + step * k]:
                    k = prefix[k - 1]
                if x == elements[head + step * k]:
                    k += 1
                prefix[j] = k
            for t in range(size - tail, size):
                x = text[t]
                while overlap > 0 and (overlap == n or x != elements[head + step * overlap]):
                    overlap = prefix[overlap - 1]
                if x == elements[head + step * overlap]:
                    overlap += 1
        if overlap == n:
            starts[u] = size - n
            continue
        # Contained in the recent timeline: worth a search only if the list's last element is.
        reach = max(0, size - 4 * longest)
        tip = elements[head + step * (n - 1)]
        t = reach + n - 1
        while t < size and text[t] != tip:
            t += 1
        t = t - n + 1 if t < size else size
        k = 0
        while t < size and k < n:
            x = text[t]
            while k > 0 and x != elements[head + step * k]:
                k = prefix[k - 1]
            if x == elements[head + step * k]:
                k += 1
            t += 1
        if k == n:
            starts[u] = t - n
            continue
        starts[u] = size - overlap
        if size + n - overlap >= limit:
            return -1
        for j in range(overlap, n):
            text[size] = elements[head + step * j]
            places[size] = sources[u] + (head + step * j - first)
            size += 1
    return size


@kernel(
    "int64(const uint64[::1], const int64[::1], const int64[::1], const int64[::1], int64,"
    " int64[::1], int64[::1], int64[::1])"
)
def _find_windows(  # type: ignore[no-untyped-def]
    elements, offsets, sources, bounds, longest, starts, timeline, session_timeline
):
    text = np.empty(longest, np.uint64)
    prefix = np.empty(longest + 1, np.int64)
    places = np.empty((2, longest), np.int64)
    trial = np.empty((2, len(starts)), np.int64)
    backward = 0
    used = np.int64(0)
    for s in range(len(bounds) - 1):
        begin, end = bounds[s], bounds[s + 1]
        # The way that won in the session before goes first: the other then stops early.
        size = limit = longest + 1
        last_way = backward
        for turn in range(2):
            way = last_way if turn == 0 else 1 - last_way
            tried = _merge_session(
                elements,
                offsets,
                sources,
                begin,
                end,
                way == 1,
                limit,
                text,
                places[way],
                trial[way],
                prefix,
            )
            if tried >= 0:
                size = limit = tried
                backward = way
            if end - begin <= 1 or size == 0:
                break
        for u in range(begin, end):
            start = trial[backward, u]
            if backward == 1:
                start = size - start - (offsets[u + 1] - offsets[u])
            starts[u] = used + start
        for t in range(size):
            timeline[used + t] = places[backward, size - 1 - t if backward == 1 else t]
        used += size
        session_timeline[s + 1] = used
    return used
