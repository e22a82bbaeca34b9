"""LIST_AT: scalars that are an element of a list of the same row (FORMAT, Codecs).

A reference is proposed on a sample of rows and verified on every row before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.dedup.gather import take_rows
from recd_format.jagged import Column

__all__ = ["Reference", "find_references", "own_index", "verify_reference"]

_PROBES = 16
_PROPOSALS = 8


@dataclass(frozen=True, slots=True)
class Reference:
    """``field == list_field[index - base]`` in every row where `field` is not null.

    Attributes
    ----------
    field, list_field : str
        The scalar and the list it is an element of; equal dtypes.
    index_field : str or None
        Integer scalar that says which element; None: an index stream of its own.
    base : int
        0 or 1: the index of the list's first element.
    """

    field: str
    list_field: str
    index_field: str | None = None
    base: int = 0


def find_references(
    scalars: Mapping[str, Column],
    lists: Mapping[str, Column],
    indices: Mapping[str, Column],
    rows: NDArray[np.int64],
) -> list[Reference]:
    """Propose references that hold on a sample of rows.

    Near linear in the number of columns: a few probe rows leave few pairs to try.

    Parameters
    ----------
    scalars, lists, indices
        Scalar columns that may be elements, jagged columns without weights, integer scalars
        that may say which element.
    rows : ndarray of int64
        Input rows of the sample.

    Returns
    -------
    list of Reference
        In the order of `scalars`; of each scalar those with an index field first. One scalar
        may have several.
    """
    probes = rows[np.unique(np.linspace(0, len(rows) - 1, min(_PROBES, len(rows))).astype(int))]
    found: list[Reference] = []
    for field, names in _candidates(scalars, lists, probes).items():
        scalar = scalars[field]
        for name in names[:_PROPOSALS]:
            own = own_index(scalar, lists[name], rows)
            if own is None:
                continue
            found.extend(
                Reference(field, name, index, base)
                for index, column in indices.items()
                if index != field
                for base in (0, 1)
                if verify_reference(scalar, lists[name], column, base, probes)
                and verify_reference(scalar, lists[name], column, base, rows)
            )
            found.append(Reference(field, name))
    return found


def verify_reference(
    scalar: Column,
    list_: Column,
    index: Column | None,
    base: int,
    rows: NDArray[np.int64],
) -> bool:
    """True where the reference holds, bit for bit, on all `rows` with a scalar that is not null."""
    if index is None:
        return own_index(scalar, list_, rows) is not None
    if not _comparable(scalar, list_) or list_.offsets is None:
        return False
    if index.offsets is not None or index.width != 1 or index.values.dtype.kind not in "iu":
        return False
    if scalar.validity is not None:
        rows = rows[scalar.validity[rows]]
    if index.validity is not None and not index.validity[rows].all():
        return False
    raw = index.values[rows]
    if raw.dtype == np.uint64 and bool((raw > np.uint64(1 << 32)).any()):
        return False
    at = raw.astype(np.int64) - base
    starts = list_.offsets[rows]
    if bool(((at < 0) | (at >= list_.offsets[rows + 1] - starts)).any()):
        return False
    return bool(np.array_equal(_bits(list_.values)[starts + at], _bits(scalar.values)[rows]))


def own_index(scalar: Column, list_: Column, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Position of the scalar in its row's list, from 0, or None where a row has none.

    Returns
    -------
    ndarray of int64, shape [len(rows)], or None
        The first element with the scalar's bits; 0 where the scalar is null.
    """
    if not _comparable(scalar, list_) or list_.offsets is None:
        return None
    rows = np.ascontiguousarray(rows, np.int64)
    if 2 * len(rows) < list_.num_rows:
        # A sample of a large column: widen to uint64 only what is looked at.
        list_, scalar = take_rows(list_, rows), take_rows(scalar, rows)
        rows = np.arange(len(rows), dtype=np.int64)
    if list_.offsets is None:
        return None
    positions = np.zeros(len(rows), np.int64)
    validity = np.zeros(0, np.uint8)
    if scalar.validity is not None:
        validity = np.ascontiguousarray(scalar.validity).view(np.uint8)
    held = _list_positions(
        np.ascontiguousarray(list_.offsets, np.int64),
        _bits(list_.values).astype(np.uint64, copy=False),
        _bits(scalar.values).astype(np.uint64, copy=False),
        validity,
        rows,
        positions,
    )
    return positions if held else None


def _comparable(scalar: Column, list_: Column) -> bool:
    return (
        scalar.offsets is None
        and scalar.width == 1
        and list_.weights is None
        and scalar.values.dtype == list_.values.dtype
    )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values).view(f"<u{values.itemsize}")


def _candidates(
    scalars: Mapping[str, Column], lists: Mapping[str, Column], probes: NDArray[np.int64]
) -> dict[str, list[str]]:
    """Lists that hold the scalar's value on every probe row where it is not null."""
    left: dict[str, set[str]] = {}
    for row in probes.tolist():
        where: dict[tuple[str, int], set[str]] = {}
        alive = set().union(*left.values()) if left else set(lists)
        for name in alive:
            column = lists[name]
            if column.offsets is None:
                continue
            part = column.values[column.offsets[row] : column.offsets[row + 1]]
            for value in _bits(part).tolist():
                where.setdefault((part.dtype.str, value), set()).add(name)
        for field, column in scalars.items():
            if field in left and not left[field]:
                continue
            if column.validity is not None and not column.validity[row]:
                continue
            value = _bits(column.values[row : row + 1]).tolist()[0]
            holders = where.get((column.values.dtype.str, value), set())
            left[field] = left[field] & holders if field in left else set(holders)
    order = {name: place for place, name in enumerate(lists)}
    return {
        field: sorted(left[field], key=order.__getitem__) for field in scalars if left.get(field)
    }


@kernel(
    "boolean(const int64[::1], const uint64[::1], const uint64[::1], const uint8[::1],"
    " const int64[::1], int64[::1])"
)
def _list_positions(offsets, values, scalars, validity, rows, positions):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        row = rows[i]
        if len(validity) > 0 and validity[row] == 0:
            continue
        wanted = scalars[row]
        found = False
        for j in range(offsets[row], offsets[row + 1]):
            if values[j] == wanted:
                positions[i] = j - offsets[row]
                found = True
                break
        if not found:
            return False
    return True
