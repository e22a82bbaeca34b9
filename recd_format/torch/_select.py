"""Rows chosen from an InverseKeyedJaggedTensor, and several put one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.dedup.gather import take_ranges
from recd_format.errors import RecdInputError
from recd_format.torch import _kernels, _unique
from recd_format.torch._jagged import (
    Picks,
    array_of,
    gather_segments,
    require_rows,
    send,
    take,
)
from recd_format.torch._parts import Parts, check_rows

if TYPE_CHECKING:
    from recd_format.torch.ikjt import InverseKeyedJaggedTensor

__all__ = ["concat", "index_select"]

Ints = NDArray[np.int64]


def index_select(ikjt: InverseKeyedJaggedTensor, rows: Any) -> InverseKeyedJaggedTensor:
    """See `InverseKeyedJaggedTensor.index_select`."""
    parts, device = ikjt._parts, ikjt.device
    chosen = check_rows(rows, parts.stride)
    groups, n = len(parts.unique), len(chosen)
    inverse = np.zeros(0, np.int32)
    if parts.inverse is not None:
        inverse = array_of(parts.inverse.cpu()).reshape(-1)
    picks, out = np.empty(groups * n, np.int32), np.empty(groups * n, np.int32)
    begin, unique, inverse_row = (np.empty(groups, np.int64) for _ in range(3))
    monotone = np.empty(groups, np.bool_)
    bad = _unique.renumber(
        inverse, parts.stride, parts.inverse_row, parts.unique, chosen,
        picks, begin, unique, out, inverse_row, monotone,
    )  # fmt: skip
    if bad >= 0:
        raise RecdInputError(
            f"inverse_lookup of the group of {parts.keys.groups[bad][0]!r}: expected 0 to "
            f"{parts.unique[bad] - 1}"
        )
    stored = int((inverse_row >= 0).sum())
    of_key = parts.keys.group_of_key
    kept = Picks(
        torch.from_numpy(picks[: int(unique.sum())]).to(device), begin[of_key], unique[of_key]
    )
    base = parts._replace(
        inverse=torch.from_numpy(out[: stored * n].reshape(stored, n)).to(device),
        inverse_row=inverse_row, unique=unique, stride=n, monotone=monotone,
        csr=None, csr_start=None, plain_counts=None,
    )  # fmt: skip
    if device.type == "cpu" and ikjt._has_windows():
        return ikjt._of(_cut_timelines(ikjt, kept, base))
    carried = ikjt._rows()
    taken = take(carried, kept, parts.keys.keys)
    return ikjt._of(
        base._replace(
            keys=parts.keys.plain, values=taken.values, weights=taken.weights,
            lengths=taken.lengths, starts=None, value_counts=taken.counts,
        )
    )  # fmt: skip


def _cut_timelines(ikjt: InverseKeyedJaggedTensor, kept: Picks, base: Parts) -> Parts:
    """Leave in timelines what the chosen unique rows cover."""
    parts = ikjt._parts
    rows, window = ikjt._rows(), ikjt._window()
    names = parts.keys.keys
    lengths = np.empty(int(kept.counts.sum()), np.int32)
    source_lengths, picks = array_of(rows.lengths), array_of(kept.rows)
    counts = np.empty(len(names), np.int64)
    require_rows(
        _kernels.gather_lengths(
            source_lengths, rows.key_rows, kept.begin, kept.counts, picks, lengths, counts
        ),
        names,
    )
    begin, to = np.empty(len(lengths), np.int64), np.empty(len(lengths) + 1, np.int64)
    starts = np.empty(int(kept.counts[window >= 0].sum()), np.int32)
    value_counts = np.empty(len(names), np.int64)
    ranges = _kernels.plan_ranges(
        source_lengths, array_of(rows.sources), rows.key_rows, ikjt._carried_bounds(), window,
        kept.begin, kept.counts, picks, begin, to, starts, value_counts,
    )  # fmt: skip
    require_rows(-1 - ranges if ranges < 0 else -1, names)
    to[ranges] = value_counts.sum()

    def cut(values: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(take_ranges(array_of(values), begin[:ranges], to[: ranges + 1]))

    return base._replace(
        values=cut(parts.values),
        weights=None if parts.weights is None else cut(parts.weights),
        lengths=torch.from_numpy(lengths),
        starts=torch.from_numpy(starts),
        value_counts=value_counts,
        plain_counts=counts,
    )


def concat(ikjts: Sequence[InverseKeyedJaggedTensor]) -> InverseKeyedJaggedTensor:
    """See `InverseKeyedJaggedTensor.concat`."""
    if not ikjts:
        raise RecdInputError("concat: expected at least one")
    first = ikjts[0]
    if len(ikjts) == 1:
        return first
    for number, other in enumerate(ikjts[1:], 1):
        _require_alike(first, other, number)
    same = all(np.array_equal(other._window() >= 0, first._window() >= 0) for other in ikjts[1:])
    keys = first._parts.keys if same else first._parts.keys.plain
    window = first._window() >= 0 if same else np.zeros(len(keys.keys), np.bool_)
    rows = np.stack([np.diff(ikjt._row_bounds()) for ikjt in ikjts])
    values = [ikjt._parts.values if same else ikjt.values() for ikjt in ikjts]
    weights = [ikjt._parts.weights if same else ikjt.weights_or_none() for ikjt in ikjts]
    bounds = [ikjt._carried_bounds() if same else ikjt._value_bounds() for ikjt in ikjts]
    counts = np.stack([np.diff(bound) for bound in bounds])
    inverse, inverse_row = _join_inverses(ikjts)
    plain = [ikjt._plain_counts_known() for ikjt in ikjts]
    return first._of(
        Parts(
            keys=keys,
            values=_join(values, counts),
            lengths=_join([ikjt._parts.lengths for ikjt in ikjts], rows),
            inverse=inverse,
            inverse_row=inverse_row,
            unique=np.sum([ikjt._parts.unique for ikjt in ikjts], axis=0),
            stride=sum(ikjt.stride() for ikjt in ikjts),
            starts=_join_starts(ikjts, rows, window, counts) if window.any() else None,
            value_counts=counts.sum(0),
            weights=None if weights[0] is None else _join(weights, counts),
            monotone=_all([ikjt._parts for ikjt in ikjts]),
            plain_counts=_sum(plain),
        )
    )


def _require_alike(
    first: InverseKeyedJaggedTensor, other: InverseKeyedJaggedTensor, number: int
) -> None:
    if not first._parts.keys.same_as(other._parts.keys):
        raise RecdInputError(f"concat: number {number} has other keys or groups than the first")
    facts: tuple[tuple[str, Callable[[InverseKeyedJaggedTensor], Any]], ...] = (
        ("value type", lambda ikjt: ikjt._parts.values.dtype),
        ("device", lambda ikjt: ikjt.device),
        ("weights", lambda ikjt: ikjt._parts.weights is not None),
    )
    for what, of in facts:
        if of(first) != of(other):
            raise RecdInputError(
                f"concat: {what}: expected {of(first)} as the first, found {of(other)} in "
                f"number {number}"
            )


def _join(tensors: Sequence[Any], sizes: Ints) -> torch.Tensor:
    """Segments of several tensors, key-major: `sizes` [tensors, F]."""
    ends = np.cumsum(sizes).reshape(sizes.shape)
    return gather_segments(
        torch.cat(tensors), np.ascontiguousarray((ends - sizes).T).reshape(-1),
        np.ascontiguousarray(sizes.T).reshape(-1),
    )  # fmt: skip


def _join_starts(
    ikjts: Sequence[InverseKeyedJaggedTensor],
    rows: Ints,
    window: NDArray[np.bool_],
    counts: Ints,
) -> torch.Tensor:
    """Starts in timelines that are put one behind the other."""
    sizes = rows[:, window]
    joined = _join([ikjt._parts.starts for ikjt in ikjts], sizes)
    before = (np.cumsum(counts, axis=0) - counts)[:, window]
    shift = torch.repeat_interleave(
        send(before.T.reshape(-1), joined.device), send(sizes.T.reshape(-1), joined.device),
        output_size=joined.numel(),
    )  # fmt: skip
    return (joined + shift).to(torch.int32)


def _join_inverses(
    ikjts: Sequence[InverseKeyedJaggedTensor],
) -> tuple[torch.Tensor | None, Ints]:
    """Inverses of the groups of which not all are the identity, one behind the other."""
    rows = np.stack([ikjt._parts.inverse_row for ikjt in ikjts])
    stored = np.flatnonzero((rows >= 0).any(0))
    inverse_row = np.full(rows.shape[1], -1, np.int64)
    inverse_row[stored] = np.arange(len(stored))
    if not len(stored):
        return None, inverse_row
    unique = np.stack([ikjt._parts.unique for ikjt in ikjts])
    before = np.cumsum(unique, axis=0) - unique
    pieces = []
    for number, ikjt in enumerate(ikjts):
        table = ikjt._inverse_table(rows[number, stored])
        shift = send(before[number, stored], ikjt.device)
        pieces.append((table + shift[:, None]).to(torch.int32))
    return torch.cat(pieces, dim=1), inverse_row


def _all(parts: Sequence[Parts]) -> NDArray[np.bool_] | None:
    """Groups that never fall in any of them, nor then in all of them together."""
    known = [part.monotone for part in parts]
    if any(flags is None for flags in known):
        return None
    falls = [~np.asarray(p.monotone) & (p.inverse_row >= 0) for p in parts]
    never: NDArray[np.bool_] = ~np.any(falls, axis=0)
    return never


def _sum(counts: Sequence[Ints | None]) -> Ints | None:
    total: Ints | int = 0
    for count in counts:
        if count is None:
            return None
        total = count + total
    return np.asarray(total)
