"""Numbers in memory that a process shares with its children, forked or spawned.

Not a shared tensor: a copy of one, in a process that was forked from one with OpenMP threads,
never returns; and DataLoader pickles DataPipes with plain pickle, which copies tensors. Nor an
array of `multiprocessing`, which plain pickle refuses.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing import reduction
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SharedNumbers"]

_ITEM = 8


class SharedNumbers:
    """An int64 array, zeros at first.

    It is pickled for a process that is being spawned, and only then.

    Parameters
    ----------
    count : int
        Numbers.

    Attributes
    ----------
    array : ndarray of int64, shape [count]
    """

    def __init__(self, count: int) -> None:
        self._take(_new_file(_ITEM * count), count)

    def _take(self, descriptor: int, count: int) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        memory = mmap.mmap(descriptor, _ITEM * count)
        self.array: NDArray[np.int64] = np.frombuffer(memory, np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        handle = reduction.DupFd(self._descriptor)
        return (_attached, (handle, len(self.array)))


def _new_file(nbytes: int) -> int:
    """A descriptor of a file that nobody else sees."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("recd_format")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, nbytes)
    return descriptor


def _attached(handle: Any, count: int) -> SharedNumbers:
    numbers = SharedNumbers.__new__(SharedNumbers)
    numbers._take(handle.detach(), count)
    return numbers
