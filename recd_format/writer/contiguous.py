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
    """

    def __init__(self) -> None:
        self._ended: set[int] = set()
        self._open_key: int | None = None
        self._last_order: int | None = None
        self._keys = np.zeros(0, np.int64)
        self._starts = np.zeros(0, np.int64)
        self._order: NDArray[np.int64] | None = None
        self.is_open = False

    def check(
        self,
        keys: NDArray[np.int64],
        order: NDArray[np.int64] | None,
        name: str,
        first_row: int,
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

        Raises
        ------
        RecdInputError
            A session comes back after it ended, or a session that is too long to be held in
            memory is not in order.
        """
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
        self._keys, self._starts, self._order = keys[starts], starts, order
        seen: set[int] = set()
        for place, key in enumerate(self._keys.tolist()):
            goes_on = place == 0 and key == self._open_key
            if (key in self._ended or key in seen) and not goes_on:
                raise RecdInputError(
                    f"row {first_row + int(starts[place])}: the session of {name!r} with id {key} "
                    "comes back after other sessions; sort the input by session, or write it "
                    "with clustered=False"
                )
            seen.add(key)
        open_again = len(keys) and self._open_key == int(keys[0])
        if open_again and order is not None and self._last_order is not None:
            end = int(starts[1]) if len(starts) > 1 else len(keys)
            if end and int(order[:end].min()) < self._last_order:
                raise RecdInputError(
                    f"row {first_row}: a session of {name!r} that is longer than two stripes is "
                    "not in the order of the order key; sort it, or write it with clustered=False"
                )

    def wrote(
        self, session_offsets: NDArray[np.int64], permutation: NDArray[np.int64], rows: int
    ) -> None:
        """Note that the first `rows` of the rows checked last are written.

        Parameters
        ----------
        session_offsets
            Offsets of the sessions among those rows.
        permutation
            Row of the input of each row in file order.
        """
        if rows == 0:
            return
        last = int(np.searchsorted(self._starts, rows - 1, side="right")) - 1
        self._ended.update(self._keys[: last + 1].tolist())
        next_start = int(self._starts[last + 1]) if last + 1 < len(self._starts) else None
        self._open_key = None if next_start == rows else int(self._keys[last])
        place = int(np.searchsorted(session_offsets, rows))
        self.is_open = int(session_offsets[place]) != rows
        if self._order is not None:
            self._last_order = int(self._order[permutation[rows - 1]])
