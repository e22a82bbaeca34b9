"""Jagged rows of many keys, taken by number: Numba on the CPU, torch elsewhere.

Both ways do the same; torch's needs about ten passes over the rows where a kernel needs one, but
runs on any device, and waits for it only where the number of values is not known here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.constants import Limits
from recd_format.dedup.gather import take_ranges
from recd_format.errors import RecdInputError
from recd_format.torch import _kernels
from recd_format.torch._tensors import empty

__all__ = [
    "JaggedRows",
    "Picks",
    "Taken",
    "array_of",
    "complete_sum",
    "count_values",
    "gather_segments",
    "offsets_of",
    "row_sources",
    "row_sources_torch",
    "send",
    "take",
    "take_cpu",
    "take_torch",
    "write_windows",
]

Ints = NDArray[np.int64]
_MOST_VALUES = Limits().expanded_values


class JaggedRows(NamedTuple):
    """Rows of many keys, key after key.

    Attributes
    ----------
    values : Tensor, 1-D
    weights : Tensor or None
        Parallel to `values`.
    lengths : Tensor of int32, shape [R]
    sources : Tensor of int64, shape [R]
        Where in `values` each row begins.
    key_rows : ndarray of int64, shape [F + 1]
        Rows of key k are ``key_rows[k]:key_rows[k + 1]``.
    end_to_end : ndarray of bool, shape [F]
        The rows of a key lie one behind the other.
    """

    values: torch.Tensor
    weights: torch.Tensor | None
    lengths: torch.Tensor
    sources: torch.Tensor
    key_rows: Ints
    end_to_end: NDArray[np.bool_]


class Picks(NamedTuple):
    """Rows to take of each key.

    Attributes
    ----------
    rows : Tensor of int32
        Numbers of rows within a key.
    begin, counts : ndarray of int64, shape [F]
        Of key k: ``rows[begin[k]:begin[k] + counts[k]]``; each of its rows once where
        ``begin[k] < 0`` (then `counts` is their number).
    """

    rows: torch.Tensor
    begin: Ints
    counts: Ints

    @classmethod
    def every(cls, key_rows: Ints, device: torch.device) -> Picks:
        """Each row once."""
        count = np.diff(key_rows)
        return cls(torch.empty(0, dtype=torch.int32, device=device), np.full_like(count, -1), count)


class Taken(NamedTuple):
    """Rows taken, end to end.

    Attributes
    ----------
    values, weights, lengths : Tensor
    counts : ndarray of int64, shape [F], or None
        Values of each key, where known without waiting for a device.
    """

    values: torch.Tensor
    weights: torch.Tensor | None
    lengths: torch.Tensor
    counts: Ints | None


def take(rows: JaggedRows, picks: Picks, names: tuple[str, ...], total: int | None = None) -> Taken:
    """Take rows of each key.

    Parameters
    ----------
    names
        Of the keys, for messages.
    total
        How many values come out, if that is known; else a device is waited for.

    Raises
    ------
    RecdInputError
        CPU: a row is picked that is not there. More values come out than a read may expand to.
    """
    if rows.values.device.type == "cpu":
        return take_cpu(rows, picks, names)
    return take_torch(rows, picks, total)


def take_cpu(rows: JaggedRows, picks: Picks, names: tuple[str, ...]) -> Taken:
    """`take` with Numba kernels."""
    lengths = empty(int(picks.counts.sum()), torch.int32)
    counts = np.empty(len(names), np.int64)
    picked = array_of(picks.rows)
    source_lengths = array_of(rows.lengths)
    bad = _kernels.gather_lengths(
        source_lengths, rows.key_rows, picks.begin, picks.counts, picked, lengths.numpy(), counts
    )
    require_rows(bad, names)
    total = _capped(int(counts.sum()))

    def gather(values: torch.Tensor) -> torch.Tensor:
        out = empty(total, values.dtype)
        bad = _kernels.gather_values(
            _words(values), source_lengths, array_of(rows.sources), rows.key_rows,
            rows.end_to_end, picks.begin, picks.counts, picked, _words(out),
        )  # fmt: skip
        require_rows(bad, names)
        return out

    weights = None if rows.weights is None else gather(rows.weights)
    return Taken(gather(rows.values), weights, lengths, counts)


def write_windows(
    values: torch.Tensor, lengths: torch.Tensor, starts: torch.Tensor, rows: Ints, counts: Ints,
    windowed: NDArray[np.bool_], total: int, names: tuple[str, ...],
) -> torch.Tensor:  # fmt: skip
    """Values of rows end to end, windows written out, on the CPU: one kernel call.

    Parameters
    ----------
    values, lengths, starts
        As of `Parts`.
    rows, counts : ndarray of int64, shape [F]
        Rows and values of each key.
    windowed : ndarray of bool, shape [F]
    total : int
        Values that come out.
    """
    out = empty(_capped(total), values.dtype)
    bad = _kernels.write_windows(
        _words(values), array_of(lengths), array_of(starts), rows, counts, windowed, _words(out)
    )
    require_rows(bad, names)
    return out


def take_torch(rows: JaggedRows, picks: Picks, total: int | None = None) -> Taken:
    """`take` with torch alone, on any device."""
    device = rows.values.device
    sources, lengths = rows.sources, rows.lengths
    if (picks.begin >= 0).any():
        index = _row_numbers(rows.key_rows, picks, device)
        sources, lengths = sources[index], lengths[index]
    offsets = offsets_of(lengths)
    if total is None:
        total = int(offsets[-1])
    _capped(total)
    # Value i of row r comes from sources[r] + (i - offsets[r]).
    shift = torch.repeat_interleave(sources - offsets[:-1], lengths, output_size=total)
    shift += torch.arange(total, device=device)
    weights = None if rows.weights is None else rows.weights[shift]
    return Taken(rows.values[shift], weights, lengths, None)


def _row_numbers(key_rows: Ints, picks: Picks, device: torch.device) -> torch.Tensor:
    """Number among all rows of each row that is picked, int64."""
    count = int(picks.counts.sum())
    # Each row once is a pick of 0, 1, 2, ...
    every = int(picks.counts.max(initial=0, where=picks.begin < 0))
    numbers = torch.cat([picks.rows, torch.arange(every, dtype=torch.int32, device=device)])
    begin = np.where(picks.begin < 0, picks.rows.numel(), picks.begin)
    table = send(np.stack([begin - complete_sum(picks.counts)[:-1], key_rows[:-1]]), device)
    repeats = send(picks.counts, device)
    spread = torch.repeat_interleave(table, repeats, dim=1, output_size=count)
    return spread[1] + numbers[spread[0] + torch.arange(count, device=device)]


def row_sources(
    lengths: torch.Tensor, starts: torch.Tensor, key_rows: Ints, key_values: Ints, window: Ints,
    names: tuple[str, ...],
) -> torch.Tensor:  # fmt: skip
    """Where in the values each row begins, int64 [R], some of the keys having timelines.

    Parameters
    ----------
    lengths : Tensor of int32, shape [R]
    starts : Tensor of int32
        Of the rows of the keys with timelines: their place in the key's own.
    key_rows, key_values : ndarray of int64, shape [F + 1]
        Where rows and values of each key begin.
    window : ndarray of int64, shape [F]
        Where in `starts` those of a key begin; -1 where its rows lie end to end.
    """
    sources = empty(lengths.numel(), torch.int64)
    bad = _kernels.row_sources(
        array_of(lengths), array_of(starts), key_rows, key_values, window, sources.numpy()
    )
    require_rows(bad, names)
    return sources


def row_sources_torch(
    lengths: torch.Tensor, starts: torch.Tensor, key_rows: Ints, key_values: Ints,
    key_plain: Ints, window: Ints,
) -> torch.Tensor:  # fmt: skip
    """`row_sources` on any device; `key_plain` [F + 1] is where plain values of keys begin."""
    device = lengths.device
    rows = np.diff(key_rows)
    offsets = offsets_of(lengths)[:-1]
    # Rows that lie end to end begin as far behind their key's first value as in the plain values.
    repeats = send(rows, device)
    shift = send(key_values[:-1] - key_plain[:-1], device)
    sources = offsets + torch.repeat_interleave(shift, repeats, output_size=int(key_rows[-1]))
    keys = np.flatnonzero(window >= 0)
    count = int(rows[keys].sum())
    table = send(np.stack([key_rows[keys] - window[keys], key_values[keys]]), device)
    spread = torch.repeat_interleave(table, send(rows[keys], device), dim=1, output_size=count)
    number = spread[0] + torch.arange(count, device=device)
    sources[number] = spread[1] + starts[:count]
    return sources


def gather_segments(values: torch.Tensor, begin: Ints, sizes: Ints) -> torch.Tensor:
    """Segments of `values` end to end; their places are known here, so no device is waited for."""
    total = int(sizes.sum())
    if values.device.type == "cpu":
        return torch.from_numpy(take_ranges(array_of(values), begin, complete_sum(sizes)))
    device = values.device
    table = send(np.stack([begin - complete_sum(sizes)[:-1], sizes]), device)
    shift = torch.repeat_interleave(table[0], table[1], output_size=total)
    return values[shift + torch.arange(total, device=device)]


def count_values(lengths: torch.Tensor, key_rows: Ints, names: tuple[str, ...]) -> Ints:
    """Values of each key, int64 [F]; a device is waited for."""
    counts = np.empty(len(names), np.int64)
    bad = _kernels.count_values(array_of(lengths.cpu()), key_rows, counts)
    require_rows(bad, names)
    return counts


def offsets_of(lengths: torch.Tensor) -> torch.Tensor:
    """Lengths summed up, int64 [n + 1], beginning with 0."""
    offsets = torch.zeros(lengths.numel() + 1, dtype=torch.int64, device=lengths.device)
    torch.cumsum(lengths, 0, out=offsets[1:])
    return offsets


def complete_sum(counts: Ints) -> Ints:
    """Counts summed up, int64 [n + 1], beginning with 0."""
    sums = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=sums[1:])
    return sums


def send(table: Ints, device: torch.device) -> torch.Tensor:
    """A small table on a device; pinned, where that lets the copy not wait."""
    tensor = torch.from_numpy(np.ascontiguousarray(table))
    if device.type == "cpu":
        return tensor
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """A CPU tensor as an array, without a copy."""
    array: NDArray[Any] = tensor.detach().contiguous().numpy()
    return array


def _words(tensor: torch.Tensor) -> NDArray[Any]:
    """Values as unsigned words of their size: one kernel then serves ids and floats."""
    return array_of(tensor).view(np.uint64 if tensor.element_size() == 8 else np.uint32)


def require_rows(bad: int, names: tuple[str, ...]) -> None:
    """Raise where a kernel says that key `bad` asks for what is not there."""
    if bad >= 0:
        raise RecdInputError(
            f"key {names[bad]!r}: a row is not there, or its values are not; inverse_lookup must "
            "name unique rows, and lengths and starts must lie within the key's values"
        )


def _capped(total: int) -> int:
    # Dedup amplifies: a small batch may declare billions of values.
    if total > _MOST_VALUES:
        raise RecdInputError(
            f"{total} values would come out, at most {_MOST_VALUES} are made at once; take fewer "
            "rows or keys"
        )
    return total
