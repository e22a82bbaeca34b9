"""Wanted rows of a stripe as segments, and what a plan knows of a stripe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SegmentSource", "Segments", "StripeInfo", "cut_ranges", "offsets_of", "ranges"]


@dataclass(frozen=True, slots=True)
class StripeInfo:
    """What a plan knows of a stripe before it reads anything of it.

    Attributes
    ----------
    file : int
        Number of its file.
    stripe : int
        Its number in the file.
    rows : int
        Rows of it that are wanted.
    continues : bool
        True where its first session began in the stripe before.
    whole : bool
        All its rows are wanted, with no factor: in file order they need no look at its sessions.
    """

    file: int
    stripe: int
    rows: int
    continues: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Segments:
    """Ranges of wanted rows of one stripe in row order, each within one session.

    Attributes
    ----------
    begin, end : ndarray of int64, shape [segments]
        Rows of the stripe; no segment is empty.
    session : ndarray of int64, shape [segments]
        Number of the session in the stripe; never falls.
    factor : ndarray of float32, shape [segments], or None
        What the rows' weights are multiplied by; None: 1.
    num_sessions : int or None
        Sessions of the stripe, wanted or not; None: the last segment is of the last session.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    session: NDArray[np.int64]
    factor: NDArray[np.float32] | None = None
    num_sessions: int | None = None

    @classmethod
    def whole(cls, session_offsets: NDArray[np.int64]) -> Segments:
        """Return all rows of a stripe, given the row offsets of its sessions [sessions + 1]."""
        offsets = np.asarray(session_offsets, np.int64)
        sessions = len(offsets) - 1
        return cls(offsets[:-1], offsets[1:], np.arange(sessions), None, sessions)

    @classmethod
    def unseen(cls, rows: int) -> Segments:
        """Return all rows of a stripe, its sessions not told apart."""
        return cls(np.zeros(1, np.int64), np.array([rows]), np.zeros(1, np.int64))

    @property
    def num_rows(self) -> int:
        """Rows of all segments."""
        return int((self.end - self.begin).sum())

    def cut(self, first: int, last: int) -> Segments:
        """Return the segments of wanted rows ``first:last``, counted over all segments."""
        part, begin, end = cut_ranges(
            self.begin, self.end, offsets_of(self.end - self.begin), first, last
        )
        factor = None if self.factor is None else self.factor[part]
        return Segments(begin, end, self.session[part], factor, self.num_sessions)


class SegmentSource(Protocol):
    """Segments of a stripe by its number in the plan; may read the stripe's session lengths."""

    def __call__(self, number: int, /) -> Segments:
        """Return the segments of stripe `number`; their rows are ``StripeInfo.rows``."""


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of the lengths before each, and of all: int64 [lengths + 1]."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ranges(begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of ranges end to end.

    Examples
    --------
    >>> ranges(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    offsets = offsets_of(lengths)
    return np.repeat(begin - offsets[:-1], lengths) + np.arange(offsets[-1])


def cut_ranges(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    offsets: NDArray[np.int64],
    first: int,
    last: int,
) -> tuple[slice, NDArray[np.int64], NDArray[np.int64]]:
    """Cut ranges end to end to their rows ``first:last``.

    Parameters
    ----------
    begin, end
        The ranges, int64 [n]; none is empty.
    offsets
        `offsets_of` their lengths, int64 [n + 1].

    Returns
    -------
    slice, ndarray, ndarray
        Which ranges these are, and copies of where they begin and end, cut.
    """
    if first >= last:
        return slice(0, 0), begin[:0], end[:0]
    low = int(np.searchsorted(offsets, first, side="right")) - 1
    high = int(np.searchsorted(offsets, last))
    begin, end = begin[low:high].copy(), end[low:high].copy()
    begin[0] += first - offsets[low]
    end[-1] -= offsets[high] - last
    return slice(low, high), begin, end
