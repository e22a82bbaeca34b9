"""LIST_AT: a scalar that is an element of a list of the same row (`list_at.md`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import bits_dtype
from recd_format.errors import Reason, RecdFormatError, RecdInputError

__all__ = [
    "INDEX_DTYPE",
    "ListReference",
    "Rows",
    "pack_reference",
    "resolve",
    "unpack_reference",
    "unpack_references",
]

INDEX_DTYPE = np.dtype("<u4")
"""Dtype of an index stream of the codec's own."""

_FIELD_BITS = 31


class ListReference(NamedTuple):
    """Params of a LIST_AT chain.

    Attributes
    ----------
    list_field : int
        Field whose rows hold the values.
    index_field : int or None
        Integer scalar field that says where; None: the stream holds the indices itself.
    base : int
        Index of the first element, 0 or 1.
    """

    list_field: int
    index_field: int | None = None
    base: int = 0


def pack_reference(reference: ListReference) -> int:
    """Return the params: bits 0..30 list field, 31..61 index field + 1 (0: none), 62 base."""
    index = 0 if reference.index_field is None else reference.index_field + 1
    limit = 1 << _FIELD_BITS
    if not (0 <= reference.list_field < limit and 0 <= index < limit and reference.base in (0, 1)):
        raise RecdInputError(f"LIST_AT reference out of range: {reference}")
    return reference.list_field | index << _FIELD_BITS | reference.base << 2 * _FIELD_BITS


def unpack_reference(params: int) -> ListReference:
    """Return the reference that `params` holds.

    Raises
    ------
    RecdFormatError
        If bit 63 is set.
    """
    if not 0 <= params < 1 << 63:
        raise RecdFormatError(Reason.REFERENCE, f"LIST_AT params {params:#x} have bit 63 set")
    mask = (1 << _FIELD_BITS) - 1
    index = params >> _FIELD_BITS & mask
    return ListReference(params & mask, index - 1 if index else None, params >> 2 * _FIELD_BITS)


def unpack_references(
    params: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return list field and index field (-1: none) of many references, each int64 [references]."""
    mask = np.uint64((1 << _FIELD_BITS) - 1)
    index = (params >> np.uint64(_FIELD_BITS) & mask).astype(np.int64) - 1
    return (params & mask).astype(np.int64), index


@kernel(
    "int64(const int64[::1], const int32[::1], const int32[::1], const int64[::1], "
    "const int32[::1], const uint8[::1], int64, int64, const uint8[::1], const uint32[::1], "
    "const uint64[::1], uint8[::1], uint32[::1], uint64[::1])"
)
def resolve_rows(  # type: ignore[no-untyped-def]
    starts, lengths, lookup, index, index_lookup, validity, base, itemsize, v1, v4, v8, o1, o4, o8
):
    """Copy each row's element; returns the first row whose index is out of range, or -1."""
    total = len(v1) // itemsize
    for i in range(np.uint64(len(o1) // itemsize)):
        row = np.int64(i)
        if len(validity) > 0 and validity[i] == 0:
            for k in range(itemsize):
                o1[row * itemsize + k] = 0
            continue
        unique = np.uint64(lookup[i]) if len(lookup) > 0 else i
        at = index[np.uint64(index_lookup[i]) if len(index_lookup) > 0 else i] - base
        start = starts[unique]
        if at < 0 or at >= lengths[unique] or start < 0 or start >= total - at:
            return row
        at += start
        if itemsize == 8:
            o8[i] = v8[np.uint64(at)]
        elif itemsize == 4:
            o4[i] = v4[np.uint64(at)]
        else:
            for k in range(itemsize):
                o1[row * itemsize + k] = v1[at * itemsize + k]
    return -1


_ALL = np.zeros(0, np.int32)
_NO_WORDS = np.zeros(0, np.uint32)
_NO_LONGS = np.zeros(0, np.uint64)


class Rows(NamedTuple):
    """Entries, and which one each row refers to.

    Attributes
    ----------
    entries : ndarray
        One entry a unique row.
    lookup : ndarray of int32, shape [rows], or None
        Unique row of each row, below the number of entries; None: row i has entry i.
    """

    entries: NDArray[Any]
    lookup: NDArray[np.int32] | None = None

    @property
    def num_rows(self) -> int:
        """Rows there are."""
        return len(self.entries if self.lookup is None else self.lookup)


def resolve(
    starts: Rows,
    lengths: NDArray[np.int32],
    values: NDArray[Any],
    index: Rows,
    *,
    base: int = 0,
    validity: NDArray[Any] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return ``values[starts[row] + index[row] - base]`` of every row.

    Parameters
    ----------
    starts : Rows of int64
        Where each row's list begins in `values`.
    lengths : int32, one per entry of `starts`
        Its length.
    values : 1-D
        Values of all lists.
    index : Rows of integers
        Place in the row's list.
    validity : bool or uint8 [rows], optional
        Rows that are not valid give zero bits and their index is not looked at.
    out : 1-D, contiguous, of the dtype of `values`, shape [rows], optional
        Where the result goes.

    Raises
    ------
    RecdFormatError
        If an index is not within its row's list.
    """
    size = bits_dtype(values.dtype).itemsize
    rows = starts.num_rows
    if (
        rows != index.num_rows
        or len(lengths) != len(starts.entries)
        or (validity is not None and len(validity) != rows)
    ):
        raise RecdInputError("LIST_AT takes a list, an index and a validity for each row")
    out = np.empty(rows, values.dtype) if out is None else out
    v1, o1 = np.ascontiguousarray(values).view(np.uint8), out.view(np.uint8)
    v4, o4 = (v1.view("<u4"), o1.view("<u4")) if size == 4 else (_NO_WORDS, _NO_WORDS)
    v8, o8 = (v1.view("<u8"), o1.view("<u8")) if size == 8 else (_NO_LONGS, _NO_LONGS)
    row = resolve_rows(
        np.ascontiguousarray(starts.entries, np.int64),
        np.ascontiguousarray(lengths, np.int32),
        _ALL if starts.lookup is None else starts.lookup,
        np.ascontiguousarray(index.entries, np.int64),
        _ALL if index.lookup is None else index.lookup,
        np.zeros(0, np.uint8) if validity is None else np.ascontiguousarray(validity).view("u1"),
        base, size, v1, v4, v8, o1, o4, o8,
    )  # fmt: skip
    if row >= 0:
        raise RecdFormatError(
            Reason.REFERENCE, f"row {row}: the index (base {base}) is not within the row's list"
        )
    return out
