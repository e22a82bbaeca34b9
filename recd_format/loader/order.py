"""The order of an epoch: which stripe comes when, and where random orders come from.

Random words are Philox's own, a function of (seed, epoch, purpose, place) that NumPy keeps the same
in all its versions (it does not promise that of `Generator.permutation`): a checkpoint stays good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from recd_format.loader.segments import StripeInfo, offsets_of, ranges

__all__ = ["EpochOrder", "Purpose", "epoch_order", "permutation"]


class Purpose(IntEnum):
    """What random numbers are for: each purpose has its own."""

    STRIPES = 0
    RUNS = 1
    ROWS = 2


def permutation(
    count: int, seed: int, epoch: int, purpose: Purpose, place: int = 0
) -> NDArray[np.int64]:
    """Return the numbers below `count` in random order, the same for the same arguments."""
    words: NDArray[np.uint64] = np.random.Philox(
        key=np.array([seed, epoch], np.uint64),
        counter=np.array([0, place, purpose, 0], np.uint64),
    ).random_raw(count)
    # The number is in the low bits of what is sorted: no ties, and plain sorts are the fastest.
    mask = np.uint64((1 << max(count - 1, 0).bit_length()) - 1)
    words &= ~mask
    words |= np.arange(count, dtype=np.uint64)
    words.sort()
    words &= mask
    return words.view(np.int64)


@dataclass(frozen=True, slots=True)
class EpochOrder:
    """Stripes of an epoch that have wanted rows, in the order they are given.

    Attributes
    ----------
    stripes : ndarray of int64, shape [n]
        Their numbers.
    offsets : ndarray of int64, shape [n + 1]
        Rows of the epoch before each.
    chained : ndarray of bool, shape [n]
        True where the first session may have begun in the one before.
    """

    stripes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    chained: NDArray[np.bool_]

    @property
    def num_rows(self) -> int:
        """Wanted rows of the epoch."""
        return int(self.offsets[-1])


def epoch_order(
    stripes: Sequence[StripeInfo], *, shuffle: bool, seed: int, epoch: int
) -> EpochOrder:
    """Order the stripes of an epoch; those that share a session stay together, in file order."""
    count = len(stripes)
    rows = np.fromiter((info.rows for info in stripes), np.int64, count)
    continues = np.fromiter((info.continues for info in stripes), np.bool_, count)
    if continues.any():
        files = np.fromiter((info.file for info in stripes), np.int64, count)
        continues[1:] &= files[1:] == files[:-1]
        continues[0] = False
    numbers = np.arange(count)
    unit = np.cumsum(~continues) - 1
    if shuffle:
        first = np.flatnonzero(~continues)
        turn = permutation(len(first), seed, epoch, Purpose.STRIPES)
        numbers = ranges(first[turn], np.diff(first, append=count)[turn])
    numbers = numbers[rows[numbers] > 0]
    chained = np.zeros(len(numbers), np.bool_)
    chained[1:] = unit[numbers[1:]] == unit[numbers[:-1]]
    return EpochOrder(numbers, offsets_of(rows[numbers]), chained)
