"""What an InverseKeyedJaggedTensor is made of, and the checks of what users hand in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.torch._keys import Keys

__all__ = ["Parts", "check_jagged", "check_rows", "parts_of"]

_VALUES = (torch.int64, torch.int32, torch.float32)
_INTEGERS = (torch.int64, torch.int32)
_MOST_ROWS = (1 << 31) - 1


class Parts(NamedTuple):
    """Tensors and numbers of an InverseKeyedJaggedTensor; each may be a view of a larger buffer.

    Attributes
    ----------
    keys : Keys
        F keys in G groups.
    values : Tensor of int64, int32 or float32, 1-D
        Key-major: unique rows end to end, or a timeline where the key is windowed.
    lengths : Tensor of int32, 1-D
        Values of each unique row, key-major.
    inverse : Tensor of int32, shape [K, B], or None
        Unique row of each row, for groups that are not the identity.
    inverse_row : ndarray of int64, shape [G]
        Row of `inverse` of each group; -1: row i is unique row i.
    unique : ndarray of int64, shape [G]
        Unique rows of each group.
    stride : int
        Rows of the batch, B.
    starts : Tensor of int32, 1-D, or None
        Where each unique row of the windowed keys begins in its key's timeline.
    value_counts : ndarray of int64, shape [F], or None
        Elements of `values` of each key; None (only without windows): counted when needed.
    weights : Tensor of float32 or None
        Parallel to `values`.
    monotone : ndarray of bool, shape [G], or None
        The inverse never falls; None: looked at when asked.
    csr : Tensor of int32, 1-D, or None
        For some groups, U + 1 offsets, then the B row numbers sorted by unique row.
    csr_start : ndarray of int64, shape [G], or None
        Where in `csr` those of a group begin; -1 where it has none.
    plain_counts : ndarray of int64, shape [F], or None
        Values of each key, windows written out; None: counted when needed.
    """

    keys: Keys
    values: torch.Tensor
    lengths: torch.Tensor
    inverse: torch.Tensor | None
    inverse_row: NDArray[np.int64]
    unique: NDArray[np.int64]
    stride: int
    starts: torch.Tensor | None = None
    value_counts: NDArray[np.int64] | None = None
    weights: torch.Tensor | None = None
    monotone: NDArray[np.bool_] | None = None
    csr: torch.Tensor | None = None
    csr_start: NDArray[np.int64] | None = None
    plain_counts: NDArray[np.int64] | None = None


def parts_of(
    keys: Sequence[str],
    values: torch.Tensor,
    lengths: torch.Tensor,
    groups: Sequence[Sequence[str]] | None,
    inverse_lookup: Sequence[torch.Tensor | None] | None,
    weights: torch.Tensor | None,
) -> Parts:
    """Check the arguments of the public constructor and return what it keeps."""
    names = Keys.of(keys, groups)
    values, lengths, weights = check_jagged(values, lengths, weights)
    count = len(names.groups)
    lookups = [None] * count if inverse_lookup is None else list(inverse_lookup)
    if len(lookups) != count:
        raise RecdInputError(f"inverse_lookup: expected one a group, {count}, found {len(lookups)}")
    given = [number for number, lookup in enumerate(lookups) if lookup is not None]
    rows = lengths.numel()
    if given:
        stacked = _stack([lookups[g] for g in given], [names.groups[g][0] for g in given], values)
        stride = int(stacked.shape[1])
    elif rows % len(names.keys):
        raise RecdInputError(
            f"lengths: expected as many for each of {len(names.keys)} keys, found {rows}"
        )
    else:
        stacked, stride = None, rows // len(names.keys)
    unique = np.full(count, stride, np.int64)
    inverse_row = np.full(count, -1, np.int64)
    if stacked is not None:
        inverse_row[given] = np.arange(len(given))
        # Each unique row is some row's, so the last one says how many there are.
        most = stacked.amax(1).cpu().numpy() + np.int64(1) if stride else 0
        unique[given] = most
    expected = int(unique[names.group_of_key].sum())
    if expected != rows:
        raise RecdInputError(
            f"lengths: expected {expected}, one for each unique row of each key (groups have "
            f"{unique.tolist()[:20]} unique rows), found {rows}"
        )
    return Parts(names, values, lengths, stacked, inverse_row, unique, stride, weights=weights)


def _stack(lookups: Sequence[Any], names: Sequence[str], values: torch.Tensor) -> torch.Tensor:
    """Inverses of some groups as int32 [K, B], checked."""
    stride = None
    for name, lookup in zip(names, lookups, strict=True):
        where = f"inverse_lookup of the group of {name!r}"
        _require(where, lookup, _INTEGERS, values.device)
        if stride is not None and lookup.numel() != stride:
            raise RecdInputError(f"{where}: expected {stride} rows, found {lookup.numel()}")
        stride = lookup.numel()
    stacked = torch.stack([lookup.to(torch.int64) for lookup in lookups])
    if stacked.numel():
        least, most = int(stacked.amin()), int(stacked.amax())
        if least < 0 or most > _MOST_ROWS:
            raise RecdInputError(
                f"inverse_lookup: expected numbers of unique rows from 0, found {least} to {most}"
            )
    return stacked.to(torch.int32)


def check_jagged(
    values: torch.Tensor, lengths: torch.Tensor, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Check values, lengths and weights of jagged rows; return them contiguous, lengths int32."""
    _require("values", values, _VALUES)
    _require("lengths", lengths, _INTEGERS, values.device)
    if lengths.numel():
        least, most = int(lengths.amin()), int(lengths.amax())
        if least < 0 or most > _MOST_ROWS:
            raise RecdInputError(f"lengths: expected 0 or more, found {least} to {most}")
    total = int(lengths.sum())
    if total != values.numel():
        raise RecdInputError(f"values: lengths add up to {total}, found {values.numel()} values")
    if weights is not None:
        _require("weights", weights, (torch.float32,), values.device)
        if weights.numel() != values.numel():
            raise RecdInputError(
                f"weights: expected one a value, {values.numel()}, found {weights.numel()}"
            )
        weights = weights.contiguous()
    return values.contiguous(), lengths.to(torch.int32).contiguous(), weights


def _require(
    name: str, tensor: Any, dtypes: tuple[torch.dtype, ...], device: torch.device | None = None
) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise RecdInputError(f"{name}: expected a tensor, found {type(tensor).__name__}")
    if tensor.dtype not in dtypes:
        raise RecdInputError(
            f"{name}: expected {' or '.join(map(str, dtypes))}, found {tensor.dtype}"
        )
    if tensor.dim() != 1:
        raise RecdInputError(f"{name}: expected 1 dimension, found shape {tuple(tensor.shape)}")
    if device is not None and tensor.device != device:
        raise RecdInputError(f"{name}: expected on {device} as values, found on {tensor.device}")


def check_rows(rows: Any, stride: int) -> NDArray[np.int64]:
    """Row numbers of a batch as int64 [n], checked to be in the batch."""
    array = rows.detach().cpu().numpy() if isinstance(rows, torch.Tensor) else np.asarray(rows)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise RecdInputError(
            f"rows: expected row numbers in 1 dimension, found {array.dtype} of shape {array.shape}"
        )
    if array.min() < 0 or array.max() >= stride:
        raise RecdInputError(
            f"rows: expected 0 to {stride - 1}, found {array.min()} to {array.max()}"
        )
    return np.ascontiguousarray(array, np.int64)
