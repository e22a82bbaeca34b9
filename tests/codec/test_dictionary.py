"""DICTIONARY: entries by falling frequency, codes that never leave them."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from recd_format.codec import Chain, CodecId, chain_name, decode, encode
from recd_format.errors import Reason, RecdFormatError
from tests.codec.checks import (
    batch_cases_of,
    cases_of,
    chains_of,
    check_bit_flips,
    check_round_trip,
    check_stream,
    check_truncations,
    check_widening,
    extremes,
)

CHAINS = chains_of(CodecId.DICTIONARY)
DICTIONARY_BITPACK = (5, 3)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.DICTIONARY))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.DICTIONARY))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_truncations(chain: Chain) -> None:
    check_truncations(chain)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_bit_flips(chain: Chain) -> None:
    check_bit_flips(chain)


def entries_of(values: np.ndarray) -> np.ndarray:
    encoded = encode(values, DICTIONARY_BITPACK)
    assert encoded.params == len(encoded.dictionary)
    assert encoded.dictionary.dtype == values.dtype
    return encoded.dictionary


def test_frequent_values_have_small_codes() -> None:
    values = np.array([9, 9, 9, -4, 3, 3, -5])
    assert entries_of(values).tolist() == [9, 3, -5, -4]


def test_ties_are_by_rising_value() -> None:
    assert entries_of(np.array([5, -1, 3, -(2**63)])).tolist() == [-(2**63), -1, 3, 5]
    assert entries_of(np.array([2**63, 1, 2**64 - 1], "<u8")).tolist() == [1, 2**63, 2**64 - 1]
    # Floats by their bits: those below zero come after those above.
    assert entries_of(np.array([-1.0, 2.0, 1.0, -2.0])).tolist() == [1.0, 2.0, -1.0, -2.0]


def test_counts_over_sixteen_bits_keep_their_order() -> None:
    values = np.repeat(np.array([5, 2, 8]), [70_000, 90_000, 66_000])
    assert entries_of(values).tolist() == [2, 5, 8]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_entries_are_distinct_by_bits(dtype: str) -> None:
    values = extremes(np.dtype(dtype))  # two zeros, NaNs with other payloads
    entries = entries_of(np.tile(values, 3))
    bits = f"<u{values.dtype.itemsize}"
    assert entries.view(bits).tolist() == sorted(values.view(bits).tolist())


def test_values_without_repeats_and_without_values() -> None:
    values = np.random.default_rng(4).permutation(40_000)
    assert entries_of(values).tolist() == list(range(40_000))
    assert entries_of(np.zeros(0, "<i8")).tolist() == []


@pytest.mark.parametrize(("known", "size"), [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)])
def test_codes_are_as_narrow_as_the_entries_allow(known: int, size: int) -> None:
    values = np.arange(known)
    payload = encode(values, (5, 6, 8)).payload.tobytes()
    assert zstandard.get_frame_parameters(payload).content_size == known * size
    for chain in CHAINS:
        check_stream(values, chain)


@pytest.mark.parametrize("child", [(3,), (6, 8), (9,)])
def test_codes_past_the_dictionary_are_errors(child: tuple[int, ...]) -> None:
    values = np.array([5, 6, 7, 8, 5] * 300)
    encoded = encode(values, (5, *child))
    short = encoded.dictionary[:3]
    with pytest.raises(RecdFormatError) as caught:
        decode((5, *child), encoded.payload, 1500, 3, values.dtype, dictionary=short)
    assert caught.value.reason is Reason.DICTIONARY
    with pytest.raises(RecdFormatError):
        decode((5, *child), encoded.payload, 1500, 4, values.dtype, dictionary=None)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_a_dictionary_of_another_length_is_an_error(chain: Chain) -> None:
    encoded = encode(np.array([5, 6, 7, 8, 5] * 300), chain)
    for entries in (np.arange(3), np.arange(5), np.zeros(0, "<i8")):
        with pytest.raises(RecdFormatError, match="needs its 4 entries") as caught:
            decode(chain, encoded.payload, 1500, 4, np.dtype("<i8"), dictionary=entries)
        assert caught.value.reason is Reason.DICTIONARY
