"""Exact duplicates: which earlier row a row equals, and the codes that say so (FORMAT, Groups).

Equality is of bits: length, values, weights, validity. Rows are compared where they lie in the
input, through the permutation; first with the row before, and hashed only where they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.dedup._bytes import as_bytes, hash_bytes, same_bytes
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

Scope = Literal["adjacent", "session", "stripe"]

DECODE_TABLE_COLUMNS = ("byte_offset", "rows", "ones_before", "unique_rows")
"""Columns of the int64 table that `decode_codes_many` takes."""

_NO_VALIDITY = np.zeros(0, np.uint8)
_NO_OFFSETS = np.zeros(0, np.int64)
_ZERO = np.uint64(0)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Codes:
    """A group's codes and the rows they stand for.

    Attributes
    ----------
    codes : ndarray of uint32, shape [rows]
        0 = the newest unique row again, 1 = a new one, k >= 2 = the (k-1)-th before the newest.
    unique_rows : ndarray of int64, shape [unique_rows]
        Clustered row number of the first copy of each unique row.
    """

    codes: NDArray[np.uint32]
    unique_rows: NDArray[np.int64]


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


def encode_codes(
    first: NDArray[np.int32], session_offsets: NDArray[np.int64], scope: Scope
) -> Codes:
    """Codes of a group, from the `first_equal` of its tuple.

    Codes are 0 and 1 alone where the scope was adjacent; unless it was the stripe, the first row
    of a session is 1.

    Raises
    ------
    RecdInputError
        The scope is not the stripe, and a session begins with a row of another session.
    """
    first = np.ascontiguousarray(first, np.int32)
    begins = session_offsets[:-1]
    if scope != "stripe" and not np.array_equal(first[begins], begins):
        raise RecdInputError(f"first_equal was not made with scope {scope!r}")
    codes = np.empty(len(first), np.uint32)
    unique_rows = np.empty(len(first), np.int64)
    count = _encode_codes(first, codes, unique_rows)
    return Codes(codes, unique_rows[:count].copy())


def decode_codes(
    codes: NDArray[np.uint32],
    first_unique: int,
    out: NDArray[np.int32],
    unique_rows: int = np.iinfo(np.int32).max,
) -> int:
    """Inverse lookup of some rows; `out` may be `codes` viewed as int32.

    Parameters
    ----------
    codes : ndarray of uint32, shape [rows]
        As `encode_codes` made them, or a part of them.
    first_unique
        New unique rows (ones) before the first code given.
    out : ndarray of int32, shape [rows]
        Unique row of each row, counted from the start of the stripe.
    unique_rows
        Unique rows there are.

    Returns
    -------
    int
        -1, or the first row whose code points outside of the unique rows.
    """
    view = out.view(np.uint32)
    if view.ctypes.data != codes.ctypes.data:
        view[:] = codes
    table = np.array([0, len(view), first_unique, unique_rows], np.int64)
    bad = np.full(1, -1, np.int64)
    _decode_codes(table, view, bad)
    return int(bad[0])


def decode_codes_many(table: NDArray[np.int64], arena: NDArray[np.uint8]) -> int:
    """Turn codes into inverse lookups in place, for many groups in one kernel call.

    Parameters
    ----------
    table : ndarray of int64, shape [groups, 4]
        Columns `DECODE_TABLE_COLUMNS`: byte offset of the group's uint32 codes in the arena (a
        multiple of 4), rows, ones before the first of them, unique rows of the stripe.
    arena : ndarray of uint8
        Codes, 4-byte aligned; int32 inverse lookups afterwards.

    Returns
    -------
    int
        -1, or the first group with a code that points outside of its unique rows, or a range
        outside of the arena. Groups after it are not decoded.
    """
    words = arena[: len(arena) // 4 * 4].view(np.uint32)
    flat = np.ascontiguousarray(table, np.int64).reshape(-1)
    return int(_decode_codes(flat, words, np.empty(1, np.int64)))


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


@kernel("int64(const int32[::1], uint32[::1], int64[::1])")
def _encode_codes(first, codes, unique_rows):  # type: ignore[no-untyped-def]
    rank = np.empty(len(first), np.int32)
    count = 0
    for i in range(len(first)):
        if first[i] == i:
            rank[i] = count
            unique_rows[count] = i
            count += 1
            codes[i] = 1
        else:
            back = count - 1 - rank[first[i]]
            codes[i] = back + 1 if back > 0 else 0
    return count


@kernel("int64(const int64[::1], uint32[::1], int64[::1])")
def _decode_codes(table, words, bad_row):  # type: ignore[no-untyped-def]
    for g in range(len(table) // 4):
        begin, rows, ones, unique_rows = (
            table[4 * g],
            table[4 * g + 1],
            table[4 * g + 2],
            table[4 * g + 3],
        )
        if (
            begin < 0
            or begin % 4 != 0
            or rows < 0
            or ones < 0
            or begin // 4 > len(words)
            or rows > len(words) - begin // 4
        ):
            return g
        begin //= 4
        newest = ones - 1
        for i in range(begin, begin + rows):
            code = np.int64(words[i])
            if code == 1:
                newest += 1
                back = np.int64(0)
            else:
                back = code - 1 if code > 0 else np.int64(0)
            unique = newest - back
            if unique < 0 or newest >= unique_rows:
                bad_row[0] = i - begin
                return g
            words[i] = unique
    return -1
