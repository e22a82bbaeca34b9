"""What an InverseKeyedJaggedTensor computes of its parts when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.torch import _kernels
from recd_format.torch._jagged import (
    JaggedRows,
    Picks,
    array_of,
    complete_sum,
    count_values,
    offsets_of,
    require_rows,
    row_sources,
    row_sources_torch,
    send,
    take,
    write_windows,
)
from recd_format.torch._parts import Parts
from recd_format.torch._tensors import Record, owned
from recd_format.torch.keyed_jagged import KeyedJagged

__all__ = ["Core", "sorted_rows", "sorted_rows_torch", "with_tensors"]

Ints = NDArray[np.int64]
C = TypeVar("C", bound="Core")


class Core(Record):
    """Parts and what follows from them; nothing here is public.

    A batch costs the same with any number of keys until one of these is asked for.
    """

    __slots__ = ()
    _parts: Parts

    def _offsets(self) -> torch.Tensor:
        return self._memoised("offsets", lambda: offsets_of(self._parts.lengths))

    def _inverse_table(self, rows: Ints, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        """Inverses [len(rows), B] by row of the one tensor; -1 is the identity."""
        parts = self._parts
        tables = [] if parts.inverse is None else [parts.inverse]
        stored = 0 if parts.inverse is None else int(parts.inverse.shape[0])
        if (rows < 0).any():
            tables.append(self._rows_in_order()[None])
        source = torch.cat([table.to(dtype) for table in tables])
        index = send(np.where(rows < 0, stored, rows), source.device)
        return source.index_select(0, index)

    def _row_bounds(self) -> Ints:
        """Where in `lengths` rows of each key begin, [F + 1]."""
        return self._memoised("rows", self._find_rows)

    def _find_rows(self) -> Ints:
        parts = self._parts
        bounds = complete_sum(parts.unique[parts.keys.group_of_key])
        _require("lengths", parts.lengths, int(bounds[-1]))
        return bounds

    def _carried_bounds(self) -> Ints:
        """Where in the values (timelines) those of each key begin, [F + 1]."""
        return self._memoised("carried", self._find_carried)

    def _find_carried(self) -> Ints:
        parts = self._parts
        counts = parts.value_counts
        bounds = complete_sum(self._plain_counts() if counts is None else counts)
        _require("values", parts.values, int(bounds[-1]))
        return bounds

    def _value_bounds(self) -> Ints:
        """Where in `values()` those of each key begin, [F + 1]."""
        return self._memoised("bounds", lambda: complete_sum(self._plain_counts()))

    def _plain_counts_known(self) -> Ints | None:
        parts = self._parts
        if parts.plain_counts is None and not self._has_windows():
            return parts.value_counts
        return parts.plain_counts

    def _plain_counts(self) -> Ints:
        known = self._plain_counts_known()
        if known is not None:
            return known
        parts = self._parts
        return self._memoised(
            "counts", lambda: count_values(parts.lengths, self._row_bounds(), parts.keys.keys)
        )

    def _has_windows(self) -> bool:
        return self._parts.starts is not None and len(self._parts.keys.windowed_keys) > 0

    def _window(self) -> Ints:
        """Where in `starts` those of each key begin, -1 without windows, [F]."""
        return self._memoised("window", self._find_window)

    def _find_window(self) -> Ints:
        parts = self._parts
        window = np.full(len(parts.keys.keys), -1, np.int64)
        if parts.starts is not None:
            keys = parts.keys.windowed_keys
            bounds = complete_sum(parts.unique[parts.keys.group_of_key[keys]])
            _require("starts", parts.starts, int(bounds[-1]))
            window[keys] = bounds[:-1]
        return window

    def _rows(self) -> JaggedRows:
        """The unique rows as they are carried."""
        parts = self._parts
        return JaggedRows(
            parts.values, parts.weights, parts.lengths, self._sources(), self._row_bounds(),
            self._window() < 0,
        )  # fmt: skip

    def _sources(self) -> torch.Tensor:
        """Where in the carried values each unique row begins, int64."""
        if not self._has_windows():
            return self._offsets()[:-1]
        return self._memoised("sources", self._find_sources)

    def _find_sources(self) -> torch.Tensor:
        parts = self._parts
        known = (parts.lengths, parts.starts, self._row_bounds(), self._carried_bounds())
        if self._parts.values.device.type == "cpu":
            return row_sources(*known, self._window(), parts.keys.keys)
        return row_sources_torch(*known, self._value_bounds(), self._window())

    def _plain(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Values and weights of unique rows, windows written out."""
        parts = self._parts
        if not self._has_windows():
            return parts.values, parts.weights
        return self._memoised("plain", self._write_out)

    def _write_out(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        parts = self._parts
        if parts.values.device.type != "cpu":
            every = Picks.every(self._row_bounds(), parts.values.device)
            total = int(self._value_bounds()[-1])
            taken = take(self._rows(), every, parts.keys.keys, total)
            return taken.values, taken.weights
        rows = parts.unique[parts.keys.group_of_key]
        counts, total = np.diff(self._carried_bounds()), int(self._plain_counts().sum())

        def write(values: torch.Tensor) -> torch.Tensor:
            return write_windows(
                values, parts.lengths, parts.starts, rows, counts, parts.keys.windowed, total,
                parts.keys.keys,
            )  # fmt: skip

        return write(parts.values), None if parts.weights is None else write(parts.weights)

    def _rows_in_order(self) -> torch.Tensor:
        return self._memoised(
            "arange",
            lambda: torch.arange(
                self._parts.stride, dtype=torch.int32, device=self._parts.values.device
            ),
        )

    def _picks(self, keys: Ints) -> Picks:
        """For some keys, the unique row of each row of the batch."""
        parts = self._parts
        rows = parts.inverse_row[parts.keys.group_of_key[keys]]
        flat = parts.lengths[:0] if parts.inverse is None else parts.inverse.reshape(-1)
        begin = np.where(rows >= 0, rows * parts.stride, -1)
        return Picks(flat, begin, np.full(len(keys), parts.stride, np.int64))

    def _expand_keys(self, keys: Ints) -> KeyedJagged:
        """Rows of the batch of all keys, or of one."""
        parts = self._parts
        rows = self._rows()
        if len(keys) != len(parts.keys.keys):
            first, end = rows.key_rows[keys[0]], rows.key_rows[keys[0] + 1]
            rows = rows._replace(
                lengths=rows.lengths[first:end],
                sources=rows.sources[first:end],
                key_rows=np.array([0, end - first]),
                end_to_end=rows.end_to_end[keys],
            )
        names = tuple(parts.keys.keys[key] for key in keys)
        taken = take(rows, self._picks(keys), names)
        return KeyedJagged._from_parts(
            names, taken.values, taken.lengths, taken.weights, parts.stride, taken.counts
        )

    def _factor(self, keys: slice) -> float:
        unique = int(self._plain_counts()[keys].sum())
        if unique:
            return float(self._memoised("expanded", self._count_expanded)[keys].sum()) / unique
        # No values at all: the factor of rows.
        rows = int(np.diff(self._row_bounds())[keys].sum())
        return len(self._row_bounds()[:-1][keys]) * self._parts.stride / rows if rows else 1.0

    def _count_expanded(self) -> Ints:
        parts = self._parts
        picks = self._picks(np.arange(len(parts.keys.keys)))
        counts = np.empty(len(parts.keys.keys), np.int64)
        bad = _kernels.gather_lengths(
            array_of(parts.lengths.cpu()), self._row_bounds(), picks.begin, picks.counts,
            array_of(picks.rows.cpu()), np.empty(int(picks.counts.sum()), np.int32), counts,
        )  # fmt: skip
        require_rows(bad, parts.keys.keys)
        return counts

    def _tensors(self) -> list[torch.Tensor | None]:
        parts = self._parts
        return [
            parts.values, parts.lengths, parts.inverse, parts.starts, parts.weights, parts.csr,
        ]  # fmt: skip

    def _plain_counts_to_go(self) -> Ints | None:
        """Plain counts, computed where that is cheap: elsewhere they would be asked of a device."""
        counts, lengths = self._plain_counts_known(), self._parts.lengths
        # A mapped pytree may hold anything.
        if counts is None and isinstance(lengths, torch.Tensor) and lengths.device.type == "cpu":
            counts = self._plain_counts()
        return counts

    def _with_tensors(self: C, tensors: Sequence[Any]) -> C:
        counts = self._plain_counts_to_go()
        return self._of(with_tensors(self._parts._replace(plain_counts=counts), tensors))

    def _moved(self: C, move: Callable[[torch.Tensor], torch.Tensor]) -> C:
        tensors = self._tensors()
        moved = [None if tensor is None else move(tensor) for tensor in tensors]
        if all(new is old for new, old in zip(moved, tensors, strict=True)):
            return self
        return self._with_tensors(moved)

    def __reduce__(self) -> tuple[Any, ...]:
        made = self._with_tensors([owned(tensor) for tensor in self._tensors()])
        return _unpickle, (type(self), *made._parts)


def with_tensors(parts: Parts, tensors: Sequence[Any]) -> Parts:
    """Parts with other tensors, in the order of `_tensors`."""
    values, lengths, inverse, starts, weights, csr = tensors
    return parts._replace(
        values=values, lengths=lengths, inverse=inverse, starts=starts, weights=weights, csr=csr
    )


def _unpickle(cls: type[C], *parts: Any) -> C:
    return cls._of(Parts(*parts))


def _require(name: str, tensor: torch.Tensor, expected: int) -> None:
    if tensor.numel() != expected:
        raise RecdInputError(f"{name}: expected {expected}, found {tensor.numel()}")


def sorted_rows(
    inverse: torch.Tensor, group: int, unique: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets [U + 1] and rows [B] of an inverse, int32."""
    if inverse.device.type != "cpu":
        return sorted_rows_torch(inverse, unique)
    offsets = torch.empty(unique + 1, dtype=torch.int32)
    rows = torch.empty(inverse.numel(), dtype=torch.int32)
    if _kernels.sort_rows(array_of(inverse), offsets.numpy(), rows.numpy()) >= 0:
        raise RecdInputError(f"inverse_lookup of group {group}: expected 0 to {unique - 1}")
    return offsets, rows


def sorted_rows_torch(inverse: torch.Tensor, unique: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`sorted_rows` on any device, without waiting for it."""
    counts = torch.zeros(unique, dtype=torch.int32, device=inverse.device)
    counts.index_add_(0, inverse, torch.ones_like(inverse))
    return offsets_of(counts).to(torch.int32), inverse.argsort(stable=True).to(torch.int32)
