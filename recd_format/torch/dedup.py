"""Duplicates of an ordinary jagged batch, found by hashing and comparing.

This is what a reader must do whose files do not know their duplicates (the paper's reader), and
the baseline that ours is measured against. Ours never calls it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recd_format.dedup._bytes import as_bytes
from recd_format.torch import _unique
from recd_format.torch._jagged import JaggedRows, Picks, array_of, offsets_of, take_cpu
from recd_format.torch._keys import Keys
from recd_format.torch._parts import Parts, check_jagged
from recd_format.torch.keyed_jagged import stride_of

__all__ = ["deduplicate"]


def deduplicate(
    keys: Sequence[str],
    values: torch.Tensor,
    lengths: torch.Tensor,
    weights: torch.Tensor | None = None,
    groups: Sequence[Sequence[str]] | None = None,
    stride: int | None = None,
) -> Parts:
    """Return the parts of an InverseKeyedJaggedTensor, on the CPU: `from_jagged`."""
    names = Keys.of(keys, groups)
    values, lengths, weights = check_jagged(values, lengths, weights)
    stride = stride_of(len(names.keys), lengths.numel(), stride)
    values, lengths = values.cpu(), lengths.cpu()
    weights = None if weights is None else weights.cpu()
    offsets = offsets_of(lengths)
    members, group_ends = names.sorted_by_group
    count = len(names.groups)
    # Pages of these that stay unused are never touched.
    picks = np.empty(count * stride, np.int32)
    inverse = np.empty(count * stride, np.int32)
    begin, unique, inverse_row = (np.empty(count, np.int64) for _ in range(3))
    monotone = np.empty(count, np.bool_)
    _unique.find_unique(
        as_bytes(array_of(values)), values.element_size(),
        np.zeros(0, np.uint8) if weights is None else as_bytes(array_of(weights)),
        0 if weights is None else 4,
        array_of(offsets), stride, members, group_ends,
        picks, begin, unique, inverse, inverse_row, monotone,
    )  # fmt: skip
    of_key = names.group_of_key
    rows = JaggedRows(
        values, weights, lengths, offsets[:-1],
        np.arange(len(names.keys) + 1, dtype=np.int64) * stride,
        np.ones(len(names.keys), np.bool_),
    )  # fmt: skip
    # Keys without duplicates are copied whole.
    chosen = Picks(
        torch.from_numpy(picks), np.where(inverse_row < 0, -1, begin)[of_key], unique[of_key]
    )
    taken = take_cpu(rows, chosen, names.keys)
    stored = int((inverse_row >= 0).sum())
    return Parts(
        names, taken.values, taken.lengths,
        torch.from_numpy(inverse[: stored * stride].reshape(stored, stride)),
        inverse_row, unique, stride,
        value_counts=taken.counts, weights=taken.weights, monotone=monotone,
    )  # fmt: skip
