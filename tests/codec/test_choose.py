"""The chosen chain is legal, deterministic, small, and right for its profile."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import (
    BATCH_CHAINS,
    CodecId,
    block_sums,
    check_chain,
    choose,
    decode,
    encode,
    encode_best,
    legal_chains,
)
from recd_format.errors import RecdInputError

PLAIN, CONSTANT, BITPACK = (1,), (2,), (3,)
DELTA_BITPACK, DICTIONARY_BITPACK = (4, 3), (5, 3)


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    skewed = (rng.pareto(1.05, 40_000) * 50).astype("<i8") % 2**20
    return {
        "ids": (skewed * 11400714819323) % 2**26,
        "times": 1_600_000_000_000 + np.cumsum(rng.integers(0, 90, 20_000)),
        "random": rng.integers(-(2**63), 2**63 - 1, 5_000),
        "floats": rng.standard_normal(5_000).astype("<f4"),
        "ratings": rng.integers(1, 11, 20_000).astype("<f4") / 2,
        "flags": rng.random(3000) < 0.1,
        "one": np.array([12], "<i4"),
        "none": np.zeros(0, "<i8"),
        "equal": np.full(5000, -3, "<i2"),
    }


@pytest.mark.parametrize("profile", ["gpu", "balanced", "small"])
@pytest.mark.parametrize("name", list(columns()))
def test_best_is_legal_deterministic_and_decodes(name: str, profile: str) -> None:
    values = columns()[name]
    for role in ("values", "meta", "order_key"):
        best = encode_best(values, role, profile)
        again = encode_best(values.copy(), role, profile)
        assert best.payload.tobytes() == again.payload.tobytes()
        assert (best.chain, best.params) == (again.chain, again.params)
        stored = values.view("u1") if values.dtype.kind == "b" else values
        check_chain(best.chain, role, stored.dtype)
        if profile == "gpu" or (profile == "balanced" and role == "values"):
            assert best.chain in BATCH_CHAINS
        got = decode(
            best.chain, best.payload, len(values), best.params, stored.dtype,
            dictionary=best.dictionary,
        )  # fmt: skip
        assert got.tobytes() == values.tobytes()
        assert choose(values, role, profile) == best.chain


@pytest.mark.parametrize(
    ("name", "chain"),
    [
        ("ids", DICTIONARY_BITPACK), ("times", DELTA_BITPACK), ("random", PLAIN),
        ("floats", PLAIN), ("ratings", DICTIONARY_BITPACK), ("flags", BITPACK), ("one", CONSTANT),
        ("none", PLAIN), ("equal", CONSTANT),
    ],
)  # fmt: skip
def test_balanced_takes_the_expected_chain(name: str, chain: tuple[int, ...]) -> None:
    assert choose(columns()[name], "values", "balanced") == chain


def total(values: np.ndarray, profile: str) -> int:
    best = encode_best(values, "values", profile)
    entries = 0
    if best.dictionary is not None:
        entries = len(encode_best(best.dictionary, "dictionary", profile).payload)
    return len(best.payload) + entries


@pytest.mark.parametrize("name", ["ids", "times", "floats", "ratings"])
def test_small_is_no_larger_than_any_chain_alone(name: str) -> None:
    values = columns()[name]
    best = total(values, "small")
    for chain in legal_chains("values", values.dtype.kind) - {CONSTANT}:
        if chain[0] in (CodecId.LIST_AT, CodecId.DICTIONARY):
            continue
        assert best <= len(encode(values, chain, zstd_level=9).payload) * 1.01 + 128


def test_small_beats_balanced_on_skewed_ids() -> None:
    ids = columns()["ids"]
    assert total(ids, "small") < 0.85 * total(ids, "balanced")


@pytest.mark.parametrize(("role", "ones"), [("codes", True), ("lengths", False)])
def test_codes_and_lengths_carry_sums(role: str, ones: bool) -> None:
    values = np.random.default_rng(2).integers(0, 4, 3000).astype("<u4")
    best = encode_best(values, role, "balanced")
    assert best.chain == BITPACK
    each = values == 1 if ones else values
    sums = block_sums(best.payload, best.chain, 3000, best.params)
    assert sums.tolist() == [int(each[:at].sum()) for at in (0, 1024, 2048)]


def test_own_references_are_bit_packed() -> None:
    for values in (np.zeros(0, "<u4"), np.full(9, 4, "<u4"), np.arange(2000, dtype="<u4") % 25):
        assert encode_best(values, "reference", "balanced").chain == BITPACK
        best = encode_best(values, "reference", "small")
        assert (int(CodecId.LIST_AT), *best.chain) in legal_chains("values", "i")


def test_unknown_profile_and_role_are_input_errors() -> None:
    with pytest.raises(RecdInputError, match="profile"):
        encode_best(np.arange(3), "values", "tiny")
    with pytest.raises(RecdInputError, match="role"):
        encode_best(np.arange(3), "nothing", "small")


def test_codes_that_are_all_new_leave_params_free() -> None:
    # A codes record keeps its number of unique rows in params.
    for profile in ("gpu", "balanced", "small"):
        assert encode_best(np.ones(5000, "<u4"), "codes", profile).params == 0
