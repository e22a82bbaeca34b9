"""The metadata section: any bytes come back, anything else is an error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format import Reason, RecdFormatError
from recd_format.format.metadata import decode_metadata, encode_metadata
from tests.format.sealing import WHERE, broken


@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9)))
def test_any_pairs_come_back_in_order(pairs: dict[bytes, bytes]) -> None:
    found = decode_metadata(memoryview(encode_metadata(pairs)), WHERE)
    assert list(found.items()) == list(pairs.items())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"5",
        b"[5]",
        b'["ab"]',
        b'[["YQ=="]]',
        b'[["YQ==","YQ==","YQ=="]]',
        b'[["YQ==",5]]',
        b'[["YQ==","*"]]',
        b'[["YQ==","\xc3\xa9"]]',
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_of_pairs(data: bytes) -> None:
    with broken(Reason.SECTION, "metadata: "):
        decode_metadata(data, WHERE)


@given(st.binary(max_size=40))
def test_any_bytes_are_pairs_or_an_error(data: bytes) -> None:
    with suppress(RecdFormatError):
        assert isinstance(decode_metadata(data, WHERE), dict)
