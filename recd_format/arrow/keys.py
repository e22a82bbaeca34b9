"""Session and order keys as int64: what clustering works on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recd_format.arrow.columns_in import column_from_arrow
from recd_format.arrow.types import storage_of
from recd_format.errors import RecdInputError
from recd_format.format.schema import Field
from recd_format.jagged import Column

__all__ = ["SessionCodes", "order_image", "session_codes"]


class SessionCodes(NamedTuple):
    """Session keys as integers: equal keys, equal codes.

    Attributes
    ----------
    codes : ndarray of int64, shape [rows]
        Integer and temporal keys bit-cast; strings, binaries and floats as dense codes in order of
        first appearance.
    unique : Column or None
        The key of each dense code; None where the codes are the keys.
    """

    codes: NDArray[np.int64]
    unique: Column | None


def _as_column(
    array: pa.Array | pa.ChunkedArray | Column, name: str, what: str, first_row: int
) -> Column:
    """Return the key as a column without nulls and NaN, or raise."""
    if isinstance(array, Column):
        column = array
    else:
        storage = storage_of(array.type)
        if storage is None:
            raise RecdInputError(f"{what} {name!r} cannot be of type {array.type}")
        kind, shape, value = storage.kinds[0], storage.shape, storage.value_type
        field = Field(name, kind, shape, value, storage.weight_type, storage.width)
        column = column_from_arrow(field, array, first_row=first_row)
    jagged_numbers = column.offsets is not None and column.values.dtype != np.uint8
    if jagged_numbers or column.weights is not None or column.width != 1:
        raise RecdInputError(f"{what} {name!r} must have one value a row, not a list")
    if column.validity is not None and not column.validity.all():
        row = first_row + int(np.argmin(column.validity))
        raise RecdInputError(f"{what} {name!r} is null in row {row}: fill or drop such rows")
    if column.offsets is None and column.values.dtype.kind == "f":
        missing = np.isnan(column.values)
        if missing.any():
            row = first_row + int(np.argmax(missing))
            raise RecdInputError(f"{what} {name!r} is NaN in row {row}: fill or drop such rows")
    return column


def order_image(
    array: Column | pa.Array | pa.ChunkedArray, *, name: str = "order_key", first_row: int = 0
) -> NDArray[np.int64]:
    """Return int64 [rows] that order as the keys do: equal keys are equal (0.0 and -0.0 too).

    Integers, booleans, dates and timestamps keep their value, uint64 and floats are mapped,
    strings and binaries become their rank by bytes among the keys given.

    Raises
    ------
    RecdInputError
        Naming the first row whose key is null or NaN.
    """
    column = _as_column(array, name, "order key", first_row)
    if column.offsets is not None:
        codes, unique = _byte_codes(column)
        rank = np.empty(len(unique), np.int64)
        rank[pc.sort_indices(unique).to_numpy()] = np.arange(len(unique))
        return rank[codes]
    values = column.values
    if values.dtype.kind == "f":
        # Adding 0.0 turns -0.0 into 0.0.
        bits = (values.astype(np.float64) + 0.0).view(np.int64)
        return np.where(bits < 0, bits ^ np.int64(0x7FFF_FFFF_FFFF_FFFF), bits)
    if values.dtype == np.uint64:
        image: NDArray[np.int64] = (values ^ np.uint64(1 << 63)).view(np.int64)
        return image
    return values.astype(np.int64, copy=False)


def session_codes(
    array: pa.Array | pa.ChunkedArray | Column, *, name: str = "session_key", first_row: int = 0
) -> SessionCodes:
    """Return int64 codes of session keys.

    Raises
    ------
    RecdInputError
        Naming the first row whose key is null or NaN.
    """
    column = _as_column(array, name, "session key", first_row)
    if column.offsets is not None:
        codes, unique = _byte_codes(column)
        return SessionCodes(codes, _byte_column(unique))
    values = column.values
    if values.dtype.kind == "f":
        # By bits, as everywhere in the format.
        encoded = pa.array(values.view(f"i{values.itemsize}")).dictionary_encode()
        keys = encoded.dictionary.to_numpy().view(values.dtype)
        return SessionCodes(encoded.indices.to_numpy().astype(np.int64), Column(keys))
    if values.dtype == np.uint64:
        return SessionCodes(values.view(np.int64), None)
    return SessionCodes(values.astype(np.int64, copy=False), None)


def _byte_codes(column: Column) -> tuple[NDArray[np.int64], pa.LargeBinaryArray]:
    """Return dense codes by first appearance, and the byte string of each."""
    offsets: NDArray[Any] = np.ascontiguousarray(column.offsets)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(column.values))]
    array = pa.Array.from_buffers(pa.large_binary(), column.num_rows, buffers)
    encoded = array.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _byte_column(array: pa.LargeBinaryArray) -> Column:
    storage = storage_of(array.type)
    if storage is None:
        raise RecdInputError(f"session key cannot be of type {array.type}")
    field = Field("session_key", storage.kinds[0], storage.shape, storage.value_type)
    return column_from_arrow(field, array)
