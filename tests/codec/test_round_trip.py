"""Every legal chain gives back the bits it was given, whole and in ranges, and wider."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recd_format.codec import (
    BATCH_CHAINS,
    DESCRIPTOR,
    CodecId,
    block_sums,
    chain_name,
    check_sums,
    decode,
    decode_many,
    encode,
    legal_chains,
)
from recd_format.errors import RecdFormatError, RecdInputError

DTYPES = [
    np.dtype(f"<{kind}{size}")
    for kind, size in product("uif", (1, 2, 4, 8))
    if kind + str(size) != "f1"
]
COUNTS = [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000]
CHAINS = sorted(
    chain for chain in legal_chains("values", "i") if chain[0] != CodecId.LIST_AT
)  # fmt: skip


def random_values(dtype: np.dtype, count: int, shape: str, seed: int) -> np.ndarray:
    """Values of some shape; "bits" has NaN payloads, infinities and both extremes."""
    rng = np.random.default_rng(seed)
    if shape == "bits":
        values = rng.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).view(dtype)
        if count and dtype.kind in "iu":
            values[0], values[-1] = np.iinfo(dtype).min, np.iinfo(dtype).max
        return values
    if shape == "few":
        return rng.integers(0, 40, count).astype(dtype)
    if shape == "rising":
        return np.sort(rng.integers(0, 100, count)).astype(dtype)
    if shape == "outlier":  # one wide block among narrow ones: widths vary
        values = rng.integers(0, 3, count)
        if count:
            values[count // 2] = 120
        return values.astype(dtype)
    return np.full(count, 7, dtype)


def assert_round_trip(values: np.ndarray, chain: tuple[int, ...]) -> None:
    count = len(values)
    encoded = encode(values, chain)
    assert (encoded.chain, encoded.count) == (chain, count)
    for begin, end in {(0, count), (count // 3, count // 2), (count // 2, count), (count, count)}:
        got = decode(
            chain, encoded.payload, count, encoded.params, values.dtype,
            dictionary=encoded.dictionary, begin=begin, end=end,
        )  # fmt: skip
        assert got.dtype == values.dtype
        assert got.tobytes() == values[begin:end].tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_chain_gives_back_the_bits(chain: tuple[int, ...], dtype: np.dtype) -> None:
    if chain not in legal_chains("values", dtype.kind):
        pytest.skip("not legal for floats")
    for count in COUNTS:
        for seed, shape in enumerate(("bits", "few", "rising", "outlier", "equal")):
            values = random_values(dtype, count, shape, seed)
            if chain == (CodecId.CONSTANT,):
                values = np.full(count, values[0]) if count else values
                if not count:
                    continue
            assert_round_trip(values, chain)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), chain=st.sampled_from([c for c in CHAINS if c != (CodecId.CONSTANT,)]))
def test_any_integers_round_trip(data: st.DataObject, chain: tuple[int, ...]) -> None:
    dtype = data.draw(st.sampled_from([d for d in DTYPES if d.kind in "iu"]))
    info = np.iinfo(dtype)
    number = st.integers(int(info.min), int(info.max)) | st.integers(0, 3)
    values = np.array(data.draw(st.lists(number, max_size=80)), dtype)
    repeats = data.draw(st.sampled_from([1, 1, 40]))
    assert_round_trip(np.tile(values, repeats), chain)


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0, float("nan")]), max_size=70),
    chain=st.sampled_from(sorted(legal_chains("weights", "f") - {(int(CodecId.CONSTANT),)})),
)
def test_any_floats_round_trip(values: list[float], chain: tuple[int, ...]) -> None:
    assert_round_trip(np.array(values, "<f4"), chain)


def test_nan_payloads_and_signed_zeros_keep_their_bits() -> None:
    bits = np.array([0x7FC00001, 0xFFC00002, 0x7F800001, 0x80000000, 0, 0xFF800000] * 300, "<u4")
    for chain in legal_chains("weights", "f") - {(int(CodecId.CONSTANT),)}:
        assert_round_trip(bits.view("<f4"), chain)


@pytest.mark.parametrize("chain", sorted(BATCH_CHAINS), ids=chain_name)
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind in "iu"], ids=str)
def test_batch_widens_integers_with_their_sign(chain: tuple[int, ...], dtype: np.dtype) -> None:
    count, begin, end = 2500, 700, 2100
    values = random_values(dtype, count, "bits", 3)
    if chain == (CodecId.CONSTANT,):
        values[:] = values[0]
    encoded = encode(values, chain)
    entries = np.zeros(0, dtype) if encoded.dictionary is None else encoded.dictionary
    source = np.zeros(len(encoded.payload) // 8 + 9, np.uint64).view(np.uint8)
    source[64 : 64 + len(encoded.payload)] = encoded.payload
    for wide in (np.dtype("<i8"), np.dtype("<u8"), dtype):
        size = wide.itemsize
        place = (count * size + 71) // 8 * 8
        arena = np.full(place // 8 + len(entries) + 1, 0xAAAAAAAAAAAAAAAA, "<u8").view(np.uint8)
        arena[place : place + len(entries) * size] = entries.astype(wide).view(np.uint8)
        table = np.zeros(2, DESCRIPTOR)
        for row, (first, last, target) in enumerate([(0, 0, 0), (begin, end, 64)]):
            table[row] = (
                64, len(encoded.payload), target, first, last, count, size, dtype.itemsize,
                dtype.kind == "i", encoded.params, place, len(entries),
                BATCH_CHAINS[chain],
            )  # fmt: skip
        decode_many(table, source, arena)
        stop = 64 + (end - begin) * size
        assert arena[64:stop].view(wide).tolist() == values[begin:end].astype(wide).tolist()
        assert (arena[:64] == 0xAA).all()
        assert (arena[stop:place] == 0xAA).all()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["values", "ones"])
def test_sums_before_blocks_are_stored(count: int, kind: str) -> None:
    values = np.random.default_rng(count).integers(0, 3, count).astype("<u4")
    encoded = encode(values, (int(CodecId.BITPACK),), sums=kind)
    sums = block_sums(encoded.payload, encoded.chain, count, encoded.params)
    each = values == 1 if kind == "ones" else values
    assert sums.tolist() == [int(each[:at].sum()) for at in range(0, count, 1024)]
    check_sums(values, sums, ones=kind == "ones")
    if count > 1024:
        sums[1] += 1
        with pytest.raises(RecdFormatError, match="block 1"):
            check_sums(values, sums, ones=kind == "ones")


def test_sums_over_four_billion_take_eight_bytes() -> None:
    values = np.full(3000, 2**33, "<u8")
    values[0] = 1
    encoded = encode(values, (int(CodecId.BITPACK),), sums="values")
    assert block_sums(encoded.payload, encoded.chain, 3000, 0).tolist() == [
        0, 1 + 1023 * 2**33, 1 + 2047 * 2**33,
    ]  # fmt: skip


def test_streams_without_sums_have_none() -> None:
    values = np.arange(2000, dtype="<u4")
    for chain in ((int(CodecId.BITPACK),), (int(CodecId.PLAIN),)):
        encoded = encode(values, chain)
        assert block_sums(encoded.payload, chain, 2000, 0) is None


def test_constant_sums_follow_from_the_value() -> None:
    encoded = encode(np.ones(2100, "<u4"), (int(CodecId.CONSTANT),))
    assert block_sums(encoded.payload, encoded.chain, 2100, 1).tolist() == [0, 1024, 2048]


def test_wrong_arguments_are_the_callers_errors() -> None:
    with pytest.raises(RecdInputError, match="equal"):
        encode(np.array([1, 2]), (int(CodecId.CONSTANT),))
    with pytest.raises(RecdInputError, match="no such chain"):
        encode(np.array([1, 2]), (int(CodecId.ZSTD), int(CodecId.PLAIN)))
    with pytest.raises(RecdInputError, match="one-dimensional"):
        encode(np.zeros((2, 2)), (int(CodecId.BITPACK),))
    with pytest.raises(RecdInputError, match="level"):
        encode(np.zeros(2), (int(CodecId.ZSTD),), zstd_level=19)
    with pytest.raises(RecdInputError, match="range"):
        decode((int(CodecId.PLAIN),), b"\0" * 8, 2, 0, np.dtype("<u4"), end=3)


def test_unaligned_read_only_payloads_decode() -> None:
    values = np.arange(3000, dtype="<i8") * 7
    for chain in ((int(CodecId.BITPACK),), (int(CodecId.DELTA), int(CodecId.BITPACK))):
        payload = b"x" + encode(values, chain).payload.tobytes()
        got = decode(chain, memoryview(payload)[1:], 3000, 0, values.dtype)
        assert got.tolist() == values.tolist()
