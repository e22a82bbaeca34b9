"""CONSTANT: the value is in params, and there are no bytes."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import Chain, CodecId, block_sums, decode, encode
from recd_format.errors import RecdFormatError, RecdInputError
from tests.codec.checks import (
    DTYPES,
    batch_cases_of,
    cases_of,
    check_round_trip,
    check_stream,
    check_widening,
    extremes,
)

CONSTANT = (int(CodecId.CONSTANT),)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.CONSTANT))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.CONSTANT))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_bits_may_be_the_value(dtype: np.dtype) -> None:
    for value in extremes(dtype):
        check_stream(np.full(1100, value), CONSTANT)


@pytest.mark.parametrize(
    ("value", "params"),
    [
        (np.int8(-7), 2**64 - 7), (np.uint8(249), 249), (np.int64(-(2**63)), 2**63),
        (np.float32(-0.0), 2**31), (np.float64(-0.0), 2**63), (np.bool_(True), 1),
    ],
)  # fmt: skip
def test_params_are_the_value_in_the_u64_domain(value: np.generic, params: int) -> None:
    encoded = encode(np.full(5, value), CONSTANT)
    assert (encoded.params, len(encoded.payload), encoded.count) == (params, 0, 5)


def test_params_are_truncated_to_the_item_size() -> None:
    assert decode(CONSTANT, b"", 2, 0x1234_FFFE, np.dtype("<i2")).tolist() == [-2, -2]


@pytest.mark.parametrize("size", [1, 4, 8, 64])
def test_a_payload_of_any_length_but_none_is_an_error(size: int) -> None:
    with pytest.raises(RecdFormatError, match="stored size"):
        decode(CONSTANT, bytes(size), 8, 7, np.dtype("<i8"))


@pytest.mark.parametrize(
    "values",
    [np.array([1, 2]), np.zeros(0, "<i8"), np.array([0.0, -0.0]), np.repeat([4, 5], [3000, 1])],
)
def test_values_that_are_not_equal_are_the_callers_error(values: np.ndarray) -> None:
    with pytest.raises(RecdInputError, match="equal"):
        encode(values, CONSTANT)


def test_sums_follow_from_the_value() -> None:
    encoded = encode(np.ones(2100, "<u4"), CONSTANT)
    assert block_sums(encoded.payload, encoded.chain, 2100, 1).tolist() == [0, 1024, 2048]


def test_sums_wrap_at_64_bits() -> None:
    sums = block_sums(b"", CONSTANT, 2100, 2**64 - 1)
    assert sums.tolist() == [0, 2**64 - 1024, 2**64 - 2048]
