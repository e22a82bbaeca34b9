"""InverseKeyedJaggedTensor: jagged features of a batch, each distinct row held once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree

from recd_format.errors import RecdInputError
from recd_format.torch import _select, dedup
from recd_format.torch._core import Core, sorted_rows, with_tensors
from recd_format.torch._feature import InverseJaggedFeature
from recd_format.torch._keys import Keys
from recd_format.torch._parts import Parts, parts_of
from recd_format.torch._tensors import on_stream
from recd_format.torch.keyed_jagged import KeyedJagged

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

__all__ = ["InverseKeyedJaggedTensor", "Keys"]

Ints = NDArray[np.int64]
Group = int | str | Sequence[str]


class InverseKeyedJaggedTensor(Core):
    """Jagged features of B rows; equal rows are held once (IKJT).

    Keys of one *group* have the same duplicates: the group has U unique rows, and one
    `inverse_lookup` [B] that says which of them each row of the batch is. Values are key-major
    over unique rows: TorchRec's layout of batches with variable stride (VBE).

    It does not change once made, pickles, and is a pytree. Gradients do not flow through it: ids
    have none, and those of weights or float values must come from the model's own use of
    `values()` and `weights()`.

    Parameters
    ----------
    keys : sequence of str, F of them
    values : Tensor of int64, int32 or float32, 1-D
        Values of the unique rows of the first key, then of the second, and so on.
    lengths : Tensor of int32 or int64, 1-D
        Values of each unique row, key-major: U of its group for each key.
    groups : sequence of sequences of str, optional
        Partition of the keys; None: each key is a group.
    inverse_lookup : sequence of (Tensor of int32 or int64, shape [B], or None), optional
        Of each group; every unique row should be some row's. None: row i is unique row i.
    weights : Tensor of float32, optional
        Parallel to `values`.

    Raises
    ------
    RecdInputError
        Arguments do not fit together, or a tensor is of another type.

    Examples
    --------
    >>> ikjt = InverseKeyedJaggedTensor(
    ...     ["a"], torch.tensor([7, 8, 9]), torch.tensor([2, 1]), None, [torch.tensor([0, 0, 1])]
    ... )
    >>> ikjt.expand()["a"].values()
    tensor([7, 8, 7, 8, 9])
    """

    __slots__ = ()
    _parts: Parts

    def __init__(
        self,
        keys: Sequence[str],
        values: torch.Tensor,
        lengths: torch.Tensor,
        groups: Sequence[Sequence[str]] | None = None,
        inverse_lookup: Sequence[torch.Tensor | None] | None = None,
        weights: torch.Tensor | None = None,
    ) -> None:
        self._set(parts_of(keys, values, lengths, groups, inverse_lookup, weights))

    @classmethod
    def _from_parts(
        cls,
        keys: Keys,
        *,
        values: torch.Tensor,
        lengths: torch.Tensor,
        inverse: torch.Tensor | None,
        inverse_row: Ints,
        unique: Ints,
        stride: int,
        starts: torch.Tensor | None = None,
        value_counts: Ints | None = None,
        weights: torch.Tensor | None = None,
        monotone: NDArray[np.bool_] | None = None,
        csr: tuple[torch.Tensor, Ints] | None = None,
        plain_counts: Ints | None = None,
    ) -> InverseKeyedJaggedTensor:
        """Unchecked and O(1) in the number of keys; see `Parts`."""
        rows, start = (None, None) if csr is None else csr
        return cls._of(
            Parts(
                keys, values, lengths, inverse, inverse_row, unique, stride, starts, value_counts,
                weights, monotone, rows, start, plain_counts,
            )
        )  # fmt: skip

    @classmethod
    def from_jagged(
        cls,
        keys: Sequence[str],
        values: torch.Tensor,
        lengths: torch.Tensor,
        weights: torch.Tensor | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        stride: int | None = None,
    ) -> InverseKeyedJaggedTensor:
        """Find the duplicates of an ordinary jagged batch, by hashing and comparing.

        Rows are equal where all keys of a group have the same bits, weights among them. Unique
        rows are in order of first appearance. On a device the batch is copied to the host,
        deduplicated there, and copied back.

        Parameters
        ----------
        keys : sequence of str, F of them
        values : Tensor of int64, int32 or float32, 1-D
        lengths : Tensor of int32 or int64, shape [F * B], key-major
        weights : Tensor of float32, optional
            Parallel to `values`.
        groups : sequence of sequences of str, optional
            Keys that shall share an inverse; None: each key is deduplicated by itself.
        stride : int, optional
            B; None: ``len(lengths) / F``.

        Raises
        ------
        RecdInputError
            Arguments do not fit together, or a tensor is of another type.
        """
        made = cls._of(dedup.deduplicate(keys, values, lengths, weights, groups, stride))
        return made if made.device == values.device else made.to(values.device)

    @classmethod
    def concat(cls, ikjts: Sequence[InverseKeyedJaggedTensor]) -> InverseKeyedJaggedTensor:
        """Rows of batches one behind the other; same keys, groups, types, and device.

        A unique row of two batches is there twice: nothing is hashed. Windows stay windows.

        Raises
        ------
        RecdInputError
            There are none, or they differ in more than rows.
        """
        return _select.concat(list(ikjts))

    def keys(self) -> list[str]:
        """Names, in the order of the values."""
        return list(self._parts.keys.keys)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Keys of each group."""
        return self._parts.keys.groups

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self._parts.values.device

    def stride(self) -> int:
        """Rows of the batch, B."""
        return self._parts.stride

    def values(self) -> torch.Tensor:
        """Values of the unique rows, key-major, 1-D: int64 or int32 ids, or float32."""
        return self._plain()[0]

    def lengths(self) -> torch.Tensor:
        """Values of each unique row, key-major, int32 [sum of U over keys]."""
        return self._parts.lengths

    def offsets(self) -> torch.Tensor:
        """Where in `values()` each unique row begins, and the end, int64 [sum of U + 1]."""
        return self._offsets()

    def weights(self) -> torch.Tensor:
        """Weights of the values, float32; raises RecdInputError where there are none."""
        weights = self.weights_or_none()
        if weights is None:
            raise RecdInputError("these features have no weights")
        return weights

    def weights_or_none(self) -> torch.Tensor | None:
        """Weights of the values, float32, or None."""
        return None if self._parts.weights is None else self._plain()[1]

    def inverse_lookup(self, group: Group) -> torch.Tensor:
        """Unique row of each row of the batch, int32 [B].

        Parameters
        ----------
        group
            Number of a group, one of its keys, or all its keys as in `groups`.
        """
        parts = self._parts
        row = int(parts.inverse_row[parts.keys.group(group)])
        if row >= 0 and parts.inverse is not None:
            return parts.inverse[row]
        return self._rows_in_order()

    def is_identity(self, group: Group) -> bool:
        """True where row i is unique row i, and nothing needs to be expanded."""
        return bool(self._parts.inverse_row[self._parts.keys.group(group)] < 0)

    def monotone(self, group: Group) -> bool:
        """True where the inverse never falls: copies of a unique row are neighbours.

        A device is waited for where the batch was made without that knowledge.
        """
        number = self._parts.keys.group(group)
        if self._parts.inverse_row[number] < 0:
            return True
        if self._parts.monotone is not None:
            return bool(self._parts.monotone[number])
        inverse = self.inverse_lookup(number)
        return bool((inverse[1:] >= inverse[:-1]).all())

    def csr(self, group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows by unique row: what a deterministic backward of the expansion walks.

        Returns
        -------
        offsets : Tensor of int32, shape [U + 1]
        rows : Tensor of int32, shape [B]
            Those of unique row u are ``rows[offsets[u]:offsets[u + 1]]``, ascending.
        """
        parts = self._parts
        number = parts.keys.group(group)
        unique = int(parts.unique[number])
        if parts.csr is not None and parts.csr_start is not None and parts.csr_start[number] >= 0:
            begin = int(parts.csr_start[number])
            middle = begin + unique + 1
            return parts.csr[begin:middle], parts.csr[middle : middle + parts.stride]
        return self._memoised(
            f"csr {number}", lambda: sorted_rows(self.inverse_lookup(number), number, unique)
        )

    def num_unique(self, group: Group) -> int:
        """Unique rows of a group, U; a group is given as in `inverse_lookup`."""
        return int(self._parts.unique[self._parts.keys.group(group)])

    def length_per_key(self) -> list[int]:
        """Elements of `values()` of each key."""
        return [int(count) for count in self._plain_counts()]

    def windows(self, key: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows of a key as parts of a timeline that overlapping rows share.

        Where the file has no windows, the timeline is `ikjt[key].values()`.

        Returns
        -------
        timeline : Tensor, 1-D
            Of the dtype of `values()`.
        start, length : Tensor of int32, shape [U]
            Unique row u is ``timeline[start[u]:start[u] + length[u]]``.
        """
        parts = self._parts
        number = parts.keys.number(key)
        bounds, rows = self._carried_bounds(), self._row_bounds()
        timeline = parts.values[bounds[number] : bounds[number + 1]]
        length = parts.lengths[rows[number] : rows[number + 1]]
        begin = int(self._window()[number])
        if parts.starts is not None and begin >= 0:
            return timeline, parts.starts[begin : begin + length.numel()], length
        return timeline, self[key].offsets()[:-1].to(torch.int32), length

    def window_weights(self, key: str) -> torch.Tensor | None:
        """Weights of the timeline that `windows(key)` gives, or None."""
        weights, bounds = self._parts.weights, self._carried_bounds()
        number = self._parts.keys.number(key)
        return None if weights is None else weights[bounds[number] : bounds[number + 1]]

    def __getitem__(self, key: str) -> InverseJaggedFeature:
        return InverseJaggedFeature(self, key, self._parts.keys.number(key))

    def __contains__(self, key: object) -> bool:
        return key in self._parts.keys.index

    def expand(self) -> KeyedJagged:
        """Every row of the batch written out, key-major.

        Nothing is copied where every group is the identity. A device is waited for once, for
        the number of values.

        Raises
        ------
        RecdInputError
            More values than a read may expand to.
        """
        parts = self._parts
        if not self._has_windows() and not (parts.inverse_row >= 0).any():
            return KeyedJagged._from_parts(
                parts.keys.keys, parts.values, parts.lengths, parts.weights, parts.stride,
                self._plain_counts_known(),
            )  # fmt: skip
        return self._expand_keys(np.arange(len(parts.keys.keys)))

    def to_torchrec(self) -> KeyedJaggedTensor:
        """Return a torchrec KeyedJaggedTensor of variable stride, with inverse_indices.

        Values, lengths and weights are not copied; inverse_indices, int64 [F, B], are made where
        the tensors are.
        """
        from recd_format.torch.torchrec import to_kjt

        return to_kjt(self)

    def index_select(self, rows: Any) -> InverseKeyedJaggedTensor:
        """Choose rows of the batch; unique rows that none of them is are left out.

        Unique rows come out in order of first appearance. Windows stay windows on the CPU, and
        are written out on a device, which is waited for.

        Parameters
        ----------
        rows : Tensor, ndarray or sequence of int, shape [n]
            In any order, repeated or not.

        Raises
        ------
        RecdInputError
            `rows` are not row numbers of this batch.
        """
        return _select.index_select(self, rows)

    @property
    def dedup_factor(self) -> float:
        """Values of the batch written out / values of unique rows; a device is waited for."""
        return self._factor(slice(None))

    def dedup_factor_of(self, key: str) -> float:
        """`dedup_factor` of one key."""
        number = self._parts.keys.number(key)
        return self._factor(slice(number, number + 1))

    def to(
        self, device: torch.device | str, non_blocking: bool = False
    ) -> InverseKeyedJaggedTensor:
        """The same on a device; self where it is there already.

        Timelines are copied, and written out on the device.
        """
        made = self._moved(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        if made is not self and made.device.type != "cpu":
            made._plain()
        return made

    def pin_memory(self) -> InverseKeyedJaggedTensor:
        """A copy in pinned memory."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until what `stream` now has to do is done."""
        computed = [
            tensor
            for found in self._memo.values()
            for tensor in (found if isinstance(found, tuple) else (found,))
            if hasattr(tensor, "record_stream")
        ]
        on_stream(stream, *self._tensors(), *computed)

    def __repr__(self) -> str:
        parts = self._parts
        return (
            f"InverseKeyedJaggedTensor({len(parts.keys.keys)} keys, {len(parts.keys.groups)} "
            f"groups, stride={parts.stride}, {parts.lengths.numel()} unique rows, "
            f"{parts.values.numel()} values, {str(parts.values.dtype).removeprefix('torch.')}"
            f"{', windowed' if self._has_windows() else ''}"
            f"{'' if parts.weights is None else ', weighted'}, device={str(self.device)!r})"
        )


class _Context:
    """What is not a tensor: equal where all numbers are."""

    __slots__ = ("parts", "present")

    def __init__(self, parts: Parts, present: tuple[bool, ...]) -> None:
        self.parts = parts
        self.present = present

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Context):
            return NotImplemented
        mine, others = self.parts, other.parts
        return (
            self.present == other.present
            and mine.keys.same_as(others.keys)
            and np.array_equal(mine.keys.windowed, others.keys.windowed)
            and all(np.array_equal(a, b) for a, b in zip(mine[1:], others[1:], strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.parts.keys.keys, self.parts.stride))


def _flatten(ikjt: InverseKeyedJaggedTensor) -> tuple[list[Any], _Context]:
    tensors = ikjt._tensors()
    # None would be a leaf.
    leaves = [tensor for tensor in tensors if tensor is not None]
    parts = ikjt._with_tensors([None] * len(tensors))._parts
    return leaves, _Context(parts, tuple(tensor is not None for tensor in tensors))


def _unflatten(leaves: Iterable[Any], context: _Context) -> InverseKeyedJaggedTensor:
    given = iter(leaves)
    tensors = [next(given) if there else None for there in context.present]
    return InverseKeyedJaggedTensor._of(with_tensors(context.parts, tensors))


_pytree.register_pytree_node(
    InverseKeyedJaggedTensor,
    _flatten,
    _unflatten,
    serialized_type_name="recd_format.torch.InverseKeyedJaggedTensor",
)
