"""Memory that processes share."""

from __future__ import annotations

import pickle
from functools import partial
from multiprocessing.reduction import ForkingPickler

import numpy as np

from recd_format.torch.shared import SharedBuffers, SharedNumbers
from tests.torch_plugin.reading import in_children, no_leaks


def write(numbers: SharedNumbers, place: int) -> None:
    numbers.array[place] = place + 1


def test_numbers_are_shared_with_children() -> None:
    with no_leaks():
        numbers = SharedNumbers(1000)
        assert not numbers.array.any()
        in_children(partial(write, numbers, 3), partial(write, numbers, 999))
        assert np.flatnonzero(numbers.array).tolist() == [3, 999]
        assert numbers.array[999] == 1000
        del numbers


def test_buffers_are_in_shared_memory_before_they_travel() -> None:
    buffers = SharedBuffers()
    arrays = [buffers.take(size) for size in (64, 100_000, 64)]
    for value, array in enumerate(arrays):
        assert array.__array_interface__["data"][0] % 64 == 0
        array[:] = value
    tensors = [buffers.tensor(array) for array in arrays]
    assert buffers._lent == {}
    for value, tensor in enumerate(tensors):
        assert tensor.is_shared()
        assert tensor.shape == arrays[value].shape
        # The same memory, here and where it is sent.
        there = pickle.loads(ForkingPickler.dumps(tensor))
        arrays[value][-1] = 77
        assert there[0] == value
        assert there[-1] == tensor[-1] == 77
