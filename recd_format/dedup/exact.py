"""Exact duplicates: which earlier row a row equals (FORMAT, Groups).

Equality is of bits: length, values, weights, validity. Rows are compared where they lie in the
input, through the permutation; first with the row before, and hashed only where they differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.dedup._bytes import as_bytes, hash_bytes, same_bytes
from recd_format.dedup.codes import (
    DECODE_TABLE_COLUMNS,
    Codes,
    Scope,
    decode_codes,
    decode_codes_many,
    encode_codes,
)
from recd_format.errors import RecdInputError
from recd_format.jagged import Column

__all__ = [
    "DECODE_TABLE_COLUMNS",
    "Codes",
    "Scope",
    "combine",
    "decode_codes",
    "decode_codes_many",
    "encode_codes",
    "first_equal",
]

_NO_VALIDITY = np.zeros(0, np.uint8)
_NO_OFFSETS = np.zeros(0, np.int64)
_ZERO = np.uint64(0)
_HALF = np.uint64(32)


def first_equal(
    column: Column,
    permutation: NDArray[np.int64],
    session_offsets: NDArray[np.int64],
    scope: Scope = "session",
) -> NDArray[np.int32]:
    """For each clustered row, the clustered number of the first row of its scope it equals.

    Parameters
    ----------
    column : Column
        In input order.
    permutation : ndarray of int64, shape [rows]
        Input row of each clustered row (any selection of rows).
    session_offsets : ndarray of int64, shape [sessions + 1]
        Bounds of sessions in clustered rows.
    scope
        "adjacent": the first row of the run of equal rows (runs end with the session);
        "session": the first equal row of the session; "stripe": of all rows given.

    Returns
    -------
    ndarray of int32, shape [rows]
        ``first[i] <= i``; i itself where the row is new.
    """
    rows = len(permutation)
    if rows > np.iinfo(np.int32).max:
        raise RecdInputError(f"{rows} rows at once, at most {np.iinfo(np.int32).max} are possible")
    bounds = np.ascontiguousarray(session_offsets, np.int64)
    if scope == "stripe":
        bounds = np.array([0, rows], np.int64)
    elif scope not in ("adjacent", "session"):
        raise RecdInputError(f"scope is {scope!r}, expected 'adjacent', 'session' or 'stripe'")
    longest = int(np.diff(bounds).max(initial=0)) if scope != "adjacent" else 0
    slots = 1 << max(1, (2 * longest - 1).bit_length())
    values = as_bytes(column.values)
    weights = column.weights
    first = np.empty(rows, np.int32)
    _first_equal(
        np.ascontiguousarray(permutation, np.int64),
        bounds,
        _NO_OFFSETS if column.offsets is None else np.ascontiguousarray(column.offsets, np.int64),
        column.width,
        values,
        column.values.itemsize,
        values[:0] if weights is None else as_bytes(weights),
        0 if weights is None else weights.itemsize,
        _NO_VALIDITY if column.validity is None else as_bytes(column.validity),
        scope == "adjacent",
        slots,
        first,
    )
    return first


def combine(
    firsts: Sequence[NDArray[np.int32]], session_offsets: NDArray[np.int64], scope: Scope
) -> NDArray[np.int32]:
    """`first_equal` of several columns taken as one tuple, from each column's own.

    Parameters
    ----------
    firsts
        At least one `first_equal` array [rows], all of the given scope.
    """
    distinct = list({id(first): first for first in firsts}.values())
    kept = [distinct[0]]
    for first in distinct[1:]:
        if not any(np.array_equal(first, other) for other in kept[:8]):
            kept.append(first)
    if len(kept) == 1:
        return kept[0]
    tuples = np.stack(kept, axis=1)
    rows = np.arange(len(tuples), dtype=np.int64)
    column = Column(tuples.reshape(-1), width=tuples.shape[1])
    return first_equal(column, rows, session_offsets, scope)


@kernel(
    "void(const int64[::1], const int64[::1], const int64[::1], int64, const uint8[::1], int64,"
    " const uint8[::1], int64, const uint8[::1], boolean, int64, int32[::1])"
)
def _first_equal(  # type: ignore[no-untyped-def]
    permutation,
    bounds,
    offsets,
    width,
    values,
    item,
    weights,
    weight_item,
    validity,
    adjacent,
    slots,
    first,
):
    # A slot of an earlier scope counts as empty (its row is before the scope): no clearing.
    slot_row = np.full(slots, -1, np.int32)
    slot_hash = np.empty(slots, np.uint32)
    jagged = len(offsets) > 0
    nullable = len(validity) > 0
    for s in range(len(bounds) - 1):
        begin = bounds[s]
        previous_at, previous_count, previous_valid = np.int64(0), np.int64(-1), np.uint8(1)
        for i in range(begin, bounds[s + 1]):
            row = permutation[i]
            if jagged:
                at = offsets[row]
                count = offsets[row + 1] - at
            else:
                at = row * width
                count = width
            valid = validity[row] if nullable else np.uint8(1)
            size = np.uint64(count * item)
            weight_size = np.uint64(count * weight_item)
            if (
                count == previous_count
                and valid == previous_valid
                and (
                    at == previous_at
                    or (
                        same_bytes(
                            values, np.uint64(at * item), np.uint64(previous_at * item), size
                        )
                        and same_bytes(
                            weights,
                            np.uint64(at * weight_item),
                            np.uint64(previous_at * weight_item),
                            weight_size,
                        )
                    )
                )
            ):
                first[i] = first[i - 1]
                continue
            previous_at, previous_count, previous_valid = at, count, valid
            first[i] = i
            if adjacent:
                continue
            h = hash_bytes(values, np.uint64(at * item), size, np.uint64(valid))
            if weight_item > 0:
                h = hash_bytes(weights, np.uint64(at * weight_item), weight_size, h)
            tag = np.uint32(h >> _HALF)
            slot = np.int64(np.uint32(h)) & (slots - 1)
            while slot_row[slot] >= begin:
                if slot_hash[slot] == tag:
                    other = permutation[slot_row[slot]]
                    if jagged:
                        other_at = offsets[other]
                        other_count = offsets[other + 1] - other_at
                    else:
                        other_at = other * width
                        other_count = width
                    if (
                        other_count == count
                        and (not nullable or validity[other] == valid)
                        and same_bytes(
                            values, np.uint64(at * item), np.uint64(other_at * item), size
                        )
                        and same_bytes(
                            weights,
                            np.uint64(at * weight_item),
                            np.uint64(other_at * weight_item),
                            weight_size,
                        )
                    ):
                        first[i] = slot_row[slot]
                        break
                slot = (slot + 1) & (slots - 1)
            if first[i] == i:
                slot_row[slot] = i
                slot_hash[slot] = tag
