"""LIST_AT on the way to a file: checked on every row of the stripe, or not used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import Encoded, encode_best
from recd_format.codec.base import CodecId
from recd_format.codec.list_at import ListReference, pack_reference
from recd_format.dedup.reference import own_index, verify_reference
from recd_format.jagged import Column
from recd_format.writer.options import Profile

__all__ = ["encode_reference"]


def encode_reference(
    columns: Sequence[Column],
    field: int,
    list_field: int,
    index_field: int | None,
    base: int,
    rows: NDArray[np.int64],
    profile: Profile,
) -> Encoded | None:
    """Encode a scalar as elements of a list of the same row, or return None where it is not.

    Parameters
    ----------
    columns
        Input columns in schema order.
    field, list_field, index_field
        The scalar, the list, and the field that holds the place in the list; None: a stream of
        its own holds it.
    base
        0 or 1: what `index_field` calls the first element.
    rows
        Input rows of the stripe.
    """
    scalar, list_ = columns[field], columns[list_field]
    if index_field is not None and verify_reference(
        scalar, list_, columns[index_field], base, rows
    ):
        params = pack_reference(ListReference(list_field, index_field, base))
        return Encoded((CodecId.LIST_AT,), np.zeros(0, np.uint8), len(rows), params)
    index = own_index(scalar, list_, rows)
    if index is None:
        return None
    own = encode_best(index.astype("<u4"), "reference", profile)
    params = pack_reference(ListReference(list_field))
    plain = encode_best(np.ascontiguousarray(scalar.values[rows]), "values", profile)
    dictionary = 0 if plain.dictionary is None else plain.dictionary.nbytes
    if len(own.payload) >= len(plain.payload) + dictionary:
        return None
    return Encoded((CodecId.LIST_AT, *own.chain), own.payload, own.count, params)
