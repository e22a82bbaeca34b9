"""Where sessions begin in the rows of an epoch, read from stripes only where it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.loader.order import EpochOrder
from recd_format.loader.segments import Segments, SegmentSource, StripeInfo, offsets_of

__all__ = ["Boundaries"]

# Neighbouring ranks ask for the same stripe, and a joint between two is looked at from both sides.
_HELD = 8


class Boundaries:
    """Session boundaries of an epoch; a stripe's place is its number in the epoch's order.

    Parameters
    ----------
    order : EpochOrder
    stripes : sequence of StripeInfo
    source : SegmentSource
        Called again for a stripe asked for much later.
    file_names : sequence of str, optional
        For messages, by `StripeInfo.file`.
    """

    def __init__(
        self,
        order: EpochOrder,
        stripes: Sequence[StripeInfo],
        source: SegmentSource,
        file_names: Sequence[str] | None = None,
    ) -> None:
        self.order = order
        self._stripes = stripes
        self._source = source
        self._file_names = file_names
        self._read = lru_cache(_HELD)(self._read_now)
        self._starts = lru_cache(_HELD)(self._find_starts)

    def name(self, place: int) -> str:
        """Return file and stripe, for messages."""
        return self._name(int(self.order.stripes[place]))

    def _name(self, number: int) -> str:
        info = self._stripes[number]
        file = f"file {info.file}" if self._file_names is None else self._file_names[info.file]
        return f"{file}, stripe {info.stripe}"

    def segments(self, place: int, *, sessions: bool = True) -> Segments:
        """Return the segments of the stripe at `place`; not read for all rows in file order,
        unless its `sessions` matter."""
        number = int(self.order.stripes[place])
        info = self._stripes[number]
        if info.whole and not sessions:
            return Segments.unseen(info.rows)
        return self._read(number)

    def _read_now(self, number: int) -> Segments:
        segments = self._source(number)
        planned = self._stripes[number].rows
        if segments.num_rows != planned:
            raise RecdInputError(
                f"{self._name(number)}: {segments.num_rows} rows are wanted, {planned} were when "
                "the epoch was planned: has the file changed?"
            )
        return segments

    def joined(self, place: int) -> bool:
        """True where the stripe's first wanted session has wanted rows in the stripe before."""
        if not self.order.chained[place]:
            return False
        before, here = self.segments(place - 1), self.segments(place)
        if here.session[0] != 0:
            return False
        if before.num_sessions is not None and before.session[-1] != before.num_sessions - 1:
            return False
        # Stripes between them, of which no row is wanted, must be of that one session.
        first, last = self.order.stripes[place - 1], self.order.stripes[place]
        between = (self._read(number) for number in range(int(first) + 1, int(last)))
        return all((segments.num_sessions or 1) == 1 for segments in between)

    def _find_starts(self, place: int) -> NDArray[np.int64]:
        """Rows of the epoch at which a session begins, of the stripe's."""
        segments = self.segments(place)
        first = np.ones(len(segments.session), np.bool_)
        first[1:] = segments.session[1:] != segments.session[:-1]
        first[0] = not self.joined(place)
        rows = offsets_of(segments.end - segments.begin)[:-1]
        rows += self.order.offsets[place]
        return rows[first]

    def nearest(self, numerator: int, denominator: int) -> int:
        """Return the session boundary nearest to row ``numerator / denominator`` of the epoch.

        Of two as near, the lower. Reads the stripe of that row, and its neighbours where they
        share the session; nothing where the row is the first of a stripe that shares none.
        """
        offsets = self.order.offsets
        row = numerator // denominator
        if row >= self.order.num_rows:
            return self.order.num_rows
        place = int(np.searchsorted(offsets, row, side="right")) - 1
        exact = row * denominator == numerator
        if exact and row == offsets[place] and not self.order.chained[place]:
            return row
        lower = self._last_until(place, row)
        if exact and lower == row:
            return row
        upper = self._first_after(place, row)
        nearer = numerator - lower * denominator <= upper * denominator - numerator
        return lower if nearer else upper

    def _last_until(self, place: int, row: int) -> int:
        while True:
            starts = self._starts(place)
            count = int(np.searchsorted(starts, row, side="right"))
            if count:
                return int(starts[count - 1])
            place -= 1

    def _first_after(self, place: int, row: int) -> int:
        while place < len(self.order.stripes):
            if self.order.offsets[place] > row and not self.order.chained[place]:
                return int(self.order.offsets[place])
            starts = self._starts(place)
            count = int(np.searchsorted(starts, row, side="right"))
            if count < len(starts):
                return int(starts[count])
            place += 1
        return self.order.num_rows
