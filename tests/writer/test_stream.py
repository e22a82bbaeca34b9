"""A stripe's bytes: aligned, identical payloads once, every byte under a checksum."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from recd_format import Limits, Location
from recd_format.codec import Encoded
from recd_format.format.record import StreamKind, padded
from recd_format.format.statistics import STATISTIC
from recd_format.format.stripe import decode_stripe_header
from recd_format.writer.stream import EncodedStripe, Stream, lay_out

PAYLOADS = st.lists(
    st.one_of(st.sampled_from([b"", b"a", b"a\0", b"b" * 64, b"c" * 65]), st.binary(max_size=200)),
    max_size=12,
)


def stripe_of(payloads: list[bytes]) -> EncodedStripe:
    streams = tuple(
        Stream(owner, StreamKind.VALUES, Encoded((1,), np.frombuffer(data, np.uint8), 3, owner), 24)
        for owner, data in enumerate(payloads)
    )
    return EncodedStripe(10, 2, 1, streams, np.zeros(0, STATISTIC))


@given(PAYLOADS)
def test_streams_are_where_their_records_say(payloads: list[bytes]) -> None:
    laid_out = lay_out(stripe_of(payloads), 7)
    data = b"".join(laid_out.chunks)
    header = decode_stripe_header(data, Location(), Limits())
    assert (header.index, header.rows, header.sessions, header.flags) == (7, 10, 2, 1)
    assert header.stripe_bytes == len(data) == laid_out.header.stripe_bytes
    places: dict[bytes, int] = {}
    for record, payload in zip(header.records, payloads, strict=True):
        start, stored = int(record["byte_offset"]), int(record["stored"])
        assert stored == len(payload)
        if not stored:
            continue
        assert start % 64 == 0
        assert data[start : start + stored] == payload
        whole = data[start : start + padded(stored)]
        assert int(record["xxh3"]) == xxh3_64_intdigest(whole)
        assert not any(whole[stored:])
        # Identical payloads are stored once; no others share bytes.
        assert places.setdefault(payload, start) == start
    assert len(set(places.values())) == len(places)
    header_bytes = len(laid_out.chunks[0])
    assert len(data) == header_bytes + sum(padded(len(payload)) for payload in places)


def test_payloads_that_differ_in_length_alone_are_apart() -> None:
    # Their padded bytes, and so their checksums, are the same.
    records = lay_out(stripe_of([b"a", b"a\0"]), 0).header.records
    assert records["xxh3"][0] == records["xxh3"][1]
    assert records["byte_offset"][0] != records["byte_offset"][1]


def test_params_of_a_stream_win_over_those_of_its_chain() -> None:
    encoded = Encoded((1,), np.zeros(4, np.uint8), 1, 5)
    streams = (Stream(0, StreamKind.CODES, encoded, 4, 3, 9),)
    stripe = EncodedStripe(1, 1, 0, streams, np.zeros(0, STATISTIC))
    (record,) = lay_out(stripe, 0).header.records
    assert (int(record["params"]), int(record["flags"])) == (9, 3)
