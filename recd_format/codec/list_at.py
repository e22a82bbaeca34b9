"""LIST_AT: a scalar that is an element of a list of the same row (`list_at.md`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import bits_dtype
from recd_format.errors import Reason, RecdFormatError, RecdInputError

__all__ = ["INDEX_DTYPE", "ListReference", "pack_reference", "resolve", "unpack_reference"]

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


@kernel(
    "int64(const int64[::1], const int64[::1], const int64[::1], const uint8[::1], int64, int64, "
    "const uint8[::1], const uint64[::1], uint8[::1], uint64[::1])"
)
def resolve_rows(  # type: ignore[no-untyped-def]
    starts, lengths, index, validity, base, itemsize, v1, v8, o1, o8
):
    """Copy each row's element; returns the first row whose index is out of range, or -1."""
    total = len(v1) // itemsize
    checked = len(validity) > 0
    for row in range(len(index)):
        if checked and validity[row] == 0:
            if itemsize == 8:
                o8[row] = 0
            else:
                for k in range(itemsize):
                    o1[row * itemsize + k] = 0
            continue
        at = index[row] - base
        if at < 0 or at >= lengths[row] or starts[row] < 0 or starts[row] >= total - at:
            return row
        at += starts[row]
        if itemsize == 8:
            o8[row] = v8[at]
        else:
            for k in range(itemsize):
                o1[row * itemsize + k] = v1[at * itemsize + k]
    return -1


def resolve(
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    values: NDArray[Any],
    index: NDArray[np.int64],
    *,
    base: int = 0,
    validity: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return ``values[starts[row] + index[row] - base]`` of every row.

    Parameters
    ----------
    starts, lengths : int64 [rows]
        Where each row's list stands in `values`.
    values : 1-D
        Values of all lists.
    index : int64 [rows]
        Place in the row's list.
    validity : bool or uint8 [rows], optional
        Rows that are not valid give zero bits and their index is not looked at.

    Raises
    ------
    RecdFormatError
        If an index is not within its row's list.
    """
    size = bits_dtype(values.dtype).itemsize
    if not len(starts) == len(lengths) == len(index) or (
        validity is not None and len(validity) != len(index)
    ):
        raise RecdInputError("LIST_AT takes arrays of equal length, one entry a row")
    valid = np.zeros(0, np.uint8) if validity is None else np.ascontiguousarray(validity, np.uint8)
    out = np.zeros(len(index), values.dtype)
    v1 = np.ascontiguousarray(values).view(np.uint8)
    o1 = out.view(np.uint8)
    whole = np.zeros(0, np.uint64)
    v8, o8 = (v1.view("<u8"), o1.view("<u8")) if size == 8 else (whole, whole)
    row = resolve_rows(
        np.ascontiguousarray(starts, np.int64),
        np.ascontiguousarray(lengths, np.int64),
        np.ascontiguousarray(index, np.int64),
        valid, base, size, v1, v8, o1, o8,
    )  # fmt: skip
    if row >= 0:
        raise RecdFormatError(
            Reason.REFERENCE,
            f"row {row}: index {int(index[row])} (base {base}) is not within a list of "
            f"{int(lengths[row])}",
        )
    return out
