"""Which epoch an iteration is of, agreed between a process and its DataLoader workers.

A DataLoader begins an epoch in its workers alone: the dataset it was given hears nothing of it,
and workers that are forked anew for each epoch forget. So iterations are numbered in shared
memory. An iteration's epoch is counted from an anchor, which `set_epoch` and `load_state_dict`
move: workers that already run see that too.

Workers of one DataLoader find each other by a tag made of its seed (drawn anew for each set of
workers) and of how many iterations they have begun: the first to come takes the next number, the
others the same. Each process writes its own slot only, in one store of 8 bytes, so nothing is
locked and a worker that is killed leaves nothing half done.
"""

from __future__ import annotations

import multiprocessing.context
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from recd_format.errors import RecdInputError
from recd_format.torch.shared import SharedNumbers

__all__ = ["Beginning", "Epochs"]

_MOST_INTERVALS = 1 << 14
_MOST_WORKERS = (1 << 12) - 1
# The anchor: number of an iteration, its epoch, intervals left of it (-1: all), rank, world.
_NUMBER, _EPOCH, _COUNT, _RANK, _WORLD, _INTERVALS = range(6)
_SLOTS = _INTERVALS + 2 * _MOST_INTERVALS
_SIZE = _SLOTS + 1 + _MOST_WORKERS
# A slot is a tag and the number of an iteration; slot 0 is the process itself, with tag 0.
_NUMBER_BITS = 24
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_TAGS = (1 << 39) - 1


@dataclass(frozen=True, slots=True)
class Beginning:
    """How an iteration begins.

    Attributes
    ----------
    number : int
        Of the iteration, from 1.
    epoch : int
    remaining : tuple of (int, int) or None
        What is left of the epoch, where it is resumed; None: all.
    rank, world : int
        Whose state that was; -1 where nothing was loaded.
    """

    number: int
    epoch: int
    remaining: tuple[tuple[int, int], ...] | None = None
    rank: int = -1
    world: int = -1


class Epochs:
    """Numbers of iterations, shared by a process with its DataLoader workers and nobody else.

    A process that is no worker and gets one from its parent (a training rank, say) makes its own
    before it uses it or forks. A pickled copy goes on by itself.
    """

    def __init__(self) -> None:
        self._take(SharedNumbers(_SIZE), os.getpid())
        self._anchor(Beginning(1, 0))

    def _take(self, memory: SharedNumbers, owner: int) -> None:
        self._memory = memory
        self._array = memory.array
        self._owner = owner
        _ALL.add(self)

    def _table(self) -> NDArray[np.int64]:
        self.own()
        return self._array

    def own(self) -> None:
        """Leave the memory of a parent process, unless this is one of its DataLoader workers."""
        if self._owner != os.getpid() and get_worker_info() is None:
            before = self._array
            self._take(SharedNumbers(_SIZE), os.getpid())
            self._array[:] = before

    def __reduce__(self) -> tuple[Any, ...]:
        self.own()
        if multiprocessing.context.get_spawning_popen() is not None:
            return (_attached, (self._memory, self._owner))
        return (_copied, (self.next(),))

    def next(self) -> Beginning:
        """Return how the next iteration will begin."""
        table = self._table()
        return self._beginning(int((table[_SLOTS:] & _NUMBER_MASK).max()) + 1)

    def begin(self) -> Beginning:
        """Begin an iteration in the process itself."""
        beginning = self.next()
        self._table()[_SLOTS] = beginning.number
        return beginning

    def begin_in_worker(self, worker: int, seed: int, iteration: int) -> Beginning:
        """Begin an iteration in a DataLoader worker.

        Parameters
        ----------
        worker
            Its number.
        seed
            The same for all workers of a DataLoader.
        iteration
            Iterations this worker process began before.
        """
        if worker >= _MOST_WORKERS:
            raise RecdInputError(f"worker {worker}: at most {_MOST_WORKERS} workers are possible")
        table, tag = self._table(), _tag(seed, iteration)
        # One copy: all that follows is of one moment.
        slots = table[_SLOTS:].copy()
        numbers, own = slots & _NUMBER_MASK, int(slots[1 + worker])
        # A DataLoader whose generator is seeded the same again has the tag of the one before.
        before = own & _NUMBER_MASK if own >> _NUMBER_BITS == tag else 0
        number = int(numbers[slots >> _NUMBER_BITS == tag].max(initial=0))
        if number <= before:
            number = int(numbers.max()) + 1
        table[_SLOTS + 1 + worker] = tag << _NUMBER_BITS | number
        return self._beginning(number)

    def require_same(self, number: int, workers: int, seed: int, iteration: int) -> None:
        """Raise RecdInputError where another worker of this DataLoader took a later number.

        That happens only where two DataLoaders begin to iterate the same dataset at once.
        """
        slots = self._table()[_SLOTS + 1 : _SLOTS + 1 + workers]
        same = slots >> _NUMBER_BITS == _tag(seed, iteration)
        if int((slots[same] & _NUMBER_MASK).max(initial=0)) > number:
            raise RecdInputError(
                "two DataLoaders began to iterate one dataset at the same time, so that their "
                "workers cannot tell the epoch: give each DataLoader a dataset of its own"
            )

    def last_was_in_workers(self) -> bool:
        """True where the last iteration was begun by workers, and nothing was loaded since."""
        table = self._table()
        numbers = table[_SLOTS:] & _NUMBER_MASK
        last = int(numbers.max())
        return last >= int(table[_NUMBER]) and int(numbers[0]) != last

    def resume(
        self,
        epoch: int,
        remaining: Sequence[Sequence[int]] | None = None,
        rank: int = -1,
        world: int = -1,
    ) -> None:
        """Have the next iteration be of `epoch`, with what `remaining` names of it (None: all)."""
        left = None if remaining is None else tuple((int(a), int(b)) for a, b in remaining)
        if left is not None and len(left) > _MOST_INTERVALS:
            raise RecdInputError(
                f"the state has {len(left)} intervals of batches: at most {_MOST_INTERVALS} are "
                "possible"
            )
        self._anchor(Beginning(self.next().number, epoch, left, rank, world))

    def note(self, number: int, epoch: int) -> None:
        """Say that iteration `number` is of `epoch`: a worker was told so by its own state."""
        self._anchor(Beginning(number, epoch))

    def _anchor(self, beginning: Beginning) -> None:
        table = self._table()
        left = beginning.remaining
        if left:
            flat = np.array(left, np.int64).reshape(-1)
            table[_INTERVALS : _INTERVALS + len(flat)] = flat
        table[_NUMBER:_INTERVALS] = (
            beginning.number,
            beginning.epoch,
            -1 if left is None else len(left),
            beginning.rank,
            beginning.world,
        )

    def _beginning(self, number: int) -> Beginning:
        table = self._table()
        anchor, epoch, count, rank, world = table[:_INTERVALS].tolist()
        if number != anchor or count < 0:
            return Beginning(number, epoch + number - anchor)
        flat = table[_INTERVALS : _INTERVALS + 2 * count].reshape(-1, 2).tolist()
        return Beginning(number, epoch, tuple((a, b) for a, b in flat), rank, world)


def _tag(seed: int, iteration: int) -> int:
    return hash((seed, iteration)) % _TAGS + 1


def _attached(memory: SharedNumbers, owner: int) -> Epochs:
    """In a child process that was spawned: on the same memory."""
    epochs = Epochs.__new__(Epochs)
    epochs._take(memory, owner)
    return epochs


def _copied(beginning: Beginning) -> Epochs:
    """From a pickle: on memory of its own, going on where the original stood."""
    epochs = Epochs()
    epochs.resume(beginning.epoch, beginning.remaining, beginning.rank, beginning.world)
    return epochs


_ALL: weakref.WeakSet[Epochs] = weakref.WeakSet()


def _before_fork() -> None:
    # A rank that got its dataset from its parent shares no numbers with the other ranks: its own
    # memory must be there before its workers are forked.
    for epochs in list(_ALL):
        epochs.own()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
