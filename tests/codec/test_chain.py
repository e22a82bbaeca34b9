"""Whole chains: what `encode` and `decode` do whatever the codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recd_format.codec
from recd_format.codec import (
    CodecId,
    block_sums,
    check_sums,
    decode,
    encode,
    legal_chains,
)
from recd_format.errors import Reason, RecdFormatError, RecdInputError
from tests.codec.checks import DTYPES, chains_of, check_stream

PLAIN, CONSTANT, BITPACK, DELTA_BITPACK = (1,), (2,), (3,), (4, 3)
CHAINS = sorted(
    chain for codec in CodecId if codec != CodecId.LIST_AT for chain in chains_of(codec)
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chain=st.sampled_from([c for c in CHAINS if c != CONSTANT]))
def test_any_integers_round_trip(data: st.DataObject, chain: tuple[int, ...]) -> None:
    dtype = data.draw(st.sampled_from([d for d in DTYPES if d.kind in "iu"]))
    info = np.iinfo(dtype)
    number = st.integers(int(info.min), int(info.max)) | st.integers(0, 3)
    values = np.array(data.draw(st.lists(number, max_size=80)), dtype)
    repeats = data.draw(st.sampled_from([1, 1, 40]))
    check_stream(np.tile(values, repeats), chain)


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0, float("nan")]), max_size=70),
    chain=st.sampled_from(sorted(legal_chains("weights", "f") - {CONSTANT})),
)
def test_any_floats_round_trip(values: list[float], chain: tuple[int, ...]) -> None:
    check_stream(np.array(values, "<f4"), chain)


def test_nan_payloads_and_signed_zeros_keep_their_bits() -> None:
    bits = np.array([0x7FC00001, 0xFFC00002, 0x7F800001, 0x80000000, 0, 0xFF800000] * 300, "<u4")
    for chain in legal_chains("weights", "f") - {CONSTANT}:
        check_stream(bits.view("<f4"), chain)


def test_booleans_are_stored_as_bytes() -> None:
    flags = np.random.default_rng(3).random(1100) < 0.3
    for chain in CHAINS:
        if chain not in legal_chains("values", "b") - {CONSTANT}:
            continue
        encoded = encode(flags, chain)
        assert encoded.payload.tobytes() == encode(flags.view("u1"), chain).payload.tobytes()
        got = decode(
            chain, encoded.payload, 1100, encoded.params, np.dtype("u1"),
            dictionary=encoded.dictionary,
        )  # fmt: skip
        assert got.tobytes() == flags.tobytes()


def test_streams_without_sums_have_none() -> None:
    values = np.arange(2000, dtype="<u4")
    for chain in (BITPACK, PLAIN):
        encoded = encode(values, chain)
        assert block_sums(encoded.payload, chain, 2000, 0) is None


def test_sums_of_other_values_are_errors() -> None:
    values = np.ones(3000, "<u4")
    check_sums(values, np.array([0, 1024, 2048], "<u8"), ones=False)
    for wrong, block in (([1, 1024, 2048], 0), ([0, 1024, 2049], 2), ([0, 1024], 0)):
        with pytest.raises(RecdFormatError, match=f"sum before block {block} ") as caught:
            check_sums(values, np.array(wrong, "<u8"), ones=False)
        assert caught.value.reason is Reason.ENCODING


def test_wrong_arguments_are_the_callers_errors() -> None:
    with pytest.raises(RecdInputError, match="no such chain"):
        encode(np.array([1, 2]), (int(CodecId.ZSTD), int(CodecId.PLAIN)))
    with pytest.raises(RecdInputError, match="one-dimensional"):
        encode(np.zeros((2, 2)), BITPACK)
    with pytest.raises(RecdInputError, match="bool, integers and floats"):
        encode(np.zeros(2, "<c8"), PLAIN)
    for begin, end in ((0, 3), (-1, 2), (2, 1)):
        with pytest.raises(RecdInputError, match="range"):
            decode(PLAIN, b"\0" * 8, 2, 0, np.dtype("<u4"), begin=begin, end=end)


def test_illegal_chains_are_format_errors() -> None:
    for chain in ((8, 1), (5, 5, 3), (200,), (4, 4, 3), ()):
        with pytest.raises(RecdFormatError) as caught:
            decode(chain, b"", 0, 0, np.dtype("<i8"))
        assert caught.value.reason is Reason.CHAIN


def test_unaligned_read_only_payloads_decode() -> None:
    values = np.arange(3000, dtype="<i8") * 7
    for chain in (BITPACK, DELTA_BITPACK):
        payload = b"x" + encode(values, chain).payload.tobytes()
        got = decode(chain, memoryview(payload)[1:], 3000, 0, values.dtype)
        assert got.tolist() == values.tolist()


@pytest.mark.parametrize("codec", CodecId, ids=lambda codec: codec.name)
def test_a_codec_has_a_module_and_tests_of_its_name(codec: CodecId) -> None:
    name = codec.name.lower()
    assert (Path(recd_format.codec.__file__).parent / f"{name}.py").is_file()
    assert (Path(__file__).parent / f"test_{name}.py").is_file()


@pytest.mark.parametrize("dtype", [">u4", ">i8", ">f4"])
def test_big_endian_arrays_are_stored_as_their_values(dtype: str) -> None:
    values = np.array([1, 258, 70_000], dtype)
    encoded = encode(values, (CodecId.BITPACK,))
    little = values.dtype.newbyteorder("<")
    found = decode(encoded.chain, encoded.payload, 3, encoded.params, little)
    assert found.tolist() == values.tolist()
