"""`Column` to Arrow arrays of the exact type the data came with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.arrow.types import is_bytes, is_list, weighted_fields
from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.jagged import Column

__all__ = ["column_to_arrow", "column_to_chunks", "empty_array"]

_INT32_MAX = (1 << 31) - 1


def column_to_arrow(arrow_type: pa.DataType, column: Column) -> pa.Array:
    """Return the rows of `column` as one Arrow array of exactly `arrow_type`.

    Values are shared with `column`, not copied, where the layouts agree.

    Raises
    ------
    RecdInputError
        Where `arrow_type` has 32-bit offsets and the column more values than they reach
        (`column_to_chunks` splits such a column), or a dictionary more entries than its indices.
    RecdFormatError
        Where the values cannot be of that type: text that is not UTF-8, rows of another length
        than a fixed-size list has.
    """
    if isinstance(arrow_type, pa.BaseExtensionType):
        storage = column_to_arrow(arrow_type.storage_type, column)
        return pa.ExtensionArray.from_storage(arrow_type, storage)
    if pt.is_dictionary(arrow_type):
        return _dictionary(arrow_type, column_to_arrow(arrow_type.value_type, column))
    if is_bytes(arrow_type):
        return _bytes(arrow_type, column)
    if pt.is_fixed_size_list(arrow_type):
        return _fixed_size_list(arrow_type, column)
    if is_list(arrow_type) or pt.is_map(arrow_type):
        return _list(arrow_type, column)
    return numbers_to_arrow(arrow_type, column.values, column.validity)


def column_to_chunks(arrow_type: pa.DataType, column: Column) -> list[pa.Array]:
    """As `column_to_arrow`, in as many arrays as 32-bit offsets make necessary."""
    total = 0 if column.offsets is None else int(column.offsets[-1] - column.offsets[0])
    if column.offsets is None or total <= _INT32_MAX or not _has_narrow_offsets(arrow_type):
        return [column_to_arrow(arrow_type, column)]
    chunks, begin = [], 0
    while begin < column.num_rows:
        reach = int(column.offsets[begin]) + _INT32_MAX
        end = int(np.searchsorted(column.offsets, reach, "right")) - 1
        end = max(begin + 1, end)
        chunks.append(column_to_arrow(arrow_type, _rows(column, begin, end)))
        begin = end
    return chunks


def empty_array(arrow_type: pa.DataType) -> pa.Array:
    """Return an array of `arrow_type` without rows."""
    return pa.array([], arrow_type)


def _rows(column: Column, begin: int, end: int) -> Column:
    offsets = None if column.offsets is None else column.offsets[begin : end + 1]
    validity = None if column.validity is None else column.validity[begin:end]
    return Column(column.values, offsets, column.width, column.weights, validity)


def _has_narrow_offsets(type_: pa.DataType) -> bool:
    if isinstance(type_, pa.BaseExtensionType):
        return _has_narrow_offsets(type_.storage_type)
    if pt.is_dictionary(type_):
        return _has_narrow_offsets(type_.value_type)
    narrow = (pt.is_list, pt.is_map, pt.is_list_view, pt.is_string, pt.is_binary)
    return any(check(type_) for check in narrow)


def numbers_to_arrow(
    arrow_type: pa.DataType, values: NDArray[Any], validity: NDArray[np.bool_] | None = None
) -> pa.Array:
    """Return numbers, dates and times as an Arrow array that shares their memory."""
    if pt.is_boolean(arrow_type):
        data = pa.py_buffer(np.packbits(values != 0, bitorder="little"))
    else:
        size = arrow_type.bit_width // 8
        if values.dtype.itemsize != size:
            # Readers may decode ids into int64 whatever their width: the low bits are the value.
            values = values.astype(np.dtype(f"{values.dtype.kind}{size}"))
        data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(arrow_type, len(values), [bitmap(validity), data])


def bitmap(validity: NDArray[np.bool_] | None) -> pa.Buffer | None:
    """Return an Arrow validity bitmap; None where nothing is null."""
    if validity is None or validity.all():
        return None
    return pa.py_buffer(np.packbits(validity, bitorder="little"))


def narrowed(offsets: NDArray[Any], arrow_type: pa.DataType) -> NDArray[Any]:
    """Return offsets, starts or sizes in the width that `arrow_type` has."""
    if not _has_narrow_offsets(arrow_type):
        return np.ascontiguousarray(offsets, np.int64)
    if len(offsets) and int(offsets.max()) > _INT32_MAX:
        raise RecdInputError(
            f"the column has {int(offsets.max())} values, more than one array of type "
            f"{arrow_type} can hold: read fewer rows at once"
        )
    return np.ascontiguousarray(offsets, np.int32)


def narrow_offsets(offsets: NDArray[Any], arrow_type: pa.DataType) -> pa.Buffer:
    """Return `narrowed` offsets as an Arrow buffer."""
    return pa.py_buffer(narrowed(offsets, arrow_type))


def _jagged_parts(
    column: Column, arrow_type: pa.DataType
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any] | None]:
    """Return offsets from 0 on, values and weights."""
    if column.offsets is None:
        raise RecdInputError(f"a column without offsets cannot become {arrow_type}")
    begin, end = int(column.offsets[0]), int(column.offsets[-1])
    offsets = column.offsets - begin if begin else column.offsets
    weights = None if column.weights is None else column.weights[begin:end]
    return offsets, column.values[begin:end], weights


def _bytes(arrow_type: pa.DataType, column: Column) -> pa.Array:
    offsets, data, _ = _jagged_parts(column, arrow_type)
    count, nulls = column.num_rows, bitmap(column.validity)
    if pt.is_fixed_size_binary(arrow_type):
        data = _spread(arrow_type, arrow_type.byte_width, offsets, data, column.validity)
        return pa.Array.from_buffers(arrow_type, count, [nulls, pa.py_buffer(data)])
    is_view = pt.is_string_view(arrow_type) or pt.is_binary_view(arrow_type)
    is_text = pt.is_string_view(arrow_type) or pt.is_string(arrow_type)
    is_text = is_text or pt.is_large_string(arrow_type)
    stored = (pa.large_string() if is_text else pa.large_binary()) if is_view else arrow_type
    buffers = [nulls, narrow_offsets(offsets, stored), pa.py_buffer(np.ascontiguousarray(data))]
    array = pa.Array.from_buffers(stored, count, buffers)
    if is_text:
        # Readers of Arrow strings (Polars, DuckDB) rely on valid UTF-8: unchecked, it is unsafe.
        try:
            array.validate(full=True)
        except pa.ArrowInvalid as error:
            raise RecdFormatError(Reason.ENCODING, f"text is not UTF-8: {error}") from error
    return array.cast(arrow_type) if is_view else array


def _spread(
    arrow_type: pa.DataType,
    width: int,
    offsets: NDArray[np.int64],
    values: NDArray[Any],
    validity: NDArray[np.bool_] | None,
) -> NDArray[Any]:
    """Return jagged rows as [rows * width], zeros under nulls; raise where a length differs."""
    lengths = np.diff(offsets)
    wrong = lengths != width
    if validity is not None:
        wrong &= validity
    if wrong.any():
        row = int(np.argmax(wrong))
        detail = f"row {row} has {int(lengths[row])} values where {arrow_type} has {width}"
        raise RecdFormatError(Reason.LENGTHS, detail)
    if validity is None or validity.all():
        return np.ascontiguousarray(values)
    spread = np.zeros((len(lengths), width), values.dtype)
    spread[validity] = values[np.repeat(validity, lengths)].reshape(-1, width)
    return spread.reshape(-1)


def _fixed_size_list(arrow_type: pa.DataType, column: Column) -> pa.Array:
    values, width = column.values, arrow_type.list_size
    if column.offsets is not None:
        offsets, values, _ = _jagged_parts(column, arrow_type)
        values = _spread(arrow_type, width, offsets, values, column.validity)
    elif column.width != width:
        raise RecdInputError(f"rows of {column.width} values cannot become {arrow_type}")
    child = numbers_to_arrow(arrow_type.value_type, values)
    nulls = bitmap(column.validity)
    return pa.Array.from_buffers(arrow_type, column.num_rows, [nulls], children=[child])


def _list(arrow_type: pa.DataType, column: Column) -> pa.Array:
    offsets, values, weights = _jagged_parts(column, arrow_type)
    child = elements(arrow_type, values, weights)
    buffers = [bitmap(column.validity)]
    if pt.is_list_view(arrow_type) or pt.is_large_list_view(arrow_type):
        starts = narrow_offsets(offsets[:-1], arrow_type)
        buffers += [starts, narrow_offsets(np.diff(offsets), arrow_type)]
    else:
        buffers.append(narrow_offsets(offsets, arrow_type))
    return pa.Array.from_buffers(arrow_type, column.num_rows, buffers, children=[child])


def elements(
    arrow_type: pa.DataType, values: NDArray[Any], weights: NDArray[Any] | None
) -> pa.Array:
    """Return the child array of a list or map type: numbers, or structs of id and weight."""
    if weights is None:
        return numbers_to_arrow(arrow_type.value_type, values)
    pair = weighted_fields(arrow_type)
    if pair is None:
        raise RecdInputError(f"weighted lists cannot become {arrow_type}")
    entry = arrow_type.field(0).type if pt.is_map(arrow_type) else arrow_type.value_type
    children = [numbers_to_arrow(pair[0].type, values), numbers_to_arrow(pair[1].type, weights)]
    if not pair[2]:
        children.reverse()
    return pa.Array.from_buffers(entry, len(values), [None], children=children)


def _dictionary(arrow_type: pa.DataType, array: pa.Array) -> pa.Array:
    value_type = array.type
    if pt.is_floating(value_type):
        # By bits: Arrow's own encoding takes every NaN, and 0.0 and -0.0, for one.
        array = array.view({16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[value_type.bit_width])
    encoded = array.dictionary_encode()
    dictionary = encoded.dictionary
    if dictionary.type != value_type:
        dictionary = dictionary.view(value_type)
    try:
        indices = encoded.indices.cast(arrow_type.index_type)
    except pa.ArrowInvalid as error:
        raise RecdInputError(
            f"{len(dictionary)} distinct values do not fit {arrow_type}: read fewer rows at once"
        ) from error
    return pa.DictionaryArray.from_arrays(indices, dictionary)
