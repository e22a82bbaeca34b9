"""Arrow arrays that keep the sharing: unique rows once, and which row refers to which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.arrow.columns_out import bitmap, column_to_arrow, elements, narrowed
from recd_format.arrow.types import is_list, plain_type
from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.jagged import Column

__all__ = ["shared_to_arrow", "shared_type", "windows_to_arrow"]


def shared_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that a column of `arrow_type` has in ``read(dedup=True)``.

    Lists and maps become list_view (large_list_view where their offsets were 64-bit), all others
    dictionary<int32>.
    """
    plain = plain_type(arrow_type)
    if pt.is_map(plain):
        return pa.list_view(plain.field(0))
    if is_list(plain):
        wide = pt.is_large_list(plain) or pt.is_large_list_view(plain)
        make = pa.large_list_view if wide else pa.list_view
        return make(plain.value_field)
    return pa.dictionary(pa.int32(), plain)


def shared_to_arrow(
    arrow_type: pa.DataType, unique: Column, inverse: NDArray[np.int32]
) -> pa.Array:
    """Return rows that refer to unique rows, without expanding them.

    Parameters
    ----------
    arrow_type
        Type of the expanded column.
    unique : Column
        The unique rows.
    inverse : ndarray of int32, shape [rows]
        The unique row of each row.

    Returns
    -------
    pa.Array
        Of `shared_type(arrow_type)`: a list view whose rows share elements, or a dictionary array
        whose dictionary are the unique rows, in their order (equal ones may repeat).
    """
    type_ = shared_type(arrow_type)
    if not pt.is_dictionary(type_):
        if unique.offsets is None:
            raise RecdInputError(f"a column without offsets cannot become {arrow_type}")
        return windows_to_arrow(
            arrow_type, unique, unique.offsets[:-1], np.diff(unique.offsets), inverse
        )
    indices = pa.Array.from_buffers(
        pa.int32(),
        len(inverse),
        [_row_nulls(unique.validity, inverse), pa.py_buffer(np.ascontiguousarray(inverse, "<i4"))],
    )
    return pa.DictionaryArray.from_arrays(indices, column_to_arrow(type_.value_type, unique))


def windows_to_arrow(
    arrow_type: pa.DataType,
    timeline: Column,
    starts: NDArray[Any],
    lengths: NDArray[Any],
    inverse: NDArray[np.int32],
) -> pa.Array:
    """Return rows that refer to windows on a timeline, as a list view.

    Parameters
    ----------
    arrow_type
        Type of the expanded column: a list or map.
    timeline : Column
        `values` and `weights` are the timeline; `validity` [unique rows] is that of the windows;
        `offsets` are not used.
    starts, lengths : ndarray of integers, shape [unique rows]
        Window of each unique row on the timeline.
    inverse : ndarray of int32, shape [rows]
        The unique row of each row.
    """
    type_ = shared_type(arrow_type)
    if pt.is_dictionary(type_):
        raise RecdInputError(f"windows cannot become {arrow_type}")
    buffers = [
        _row_nulls(timeline.validity, inverse),
        # Narrowed before they are gathered: there are fewer unique rows than rows.
        pa.py_buffer(narrowed(starts, type_)[inverse]),
        pa.py_buffer(narrowed(lengths, type_)[inverse]),
    ]
    child = elements(plain_type(arrow_type), timeline.values, timeline.weights)
    return pa.Array.from_buffers(type_, len(inverse), buffers, children=[child])


def _row_nulls(validity: NDArray[np.bool_] | None, inverse: NDArray[np.int32]) -> pa.Buffer | None:
    return None if validity is None else bitmap(validity[inverse])
