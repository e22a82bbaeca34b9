"""Where the batches of a share end, when sessions stay whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.loader.segments import offsets_of
from recd_format.loader.shares import Share
from recd_format.loader.windows import OrderedSegments, ordered_segments

__all__ = ["pack_sessions"]


def pack_sessions(share: Share, options: LoaderOptions, epoch: int) -> NDArray[np.int64]:
    """Pack whole sessions into batches of at most `batch_size` rows, in the order they come.

    Reads the sessions of every stripe of the share, one window after the other.

    Returns
    -------
    ndarray of int64, shape [batches + 1]
        Rows of the share before each batch, and of all.

    Raises
    ------
    RecdInputError
        If a session has more rows than a batch.
    """
    packer = _Packer(options.batch_size)
    # A session may go on in the next window: it is packed when its last row is known.
    rows, where = 0, ""
    for window in range(len(share.windows) - 1):
        segments = ordered_segments(share, window, options, epoch)
        first = np.flatnonzero(segments.fresh)
        offsets = offsets_of(segments.end - segments.begin)
        if len(first) == 0 or first[0] > 0:
            rows += int(offsets[first[0] if len(first) else -1])
            _require_fits(rows, where, options)
        if len(first) == 0:
            continue
        lengths = np.diff(offsets[first], append=offsets[-1])
        longest = int(lengths.argmax())
        if lengths[longest] > options.batch_size:
            where = _describe(share, window, segments, int(first[longest]))
            _require_fits(int(lengths[longest]), where, options)
        packer.add(np.append(rows, lengths[:-1]))
        rows, where = int(lengths[-1]), _describe(share, window, segments, int(first[-1]))
    packer.add(np.array([rows]))
    return packer.finish()


def _describe(share: Share, window: int, segments: OrderedSegments, at: int) -> str:
    stripe = share.first + int(share.windows[window]) + int(segments.place[at])
    return f"{share.boundaries.name(stripe)}, session {int(segments.session[at])}"


def _require_fits(rows: int, where: str, options: LoaderOptions) -> None:
    if rows > options.batch_size:
        raise RecdInputError(
            f"{where} has {rows} rows: cut_sessions=False expects at most "
            f"batch_size={options.batch_size}"
        )


class _Packer:
    """Fills batches with sessions, each of which fits."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._bounds = [0]
        self._rows = 0

    def add(self, lengths: NDArray[np.int64]) -> None:
        offsets = self._rows + offsets_of(lengths)
        self._rows = int(offsets[-1])
        while (most := self._bounds[-1] + self._batch_size) < self._rows:
            at = int(np.searchsorted(offsets, most, side="right")) - 1
            self._bounds.append(int(offsets[at]))

    def finish(self) -> NDArray[np.int64]:
        if self._bounds[-1] < self._rows:
            self._bounds.append(self._rows)
        return np.array(self._bounds, np.int64)
