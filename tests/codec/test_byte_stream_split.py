"""BYTE_STREAM_SPLIT: planes of bytes over the whole stream, alone and before ZSTD."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from recd_format.codec import Chain, CodecId, chain_name, decode, encode
from recd_format.errors import RecdFormatError
from tests.codec.checks import (
    DTYPES,
    batch_cases_of,
    cases_of,
    chains_of,
    check_bit_flips,
    check_round_trip,
    check_truncations,
    check_widening,
)

CHAINS = chains_of(CodecId.BYTE_STREAM_SPLIT)
SPLIT, SPLIT_ZSTD = (6,), (6, 8)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.BYTE_STREAM_SPLIT))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.BYTE_STREAM_SPLIT))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_truncations(chain: Chain) -> None:
    check_truncations(chain)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_bit_flips(chain: Chain) -> None:
    check_bit_flips(chain)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_plane_holds_one_byte_of_every_value(dtype: np.dtype) -> None:
    size, count = dtype.itemsize, 1500
    raw = np.random.default_rng(size).integers(0, 256, count * size).astype("u1").tobytes()
    values = np.frombuffer(raw, dtype)
    planes = b"".join(raw[byte::size] for byte in range(size))
    assert encode(values, SPLIT).payload.tobytes() == planes
    frame = encode(values, SPLIT_ZSTD).payload.tobytes()
    assert zstandard.ZstdDecompressor().decompress(frame) == planes


@pytest.mark.parametrize("size", [0, 3, 11, 13, 24])
def test_other_sizes_are_errors(size: int) -> None:
    with pytest.raises(RecdFormatError, match="stored size"):
        decode(SPLIT, bytes(size), 3, 0, np.dtype("<f4"))
    frame = zstandard.ZstdCompressor().compress(bytes(size))
    with pytest.raises(RecdFormatError, match="must state 12 bytes"):
        decode(SPLIT_ZSTD, frame, 3, 0, np.dtype("<f4"))
