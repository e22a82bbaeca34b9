"""Arrow arrays to `Column`: zero copy where Arrow's layout allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.arrow.buffers import (
    Offsets,
    Validity,
    bits,
    fixed_width,
    numbers,
    plain,
    rebased,
    view_elements,
    zeroed,
)
from recd_format.arrow.types import is_bytes, type_fits, weighted_fields
from recd_format.errors import RecdInputError
from recd_format.format.schema import Field, Shape
from recd_format.jagged import Column

__all__ = ["column_from_arrow", "concat_columns", "empty_column"]


def column_from_arrow(
    field: Field, array: pa.Array | pa.ChunkedArray, *, first_row: int = 0
) -> Column:
    """Return the rows of `array` as NumPy arrays.

    One chunk without nulls is not copied (jagged offsets aside); several chunks are put end to end
    with int64 offsets, so a column may hold more values than one Arrow list array can. Whatever
    Arrow keeps under null rows becomes an empty list or zero bits.

    Parameters
    ----------
    field
        The field, as `infer_schema` made it.
    array
        Rows of that column.
    first_row : int
        Number of the first row, for messages.

    Raises
    ------
    RecdInputError
        Where the type is not the field's, a field that is not nullable holds a null, or there is a
        null inside a list.
    """
    if not type_fits(array.type, field):
        raise RecdInputError(
            f"column {field.name!r} has type {array.type}, which does not fit the field it was "
            f"declared as ({field.shape.name.lower()} of {field.value_type.name.lower()})"
        )
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    parts, row = [], first_row
    for chunk in chunks:
        if len(chunk):
            parts.append(_column(field, plain(chunk), row))
            row += len(chunk)
    return concat_columns(parts) if parts else empty_column(field)


def empty_column(field: Field) -> Column:
    """Return a column without rows."""
    weight = field.weight_type
    return Column(
        values=np.empty(0, field.value_type.dtype),
        offsets=np.zeros(1, np.int64) if field.is_jagged else None,
        width=1 if field.is_jagged else field.width,
        weights=None if weight is None else np.empty(0, weight.dtype),
    )


def concat_columns(parts: Sequence[Column]) -> Column:
    """Return the rows of `parts` end to end; one part is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    offsets = validity = weights = None
    if first.offsets is not None:
        ranges = [_range(part) for part in parts]
        values = np.concatenate([p.values[a:b] for p, (a, b) in zip(parts, ranges, strict=True)])
        if first.weights is not None:
            weights = np.concatenate(
                [_weights(p)[a:b] for p, (a, b) in zip(parts, ranges, strict=True)]
            )
        offsets = np.zeros(1 + sum(part.num_rows for part in parts), np.int64)
        np.cumsum(np.concatenate([part.lengths for part in parts]), out=offsets[1:])
    else:
        values = np.concatenate([part.values for part in parts])
    if any(part.validity is not None for part in parts):
        validity = np.concatenate(
            [np.ones(p.num_rows, np.bool_) if p.validity is None else p.validity for p in parts]
        )
    return Column(values, offsets, first.width, weights, validity)


def _range(column: Column) -> tuple[int, int]:
    if column.offsets is None:
        raise RecdInputError("jagged and fixed columns cannot be put end to end")
    return int(column.offsets[0]), int(column.offsets[-1])


def _weights(column: Column) -> NDArray[Any]:
    if column.weights is None:
        raise RecdInputError("weighted and plain lists cannot be put end to end")
    return column.weights


def _column(field: Field, array: pa.Array, row: int) -> Column:
    validity = bits(array.is_valid()).view(np.bool_) if array.null_count else None
    if validity is not None and not field.nullable:
        bad = row + int(np.argmin(validity))
        what = field.kind.name.lower().replace("_", " ")
        raise RecdInputError(
            f"column {field.name!r} ({what}) holds no nulls by its declaration, but row {bad} is "
            "null: fill or drop such rows"
        )
    if is_bytes(array.type):
        return _bytes_column(field, array, validity)
    if field.shape == Shape.SCALAR:
        return Column(zeroed(numbers(array, field.value_type), validity, 1), validity=validity)
    if pt.is_fixed_size_list(array.type):
        return _fixed_column(field, array, validity, row)
    return _list_column(field, array, validity, row)


def _bytes_column(field: Field, array: pa.Array, validity: Validity | None) -> Column:
    count, skip = len(array), array.offset
    buffers = array.buffers()
    if pt.is_fixed_size_binary(array.type):
        size = array.type.byte_width
        data = fixed_width(buffers[1], np.dtype("u1"), skip * size, count * size)
        offsets = np.arange(count + 1, dtype=np.int64) * size
    else:
        wide = pt.is_large_string(array.type) or pt.is_large_binary(array.type)
        ends = fixed_width(buffers[1], np.dtype("<i8" if wide else "<i4"), skip, count + 1)
        offsets = rebased(field.name, ends, None if buffers[2] is None else buffers[2].size)
        data = fixed_width(buffers[2], np.dtype("u1"), int(ends[0]), int(offsets[-1]))
    return _without_null_values(Column(data, offsets, validity=validity))


def _without_null_values(column: Column) -> Column:
    """Drop values that Arrow keeps under null rows."""
    if column.validity is None or column.offsets is None:
        return column
    lengths = column.lengths
    if not lengths[~column.validity].any():
        return column
    kept = np.repeat(column.validity, lengths)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(np.where(column.validity, lengths, 0), out=offsets[1:])
    weights = None if column.weights is None else column.weights[kept]
    return Column(column.values[kept], offsets, 1, weights, column.validity)


def _fixed_column(field: Field, array: pa.Array, validity: Validity | None, row: int) -> Column:
    width = array.type.list_size
    offsets = np.arange(len(array) + 1, dtype=np.int64) * width
    child = array.values.slice(array.offset * width, len(array) * width)
    _refuse_nulls(field, [child], offsets, validity, row)
    values = numbers(child, field.value_type)
    if field.shape == Shape.FIXED:
        return Column(zeroed(values, validity, width), None, width, validity=validity)
    return _without_null_values(Column(values, offsets, validity=validity))


def _list_column(field: Field, array: pa.Array, validity: Validity | None, row: int) -> Column:
    type_ = array.type
    if pt.is_list_view(type_) or pt.is_large_list_view(type_):
        child, offsets = view_elements(field.name, array, validity)
    else:
        dtype = np.dtype("<i8" if pt.is_large_list(type_) else "<i4")
        ends = fixed_width(array.buffers()[1], dtype, array.offset, len(array) + 1)
        offsets = rebased(field.name, ends, len(array.values))
        child = array.values.slice(int(ends[0]), int(offsets[-1]))
    if field.shape != Shape.WEIGHTED_LIST:
        _refuse_nulls(field, [child], offsets, validity, row)
        values = numbers(child, field.value_type)
        return _without_null_values(Column(values, offsets, validity=validity))
    pair = weighted_fields(type_)
    if pair is None or field.weight_type is None:
        raise RecdInputError(f"column {field.name!r}: type {type_} has no ids and weights")
    ids, weights = child.field(0 if pair[2] else 1), child.field(1 if pair[2] else 0)
    _refuse_nulls(field, [child, ids, weights], offsets, validity, row)
    return _without_null_values(
        Column(
            numbers(ids, field.value_type),
            offsets,
            weights=numbers(weights, field.weight_type),
            validity=validity,
        )
    )


def _refuse_nulls(
    field: Field,
    children: Sequence[pa.Array],
    offsets: Offsets,
    validity: Validity | None,
    row: int,
) -> None:
    """Raise where an element of a list that is not null is null."""
    for child in children:
        if not child.null_count:
            continue
        bad = ~bits(child.is_valid()).view(np.bool_)
        if validity is not None:
            bad &= np.repeat(validity, np.diff(offsets))
        if bad.any():
            place = int(np.argmax(bad))
            at = int(np.searchsorted(offsets, place, "right")) - 1
            raise RecdInputError(
                f"column {field.name!r}, row {row + at}: element {place - int(offsets[at])} of "
                "the list is null; drop or fill nulls inside lists (a null list is fine)"
            )
