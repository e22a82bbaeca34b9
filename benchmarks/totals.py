"""Sums over all rows of all batches: the same for everybody who gives the same rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.to_kjt import Shared, Wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.workloads import Workload

__all__ = ["Totals", "of_batches", "of_log"]

_WRAP = 1 << 64


class Totals(NamedTuple):
    """Of a whole epoch, each row counted as often as it is there.

    Attributes
    ----------
    ids, id_sum
        How many ids the lists have, and their sum modulo 2^64.
    positions
        Sum over all rows of (place of the key + 1) * length: a row given to the wrong key shows.
    floats
        How many values the float lists have.
    dense, labels
        Sums in float64; the order of the rows changes their last digits, so they are rounded.
    """

    ids: int
    id_sum: int
    positions: int
    floats: int
    dense: float
    labels: float


def of_log(log: Workload, wanted: Wanted) -> Totals:
    """What every epoch of `log` must come to."""
    ids, id_sum, positions, floats = 0, 0, 0, 0
    for place, name in enumerate(wanted.ids, 1):
        column = log.table[name].combine_chunks()
        values = column.flatten() if pa.types.is_list(column.type) else column
        ids += len(values)
        positions += place * len(values)
        id_sum += _unsigned_sum(values.to_numpy().astype(np.int64))
    for name in wanted.floats:
        floats += len(log.table[name].combine_chunks().flatten())
    dense = sum(_sum(log.table[name].to_numpy()) for name in wanted.dense)
    labels = sum(_sum(log.table[name].to_numpy()) for name in wanted.labels)
    return Totals(ids, id_sum % _WRAP, positions, floats, round(dense, 1), round(labels, 1))


def _unsigned_sum(ids: NDArray[np.int64]) -> int:
    return int(ids.view(np.uint64).sum())


def _sum(array: Any) -> float:
    return float(np.asarray(array).astype(np.float64).sum())


def of_batches(batches: Iterable[Any]) -> Totals:
    """The sums of ours, of `Batch`, and of what hashing makes of it."""
    ids, id_sum, positions, floats, dense, labels = 0, 0, 0, 0, 0.0, 0.0
    for batch in batches:
        found = hasattr(batch, "sparse_features")
        lists, values, keys = _written_out(batch.sparse_features if found else batch.sparse)
        ids += len(values)
        id_sum += _unsigned_sum(values)
        positions += int((lists.reshape(keys, -1).sum(1) * np.arange(1, keys + 1)).sum())
        jagged = batch.float_lists if found else batch.floats
        floats += len(_written_out(jagged)[1]) if jagged is not None else 0
        matrix = batch.dense_features if found else batch.dense
        dense += _sum(matrix) if matrix is not None else 0.0
        labels += _sum(batch.labels) if batch.labels is not None else 0.0
    return Totals(ids, id_sum % _WRAP, positions, floats, round(dense, 1), round(labels, 1))


def _written_out(jagged: Any) -> tuple[Any, Any, int]:
    """Lengths and values of all rows, key after key, and the number of keys."""
    if isinstance(jagged, Shared):
        return _expand(jagged)
    if hasattr(jagged, "expand"):
        keys, jagged = len(jagged.keys()), jagged.expand()
        return jagged.lengths().numpy().astype(np.int64), jagged.values().numpy(), keys
    if isinstance(jagged, tuple):
        return jagged.lengths.numpy().astype(np.int64), jagged.values.numpy(), len(jagged.keys)
    return jagged.lengths().numpy().astype(np.int64), jagged.values().numpy(), len(jagged.keys())


def _expand(shared: Shared) -> tuple[Any, Any, int]:
    lengths, values = shared.lengths.numpy(), shared.values.numpy()
    rows = next((len(inverse) for inverse in shared.inverse if inverse is not None), None)
    if rows is None:
        rows = len(lengths) // len(shared.keys)
    starts = np.cumsum(lengths) - lengths
    all_lengths, index, begin = [], [], 0
    for inverse in shared.inverse:
        lookup = np.arange(rows) if inverse is None else inverse.numpy()
        chosen = begin + lookup
        taken = lengths[chosen].astype(np.int64)
        ends = taken.cumsum()
        index.append(np.repeat(starts[chosen] - (ends - taken), taken) + np.arange(taken.sum()))
        all_lengths.append(taken)
        begin += int(lookup.max(initial=-1)) + 1
    return np.concatenate(all_lengths), values[np.concatenate(index)], len(shared.keys)
