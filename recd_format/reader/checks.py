"""Rules that decoded streams of a stripe keep among themselves, each checked for all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import ROWS_OWNER
from recd_format.dedup.nulls import find_beyond_one, find_filled_null
from recd_format.errors import Reason, RecdFormatError
from recd_format.format.record import StreamKind
from recd_format.reader.streams import Decoded, StoredStreams, stream_location

__all__ = ["StripeChecks"]


class StripeChecks:
    """Checks of one stripe; each raises for the first stream that breaks its rule.

    Parameters
    ----------
    streams
        Of the stripe.
    counts : int64 [records]
        Values of each stream.
    whole
        The stripe is read from its first to its last row.
    """

    def __init__(self, streams: StoredStreams, counts: NDArray[np.int64], whole: bool) -> None:
        self._streams = streams
        self._counts = counts
        self._whole = whole

    def fail(self, number: int, reason: Reason, detail: str) -> RecdFormatError:
        """Return the error that a stream deserves."""
        return RecdFormatError(reason, detail, stream_location(self._streams, number))

    def require_sessions(self, offsets: NDArray[np.int64], rows: int) -> None:
        """Sessions are not empty, and have all rows."""
        if int(offsets[-1]) != rows or (offsets[1:] == offsets[:-1]).any():
            records = self._streams.records
            is_rows = records["kind"] == int(StreamKind.SESSION_ROWS)
            number = int(np.argmax(is_rows & (records["owner"] == ROWS_OWNER)))
            raise self.fail(
                number, Reason.SESSIONS, f"sessions have {int(offsets[-1])} rows, not {rows}"
            )

    def require_monotone(
        self,
        chosen: NDArray[np.int64],
        monotone: NDArray[np.bool_],
        highest: NDArray[np.uint32],
    ) -> None:
        """Codes that are flagged monotone never go back."""
        bad = monotone & (highest > 1)
        if bad.any():
            number = int(chosen[int(np.argmax(bad))])
            raise self.fail(number, Reason.CODES, "codes that are flagged monotone go back")

    def require_reached(
        self, chosen: NDArray[np.int64], bounds: NDArray[np.int64], unique: NDArray[np.int64]
    ) -> None:
        """Every unique row is referred to: one that is not has no place in a batch."""
        bad = bounds[:, 1] != unique - 1
        if bad.any():
            place = int(np.argmax(bad))
            detail = f"rows do not reach {int(unique[place])} unique rows"
            raise self.fail(int(chosen[place]), Reason.CODES, detail)

    def require_counts(
        self, chosen: NDArray[np.int64], expected: NDArray[np.int64], what: str
    ) -> None:
        """A stream has exactly the values that its unique rows ask for."""
        counts = self._counts[chosen]
        good = counts == expected if self._whole else counts >= expected
        if not good.all():
            place = int(np.argmin(good))
            raise self.fail(
                int(chosen[place]),
                Reason.LENGTHS,
                f"{int(counts[place])} {what}, {int(expected[place])} expected",
            )

    def require_windows(
        self, number: int, starts: NDArray[np.int32], lengths: NDArray[np.int32]
    ) -> None:
        """Windows begin and end within 2^31 values."""
        if int(starts.min(initial=0)) < 0 or int(lengths.min(initial=0)) < 0:
            raise self.fail(number, Reason.WINDOW, "a window begins or ends after 2^31 values")

    def require_bits(
        self, decoded: Decoded, numbers: NDArray[np.int64], reason: Reason, detail: str
    ) -> None:
        """Streams of bytes hold 0 and 1 alone."""
        if not len(numbers):
            return
        spans = np.stack([decoded.begin[numbers], decoded.end[numbers]], axis=1)
        bad = find_beyond_one(np.ascontiguousarray(spans), decoded.arena)
        if bad >= 0:
            raise self.fail(int(numbers[bad]), reason, detail)

    def require_empty_nulls(
        self,
        validity: NDArray[np.int64],
        places: NDArray[np.int64],
        sizes: NDArray[np.int64],
        second: Decoded,
        held: Decoded,
    ) -> None:
        """Null rows of fields hold nothing.

        `validity` are streams in `second`; `places` and `sizes` say where rows begin in `held`,
        and the bytes of each.
        """
        if not len(validity):
            return
        begin = second.begin[validity]
        table = np.stack([begin, second.end[validity] - begin, places, sizes], axis=1)
        bad = find_filled_null(np.ascontiguousarray(table), second.arena, held.arena)
        if bad >= 0:
            raise self.fail(int(validity[bad]), Reason.VALIDITY, "a null row holds values")
