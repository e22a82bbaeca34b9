"""What the tensor collections of the plugin share: they do not change, and know their tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from recd_format.io import BufferPool

__all__ = ["Record", "empty", "on_stream", "owned"]

_MEMORY = BufferPool()
T = TypeVar("T")
R = TypeVar("R", bound="Record")


class Record:
    """Parts, given once, and what was computed of them since."""

    __slots__ = ("__weakref__", "_memo", "_parts")
    _parts: Any
    _memo: dict[str, Any]
    # It has [key]; without this, iteration would ask for [0], [1], ...
    __iter__ = None

    def _set(self, parts: Any) -> None:
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_memo", {})

    @classmethod
    def _of(cls: type[R], parts: Any) -> R:
        made = object.__new__(cls)
        made._set(parts)
        return made

    def _memoised(self, name: str, make: Callable[[], T]) -> T:
        # Threads may both compute it: they find the same.
        found: T | None = self._memo.get(name)
        if found is None:
            found = self._memo[name] = make()
        return found

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change once made: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change once made: {name}")


def empty(count: int, dtype: torch.dtype) -> torch.Tensor:
    """A tensor on the CPU, 1-D, of memory that is lent again once nobody refers to it.

    Fresh memory for every batch would fault in every page anew.
    """
    memory = _MEMORY.take(count * dtype.itemsize)
    return torch.from_numpy(memory).view(dtype)


def on_stream(stream: Any, *tensors: torch.Tensor | None) -> None:
    """Record a stream on the tensors that are on a device."""
    for tensor in tensors:
        # The CPU has no streams, and its tensors no such operator.
        if tensor is not None and tensor.device.type != "cpu":
            tensor.record_stream(stream)


def owned(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """The tensor with a storage of its own: pickling a view would pickle all it is a view of."""
    if tensor is None:
        return None
    if tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size():
        return tensor
    return tensor.clone()
