"""KeyedJagged: ordinary jagged features, every row written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree

from recd_format.errors import RecdInputError
from recd_format.torch._feature import JaggedFeature
from recd_format.torch._jagged import complete_sum, count_values, offsets_of
from recd_format.torch._keys import Keys
from recd_format.torch._parts import check_jagged
from recd_format.torch._tensors import Record, on_stream, owned

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

__all__ = ["KeyedJagged"]


class _Parts(NamedTuple):
    keys: tuple[str, ...]
    values: torch.Tensor
    lengths: torch.Tensor
    weights: torch.Tensor | None
    stride: int
    counts: NDArray[np.int64] | None


class KeyedJagged(Record):
    """Jagged features of B rows, key-major; answers as torchrec's KeyedJaggedTensor does.

    Does not change once made. Gradients do not flow through it.

    Parameters
    ----------
    keys : sequence of str, F of them
    values : Tensor of int64, int32 or float32, 1-D
        Values of all rows of the first key, then of the second, and so on.
    lengths : Tensor of int32 or int64, shape [F * B]
        Values of each row, key-major.
    weights : Tensor of float32, optional
        Parallel to `values`.
    stride : int, optional
        Rows, B; None: ``len(lengths) / F``.

    Raises
    ------
    RecdInputError
        Lengths do not fit the values or the keys, or a tensor is of another type.
    """

    __slots__ = ()
    _parts: _Parts

    def __init__(
        self,
        keys: Sequence[str],
        values: torch.Tensor,
        lengths: torch.Tensor,
        weights: torch.Tensor | None = None,
        stride: int | None = None,
    ) -> None:
        names = Keys.of(keys).keys
        values, lengths, weights = check_jagged(values, lengths, weights)
        stride = stride_of(len(names), lengths.numel(), stride)
        self._set(_Parts(names, values, lengths, weights, stride, None))

    @classmethod
    def _from_parts(
        cls,
        keys: tuple[str, ...],
        values: torch.Tensor,
        lengths: torch.Tensor,
        weights: torch.Tensor | None,
        stride: int,
        counts: NDArray[np.int64] | None = None,
    ) -> KeyedJagged:
        """Unchecked; `counts` are the values of each key, None: counted when needed."""
        return cls._of(_Parts(keys, values, lengths, weights, stride, counts))

    def keys(self) -> list[str]:
        """Names, in the order of the values."""
        return list(self._parts.keys)

    def values(self) -> torch.Tensor:
        """Values of all keys, key-major, 1-D."""
        return self._parts.values

    def lengths(self) -> torch.Tensor:
        """Values of each row, int32 [F * B], key-major."""
        return self._parts.lengths

    def offsets(self) -> torch.Tensor:
        """Where each row begins, and the end, int64 [F * B + 1]."""
        return self._memoised("offsets", lambda: offsets_of(self._parts.lengths))

    def weights(self) -> torch.Tensor:
        """Weights of the values, float32; raises RecdInputError where there are none."""
        if self._parts.weights is None:
            raise RecdInputError("these features have no weights")
        return self._parts.weights

    def weights_or_none(self) -> torch.Tensor | None:
        """Weights of the values, float32, or None."""
        return self._parts.weights

    def stride(self) -> int:
        """Rows of the batch, B."""
        return self._parts.stride

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self._parts.values.device

    def length_per_key(self) -> list[int]:
        """Values of each key; a device is waited for where that is not known yet."""
        return [int(count) for count in np.diff(self._value_bounds())]

    def to_dict(self) -> dict[str, JaggedFeature]:
        """Each key's rows."""
        return {key: JaggedFeature(self, key, n) for n, key in enumerate(self._parts.keys)}

    def __getitem__(self, key: str) -> JaggedFeature:
        index = self._memoised(
            "index", lambda: {name: n for n, name in enumerate(self._parts.keys)}
        )
        if not isinstance(key, str) or key not in index:
            raise RecdInputError(f"there is no key {key!r}")
        return JaggedFeature(self, key, index[key])

    def __contains__(self, key: object) -> bool:
        return key in self._parts.keys

    def to(self, device: torch.device | str, non_blocking: bool = False) -> KeyedJagged:
        """The same on a device; self where it is there already."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> KeyedJagged:
        """A copy in pinned memory."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until what `stream` now has to do is done."""
        parts = self._parts
        on_stream(stream, parts.values, parts.lengths, parts.weights, self._memo.get("offsets"))

    def to_torchrec(self) -> KeyedJaggedTensor:
        """The same as a torchrec KeyedJaggedTensor; nothing is copied."""
        from recd_format.torch.torchrec import kjt_from_keyed_jagged

        return kjt_from_keyed_jagged(self)

    def _row_bounds(self) -> NDArray[np.int64]:
        parts = self._parts
        return self._memoised(
            "rows", lambda: np.arange(len(parts.keys) + 1, dtype=np.int64) * parts.stride
        )

    def _value_bounds(self) -> NDArray[np.int64]:
        return self._memoised("bounds", self._count)

    def _count(self) -> NDArray[np.int64]:
        parts = self._parts
        counts = parts.counts
        if counts is None:
            counts = count_values(parts.lengths, self._row_bounds(), parts.keys)
        return complete_sum(counts)

    def _moved(self, move: Any) -> KeyedJagged:
        parts = self._parts
        moved = parts._replace(
            values=move(parts.values),
            lengths=move(parts.lengths),
            weights=None if parts.weights is None else move(parts.weights),
        )
        same = moved.values is parts.values and moved.lengths is parts.lengths
        return self if same else self._of(moved)

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self._parts
        return KeyedJagged._from_parts, (
            parts.keys, owned(parts.values), owned(parts.lengths), owned(parts.weights),
            parts.stride, parts.counts,
        )  # fmt: skip

    def __repr__(self) -> str:
        parts = self._parts
        return (
            f"KeyedJagged({len(parts.keys)} keys, stride={parts.stride}, "
            f"{parts.values.numel()} values, {str(parts.values.dtype).removeprefix('torch.')}"
            f"{'' if parts.weights is None else ', weighted'}, device={str(self.device)!r})"
        )


def stride_of(keys: int, rows: int, stride: int | None) -> int:
    """Rows of a batch whose keys have `rows` rows together, checked against what is said."""
    if stride is None and rows % keys:
        raise RecdInputError(f"lengths: expected as many for each of {keys} keys, found {rows}")
    found = rows // keys if stride is None else int(stride)
    if found < 0 or found * keys != rows:
        raise RecdInputError(
            f"lengths: expected {keys} keys x {found} rows = {keys * found}, found {rows}"
        )
    return found


def _flatten(tensors: KeyedJagged) -> tuple[list[Any], tuple[Any, ...]]:
    parts = tensors._parts
    weights = [] if parts.weights is None else [parts.weights]
    return [parts.values, parts.lengths, *weights], (parts.keys, parts.stride)


def _unflatten(leaves: Any, context: tuple[Any, ...]) -> KeyedJagged:
    values, lengths, *rest = leaves
    weights = rest[0] if rest else None
    return KeyedJagged._from_parts(context[0], values, lengths, weights, context[1])


_pytree.register_pytree_node(
    KeyedJagged, _flatten, _unflatten, serialized_type_name="recd_format.torch.KeyedJagged"
)
