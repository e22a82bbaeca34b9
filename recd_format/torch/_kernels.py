"""Kernels over jagged rows of many keys; NumPy arrays in and out, no torch.

Rows of all keys stand end to end: those of key k are ``key_rows[k]:key_rows[k + 1]``. *Picks*
choose rows of each key, by number within the key, in any order and any number of times: key k's
are ``picks[begin[k]:begin[k] + count[k]]``, or each of its rows once where ``begin[k] < 0``.

Kernels read and write in range whatever they are given. They return the first key that asks for
what is not there, or -1.
"""

from __future__ import annotations

import numpy as np

from recd_format._jit import kernel

__all__ = [
    "count_values",
    "gather_lengths",
    "gather_values",
    "plan_ranges",
    "row_sources",
    "sort_rows",
    "write_windows",
]


@kernel("int64(const int32[::1], const int64[::1], int64[::1])")
def count_values(lengths, key_rows, counts):  # type: ignore[no-untyped-def]
    """Sum the lengths of each key into `counts` [F]."""
    if key_rows[len(counts)] > len(lengths):
        return len(counts) - 1
    for k in range(len(counts)):
        total = np.int64(0)
        for r in range(key_rows[k], key_rows[k + 1]):
            if lengths[r] < 0:
                return k
            total += lengths[r]
        counts[k] = total
    return -1


@kernel(
    "int64(const int32[::1], const int32[::1], const int64[::1], const int64[::1],"
    " const int64[::1], int64[::1])"
)
def row_sources(lengths, starts, key_rows, key_values, window, sources):  # type: ignore[no-untyped-def]
    """Where in the values each row begins, into `sources` [rows].

    Values of key k are ``key_values[k]:key_values[k + 1]``. Its rows lie end to end, or, where
    ``window[k] >= 0``, begin ``starts[window[k] + row]`` values behind the key's first.
    """
    for k in range(len(window)):
        rows = key_rows[k + 1] - key_rows[k]
        first, end = key_values[k], key_values[k + 1]
        if window[k] >= 0 and window[k] + rows > len(starts):
            return k
        at = first
        for u in range(rows):
            r = key_rows[k] + u
            if window[k] >= 0:
                at = first + starts[window[k] + u]
            if lengths[r] < 0 or at < first or at + lengths[r] > end:
                return k
            sources[r] = at
            at += lengths[r]
    return -1


@kernel(
    "int64(const int32[::1], const int64[::1], const int64[::1], const int64[::1],"
    " const int32[::1], int32[::1], int64[::1])"
)
def gather_lengths(lengths, key_rows, begin, count, picks, out, sums):  # type: ignore[no-untyped-def]
    """Lengths of the picked rows of all keys, and their sum for each key."""
    to = np.int64(0)
    for k in range(len(count)):
        first, rows = key_rows[k], key_rows[k + 1] - key_rows[k]
        total = np.int64(0)
        at = begin[k]
        if at < 0:
            if count[k] != rows:
                return k
            for u in range(rows):
                length = lengths[first + u]
                out[to + u] = length
                total += length
        else:
            if at + count[k] > len(picks):
                return k
            for i in range(count[k]):
                u = picks[at + i]
                if u < 0 or u >= rows:
                    return k
                length = lengths[first + u]
                out[to + i] = length
                total += length
        sums[k] = total
        to += count[k]
    return -1


@kernel(
    "int64(const uint64[::1], const int32[::1], const int64[::1], const int64[::1],"
    " const boolean[::1], const int64[::1], const int64[::1], const int32[::1], uint64[::1])",
    "int64(const uint32[::1], const int32[::1], const int64[::1], const int64[::1],"
    " const boolean[::1], const int64[::1], const int64[::1], const int32[::1], uint32[::1])",
)
def gather_values(  # type: ignore[no-untyped-def]
    values, lengths, sources, key_rows, end_to_end, begin, count, picks, out
):
    """Values of the picked rows of all keys, end to end.

    `end_to_end` [F] says that a key's rows lie one behind the other: all of them are one copy.
    """
    to = np.uint64(0)
    most = np.int64(len(out))
    for k in range(len(count)):
        first, rows = key_rows[k], key_rows[k + 1] - key_rows[k]
        picked = begin[k] >= 0
        if picked and begin[k] + count[k] > len(picks):
            return k
        if not picked and end_to_end[k]:
            if rows == 0:
                continue
            last = key_rows[k + 1] - 1
            source = sources[first]
            length = sources[last] + lengths[last] - source
            if length < 0 or source < 0 or source + length > len(values):
                return k
            if np.int64(to) + length > most:
                return k
            at, size = np.uint64(source), np.uint64(length)
            for j in range(size):
                out[to + j] = values[at + j]
            to += size
            continue
        for i in range(count[k]):
            u = np.int64(picks[begin[k] + i]) if picked else i
            if u < 0 or u >= rows:
                return k
            source, length = sources[first + u], np.int64(lengths[first + u])
            if length < 0 or source < 0 or source + length > len(values):
                return k
            if np.int64(to) + length > most:
                return k
            at, size = np.uint64(source), np.uint64(length)
            for j in range(size):
                out[to + j] = values[at + j]
            to += size
    return -1


@kernel(
    "int64(const int32[::1], const int64[::1], const int64[::1], const int64[::1],"
    " const int64[::1], const int64[::1], const int64[::1], const int32[::1], int64[::1],"
    " int64[::1], int32[::1], int64[::1])"
)
def plan_ranges(  # type: ignore[no-untyped-def]
    lengths, sources, key_rows, key_values, window, begin, count, picks,
    range_from, range_to, starts, key_count,
):  # fmt: skip
    """Ranges of values to copy so that picked rows, or their parts of a timeline, remain.

    Plain keys give a range for each row, windowed keys the parts of their timeline that rows
    cover, so that overlaps stay shared; `starts` are the rows' places in it. ``range_to[i]`` is
    where range i goes; all keys are picked.

    Returns
    -------
    Number of ranges, or ``-1 - key`` where a key asks for what is not there.
    """
    longest = np.int64(0)
    for k in range(len(window)):
        if window[k] >= 0:
            longest = max(longest, key_values[k + 1] - key_values[k])
    cover = np.zeros(longest + 1, np.int32)
    ranges, to, s = np.int64(0), np.int64(0), np.int64(0)
    for k in range(len(count)):
        first, rows = key_rows[k], key_rows[k + 1] - key_rows[k]
        before = to
        for i in range(count[k]):
            u = np.int64(picks[begin[k] + i])
            if u < 0 or u >= rows:
                return -1 - k
            if window[k] < 0:
                range_from[ranges] = sources[first + u]
                range_to[ranges] = to
                ranges += 1
                to += lengths[first + u]
            else:
                at = sources[first + u] - key_values[k]
                cover[at] += 1
                cover[at + lengths[first + u]] -= 1
        if window[k] >= 0:
            # cover becomes the new place of each value that some row has.
            depth = np.int32(0)
            size = key_values[k + 1] - key_values[k]
            for j in range(size):
                change = cover[j]
                if depth == 0 and depth + change > 0:
                    range_from[ranges] = key_values[k] + j
                    range_to[ranges] = to
                    ranges += 1
                depth += change
                cover[j] = to - before
                if depth > 0:
                    to += 1
            for i in range(count[k]):
                u = first + picks[begin[k] + i]
                starts[s] = cover[sources[u] - key_values[k]] if lengths[u] > 0 else 0
                s += 1
            cover[: size + 1] = 0
        key_count[k] = to - before
    return ranges


@kernel("int64(const int32[::1], int32[::1], int32[::1])")
def sort_rows(inverse, offsets, rows):  # type: ignore[no-untyped-def]
    """Rows [B] sorted by unique row, stably, and where those of each begin: offsets [U + 1]."""
    unique = len(offsets) - 1
    offsets[:] = 0
    for b in range(len(inverse)):
        u = inverse[b]
        if u < 0 or u >= unique:
            return b
        offsets[u + 1] += 1
    for u in range(unique):
        offsets[u + 1] += offsets[u]
    place = offsets[:unique].copy()
    for b in range(len(inverse)):
        u = inverse[b]
        rows[place[u]] = b
        place[u] += 1
    return -1


@kernel(
    "int64(const uint64[::1], const int32[::1], const int32[::1], const int64[::1],"
    " const int64[::1], const boolean[::1], uint64[::1])",
    "int64(const uint32[::1], const int32[::1], const int32[::1], const int64[::1],"
    " const int64[::1], const boolean[::1], uint32[::1])",
)
def write_windows(values, lengths, starts, rows, counts, windowed, out):  # type: ignore[no-untyped-def]
    """Rows of all keys end to end, windows written out.

    Key k has ``counts[k]`` values and ``rows[k]`` rows; `starts` are of windowed keys alone.
    """
    first, row, window, to = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for k in range(len(rows)):
        count = counts[k]
        if count < 0 or first + count > len(values) or row + rows[k] > len(lengths):
            return k
        if not windowed[k]:
            if to + count > len(out):
                return k
            for i in range(np.uint64(count)):
                out[np.uint64(to) + i] = values[np.uint64(first) + i]
            to += count
        else:
            if window + rows[k] > len(starts):
                return k
            for u in range(rows[k]):
                length, start = np.int64(lengths[row + u]), np.int64(starts[window + u])
                if length < 0 or start < 0 or start + length > count or to + length > len(out):
                    return k
                at = np.uint64(first + start)
                for i in range(np.uint64(length)):
                    out[np.uint64(to) + i] = values[at + i]
                to += length
            window += rows[k]
        first += count
        row += rows[k]
    return -1 if to == len(out) else len(rows) - 1
