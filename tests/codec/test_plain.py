"""PLAIN: the values as they are, little-endian, and not a byte more or less."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import Chain, CodecId, decode, encode
from recd_format.errors import RecdFormatError
from tests.codec.checks import (
    DTYPES,
    batch_cases_of,
    cases_of,
    check_bit_flips,
    check_round_trip,
    check_truncations,
    check_widening,
    extremes,
)

PLAIN = (int(CodecId.PLAIN),)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.PLAIN))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.PLAIN))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


def test_truncations() -> None:
    check_truncations(PLAIN)


def test_bit_flips() -> None:
    check_bit_flips(PLAIN)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_payload_is_the_values(dtype: np.dtype) -> None:
    values = extremes(dtype)
    encoded = encode(values, PLAIN)
    assert encoded.payload.tobytes() == values.tobytes()
    assert (encoded.params, encoded.dictionary) == (0, None)


def test_other_byte_orders_are_stored_little_endian() -> None:
    assert encode(np.array([1, 258], ">i4"), PLAIN).payload.tolist() == [1, 0, 0, 0, 2, 1, 0, 0]


@pytest.mark.parametrize("size", [0, 11, 13, 16, 24])
def test_other_sizes_are_errors(size: int) -> None:
    with pytest.raises(RecdFormatError, match="stored size"):
        decode(PLAIN, bytes(size), 3, 0, np.dtype("<f4"))
