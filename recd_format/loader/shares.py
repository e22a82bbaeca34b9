"""A rank's share of an epoch: rows between two session boundaries, cut in windows of stripes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recd_format.loader.boundaries import Boundaries
from recd_format.loader.segments import Segments

__all__ = ["Share", "rank_share"]


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of an epoch that one rank gives, and the stripes they are in.

    Attributes
    ----------
    boundaries : Boundaries
    begin, end : int
        Rows of the epoch.
    first : int
        Place of the first stripe in the epoch's order.
    joined : ndarray of bool, shape [stripes], or None
        True where a stripe's first session goes on from the stripe before and has to stay with
        it; None: sessions may be cut.
    windows : ndarray of int64, shape [windows + 1]
        Which of the share's stripes each window begins with.
    window_rows : ndarray of int64, shape [windows + 1]
        Rows of the share before each window.
    """

    boundaries: Boundaries
    begin: int
    end: int
    first: int
    joined: NDArray[np.bool_] | None
    windows: NDArray[np.int64]
    window_rows: NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """Rows of the share."""
        return self.end - self.begin

    def stripes(self, window: int) -> tuple[int, ...]:
        """Return the numbers of a window's stripes, in the order of the epoch."""
        first, last = (self.first + int(at) for at in self.windows[window : window + 2])
        return tuple(self.boundaries.order.stripes[first:last].tolist())

    def segments(self, window: int, *, sessions: bool) -> list[Segments]:
        """Return the share's segments of each of a window's stripes.

        `sessions`: told apart by session, also where that takes a look at the stripe.
        """
        found = []
        offsets = self.boundaries.order.offsets
        for place in range(*(self.first + int(at) for at in self.windows[window : window + 2])):
            segments = self.boundaries.segments(place, sessions=sessions)
            begin, end = int(offsets[place]), int(offsets[place + 1])
            if begin < self.begin or end > self.end:
                segments = segments.cut(max(self.begin - begin, 0), min(self.end, end) - begin)
            found.append(segments)
        return found


def rank_share(
    boundaries: Boundaries,
    begin: int,
    end: int,
    *,
    window: int,
    whole_sessions: bool,
    shuffle: bool,
) -> Share:
    """Return the share of rows ``begin:end`` of an epoch, in windows of `window` stripes.

    Where sessions stay whole and are shuffled, a window is longer if its last session goes on.
    """
    offsets = boundaries.order.offsets
    if begin == end:
        nothing = np.zeros(1, np.int64)
        return Share(boundaries, begin, end, 0, None, nothing, nothing)
    first = int(np.searchsorted(offsets, begin, side="right")) - 1
    last = int(np.searchsorted(offsets, end))
    joined = None
    if whole_sessions:
        joined = np.zeros(last - first, np.bool_)
        for at in np.flatnonzero(boundaries.order.chained[first:last]):
            joined[at] = at > 0 and boundaries.joined(first + int(at))
    stretch = joined if shuffle else None
    windows = _windows(last - first, window, stretch)
    window_rows = np.clip(offsets[first + windows], begin, end) - begin
    return Share(boundaries, begin, end, first, joined, windows, window_rows)


def _windows(stripes: int, window: int, joined: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Where windows begin, so that none begins with a stripe that is `joined` to the one before."""
    if joined is None or not joined.any():
        return np.append(np.arange(0, stripes, window), stripes)
    free = np.append(np.flatnonzero(~joined), stripes)
    bounds = [0]
    while bounds[-1] < stripes:
        at = np.searchsorted(free, min(bounds[-1] + window, stripes))
        bounds.append(int(free[at]))
    return np.array(bounds, np.int64)
