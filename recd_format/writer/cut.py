"""Where stripes end: a pure function of the sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["StripeCut", "cut_stripes"]


@dataclass(frozen=True, slots=True)
class StripeCut:
    """Rows of one stripe.

    Attributes
    ----------
    begin, end : int
        Clustered rows of the stripe.
    session_offsets : ndarray of int64, shape [sessions + 1]
        Row offsets of the stripe's sessions, relative to `begin`.
    first_session : int
        Number of the stripe's first session.
    continues : bool
        True where the first session began in an earlier stripe.
    """

    begin: int
    end: int
    session_offsets: NDArray[np.int64]
    first_session: int
    continues: bool


def cut_stripes(
    session_offsets: NDArray[np.int64], stripe_rows: int, *, final: bool = True
) -> list[StripeCut]:
    """Cut sessions into stripes.

    A stripe closes at the first session boundary at or after `stripe_rows` rows. A session that
    would make it longer than twice that is cut, and continues in the next stripe.

    Parameters
    ----------
    session_offsets
        Row offsets of all sessions, int64 [sessions + 1].
    stripe_rows
        Rows at which a stripe closes.
    final
        False where more rows may follow (streaming): the last sessions are left for later unless
        their stripe is certainly complete.

    Examples
    --------
    >>> [(cut.begin, cut.end) for cut in cut_stripes(np.array([0, 3, 5, 9]), 4)]
    [(0, 5), (5, 9)]
    """
    cuts = []
    total = int(session_offsets[-1])
    begin = int(session_offsets[0])
    while begin < total:
        hard = begin + 2 * stripe_rows
        place = int(np.searchsorted(session_offsets, begin + stripe_rows))
        end = int(session_offsets[place]) if place < len(session_offsets) else total
        if not final and end >= total and hard >= total:
            break
        end = min(end, hard)
        first = int(np.searchsorted(session_offsets, begin, side="right")) - 1
        last = int(np.searchsorted(session_offsets, end))
        offsets = np.clip(session_offsets[first : last + 1], begin, end) - begin
        cuts.append(StripeCut(begin, end, offsets, first, int(session_offsets[first]) < begin))
        begin = end
    return cuts
