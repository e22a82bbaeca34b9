"""Memory that processes share: numbers of a reader and its workers, and buffers of batches."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing import reduction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["SharedBuffers", "SharedNumbers"]

_ITEM = 8


class SharedNumbers:
    """An int64 array that a process shares with its children, forked or spawned; zeros at first.

    Not a shared tensor: a copy of one, in a process that was forked from one with OpenMP threads,
    never returns; and DataLoader pickles DataPipes with plain pickle, which copies tensors. Nor
    an array of `multiprocessing`, which plain pickle refuses. It is pickled for a process that is
    being spawned, and only then.

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


class SharedBuffers:
    """Memory of batches that go to another process: there is nothing to copy when they do."""

    def __init__(self) -> None:
        # Batches are assembled in one thread and taken by another; one step each.
        self._lent: dict[int, Any] = {}

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Lend uint8 [nbytes]: what a loader's `allocate` is."""
        # As torch's default_collate does it in a worker.
        storage = torch.UntypedStorage._new_shared(max(nbytes, 1))
        tensor = torch.empty(0, dtype=torch.uint8).set_(storage)[:nbytes]
        array: NDArray[np.uint8] = tensor.numpy()
        self._lent[_address(array)] = tensor
        return array

    def tensor(self, data: NDArray[np.uint8]) -> Any:
        """The tensor of what was lent; it is no longer kept here."""
        return self._lent.pop(_address(data))


def _address(array: NDArray[np.uint8]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
