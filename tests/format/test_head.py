"""The head: what a reader takes and what it refuses."""

from __future__ import annotations

import pytest

from recd_format import Limits, Reason
from recd_format.constants import FORMAT_MINOR, STRIPE_ALIGNMENT
from recd_format.format.head import HEAD, decode_head, encode_head, head_bytes
from tests.format.sealing import SCHEMA, WHERE, broken, sealed, with_fields

LIMITS = Limits()
GOOD = encode_head(SCHEMA)
SIZE = head_bytes(GOOD, WHERE, LIMITS)


def resealed(**values: object) -> bytes:
    return sealed(with_fields(GOOD, HEAD, **values), SIZE - 8)


def test_a_head_comes_back() -> None:
    assert len(GOOD) % STRIPE_ALIGNMENT == 0
    assert decode_head(GOOD, WHERE, LIMITS).schema() == SCHEMA
    assert decode_head(memoryview(GOOD), WHERE, LIMITS).schema() == SCHEMA


def test_newer_minor_versions_are_read() -> None:
    data = resealed(minor=FORMAT_MINOR + 7)
    assert decode_head(data, WHERE, LIMITS).schema() == SCHEMA


def test_another_kind_of_file() -> None:
    with broken(Reason.NOT_RECD, r"starts with b'PAR1\x00\x00\x00\x00', not b'\x89RECD"):
        decode_head(b"PAR1" + bytes(60), WHERE, LIMITS)
    with broken(Reason.NOT_RECD, "starts with b'', not"):
        decode_head(b"", WHERE, LIMITS)


def test_another_major_version() -> None:
    with broken(Reason.VERSION, "format version 2.3; this reader reads 1.x"):
        decode_head(resealed(major=2, minor=3), WHERE, LIMITS)


def test_features_that_are_required_and_unknown() -> None:
    with broken(Reason.FEATURE, "required feature bits [0, 63] are unknown"):
        decode_head(resealed(required=1 | 1 << 63), WHERE, LIMITS)


@pytest.mark.parametrize("size", [Limits().metadata_bytes + 1, 2**64 - 1])
def test_a_schema_larger_than_the_limit(size: int) -> None:
    with broken(Reason.LIMIT, f"schema block of {size} bytes, limit {LIMITS.metadata_bytes}"):
        decode_head(resealed(schema_bytes=size), WHERE, LIMITS)


def test_a_head_that_is_cut() -> None:
    with broken(Reason.TRUNCATED, f"head of {SIZE} bytes, {SIZE} are there"):
        decode_head(GOOD[:SIZE], WHERE, LIMITS)
    with broken(Reason.TRUNCATED, "are there"):
        decode_head(resealed(schema_bytes=1 << 20), WHERE, LIMITS)


def test_a_checksum_that_is_wrong() -> None:
    with broken(Reason.CHECKSUM, "head: stored"):
        decode_head(with_fields(GOOD, HEAD, reserved=1), WHERE, LIMITS)


@pytest.mark.parametrize("place", [SIZE, STRIPE_ALIGNMENT - 1])
def test_padding_that_is_not_zero(place: int) -> None:
    data = GOOD[:place] + b"\1" + GOOD[place + 1 :]
    with broken(Reason.PADDING, "padding after the head is not zero"):
        decode_head(data, WHERE, LIMITS)
