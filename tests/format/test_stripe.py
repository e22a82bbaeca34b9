"""Stripe headers: round trip and rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format import Limits, Reason
from recd_format.format.record import RECORD
from recd_format.format.stripe import (
    HEADER,
    STRIPE_CONTINUES,
    StripeHeader,
    decode_stripe_header,
    encode_stripe_header,
)
from tests.format.sealing import WHERE, broken, sealed, with_fields

LIMITS = Limits()


def header(records: int = 3) -> StripeHeader:
    rows = np.zeros(records, RECORD)
    rows["owner"] = np.arange(records)
    return StripeHeader(5, 100, 7, 4096, STRIPE_CONTINUES, rows)


GOOD = encode_stripe_header(header())
END = HEADER.itemsize + 3 * RECORD.itemsize


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.integers(0, 2**63))
def test_a_header_comes_back(records: int, index: int, rows: int) -> None:
    said = StripeHeader(index, rows, rows // 2, rows + 1, index, header(records).records)
    data = encode_stripe_header(said)
    assert len(data) == StripeHeader.size(records)
    assert len(data) % 64 == 0
    # More bytes than the header may follow.
    found = decode_stripe_header(data + b"stream", WHERE, LIMITS)
    assert found.records.tobytes() == said.records.tobytes()
    for name in ("index", "rows", "sessions", "stripe_bytes", "flags"):
        assert getattr(found, name) == getattr(said, name)


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"", Reason.STRIPE, "starts with b'', not b'RECDSTRP'"),
        (b"X" + GOOD[1:], Reason.STRIPE, "starts with b'XECDSTRP', not b'RECDSTRP'"),
        (GOOD[:-1], Reason.TRUNCATED, "header of 320 bytes, 319 are there"),
        (with_fields(GOOD, HEADER, records=9), Reason.TRUNCATED, "are there"),
        (with_fields(GOOD, HEADER, records=2**32 - 1), Reason.LIMIT, "limit 1073741824"),
        (with_fields(GOOD, HEADER, rows=8), Reason.CHECKSUM, "header: stored"),
        (with_fields(GOOD, HEADER, records=2), Reason.CHECKSUM, "header: stored"),
        (GOOD[:-1] + b"\1", Reason.PADDING, "padding after the header is not zero"),
    ],
)
def test_each_rule(data: bytes, reason: Reason, message: str) -> None:
    with broken(reason, message):
        decode_stripe_header(data, WHERE, LIMITS)


def test_what_a_sealed_header_says_is_given_back() -> None:
    data = sealed(with_fields(GOOD, HEADER, rows=2**64 - 1), END)
    assert decode_stripe_header(data, WHERE, LIMITS).rows == 2**64 - 1
