"""DELTA: a base per block and zigzag differences, modulo 2^64."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import Chain, CodecId, chain_name, decode, encode
from recd_format.codec.delta import join_deltas, split_deltas
from recd_format.errors import RecdFormatError
from tests.codec.checks import (
    batch_cases_of,
    cases_of,
    chains_of,
    check_bit_flips,
    check_round_trip,
    check_stream,
    check_truncations,
    check_widening,
)

CHAINS = chains_of(CodecId.DELTA)
DELTA_BITPACK, DELTA_SPLIT_ZSTD, DELTA_PCO = (4, 3), (4, 6, 8), (4, 9)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.DELTA))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.DELTA))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_truncations(chain: Chain) -> None:
    check_truncations(chain)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_bit_flips(chain: Chain) -> None:
    check_bit_flips(chain)


def test_zigzag_codes_alternate() -> None:
    steps = np.array([0, -1, 1, -2, 2, -(2**63), 2**63 - 1])
    _, codes = split_deltas(np.cumsum([0, *steps.tolist()]).astype("<i8").view("<u8"))
    assert codes[1:].tolist() == [0, 1, 2, 3, 4, 2**64 - 1, 2**64 - 2]


def test_bases_stand_before_the_first_value_of_each_block() -> None:
    values = np.arange(2049, dtype="<u8") ** np.uint64(2) + np.uint64(1000)
    bases, codes = split_deltas(values)
    # The first slot repeats the second's difference; a block of one value has none.
    assert bases.tolist() == [1000 - 1, 1000 + 1024**2 - (2 * 1024 + 1), 1000 + 2048**2]
    assert codes[[0, 1, 1024, 1025, 2048]].tolist() == [2, 2, 4098, 4098, 0]
    for chain in CHAINS:
        payload = encode(values, chain).payload
        assert payload[:24].view("<u8").tolist() == bases.tolist()
    assert join_deltas(bases, codes).tolist() == values.tolist()


def test_the_first_value_never_widens_its_block() -> None:
    # Even steps: base, then a BITPACK header and the one code as its base: no words at all.
    encoded = encode(10**15 + 5 * np.arange(1024), DELTA_BITPACK)
    assert len(encoded.payload) == 8 + 8 + 8
    assert encoded.payload[8:17].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 10]


@pytest.mark.parametrize(
    ("step", "size"),
    [
        (0, 1), (127, 1), (-128, 1), (128, 2), (-129, 2), (2**15 - 1, 2), (-(2**15), 2),
        (2**15, 4), (-(2**31), 4), (2**31, 8), (-(2**63), 8), (2**63 - 1, 8),
    ],
)  # fmt: skip
def test_params_are_the_bytes_of_the_largest_code(step: int, size: int) -> None:
    values = np.array([-1 if step > 0 else 0, step - 1 if step > 0 else step])
    for chain in (DELTA_SPLIT_ZSTD, DELTA_PCO):
        assert encode(values, chain).params == size
        check_stream(values, chain)
    assert encode(values, DELTA_BITPACK).params == 0
    check_stream(values, DELTA_BITPACK)


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_differences_wrap(chain: Chain) -> None:
    check_stream(np.resize(np.array([0, 2**64 - 1, 2**63, 1], "<u8"), 1100), chain)
    check_stream(np.resize(np.array([-(2**63), 2**63 - 1, 0, -1], "<i8"), 1100), chain)


@pytest.mark.parametrize("chain", [DELTA_SPLIT_ZSTD, DELTA_PCO], ids=chain_name)
@pytest.mark.parametrize("params", [0, 3, 4, 16, 2**63])
def test_other_code_sizes_are_errors(chain: Chain, params: int) -> None:
    encoded = encode(np.arange(1100), chain)
    assert encoded.params == 1
    with pytest.raises(RecdFormatError):
        decode(chain, encoded.payload, 1100, params, np.dtype("<i8"))


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_a_payload_without_all_bases_is_an_error(chain: Chain) -> None:
    encoded = encode(np.arange(3000), chain)
    for size in (0, 8, 23):
        with pytest.raises(RecdFormatError, match="stored size|bytes of bases"):
            decode(chain, encoded.payload[:size], 3000, encoded.params, np.dtype("<i8"))
