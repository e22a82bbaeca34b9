"""The rows of a window of stripes, in the order they are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recd_format.loader.options import LoaderOptions
from recd_format.loader.order import Purpose, permutation
from recd_format.loader.segments import cut_ranges, offsets_of, ranges
from recd_format.loader.shares import Share

__all__ = ["OrderedSegments", "WindowPlan", "ordered_segments", "plan_window"]

_Cut = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | None]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Rows of a window, as ranges of rows of its stripes, in the order they are given.

    Attributes
    ----------
    stripes : tuple of int
        Numbers of the window's stripes.
    place : ndarray of int64, shape [n]
        Stripe of each range: an index into `stripes`.
    begin, end : ndarray of int64, shape [n]
        Rows of the stripe. A range may be of several sessions that follow each other.
    factor : ndarray of float32, shape [n], or None
        What the rows' weights are multiplied by; None: 1.
    session : ndarray of int64, shape [n]
        Number in the stripe of the session of the range's first row; 0 where rows are in file
        order and all are wanted, when sessions are not looked at.
    row_offsets : ndarray of int64, shape [n + 1]
        Rows of the window before each range.
    """

    stripes: tuple[int, ...]
    place: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    factor: NDArray[np.float32] | None
    session: NDArray[np.int64]
    row_offsets: NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """Rows of the window."""
        return int(self.row_offsets[-1])

    def rows(self, begin: int, end: int) -> _Cut:
        """Return place, begin, end and factor of the ranges of rows ``begin:end`` of the window."""
        part, first, last = cut_ranges(self.begin, self.end, self.row_offsets, begin, end)
        factor = None if self.factor is None else self.factor[part]
        return self.place[part], first, last, factor


@dataclass(frozen=True, slots=True)
class OrderedSegments:
    """Segments of a window in the order they are given.

    Attributes
    ----------
    place, begin, end, session, factor
        As of `WindowPlan`, but each within one session.
    fresh : ndarray of bool, shape [n]
        False where a segment goes on with the session of the one before.
    """

    place: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    session: NDArray[np.int64]
    factor: NDArray[np.float32] | None
    fresh: NDArray[np.bool_]

    def take(self, index: NDArray[np.int64]) -> OrderedSegments:
        """Return the segments of some numbers."""
        factor = None if self.factor is None else self.factor[index]
        return OrderedSegments(
            self.place[index],
            self.begin[index],
            self.end[index],
            self.session[index],
            factor,
            self.fresh[index],
        )


def ordered_segments(
    share: Share, window: int, options: LoaderOptions, epoch: int
) -> OrderedSegments:
    """Return the segments of a window: runs of sessions shuffled, or as they are in the files."""
    segments = _in_file_order(share, window, sessions=options.shuffle)
    if not options.shuffle or options.mix == "rows":
        return segments
    first = np.flatnonzero(_run_starts(segments, options.shuffle_run))
    turn = _turn(len(first), share, window, options, epoch, Purpose.RUNS)
    lengths = np.diff(first, append=len(segments.place))
    return segments.take(ranges(first[turn], lengths[turn]))


def plan_window(share: Share, window: int, options: LoaderOptions, epoch: int) -> WindowPlan:
    """Return the rows of a window in the order they are given."""
    stripes = share.stripes(window)
    segments = ordered_segments(share, window, options, epoch)
    if options.shuffle and options.mix == "rows":
        return _shuffled_rows(stripes, segments, share, window, options, epoch)
    return _merged(stripes, segments)


def _turn(
    count: int, share: Share, window: int, options: LoaderOptions, epoch: int, purpose: Purpose
) -> NDArray[np.int64]:
    # A window is known by its first row of the epoch: no two of an epoch have the same.
    row = share.begin + int(share.window_rows[window])
    return permutation(count, options.seed, epoch, purpose, row)


def _in_file_order(share: Share, window: int, *, sessions: bool) -> OrderedSegments:
    stripes = share.segments(window, sessions=sessions or share.joined is not None)
    lengths = np.array([len(part.begin) for part in stripes])
    begin, end, session = (
        np.concatenate(arrays)
        for arrays in zip(*((part.begin, part.end, part.session) for part in stripes), strict=True)
    )
    factor: NDArray[np.float32] | None = None
    if any(part.factor is not None for part in stripes):
        factor = np.concatenate(
            [
                np.ones(len(part.begin), np.float32) if part.factor is None else part.factor
                for part in stripes
            ]
        )
    fresh = np.ones(len(begin), np.bool_)
    fresh[1:] = session[1:] != session[:-1]
    first = offsets_of(lengths)[:-1]
    fresh[first] = True
    if share.joined is not None:
        fresh[first] = ~share.joined[share.windows[window] : share.windows[window + 1]]
    place = np.repeat(np.arange(len(stripes)), lengths)
    return OrderedSegments(place, begin, end, session, factor, fresh)


def _run_starts(segments: OrderedSegments, run: int) -> NDArray[np.bool_]:
    """Which segments begin a run of `run` sessions of one stripe.

    A session that goes on in the next stripe takes that part of it into its run.
    """
    place = segments.place[segments.fresh]
    count = np.arange(len(place)) - np.searchsorted(place, place)
    starts = segments.fresh.copy()
    starts[segments.fresh] = count % run == 0
    return starts


def _shuffled_rows(
    stripes: tuple[int, ...],
    segments: OrderedSegments,
    share: Share,
    window: int,
    options: LoaderOptions,
    epoch: int,
) -> WindowPlan:
    lengths = segments.end - segments.begin
    rows = int(lengths.sum())
    turn = _turn(rows, share, window, options, epoch, Purpose.ROWS)
    of = np.repeat(np.arange(len(lengths)), lengths)[turn]
    begin = ranges(segments.begin, lengths)[turn]
    factor = None if segments.factor is None else segments.factor[of]
    return WindowPlan(
        stripes,
        segments.place[of],
        begin,
        begin + 1,
        factor,
        segments.session[of],
        np.arange(rows + 1),
    )


def _merged(stripes: tuple[int, ...], segments: OrderedSegments) -> WindowPlan:
    """Make one range of neighbours that follow each other in their stripe."""
    place, begin, end, factor = segments.place, segments.begin, segments.end, segments.factor
    starts = np.ones(len(place) + 1, np.bool_)
    starts[1:-1] = (place[1:] != place[:-1]) | (begin[1:] != end[:-1])
    if factor is not None:
        starts[1:-1] |= factor[1:] != factor[:-1]
    at = np.flatnonzero(starts)
    first = at[:-1]
    begin, end = begin[first], end[at[1:] - 1]
    return WindowPlan(
        stripes,
        place[first],
        begin,
        end,
        None if factor is None else factor[first],
        segments.session[first],
        offsets_of(end - begin),
    )
