"""What every chain must do; each codec's tests call these for the chains it is the outermost of."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from recd_format.codec import (
    BATCH_CHAINS,
    DESCRIPTOR,
    Chain,
    CodecId,
    chain_name,
    decode,
    decode_many,
    encode,
    legal_chains,
)
from recd_format.codec.list_at import INDEX_DTYPE
from recd_format.errors import RecdFormatError

__all__ = [
    "COUNTS",
    "DTYPES",
    "SHAPES",
    "batch_cases_of",
    "cases_of",
    "chains_of",
    "check_bit_flips",
    "check_round_trip",
    "check_stream",
    "check_truncations",
    "check_widening",
    "extremes",
    "sample",
    "values_of",
]

DTYPES = [
    np.dtype(f"<{kind}{size}")
    for kind, size in product("uif", (1, 2, 4, 8))
    if kind + str(size) != "f1"
]
COUNTS = [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000]
SHAPES = ["bits", "few", "rising", "outlier", "equal", "extremes"]


def chains_of(codec: CodecId) -> list[Chain]:
    """Every legal chain whose outermost codec is `codec` and that stores its values."""
    chains = legal_chains("values", "i") - {(int(CodecId.LIST_AT),)}
    return sorted(chain for chain in chains if chain[0] == codec)


def cases_of(codec: CodecId) -> list[object]:
    """The codec's chains, each with every dtype it is legal for."""
    return [
        pytest.param(chain, dtype, id=f"{chain_name(chain)}-{dtype}")
        for chain, dtype in product(chains_of(codec), DTYPES)
        if chain in legal_chains("values", dtype.kind)
    ]


def batch_cases_of(codec: CodecId) -> list[object]:
    """The codec's chains that the batch kernel decodes, each with every integer dtype."""
    return [
        pytest.param(chain, dtype, id=f"{chain_name(chain)}-{dtype}")
        for chain, dtype in product(chains_of(codec), DTYPES)
        if chain in BATCH_CHAINS and dtype.kind in "iu"
    ]


def extremes(dtype: np.dtype) -> np.ndarray:
    """Both ends of an integer dtype; NaN payloads, infinities and signed zeros of a float one."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, info.max - 1, info.min + 1], dtype)
    bits = np.dtype(f"<u{dtype.itemsize}")
    infinity = int(np.array(np.inf, dtype).view(bits))
    sign, quiet = 1 << (8 * dtype.itemsize - 1), 1 << (np.finfo(dtype).nmant - 1)
    nans = [infinity | quiet | 1, sign | infinity | quiet | 2, infinity | 1]
    return np.array([*nans, sign, 0, sign | infinity, infinity, 1], bits).view(dtype)


def values_of(dtype: np.dtype, count: int, shape: str, seed: int) -> np.ndarray:
    """Values of one of SHAPES; "bits" are random ones with an integer dtype's ends among them."""
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
    if shape == "extremes":
        return np.resize(extremes(dtype), count)
    return np.full(count, 7, dtype)


def streams(chain: Chain, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Values of every count and shape, as the chain takes them."""
    for count in COUNTS:
        for seed, shape in enumerate(SHAPES):
            values = values_of(dtype, count, shape, seed)
            if chain == (CodecId.CONSTANT,):
                if not count:
                    continue
                values = np.full(count, values[0])
            yield values


def check_stream(values: np.ndarray, chain: Chain) -> None:
    """The chain gives back these very bits, whole and in ranges."""
    count = len(values)
    encoded = encode(values, chain)
    assert (encoded.chain, encoded.count) == (chain, count)
    ranges = {(0, count), (count // 3, count // 2), (count // 2, count), (count, count)}
    if chain in BATCH_CHAINS:  # the others decode the whole stream whatever the range
        ranges |= {(min(15, count), min(17, count)), (min(1023, count), min(1025, count))}
    for begin, end in sorted(ranges):
        got = decode(
            chain, encoded.payload, count, encoded.params, values.dtype,
            dictionary=encoded.dictionary, begin=begin, end=end,
        )  # fmt: skip
        case = f"{chain_name(chain)}: values {begin}..{end} of {count} {values.dtype}"
        assert got.dtype == values.dtype, case
        assert got.tobytes() == values[begin:end].tobytes(), case


def check_round_trip(chain: Chain, dtype: np.dtype) -> None:
    """Every count, shape and range comes back bit for bit."""
    for values in streams(chain, dtype):
        check_stream(values, chain)


def sample(count: int) -> np.ndarray:
    """int64 values below 300 and one of 31 bits."""
    values = np.random.default_rng(count).integers(0, 300, count)
    values[count // 2] = 2**30
    return values


def check_truncations(chain: Chain) -> None:
    """Each shorter payload is an error: all of a tiny stream, those at the edges of a longer."""
    for count in (3, 2100):
        encoded = encode(sample(count), chain)
        whole = encoded.payload
        sizes = {0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 8, len(whole) - 1}
        if count == 3:
            sizes = set(range(len(whole)))
        for size in sorted(size for size in sizes if 0 <= size < len(whole)):
            with pytest.raises(RecdFormatError):
                decode(
                    chain, whole[:size], count, encoded.params, np.dtype("<i8"),
                    dictionary=encoded.dictionary,
                )  # fmt: skip


def check_bit_flips(chain: Chain) -> None:
    """A flipped bit raises RecdFormatError or gives as many values: never more."""
    rng = np.random.default_rng(5)
    dtype = INDEX_DTYPE if chain[0] == CodecId.LIST_AT else np.dtype("<i8")
    for count in (40, 2100):
        encoded = encode(sample(count), chain)
        for _ in range(120):
            payload = encoded.payload.copy()
            reach = min(len(payload), 64) if rng.random() < 0.6 else len(payload)
            payload[rng.integers(reach)] ^= np.uint8(1 << rng.integers(8))
            try:
                got = decode(
                    chain, payload, count, encoded.params, np.dtype("<i8"),
                    dictionary=encoded.dictionary,
                )  # fmt: skip
            except RecdFormatError:
                continue
            assert len(got) == count
            assert got.dtype == dtype


def check_widening(chain: Chain, dtype: np.dtype) -> None:
    """The batch kernel decodes a range to 64 bit with its sign, and writes nowhere else."""
    count, begin, end = 2500, 700, 2100
    values = values_of(dtype, count, "bits", 3)
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
