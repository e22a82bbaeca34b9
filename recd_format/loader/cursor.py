"""Where a batch stands in its epoch, and the state to resume behind it.

Loaders run ahead of training, so a checkpoint is made from the batch trained last, not from what
was read. The state of a whole rank follows from one batch, because workers take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recd_format.errors import RecdInputError

__all__ = [
    "STATE_VERSION",
    "Cursor",
    "Intervals",
    "check_state",
    "count_batches",
    "resume_point",
    "worker_block",
]

STATE_VERSION = 1
Intervals = tuple[tuple[int, int], ...]
_INTEGERS = ("version", "epoch", "seed", "rank", "world")


def count_batches(intervals: Iterable[Sequence[int]]) -> int:
    """Return how many batch numbers some intervals have."""
    return sum(high - low for low, high in intervals)


def worker_block(begun: Iterable[Sequence[int]], worker: int, workers: int) -> Intervals:
    """Return a worker's contiguous share of the batches that are left.

    Parameters
    ----------
    begun
        Intervals ``[low, high)`` of batch numbers in the order they are to be given; not sorted.
    worker, workers : int
        Which worker of how many. The first ones have one batch more where it does not divide: so
        workers that take turns never pass over one another until all is given.

    Examples
    --------
    >>> worker_block([(4, 9)], 0, 2), worker_block([(4, 9)], 1, 2)
    (((4, 7),), ((7, 9),))
    """
    intervals = [(low, high) for low, high in begun]
    share, more = divmod(count_batches(intervals), workers)
    return _part(intervals, worker * share + min(worker, more), share + (worker < more))


def _part(intervals: Iterable[tuple[int, int]], skip: int, count: int) -> Intervals:
    """`count` batch numbers of intervals, after the first `skip`."""
    part = []
    for low, high in intervals:
        first = min(low + skip, high)
        last = min(first + count, high)
        if first < last:
            part.append((first, last))
        skip -= first - low
        count -= last - first
    return tuple(part)


def _joined(intervals: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Make one interval of neighbours that follow each other; the order stays."""
    joined: list[list[int]] = []
    for low, high in intervals:
        if joined and joined[-1][1] == low:
            joined[-1][1] = high
        else:
            joined.append([low, high])
    return joined


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a batch stands: enough to resume the whole rank behind it.

    Attributes
    ----------
    fingerprint : str
        Of the files and options that the order depends on.
    epoch, seed : int
    rank, world : int
    worker, workers : int
        Who gave the batch; 0 and 1 without workers.
    begun : tuple of (int, int)
        Intervals of batch numbers the rank still had to give when this iteration began, in order.
    batch : int
        Number of the batch among the rank's.
    ordinal : int
        Batches this worker has given in this iteration, this one included.
    """

    fingerprint: str
    epoch: int
    seed: int
    rank: int
    world: int
    worker: int
    workers: int
    begun: Intervals
    batch: int
    ordinal: int

    def state_after(self) -> dict[str, Any]:
        """Return the rank's state after this batch was trained: small, plain, for `check_state`.

        Workers take turns, as a DataLoader has them do (``in_order=True``): those up to this one
        have given `ordinal` batches, the others one less. What is left is listed beginning with
        the worker whose turn it is: as many workers go on in the very order they had, and any
        other number gives the same batches.
        """
        left: list[tuple[int, int]] = []
        for turn in range(self.worker + 1, self.worker + 1 + self.workers):
            worker = turn % self.workers
            block = worker_block(self.begun, worker, self.workers)
            given = self.ordinal - (worker > self.worker)
            left += _part(block, given, count_batches(block))
        return {
            "version": STATE_VERSION,
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "seed": self.seed,
            "rank": self.rank,
            "world": self.world,
            "remaining": _joined(left),
        }


def check_state(
    state: Mapping[str, Any],
    *,
    fingerprint: str,
    rank: int,
    world: int,
    seed: int,
    num_batches: int | None = None,
) -> None:
    """Raise RecdInputError unless a state is of this reader and rank.

    Parameters
    ----------
    state
        As of `Cursor.state_after`.
    fingerprint, rank, world, seed
        The reader's own.
    num_batches
        Batches of the rank in the state's epoch, where known: the state may have none above.
    """
    if not isinstance(state, Mapping):
        raise RecdInputError(f"the state is a {type(state).__name__}: expected a dict")
    missing = [name for name in (*_INTEGERS, "fingerprint", "remaining") if name not in state]
    if missing:
        raise RecdInputError(
            f"the state lacks {missing[0]!r}: expected the state of a reader or of a batch's cursor"
        )
    for name in _INTEGERS:
        if not _is_count(state[name]):
            raise RecdInputError(f"the state's {name!r} is {state[name]!r}: expected an integer")
    if state["version"] != STATE_VERSION:
        raise RecdInputError(
            f"the state is of version {state['version']}: this package reads version "
            f"{STATE_VERSION}"
        )
    if (state["rank"], state["world"]) != (rank, world):
        raise RecdInputError(
            f"the state is of rank {state['rank']} of {state['world']}, this is rank {rank} of "
            f"{world}: an epoch resumes only on as many ranks, each with its own state (any number "
            "of workers will do)"
        )
    if state["seed"] != seed:
        raise RecdInputError(f"the state is of seed {state['seed']}, this reader's seed is {seed}")
    if state["fingerprint"] != fingerprint:
        raise RecdInputError(
            f"the state is of other files, transforms or options (fingerprint "
            f"{state['fingerprint']!r}, this reader's is {fingerprint!r}): resume with the reader "
            "that made it, or begin a new epoch without a state"
        )
    _check_remaining(state["remaining"], num_batches)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_remaining(remaining: Any, num_batches: int | None) -> None:
    intervals = isinstance(remaining, Sequence) and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(_is_count(number) for number in pair)
        and pair[0] < pair[1]
        for pair in remaining
    )
    if not intervals:
        raise RecdInputError(
            f"the state's 'remaining' is {remaining!r}: expected a list of [low, high) batch "
            "numbers"
        )
    end = 0
    for low, high in sorted(map(tuple, remaining)):
        if low < end:
            raise RecdInputError(f"the state's 'remaining' has batch {low} twice")
        end = high
    if num_batches is not None and end > num_batches:
        raise RecdInputError(
            f"the state's 'remaining' has batch {end - 1}: this rank has {num_batches} batches"
        )


def resume_point(state: Mapping[str, Any]) -> tuple[int, Intervals | None]:
    """Return the epoch a checked state resumes in, and what is left of it; None: all.

    Where nothing is left, that is the next epoch.
    """
    remaining = tuple((int(low), int(high)) for low, high in state["remaining"])
    if not remaining:
        return state["epoch"] + 1, None
    return state["epoch"], remaining
