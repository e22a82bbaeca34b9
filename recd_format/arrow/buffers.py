"""Views of Arrow buffers as NumPy arrays, and the layouts brought to a few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.format.schema import ValueType

__all__ = [
    "Offsets",
    "Validity",
    "bits",
    "fixed_width",
    "numbers",
    "plain",
    "rebased",
    "view_elements",
    "zeroed",
]

Validity = NDArray[np.bool_]
Offsets = NDArray[np.int64]


def plain(array: pa.Array) -> pa.Array:
    """Unwrap extension and dictionary arrays; bring the layouts without offsets to ones with."""
    while True:
        type_ = array.type
        if isinstance(type_, pa.BaseExtensionType):
            array = array.storage
        elif pt.is_dictionary(type_):
            array = _decoded(array)
        elif pt.is_string_view(type_):
            array = array.cast(pa.large_string())
        elif pt.is_binary_view(type_):
            array = array.cast(pa.large_binary())
        else:
            return array


def _decoded(array: pa.DictionaryArray) -> pa.Array:
    dictionary = array.dictionary
    # Decoded strings may pass the 2 GiB that 32-bit offsets reach.
    if pt.is_string(dictionary.type):
        dictionary = dictionary.cast(pa.large_string())
    elif pt.is_binary(dictionary.type):
        dictionary = dictionary.cast(pa.large_binary())
    return dictionary.take(array.indices)


def bits(array: pa.BooleanArray) -> NDArray[np.uint8]:
    """Return a boolean array's values as uint8 [len], 0 or 1."""
    buffer, skip = array.buffers()[1], array.offset
    if buffer is None:
        return np.zeros(len(array), np.uint8)
    first = skip // 8
    packed = np.frombuffer(buffer, np.uint8)[first : (skip + len(array) + 7) // 8]
    begin = skip - 8 * first
    return np.unpackbits(packed, count=begin + len(array), bitorder="little")[begin:]


def fixed_width(
    buffer: pa.Buffer | None, dtype: np.dtype[Any], skip: int, count: int
) -> NDArray[Any]:
    """View `count` values of a buffer; copied only where the memory is not aligned."""
    if count == 0 or buffer is None:
        return np.zeros(count, dtype)
    values = np.frombuffer(buffer, dtype, count, skip * dtype.itemsize)
    # Kernels are compiled for aligned memory; buffers of IPC messages may lie anywhere.
    return values if values.flags.aligned else values.copy()


def numbers(array: pa.Array, value_type: ValueType) -> NDArray[Any]:
    """Return the values of a scalar array, whatever lies under its nulls included."""
    if pt.is_boolean(array.type):
        return bits(array)
    return fixed_width(array.buffers()[1], value_type.dtype, array.offset, len(array))


def zeroed(values: NDArray[Any], validity: Validity | None, width: int) -> NDArray[Any]:
    """Return `values` with zero bits under null rows of `width` values."""
    if validity is None:
        return values
    values = values.copy()
    values.reshape(-1, width)[~validity] = 0
    return values


def rebased(name: str, offsets: NDArray[Any], available: int | None) -> Offsets:
    """Return `offsets` as int64 from 0 on; raise where they fall or pass what is there."""
    wide = offsets.astype(np.int64, copy=False)
    if wide[0] < 0 or (np.diff(wide) < 0).any() or wide[-1] > (available or 0):
        raise RecdInputError(f"column {name!r}: its Arrow array has offsets out of range")
    return wide - wide[0] if wide[0] else wide


def view_elements(
    name: str, array: pa.Array, validity: Validity | None
) -> tuple[pa.Array, Offsets]:
    """Return a list view's elements in row order, and their offsets from 0 on."""
    dtype = np.dtype("<i8" if pt.is_large_list_view(array.type) else "<i4")
    buffers, count = array.buffers(), len(array)
    starts = fixed_width(buffers[1], dtype, array.offset, count).astype(np.int64)
    sizes = fixed_width(buffers[2], dtype, array.offset, count).astype(np.int64)
    if validity is not None:
        sizes[~validity] = 0
    child, used = array.values, sizes > 0
    if (sizes < 0).any() or (used & ((starts < 0) | (starts + sizes > len(child)))).any():
        raise RecdInputError(f"column {name!r}: its Arrow array has list views out of range")
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    base = int(starts[np.argmax(used)]) if used.any() else 0
    if (starts == offsets[:-1] + base)[used].all():
        return child.slice(base, int(offsets[-1])), offsets
    places = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
    return child.take(pa.array(places)), offsets
