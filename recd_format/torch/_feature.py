"""One key of jagged features: slices, made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.torch.ikjt import InverseKeyedJaggedTensor

__all__ = ["InverseJaggedFeature", "JaggedFeature"]


class _Owner(Protocol):
    def values(self) -> torch.Tensor: ...
    def lengths(self) -> torch.Tensor: ...
    def offsets(self) -> torch.Tensor: ...
    def weights_or_none(self) -> torch.Tensor | None: ...
    def _row_bounds(self) -> NDArray[np.int64]: ...
    def _value_bounds(self) -> NDArray[np.int64]: ...


class JaggedFeature:
    """Rows of one key: a view of the tensors of all keys.

    Answers as torchrec's JaggedTensor does.
    """

    __slots__ = ("_key", "_number", "_owner")

    def __init__(self, owner: _Owner, key: str, number: int) -> None:
        self._owner = owner
        self._key = key
        self._number = number

    def values(self) -> torch.Tensor:
        """Values of the rows, end to end, 1-D."""
        return self._values_of(self._owner.values())

    def lengths(self) -> torch.Tensor:
        """Values of each row, int32."""
        bounds = self._owner._row_bounds()
        return self._owner.lengths()[bounds[self._number] : bounds[self._number + 1]]

    def offsets(self) -> torch.Tensor:
        """Where in `values()` each row begins, and the end, int64 [rows + 1]."""
        bounds = self._owner._row_bounds()
        offsets = self._owner.offsets()[bounds[self._number] : bounds[self._number + 1] + 1]
        return offsets - offsets[:1]

    def weights(self) -> torch.Tensor:
        """Weights of the values, float32; raises RecdInputError where there are none."""
        weights = self.weights_or_none()
        if weights is None:
            raise RecdInputError(f"key {self._key!r} has no weights")
        return weights

    def weights_or_none(self) -> torch.Tensor | None:
        """Weights of the values, float32, or None."""
        weights = self._owner.weights_or_none()
        return None if weights is None else self._values_of(weights)

    def _values_of(self, of_all_keys: torch.Tensor) -> torch.Tensor:
        bounds = self._owner._value_bounds()
        return of_all_keys[bounds[self._number] : bounds[self._number + 1]]

    def __repr__(self) -> str:
        bounds = self._owner._row_bounds()
        rows = int(bounds[self._number + 1] - bounds[self._number])
        return f"{type(self).__name__}({self._key!r}, {rows} rows)"


class InverseJaggedFeature(JaggedFeature):
    """Unique rows of one key, and the inverse that it shares with its group."""

    __slots__ = ()
    _owner: InverseKeyedJaggedTensor

    def inverse_lookup(self) -> torch.Tensor:
        """Unique row of each row of the batch, int32 [B]."""
        return self._owner.inverse_lookup(self._key)

    def num_unique(self) -> int:
        """Unique rows."""
        return self._owner.num_unique(self._key)

    def stride(self) -> int:
        """Rows of the batch, B."""
        return self._owner.stride()

    def windows(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(timeline, start, length): see `InverseKeyedJaggedTensor.windows`."""
        return self._owner.windows(self._key)

    def expand(self) -> JaggedFeature:
        """Rows of the batch, written out; windows of other keys are not."""
        return self._owner._expand_keys(np.array([self._number]))[self._key]
