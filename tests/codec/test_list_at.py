"""LIST_AT: references are packed, followed, and never followed out of a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.codec import (
    Chain,
    CodecId,
    ListReference,
    chain_name,
    decode,
    encode,
    pack_reference,
    resolve,
    unpack_reference,
)
from recd_format.codec.list_at import INDEX_DTYPE, Rows, unpack_references
from recd_format.errors import Reason, RecdFormatError, RecdInputError
from tests.codec.checks import chains_of, check_bit_flips, check_round_trip, check_truncations

CHAINS = chains_of(CodecId.LIST_AT)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_round_trip(chain: Chain) -> None:
    check_round_trip(chain, INDEX_DTYPE)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_truncations(chain: Chain) -> None:
    check_truncations(chain)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_bit_flips(chain: Chain) -> None:
    check_bit_flips(chain)


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


def test_many_references_are_unpacked_at_once() -> None:
    packed = [pack_reference(ListReference(*given)) for given in ((3, 7, 1), (2**31 - 1,), (0, 0))]
    lists, indices = unpack_references(np.array(packed, "<u8"))
    assert lists.tolist() == [3, 2**31 - 1, 0]
    assert indices.tolist() == [7, -1, 0]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=1, max_size=6), min_size=1, max_size=20),
    st.sampled_from(["i1", "<i2", "<i4", "<i8", "<f4", "<f8"]),
    st.integers(0, 1),
    st.randoms(use_true_random=False),
)
def test_rows_get_their_element(rows: list[list[int]], dtype: str, base: int, random) -> None:
    lengths = np.array([len(row) for row in rows], np.int32)
    starts = Rows(np.cumsum(lengths, dtype=np.int64) - lengths)
    values = np.concatenate(rows).astype(dtype)
    index = np.array([random.randrange(len(row)) for row in rows])
    valid = np.array([random.random() < 0.8 for _ in rows])
    got = resolve(starts, lengths, values, Rows(index + base), base=base)
    assert got.tolist() == [row[i] for row, i in zip(rows, index, strict=True)]
    index[~valid] = 99
    got = resolve(starts, lengths, values, Rows(index + base), base=base, validity=valid)
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
    starts, lengths = Rows(np.array([0, start])), np.array([1, min(length, 2**31 - 1)], np.int32)
    with pytest.raises(RecdFormatError, match="row 1") as caught:
        resolve(starts, lengths, np.zeros(10, dtype), Rows(np.array([0, index])))
    assert caught.value.reason is Reason.REFERENCE


def test_rows_share_lists_and_indices_through_lookups() -> None:
    starts = Rows(np.array([0, 3]), np.array([0, 0, 1, 1, 0], np.int32))
    index = Rows(np.array([2, 0]), np.array([0, 1, 1, 1, 0], np.int32))
    values = np.array([10, 11, 12, 20], "<i8")
    got = resolve(starts, np.array([3, 1], np.int32), values, index)
    assert got.tolist() == [12, 10, 20, 20, 12]


def test_arrays_that_do_not_belong_together_are_input_errors() -> None:
    lengths, values = np.array([1, 1], np.int32), np.zeros(4, "<i8")
    two, three = Rows(np.zeros(2, np.int64)), Rows(np.zeros(3, np.int64))
    for starts, index, valid in ((two, three, None), (three, three, None), (two, two, [True])):
        validity = None if valid is None else np.array(valid)
        with pytest.raises(RecdInputError):
            resolve(starts, lengths, values, index, validity=validity)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
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


def test_a_reference_alone_is_not_decoded_as_a_stream() -> None:
    with pytest.raises(RecdFormatError, match="LIST_AT is not a legal one") as caught:
        decode((7,), b"", 3, 5, np.dtype("<i8"))
    assert caught.value.reason is Reason.CHAIN
    with pytest.raises(RecdInputError, match="no such chain: LIST_AT>ZSTD"):
        encode(np.arange(3), (7, 8))
