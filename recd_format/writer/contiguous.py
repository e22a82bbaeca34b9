"""Sessions that stand together, checked while rows stream by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

__all__ = ["Contiguity"]


class Contiguity:
    """Remembers which sessions have ended, so that one that comes back is an error.

    Attributes
    ----------
    is_open : bool
        True where the rows to come begin inside a session that is partly written.
    open_since, open_last : int or None
        Order key of that session's first row, and of its last row that is written.
    """

    def __init__(self) -> None:
        # Sorted, each more than twice as long as the next: 8 bytes an id, and few to search.
        self._ended: list[NDArray[np.int64]] = []
        self._open_key: int | None = None
        self._last_order: int | None = None
        self._keys = np.zeros(0, np.int64)
        self._starts = np.zeros(0, np.int64)
        self._order: NDArray[np.int64] | None = None
        # Rows of the open key that are known but not written, and the largest order of its rows.
        self._known_rows = 0
        self._known_order: int | None = None
        self.is_open = False
        self.open_since: int | None = None

    @property
    def open_last(self) -> int | None:
        """Order key of the last row written, where its session is open."""
        return self._last_order if self.is_open else None

    def check(
        self,
        keys: NDArray[np.int64],
        order: NDArray[np.int64] | None,
        name: str,
        first_row: int,
        *,
        pieces: bool = False,
    ) -> None:
        """Check the pending rows; they may be checked again with more rows behind them.

        Parameters
        ----------
        keys
            Session ids of the rows, int64 [rows].
        order
            Order key of the rows, or None.
        name
            Session key's column, for messages.
        first_row
            Number of the first row in the whole input.
        pieces
            Keys are cut at gaps or spans, by all their rows that are known.

        Raises
        ------
        RecdInputError
            A session comes back after it ended, or a session that is too long to be held in
            memory is not in order.
        """
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
        self._keys, self._starts, self._order = keys[starts], starts, order
        back = self._have_ended(self._keys) | _repeats(self._keys)
        goes_on = len(keys) > 0 and self._open_key == int(keys[0])
        if goes_on:
            back[0] = False
        if back.any():
            place = int(np.argmax(back))
            raise RecdInputError(
                f"row {first_row + int(starts[place])}: the session of {name!r} with id "
                f"{int(self._keys[place])} comes back after other sessions; sort the input by "
                "session, or write it with clustered=False"
            )
        if goes_on and order is not None and self._last_order is not None:
            run = order[: int(starts[1]) if len(starts) > 1 else len(keys)]
            new = run[self._known_rows :]
            late = int(run.min()) < self._last_order
            if pieces and len(new) and self._known_order is not None:
                # Where the key was cut might have been elsewhere, had this row been known.
                late |= int(new.min()) < self._known_order
            if late:
                raise RecdInputError(
                    f"row {first_row}: a session of {name!r} that is longer than two stripes is "
                    "not in the order of the order key; sort it, or write it with clustered=False"
                )

    def rank_last(self, order: int) -> None:
        """Say what the order key of the last row written is among the rows to come.

        Keys that are texts are ranked among the rows pending: their numbers do not last.
        """
        self._last_order = order

    def whole_keys(self, rows: int) -> int:
        """How many of the first `rows` rows checked are of keys before the last; `rows` if none."""
        last = int(self._starts[np.searchsorted(self._starts, rows) - 1])
        return last or rows

    def wrote(
        self, session_offsets: NDArray[np.int64], permutation: NDArray[np.int64], rows: int
    ) -> int:
        """Note that the first `rows` of the rows checked last are written.

        Parameters
        ----------
        session_offsets
            Offsets of the sessions among those rows.
        permutation
            Row of the input of each row in file order.

        Returns
        -------
        int
            Rows checked that end the key that is partly written; they follow those written.
        """
        if rows == 0:
            return self._known_rows
        last = int(np.searchsorted(self._starts, rows - 1, side="right")) - 1
        known = int(self._open_key is not None and int(self._keys[0]) == self._open_key)
        self._end(self._keys[known : last + 1])
        begin = int(self._starts[last])
        end = int(self._starts[last + 1]) if last + 1 < len(self._starts) else len(permutation)
        self._open_key = None if end == rows else int(self._keys[last])
        self._known_rows = end - rows
        place = int(np.searchsorted(session_offsets, rows))
        was_open, self.is_open = self.is_open, int(session_offsets[place]) != rows
        if self._order is not None:
            self._last_order = int(self._order[permutation[rows - 1]])
            self._known_order = int(self._order[begin:end].max())
            if not (was_open and self.is_open and place == 1):
                first = int(permutation[session_offsets[place - 1]])
                self.open_since = int(self._order[first]) if self.is_open else None
        return self._known_rows

    def _have_ended(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = np.zeros(len(keys), np.bool_)
        for ended in self._ended:
            place = np.minimum(np.searchsorted(ended, keys), len(ended) - 1)
            found |= ended[place] == keys
        return found

    def _end(self, keys: NDArray[np.int64]) -> None:
        """Keep `keys`, merged with as many earlier ones as are not far more."""
        if not len(keys):
            return
        merged = [keys]
        length = len(keys)
        while self._ended and len(self._ended[-1]) <= 2 * length:
            merged.append(self._ended.pop())
            length += len(merged[-1])
        self._ended.append(np.sort(np.concatenate(merged)))


def _repeats(keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True where a key is one of those before it."""
    found = np.ones(len(keys), np.bool_)
    found[np.unique(keys, return_index=True)[1]] = False
    return found
