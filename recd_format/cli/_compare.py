"""The order a file has, and equality to the last bit, found without the code that is shown."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["first_difference", "session_order"]


def session_order(table: pa.Table, session_key: str, order_key: str | None) -> NDArray[np.int64]:
    """Row numbers with sessions together, in the order of their first row.

    Rows of a session stand by `order_key`, ties in the order of `table`.
    """
    rows = np.arange(table.num_rows)
    if order_key is not None:
        # "first": equal values rank in the order they stand, so this sort is stable.
        rank = pc.rank(table[order_key].combine_chunks(), tiebreaker="first")
        rows = np.argsort(rank.to_numpy(zero_copy_only=False), kind="stable")
    keys = table[session_key].combine_chunks().take(pa.array(rows))
    codes = pc.dictionary_encode(keys).indices.to_numpy(zero_copy_only=False)
    return rows[np.argsort(codes, kind="stable")]


def first_difference(left: pa.Table, right: pa.Table) -> str | None:
    """Name of the first column that differs in type, nulls, lengths or bits; None if none does."""
    if left.schema.names != right.schema.names:
        return "names of the columns"
    names: list[str] = left.schema.names
    for name in names:
        one, other = left[name].combine_chunks(), right[name].combine_chunks()
        if not _same_bits(one, other):
            return name
    return None


def _same_bits(one: pa.Array, other: pa.Array) -> bool:
    """Arrow's own `equals` holds 0.0 for -0.0, and NaN for unequal to itself."""
    if one.type != other.type or len(one) != len(other):
        return False
    if not pc.is_null(one).equals(pc.is_null(other)):
        return False
    kind = one.type
    if pa.types.is_floating(kind):
        bits = f"u{kind.bit_width // 8}"
        return np.array_equal(_numpy(one).view(bits), _numpy(other).view(bits))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.list_value_length(one).equals(pc.list_value_length(other))
        return lengths and _same_bits(one.flatten(), other.flatten())
    if pa.types.is_struct(kind):
        return all(map(_same_bits, one.flatten(), other.flatten()))
    return bool(one.equals(other))


def _numpy(array: pa.Array) -> NDArray[np.generic]:
    return np.asarray(array.drop_null().to_numpy(zero_copy_only=False))
