"""Which rows a rank gives in an epoch, in which order and in which batches.

Pure: a plan depends on the stripes, their sessions, the options, seed, epoch, rank and world alone.
It is the same on every rank and knows nothing of workers, which share out the numbers of batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.loader.batches import pack_sessions
from recd_format.loader.boundaries import Boundaries
from recd_format.loader.options import LoaderOptions
from recd_format.loader.order import epoch_order
from recd_format.loader.segments import SegmentSource, StripeInfo
from recd_format.loader.shares import Share, rank_share
from recd_format.loader.windows import WindowPlan, plan_window

__all__ = ["RankPlan", "WindowPlan", "plan_rank"]

# Rows of a batch may be of two windows, and a third is begun.
_HELD_WINDOWS = 3


@dataclass(frozen=True, slots=True)
class RankPlan:
    """What a rank gives in an epoch.

    Attributes
    ----------
    num_batches : int
    num_rows : int
        Rows of all batches; rows that are given twice count twice.
    dropped_rows : int
        Rows of this rank's share that are in no batch (`drop_last`, ``uneven="drop"``).
    repeated_rows : int
        Rows of `num_rows` that are given again (``uneven="wrap"``).
    num_windows : int
        Windows of stripes that the share is read in.
    window_rows : ndarray of int64, shape [windows + 1]
        Rows of the share before each window.
    """

    num_batches: int
    num_rows: int
    dropped_rows: int
    repeated_rows: int
    num_windows: int
    window_rows: NDArray[np.int64]
    _batches: _Batches = field(repr=False)
    _window: Callable[[int], WindowPlan] = field(repr=False)

    def batch_rows(self, batch: int) -> list[tuple[int, int]]:
        """Return the ranges of rows of the share that batch number `batch` has, in order."""
        if not 0 <= batch < self.num_batches:
            raise RecdInputError(f"batch {batch}: this rank has {self.num_batches} batches")
        return [self._batches.rows(batch % self._batches.count)]

    def window(self, number: int) -> WindowPlan:
        """Return the rows of a window; reads the sessions of its stripes. The last few are kept."""
        if not 0 <= number < self.num_windows:
            raise RecdInputError(f"window {number}: this rank has {self.num_windows} windows")
        return self._window(number)


@dataclass(frozen=True, slots=True)
class _Batches:
    """Batches of a share alone: of equal size, or with given bounds."""

    share_rows: int
    size: int
    count: int
    bounds: NDArray[np.int64] | None = None

    def rows(self, batch: int) -> tuple[int, int]:
        if self.bounds is not None:
            return int(self.bounds[batch]), int(self.bounds[batch + 1])
        return batch * self.size, min((batch + 1) * self.size, self.share_rows)

    def rows_before(self, batch: int) -> int:
        """Rows of the first `batch` batches."""
        return self.rows(batch - 1)[1] if batch else 0


def plan_rank(
    stripes: Sequence[StripeInfo],
    segments: SegmentSource,
    options: LoaderOptions,
    *,
    epoch: int,
    rank: int,
    world: int,
    file_names: Sequence[str] | None = None,
) -> RankPlan:
    """Plan what rank `rank` of `world` gives in an epoch.

    Parameters
    ----------
    stripes
        All stripes of all files, in file order.
    segments
        Gives the wanted rows of a stripe by its number. It is asked for stripes in which a rank
        begins or ends (of all ranks, unless ``uneven="allow"``), for all stripes where sessions
        stay whole (``cut_sessions=False``), and for a window's stripes when that is asked for.
    options
    epoch : int
    rank, world : int
    file_names
        For messages, by `StripeInfo.file`.

    Raises
    ------
    RecdInputError
        If a session that must stay whole is longer than a batch, or a rank without any batch
        would have to begin again; where ranks must agree, on every rank alike.
    """
    if not 0 <= rank < world:
        raise RecdInputError(f"rank={rank} of world={world}: expected 0 <= rank < world")
    if not 0 <= epoch < 1 << 63:
        raise RecdInputError(f"epoch={epoch}: expected 0 to 2**63 - 1")
    if options.shuffle and options.mix == "rows" and not options.cut_sessions:
        raise RecdInputError(
            "mix='rows' with cut_sessions=False: shuffling rows cuts sessions, expected only one "
            "of the two"
        )
    order = epoch_order(stripes, shuffle=options.shuffle, seed=options.seed, epoch=epoch)
    boundaries = Boundaries(order, stripes, segments, file_names)
    together = world > 1 and options.uneven != "allow"
    shares = {
        number: _share(boundaries, options, number, world)
        for number in (range(world) if together else [rank])
    }
    batches = {number: _batches(share, options, epoch) for number, share in shares.items()}
    share, own = shares[rank], batches[rank]
    count = own.count
    if together:
        count = _agreed([batches[number].count for number in range(world)], shares, options)
    cycles, rest = divmod(count, own.count) if own.count else (0, 0)
    rows = cycles * own.rows_before(own.count) + own.rows_before(rest)
    given = own.rows_before(min(count, own.count))
    window = partial(plan_window, share, options=options, epoch=epoch)
    # Windows are asked for when their stripes are decoded ahead, and again for their batches.
    ahead = -(-max(options.threads, options.prefetch) // _window_stripes(options))
    return RankPlan(
        num_batches=count,
        num_rows=rows,
        dropped_rows=share.num_rows - given,
        repeated_rows=rows - given,
        num_windows=len(share.windows) - 1,
        window_rows=share.window_rows,
        _batches=own,
        _window=lru_cache(_HELD_WINDOWS + ahead)(window),
    )


def _window_stripes(options: LoaderOptions) -> int:
    return options.window if options.shuffle else 1


def _share(boundaries: Boundaries, options: LoaderOptions, rank: int, world: int) -> Share:
    rows = boundaries.order.num_rows
    begin, end = (boundaries.nearest(rows * number, world) for number in (rank, rank + 1))
    return rank_share(
        boundaries,
        begin,
        end,
        window=_window_stripes(options),
        whole_sessions=not options.cut_sessions,
        shuffle=options.shuffle,
    )


def _batches(share: Share, options: LoaderOptions, epoch: int) -> _Batches:
    size = options.batch_size
    if options.cut_sessions:
        count = share.num_rows // size
        if count * size < share.num_rows and not options.drop_last:
            count += 1
        return _Batches(share.num_rows, size, count)
    bounds = pack_sessions(share, options, epoch)
    count = len(bounds) - 1
    if count and options.drop_last and bounds[-1] - bounds[-2] < size:
        count -= 1
    return _Batches(share.num_rows, size, count, bounds)


def _agreed(counts: Sequence[int], shares: dict[int, Share], options: LoaderOptions) -> int:
    """Return how many batches every rank gives."""
    if options.uneven == "drop":
        return min(counts)
    if min(counts) == 0 < max(counts):
        rank = counts.index(0)
        raise RecdInputError(
            f"uneven='wrap': rank {rank} of {len(counts)} has {shares[rank].num_rows} rows, too "
            f"few for a batch to begin again with, while rank {counts.index(max(counts))} has "
            f"{max(counts)} batches; use fewer ranks or smaller batches"
        )
    return max(counts)
