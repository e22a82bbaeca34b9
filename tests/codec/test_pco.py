"""PCO: a file of exactly the stream's type and count; 8-bit values as 16."""

from __future__ import annotations

import numpy as np
import pytest
from pcodec import standalone

from recd_format.codec import Chain, CodecId, decode, encode
from recd_format.errors import RecdFormatError
from tests.codec.checks import cases_of, check_bit_flips, check_round_trip, check_truncations

PCO = (int(CodecId.PCO),)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.PCO))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


def test_truncations() -> None:
    check_truncations(PCO)


def test_bit_flips() -> None:
    check_bit_flips(PCO)


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("u1", "<u2"), ("i1", "<i2"), ("<i2", "<i2"), ("<u4", "<u4"), ("<f4", "<f4"), ("<i8", "<i8")],
)
def test_the_file_has_the_type_of_the_stream(dtype: str, stored: str) -> None:
    values = np.arange(-40, 60).astype(dtype)
    found = standalone.simple_decompress(encode(values, PCO).payload.tobytes())
    assert found.dtype == np.dtype(stored)
    assert found.tolist() == values.tolist()


def test_another_type_or_count_is_an_error() -> None:
    encoded = encode(np.arange(100, dtype="<i4"), PCO)
    for count, dtype in ((99, "<i4"), (101, "<i4"), (100, "<i8"), (100, "<f4")):
        with pytest.raises(RecdFormatError):
            decode(PCO, encoded.payload, count, 0, np.dtype(dtype))
    wide = encode(np.arange(250, 260, dtype="<u2"), PCO)
    with pytest.raises(RecdFormatError, match="out of the range"):
        decode(PCO, wide.payload, 10, 0, np.dtype("u1"))


@pytest.mark.parametrize(
    ("stored", "dtype", "fits", "over"),
    [("<u2", "u1", [0, 255], [256, 65_535]), ("<i2", "i1", [-128, 127], [-129, 128])],
)
def test_widened_values_must_fit_into_eight_bits(
    stored: str, dtype: str, fits: list[int], over: list[int]
) -> None:
    payload = encode(np.array(fits, stored), PCO).payload
    assert decode(PCO, payload, 2, 0, np.dtype(dtype)).tolist() == fits
    for value in over:
        payload = encode(np.array([1, value], stored), PCO).payload
        with pytest.raises(RecdFormatError, match="out of the range"):
            decode(PCO, payload, 2, 0, np.dtype(dtype))


def test_eight_bits_of_the_other_signedness_are_an_error() -> None:
    encoded = encode(np.array([1, 2, 3], "u1"), PCO)
    with pytest.raises(RecdFormatError, match="do not decompress"):
        decode(PCO, encoded.payload, 3, 0, np.dtype("i1"))
