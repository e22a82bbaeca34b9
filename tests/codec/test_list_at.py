"""LIST_AT: references are packed, followed, and never followed out of a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.codec import (
    ListReference,
    decode,
    encode,
    pack_reference,
    resolve,
    unpack_reference,
)
from recd_format.errors import Reason, RecdFormatError, RecdInputError


@given(
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 2**31 - 2),
    st.integers(0, 1),
)
def test_params_round_trip(list_field: int, index_field: int | None, base: int) -> None:
    reference = ListReference(list_field, index_field, base)
    assert unpack_reference(pack_reference(reference)) == reference


def test_params_out_of_range_are_errors() -> None:
    for bad in (ListReference(2**31), ListReference(0, 2**31 - 1), ListReference(0, None, 2)):
        with pytest.raises(RecdInputError):
            pack_reference(bad)
    with pytest.raises(RecdFormatError):
        unpack_reference(1 << 63)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=1, max_size=6), min_size=1, max_size=20),
    st.sampled_from("i1 <i2 <i4 <i8 <f4 <f8".split()),
    st.integers(0, 1),
    st.randoms(use_true_random=False),
)
def test_rows_get_their_element(rows: list[list[int]], dtype: str, base: int, random) -> None:
    lengths = np.array([len(row) for row in rows])
    starts = np.cumsum(lengths) - lengths
    values = np.concatenate(rows).astype(dtype)
    index = np.array([random.randrange(len(row)) for row in rows])
    valid = np.array([random.random() < 0.8 for _ in rows])
    got = resolve(starts, lengths, values, index + base, base=base)
    assert got.tolist() == [row[i] for row, i in zip(rows, index, strict=True)]
    index[~valid] = 99
    got = resolve(starts, lengths, values, index + base, base=base, validity=valid)
    expected = [row[i] if ok else 0 for row, i, ok in zip(rows, index, valid, strict=True)]
    assert got.tolist() == expected


@pytest.mark.parametrize(
    ("start", "length", "index"),
    [(0, 2, 2), (0, 2, -1), (9, 2, 1), (-1, 2, 0), (2**62, 5, 4), (0, 2**62, 2**61), (0, 0, 0)],
)
@pytest.mark.parametrize("dtype", ["<i8", "<f4"])
def test_indices_out_of_their_list_are_errors(
    start: int, length: int, index: int, dtype: str
) -> None:
    with pytest.raises(RecdFormatError, match="row 1") as caught:
        resolve(
            np.array([0, start]), np.array([1, length]), np.zeros(10, dtype), np.array([0, index])
        )
    assert caught.value.reason is Reason.REFERENCE


@pytest.mark.parametrize("chain", [(7, 3), (7, 9)])
def test_own_indices_are_a_stream(chain: tuple[int, ...]) -> None:
    index = np.arange(3000) % 25
    encoded = encode(index, chain, params=5)
    got = decode(chain, encoded.payload, 3000, encoded.params, np.dtype("<f4"), begin=7)
    assert got.dtype == np.uint32
    assert got.tolist() == index[7:].tolist()
    assert encoded.params == 5


def test_an_index_field_needs_no_bytes() -> None:
    params = pack_reference(ListReference(1, 2))
    encoded = encode(np.zeros(12, "<u4"), (7,), params=params)
    assert (len(encoded.payload), encoded.count, encoded.params) == (0, 12, params)
