"""Row order: sessions made contiguous, rows of a session in time order (FORMAT, Order).

Nothing is moved here: the result is a permutation, and later steps read through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.errors import RecdInputError

__all__ = ["Clustering", "SessionOrder", "cluster"]

SessionOrder = Literal["first_seen", "key", "input"]

_EMPTY = np.zeros(0, np.int64)
_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Clustering:
    """The clustered order of some input rows.

    Attributes
    ----------
    permutation : ndarray of int64, shape [rows]
        Clustered row i is input row ``permutation[i]``.
    session_offsets : ndarray of int64, shape [sessions + 1]
        Session s is the clustered rows ``session_offsets[s]:session_offsets[s + 1]``.
    session_codes : ndarray of int64, shape [sessions]
        The session key (or its code, as given) of each session.
    spans : ndarray of uint64, shape [sessions]
        Last order value less the first; 0 without an order.
    """

    permutation: NDArray[np.int64]
    session_offsets: NDArray[np.int64]
    session_codes: NDArray[np.int64]
    spans: NDArray[np.uint64]

    @property
    def num_rows(self) -> int:
        """Rows of all sessions."""
        return len(self.permutation)

    @property
    def num_sessions(self) -> int:
        """Sessions, each with at least one row."""
        return len(self.session_offsets) - 1

    def sessions(self, begin: int, end: int) -> Clustering:
        """Sessions `begin` to `end`, with offsets from 0; input row numbers stay as they are."""
        first, last = self.session_offsets[begin], self.session_offsets[end]
        return Clustering(
            self.permutation[first:last],
            self.session_offsets[begin : end + 1] - first,
            self.session_codes[begin:end],
            self.spans[begin:end],
        )

    def sample(self, rows: int) -> Clustering:
        """Whole sessions, evenly spread, of about `rows` rows in all (deterministic)."""
        if self.num_rows <= rows:
            return self
        # Blocks of neighbours, not single sessions: stripe mode lives on what they share.
        blocks = 8
        starts = np.linspace(0, self.num_rows, blocks, endpoint=False)
        begin = np.unique(np.searchsorted(self.session_offsets[:-1], starts))
        stop = np.searchsorted(self.session_offsets[:-1], starts + rows / blocks)
        chosen = np.unique(
            np.concatenate([np.arange(b, max(b + 1, e)) for b, e in zip(begin, stop, strict=False)])
        )
        chosen = chosen[chosen < self.num_sessions]
        lengths = np.diff(self.session_offsets)[chosen]
        offsets = np.concatenate([_EMPTY[:0], [0], np.cumsum(lengths)]).astype(np.int64)
        rows_of = np.repeat(self.session_offsets[chosen] - offsets[:-1], lengths)
        permutation = self.permutation[rows_of + np.arange(offsets[-1])]
        return Clustering(permutation, offsets, self.session_codes[chosen], self.spans[chosen])


def cluster(
    session_codes: NDArray[np.int64],
    order: NDArray[np.int64] | None = None,
    *,
    session_order: SessionOrder = "first_seen",
    key_rank: NDArray[np.int64] | None = None,
    gap: int | None = None,
    max_span: int | None = None,
    open_since: int | None = None,
    open_last: int | None = None,
) -> Clustering:
    """Make sessions contiguous. O(rows), and a sort only where `order` is not sorted.

    Parameters
    ----------
    session_codes : ndarray of int64, shape [rows]
        Session key of each row: integer keys as they are, or codes of other keys.
    order : ndarray of int64, shape [rows], or None
        Order-preserving integers of the order key; None keeps the input order.
    session_order
        Sessions by their earliest row ("first_seen": by `order`, then input order), by key
        ("key"), or by their first row in the input ("input").
    key_rank : ndarray of int64, shape [rows], or None
        Rank of each row's key, for "key"; None sorts by `session_codes` themselves.
    gap, max_span
        A session is cut where two rows are more than `gap` apart, and before a row more than
        `max_span` after the first (in units of `order`).
    open_since, open_last
        Where the first session began before these rows: the `order` of its first row and of the
        last row before these. Its span and its first gap are measured from there.

    Returns
    -------
    Clustering
        Rows of a session are in `order`, ties in input order.

    Raises
    ------
    RecdInputError
        Lengths differ, or a gap is given without an order.
    """
    codes = np.ascontiguousarray(session_codes, np.int64)
    rows = len(codes)
    if order is not None and len(order) != rows:
        raise RecdInputError(f"order key has {len(order)} rows, session key has {rows}")
    if order is None and (gap is not None or max_span is not None):
        raise RecdInputError("session_gap and session_max_span need an order_key")
    base = _EMPTY
    if order is not None:
        order = np.ascontiguousarray(order, np.int64)
        if rows > 1 and bool((order[1:] < order[:-1]).any()):
            base = np.argsort(order, kind="stable")
    result = _arrange(codes, base, session_order, codes if key_rank is None else key_rank)
    if gap is not None or max_span is not None:
        pieces = np.empty(rows, np.int64)
        limit = int(np.iinfo(np.int64).max)
        carried = _EMPTY
        if open_since is not None and open_last is not None:
            carried = np.array([open_since, open_last], np.int64)
        _split(
            *result, order, limit if gap is None else min(gap, limit),
            limit if max_span is None else min(max_span, limit), carried, pieces,
        )  # fmt: skip
        # Pieces are numbered in clustered order, which is the order wanted by key.
        result = _arrange(pieces, base, session_order, pieces)
    permutation, offsets = result
    first, last = permutation[offsets[:-1]], permutation[offsets[1:] - 1]
    spans = np.zeros(len(first), np.uint64)
    if order is not None:
        begin = order[first]
        if open_since is not None and len(begin):
            begin[0] = open_since
        # Unsigned: an order may span more than 2^63.
        spans = order[last].view(np.uint64) - begin.view(np.uint64)
    return Clustering(permutation, offsets, codes[first], spans)


def _arrange(
    codes: NDArray[np.int64], base: NDArray[np.int64], session_order: str, rank: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if session_order not in ("first_seen", "key", "input"):
        raise RecdInputError(
            f"session_order is {session_order!r}, expected 'first_seen', 'key' or 'input'"
        )
    dense = np.empty(len(codes), np.int64)
    count = _densify(codes, _EMPTY if session_order == "input" else base, dense)
    if session_order == "key":
        if len(rank) != len(codes):
            raise RecdInputError(f"key_rank has {len(rank)} rows, session key has {len(codes)}")
        rank_of = np.empty(count, np.int64)
        rank_of[dense] = rank
        place = np.empty(count, np.int64)
        place[np.argsort(rank_of, kind="stable")] = np.arange(count)
        dense = place[dense]
    permutation = np.empty(len(codes), np.int64)
    offsets = np.zeros(count + 1, np.int64)
    _counting_sort(dense, base, permutation, offsets)
    return permutation, offsets


@kernel("int64(const int64[::1], const int64[::1], int64[::1])")
def _densify(keys, base, dense):  # type: ignore[no-untyped-def]
    """Number keys by first appearance (in the order of `base`, if not empty)."""
    bits = 10
    slots = np.full(1 << bits, -1, np.int64)
    known = np.empty(1 << (bits - 1), np.int64)
    count = 0
    previous = -1
    for i in range(len(keys)):
        row = base[i] if len(base) else i
        key = keys[row]
        if previous >= 0 and known[previous] == key:
            dense[row] = previous
            continue
        if count == len(known):
            bits += 1
            larger = np.empty(2 * count, np.int64)
            larger[:count] = known
            known = larger
            slots = np.full(1 << bits, -1, np.int64)
            for c in range(count):
                h = np.uint64(known[c]) * _MULTIPLY
                at = np.int64((h ^ (h >> _SHIFT)) >> _ONE) & (len(slots) - 1)
                while slots[at] >= 0:
                    at = (at + 1) & (len(slots) - 1)
                slots[at] = c
        h = np.uint64(key) * _MULTIPLY
        at = np.int64((h ^ (h >> _SHIFT)) >> _ONE) & (len(slots) - 1)
        while slots[at] >= 0 and known[slots[at]] != key:
            at = (at + 1) & (len(slots) - 1)
        if slots[at] < 0:
            slots[at] = count
            known[count] = key
            count += 1
        previous = slots[at]
        dense[row] = previous
    return count


@kernel("void(const int64[::1], const int64[::1], int64[::1], int64[::1])")
def _counting_sort(dense, base, permutation, offsets):  # type: ignore[no-untyped-def]
    """Stable sort of the rows (taken in the order of `base`) by session."""
    for code in dense:
        offsets[code + 1] += 1
    for s in range(1, len(offsets)):
        offsets[s] += offsets[s - 1]
    place = offsets[:-1].copy()
    for i in range(len(dense)):
        row = base[i] if len(base) else i
        code = dense[row]
        permutation[place[code]] = row
        place[code] += 1


@kernel(
    "void(const int64[::1], const int64[::1], const int64[::1], int64, int64, const int64[::1],"
    "int64[::1])"
)
def _split(  # type: ignore[no-untyped-def]
    permutation, offsets, order, gap, max_span, carried, pieces
):
    """Number the pieces of sessions cut at gaps and spans; differences taken unsigned."""
    piece = -1
    for s in range(len(offsets) - 1):
        first = previous = order[permutation[offsets[s]]]
        if s == 0 and len(carried):
            first, previous = carried[0], carried[1]
        piece += 1
        for i in range(offsets[s], offsets[s + 1]):
            now = order[permutation[i]]
            if np.uint64(now - previous) > np.uint64(gap) or np.uint64(now - first) > np.uint64(
                max_span
            ):
                piece += 1
                first = now
            previous = now
            pieces[permutation[i]] = piece
