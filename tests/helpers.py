"""Shared checks: equal bit for bit, and the order of FORMAT section 2 computed plainly."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["assert_same_bits", "expected_order", "in_file_order"]


def expected_order(table: pa.Table, session: str, order: str | None) -> list[int]:
    """Input rows in file order: sessions by first appearance, rows by order key, ties as given."""
    keys = table[session].to_pylist()
    times = table[order].cast(pa.int64()).to_pylist() if order else [0] * len(keys)
    rows = sorted(range(len(keys)), key=lambda row: times[row])
    rank: dict[Any, int] = {}
    for row in rows:
        rank.setdefault(keys[row], len(rank))
    return sorted(rows, key=lambda row: rank[keys[row]])


def in_file_order(table: pa.Table, session: str, order: str | None) -> pa.Table:
    """The table as a file must give it back."""
    return table.take(pa.array(expected_order(table, session, order), pa.int64()))


def _bits(array: pa.Array) -> Any:
    """An array as Python values, floats as their bits."""
    type_ = array.type
    if pa.types.is_floating(type_):
        raw = np.frombuffer(array.buffers()[1], f"<u{type_.bit_width // 8}")
        raw = raw[array.offset : array.offset + len(array)]
        return [
            None if not ok else int(bit)
            for ok, bit in zip(array.is_valid().to_pylist(), raw, strict=True)
        ]
    if pa.types.is_struct(type_):
        return list(zip(*(_bits(array.field(i)) for i in range(type_.num_fields)), strict=True))
    if pa.types.is_dictionary(type_):
        values = _bits(array.dictionary)
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    if pa.types.is_nested(type_):
        flat = (
            _bits(array.values)
            if not pa.types.is_map(type_)
            else list(zip(_bits(array.keys), _bits(array.items), strict=True))
        )
        if pa.types.is_fixed_size_list(type_):
            size = type_.list_size
            starts = [(array.offset + i) * size for i in range(len(array))]
            lengths = [size] * len(array)
        elif hasattr(array, "sizes"):
            starts, lengths = array.offsets.to_pylist(), array.sizes.to_pylist()
        else:
            offsets = array.offsets.to_pylist()
            starts = offsets[:-1]
            lengths = [b - a for a, b in itertools.pairwise(offsets)]
        valid = array.is_valid().to_pylist()
        return [
            flat[start : start + length] if ok else None
            for start, length, ok in zip(starts, lengths, valid, strict=True)
        ]
    if pa.types.is_temporal(type_):
        width = pa.int32() if type_.bit_width == 32 else pa.int64()
        return array.cast(width).to_pylist()
    return array.to_pylist()


def column_bits(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """A column as Python values that are equal where its bits are."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [value for chunk in chunks for value in _bits(chunk)]


def assert_same_bits(expected: pa.Table, found: pa.Table, *, types: bool = True) -> None:
    """Fail unless both tables have the same columns, types and bits."""
    if types:
        assert found.schema.equals(expected.schema, check_metadata=True)
    assert found.column_names == expected.column_names
    assert found.num_rows == expected.num_rows
    for name in expected.column_names:
        assert column_bits(found[name]) == column_bits(expected[name]), name
