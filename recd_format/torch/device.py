"""Batches to a CUDA device: pinned staging, a copy stream, the next batch in flight.

What decides, which buffer may be lent again and when a copy is begun, is apart from CUDA: it works
on a backend, so that it can be tested where there is no device.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

__all__ = ["Backend", "CudaBackend", "Event", "StagingRing", "device_of", "in_flight"]

T = TypeVar("T")
_LEAST_BYTES = 1 << 16


class Event(Protocol):
    """Marks a moment in a stream."""

    def query(self) -> bool:
        """True once everything before it is done."""

    def synchronize(self) -> None:
        """Wait for it."""


class Backend(Protocol):
    """What the device path asks of a device."""

    def pinned(self, nbytes: int) -> Any:
        """Return a uint8 tensor in pinned host memory."""

    def send(self, source: Any) -> tuple[Any, Event]:
        """Begin to copy `source` to the device, beside everything else.

        Returns the tensor there, and the event behind the copy.
        """

    def receive(self, target: Any, event: Event) -> None:
        """Have the current stream wait for a copy, and keep its target while it is used."""


def device_of(name: str | None) -> Any | None:
    """Return a reader's device: None for the CPU.

    Raises
    ------
    RecdInputError
        There is no such device here.
    """
    if name is None:
        return None
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RecdInputError(f"device={name!r}: {error}") from None
    if device.type == "cpu":
        return None
    if device.type != "cuda":
        raise RecdInputError(
            f"device={name!r}: expected 'cpu' or 'cuda'; for others, batch.to({name!r})"
        )
    if not torch.cuda.is_available():
        raise RecdInputError(f"device={name!r}: torch finds no CUDA device here")
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise RecdInputError(f"device={name!r}: there are {torch.cuda.device_count()} CUDA devices")
    # Without an index: which one is current may be set after this, and is asked when iterating.
    return device


class StagingRing:
    """Pinned buffers, each lent again once the copy out of it is done.

    Parameters
    ----------
    backend
        Gives pinned memory.
    most : int
        Copies to be under way at the same time; before another buffer is made, the oldest of
        them is waited for.
    """

    def __init__(self, backend: Backend, most: int = 4) -> None:
        self._backend = backend
        self._most = most
        # Batches are assembled in one thread and sent by another.
        self._lock = threading.Lock()
        self._free: list[Any] = []
        self._sent: deque[tuple[Event, Any]] = deque()
        self._lent: dict[int, Any] = {}

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Lend uint8 [nbytes]: what a loader's `allocate` is."""
        with self._lock:
            self._collect()
            if len(self._sent) >= self._most and not self._free:
                event, buffer = self._sent.popleft()
                event.synchronize()
                self._free.append(buffer)
            fitting = [n for n, buffer in enumerate(self._free) if buffer.numel() >= nbytes]
            if fitting:
                buffer = self._free.pop(min(fitting, key=lambda n: int(self._free[n].numel())))
            else:
                # All are too small: the largest batch so far decides, and some room on top.
                if self._free:
                    self._free.pop(0)
                buffer = self._backend.pinned(max(nbytes + nbytes // 4, _LEAST_BYTES))
            array: NDArray[np.uint8] = buffer.numpy()[:nbytes]
            self._lent[_address(array)] = buffer
            return array

    def lent(self, data: NDArray[np.uint8]) -> Any:
        """The tensor of what was lent."""
        with self._lock:
            return self._lent[_address(data)][: len(data)]

    def sent(self, data: NDArray[np.uint8], event: Event) -> None:
        """Take back what was lent; lend it again once `event` is over."""
        with self._lock:
            self._sent.append((event, self._lent.pop(_address(data))))

    def _collect(self) -> None:
        while self._sent and self._sent[0][0].query():
            self._free.append(self._sent.popleft()[1])


def _address(array: NDArray[np.uint8]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def in_flight(
    batches: Iterable[T],
    ring: StagingRing,
    backend: Backend,
    data: Callable[[T], NDArray[np.uint8]],
    moved: Callable[[T, Any], T],
) -> Iterator[T]:
    """Yield batches on a device, the copy of the next one begun before each.

    Parameters
    ----------
    batches
        In memory of the ring.
    ring, backend
    data
        Gives that memory.
    moved
        Makes of a batch and its bytes on the device the batch there; called before the memory
        may be lent again.
    """
    flying: tuple[T, Any, Event] | None = None
    coming = iter(batches)
    error: Exception | None = None
    while True:
        following: tuple[T, Any, Event] | None = None
        try:
            batch = next(coming, None)
        except Exception as raised:  # raised after the batch that is on its way
            error, batch = raised, None
        if batch is not None:
            target, event = backend.send(ring.lent(data(batch)))
            following = (moved(batch, target), target, event)
            ring.sent(data(batch), event)
            del batch
        if flying is not None:
            backend.receive(flying[1], flying[2])
            yield flying[0]
        flying = following
        if flying is None:
            break
    if error is not None:
        raise error


class CudaBackend:
    """The real one.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: Any) -> None:
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        self._device = device
        self._stream = torch.cuda.Stream(device=device)

    def pinned(self, nbytes: int) -> Any:
        """Return a uint8 tensor in pinned host memory."""
        # Other threads have device 0 as current: pinning must not make a context there.
        with torch.cuda.device(self._device):
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)

    def send(self, source: Any) -> tuple[Any, Event]:
        """Begin to copy on the copy stream: one allocation, one copy."""
        with torch.cuda.stream(self._stream):
            target = torch.empty(source.shape, dtype=torch.uint8, device=self._device)
            target.copy_(source, non_blocking=True)
            event = torch.cuda.Event()
            event.record(self._stream)
        return target, event

    def receive(self, target: Any, event: Any) -> None:
        """Have the current stream wait, on the device; the host goes on."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(event)
        target.record_stream(current)
