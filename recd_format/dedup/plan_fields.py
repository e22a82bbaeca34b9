"""What the planner measures of each field on a sample of whole sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import BLOCK_VALUES
from recd_format.dedup.cluster import Clustering
from recd_format.dedup.exact import encode_codes, first_equal
from recd_format.dedup.gather import take_rows
from recd_format.jagged import Column

__all__ = [
    "ROW_COST",
    "FieldCost",
    "FieldSample",
    "Pattern",
    "measure",
    "packed_size",
    "values_size",
]

SizeOf = Callable[[NDArray[Any]], int]

# Bytes that a stored row must save to be worth decoding, looking up and pooling: without this
# price `small` stores a user's scalars in every row, where entropy coders make them almost free.
ROW_COST = 0.05

# Stripe mode writes codes of up to 17 bits a row: a field must store more than that to gain, and
# for rows of few values a dictionary of values is as good.
_STRIPE_LEAST_BYTES = 1.5
_STRIPE_LEAST_VALUES = 4


@dataclass(frozen=True, slots=True)
class FieldSample:
    """A field as the planner sees it.

    Attributes
    ----------
    name : str
        The field's name.
    column : Column
        Its rows, in input order (the clustering says which are the sample).
    window : bool
        False where it must not become a window (strings, keys). Columns that are not jagged
        never do.
    reference : bool
        False where it must be neither a LIST_AT scalar, nor its list or index (strings, keys).
    dedup : bool
        False where every row is stored, whatever it costs (labels); it may be a reference's index.
    """

    name: str
    column: Column
    window: bool = True
    reference: bool = True
    dedup: bool = True


@dataclass(frozen=True)
class Pattern:
    """Which rows of the sample repeat: shared by every field of a class.

    Attributes
    ----------
    first : ndarray of int32, shape [rows]
        `first_equal` of scope session.
    session_offsets : ndarray of int64
        Of the sample.
    """

    first: NDArray[np.int32]
    session_offsets: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return len(self.first)

    @cached_property
    def changes(self) -> NDArray[np.bool_]:
        """True where a row differs from the row before, or begins a session."""
        changes = np.ones(len(self.first), np.bool_)
        np.not_equal(self.first[1:], self.first[:-1], out=changes[1:])
        return changes

    @cached_property
    def runs(self) -> int:
        """Unique rows where only neighbours are compared."""
        return int(np.count_nonzero(self.changes))

    @cached_property
    def unique(self) -> int:
        """Unique rows within sessions."""
        return int(np.count_nonzero(self.first == np.arange(len(self.first))))

    @cached_property
    def code_bytes(self) -> float:
        """Bit-packed size of the codes in session mode."""
        if self.unique == self.runs:
            return self.rows / 8
        codes = encode_codes(self.first, self.session_offsets, "session").codes
        return packed_bytes(codes, base=False)


@dataclass(frozen=True, slots=True)
class FieldCost:
    """A field's share of bytes in the sample.

    Attributes
    ----------
    index : int
        Which field.
    none : float
        Bytes if every row is stored.
    unique : float
        Bytes of its unique rows within sessions.
    per_unique : float
        The same for one unique row.
    per_run : float
        Bytes of one unique row where only neighbours are compared.
    stripe : float
        Bytes in stripe mode, codes included, were it a group alone; infinite where hopeless.
    decoded_per_unique : float
        Bytes of a unique row once decoded.
    """

    index: int
    none: float
    unique: float
    per_unique: float
    per_run: float
    stripe: float
    decoded_per_unique: float


def packed_bytes(values: NDArray[Any], *, base: bool = True) -> float:
    """Size of integers bit-packed in blocks, with a base per block or without."""
    if not len(values):
        return 0.0
    at = np.arange(0, len(values), BLOCK_VALUES)
    high = np.maximum.reduceat(values, at).astype(np.float64)
    if base:
        high -= np.minimum.reduceat(values, at)
    bits = np.ceil(np.log2(high + 1))
    counts = np.diff(np.append(at, len(values)))
    return float(bits @ counts) / 8 + (8.0 * len(at) if base else 0.0)


def packed_size(values: NDArray[Any]) -> int:
    """Stand-in for a codec's estimate: bit-packed, or with a dictionary, or as they are."""
    if not len(values):
        return 0
    images = np.ascontiguousarray(values).view(f"<u{values.itemsize}")
    best = float(values.nbytes)
    if values.dtype.kind in "iu":
        best = min(best, packed_bytes(values))
    distinct = len(np.unique(images))
    bits = (distinct - 1).bit_length()
    return int(min(best, bits * len(values) / 8 + distinct * values.itemsize)) + 8


def values_size(column: Column, size_of: SizeOf) -> float:
    """Bytes of a column's values, weights and lengths, and what its rows cost a reader."""
    size = ROW_COST * column.num_rows
    if len(column.values):
        size += size_of(column.values)
    if column.weights is not None and len(column.weights):
        size += size_of(column.weights)
    if column.offsets is not None and len(column.offsets) > 1:
        lengths = np.diff(column.offsets)
        low, high = int(lengths.min()), int(lengths.max())
        size += len(lengths) * (high - low).bit_length() / 8
    return size


def measure(
    field: FieldSample, index: int, sample: Clustering, size_of: SizeOf, stripe_rows: int
) -> tuple[Pattern, FieldCost]:
    """Measure how a field repeats and what it costs.

    Parameters
    ----------
    stripe_rows
        Rows of a stripe, for which the gain of stripe mode is extrapolated.
    """
    column, rows = field.column, sample.num_rows
    first = first_equal(column, sample.permutation, sample.session_offsets, "session")
    pattern = Pattern(first, sample.session_offsets)
    new = first == np.arange(rows)
    count = pattern.unique
    kept = take_rows(column, sample.permutation[new])
    unique = values_size(kept, size_of)
    # Rows that repeat may be shorter than those that do not: scale by values.
    sizes = np.full(rows, column.width, np.int64)
    if column.offsets is not None:
        # One more for the length itself.
        sizes = column.offsets[sample.permutation + 1] - column.offsets[sample.permutation] + 1
    per_value = unique / max(int(sizes[new].sum()), 1)
    none = per_value * float(sizes.sum())
    runs = per_value * float(sizes[pattern.changes].sum())
    if count < rows and sizes.sum() <= 3 * rows:
        # Scaling up a few values would scale their header and dictionary too.
        none = values_size(take_rows(column, sample.permutation), size_of)
    stripe = np.inf
    if unique > _STRIPE_LEAST_BYTES * rows and len(kept.values) >= _STRIPE_LEAST_VALUES * count:
        stripe = _stripe_bytes(kept, unique / max(count, 1), count / rows, rows, stripe_rows)
    decoded = (kept.values.nbytes + (0 if kept.weights is None else kept.weights.nbytes)) / max(
        count, 1
    )
    if column.offsets is not None:
        decoded += 4
    return pattern, FieldCost(
        index, none, unique, unique / max(count, 1), runs / max(pattern.runs, 1), stripe, decoded
    )


def _stripe_bytes(
    kept: Column, per_unique: float, unique_share: float, rows: int, stripe_rows: int
) -> float:
    """Bytes of the sample in stripe mode, if stripes were `stripe_rows` long.

    Distinct rows grow with a power of the rows seen (Heaps); two points give the power.
    """
    count = kept.num_rows
    every = np.arange(count, dtype=np.int64)
    first = first_equal(kept, every, np.array([0, count], np.int64), "stripe")
    new = first == every
    distinct, half = int(np.count_nonzero(new)), int(np.count_nonzero(new[: count // 2]))
    power = min(1.0, float(np.log2(distinct / max(half, 1)))) if half else 1.0
    growth = max(1.0, stripe_rows / rows) ** (power - 1.0)
    share = unique_share * distinct / max(count, 1) * growth
    bits = max(1.0, np.ceil(np.log2(max(2.0, share * max(stripe_rows, rows)))))
    return float(rows * (bits / 8 + share * per_unique))
