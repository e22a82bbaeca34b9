"""Stored bytes of streams: read together, checked, decoded into one arena."""

from __future__ import annotations

import numpy as np
import pytest

import recd_format as recd
from recd_format import Reason, RecdFormatError
from recd_format.format.record import RECORD, StreamKind
from recd_format.reader.file import FileReader
from recd_format.reader.streams import decode_streams
from tests.damage import parts_of, small_file
from tests.reader.sources import find_record, reader_of, with_record


def everything(reader: FileReader) -> list[int]:
    return list(range(len(reader.schema.fields)))


def test_neighbours_are_read_together() -> None:
    data = small_file()
    for gap, most in ((0, None), (1 << 20, 1)):
        reader, source = reader_of(data, gap_bytes=gap)
        projection = reader.project(everything(reader))
        before = source.requests
        reader.read_stripe(0, projection)
        used = np.count_nonzero(projection.of_stripe(0)["stored"])
        assert source.requests - before <= (most or used)


def test_a_request_has_a_greatest_size() -> None:
    reader, source = reader_of(small_file(), request_bytes=128)
    before = source.requests
    reader.read_stripe(0, reader.project(everything(reader)))
    assert source.requests - before > 5


def test_checksums_are_compared_unless_told_otherwise() -> None:
    sound = small_file()
    damaged = bytearray(sound)
    place = np.frombuffer(sound, RECORD, 1, find_record(sound, "user", StreamKind.VALUES))[0]
    damaged[parts_of(sound).stripes[0].start + int(place["byte_offset"])] ^= 1
    with pytest.raises(RecdFormatError, match="stripe 0, 'owner 2', values, byte .*computed") as e:
        recd.open(bytes(damaged)).read(["user"])
    assert e.value.reason is Reason.CHECKSUM
    blind = recd.open(bytes(damaged), options=recd.ReadOptions(verify_checksums=False))
    assert not blind.read(["user"]).equals(recd.open(sound).read(["user"]))
    # `verify` looks at everything whatever the options of reading are.
    with pytest.raises(RecdFormatError, match="computed"):
        blind.verify()


@pytest.mark.parametrize("widen", [False, True])
def test_streams_are_decoded_end_to_end_and_aligned(widen: bool) -> None:
    reader, _ = reader_of(small_file())
    streams = reader.fetch_stripe(0, reader.project(everything(reader)))
    kinds = streams.records["kind"]
    chosen = np.flatnonzero((kinds == StreamKind.VALUES) & (streams.records["chain"][:, 0] != 7))
    counts = streams.records["count"][chosen].astype(np.int64)
    wide = np.full(len(kinds), widen)
    decoded = decode_streams(streams, chosen, np.zeros(len(chosen), np.int64), counts, wide)
    for number, count in zip(chosen.tolist(), counts.tolist(), strict=True):
        start, end = int(decoded.begin[number]), int(decoded.end[number])
        assert start % 64 == 0
        assert (end - start) % count == 0
    name = reader.schema.names.index("user")
    (number,) = np.flatnonzero((streams.records["owner"] == name) & (kinds == StreamKind.VALUES))
    assert decoded.values(int(number), np.dtype("<i8")).tolist() == [0, 1]


def test_nothing_chosen_is_nothing_decoded() -> None:
    reader, _ = reader_of(small_file())
    streams = reader.fetch_stripe(0, reader.project([0]))
    none = np.zeros(0, np.int64)
    decoded = decode_streams(streams, none, none, none)
    assert (decoded.begin == -1).all()
    assert len(decoded.arena) == 0


def test_a_dictionary_that_is_missing() -> None:
    values = {"chain": (5, 3, 0, 0)}
    with pytest.raises(
        RecdFormatError, match="'owner 2', values, .*its dictionary is missing"
    ) as e:
        recd.open(with_record(small_file(), "user", StreamKind.VALUES, values)).read(["user"])
    assert e.value.reason is Reason.DICTIONARY


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"chain": (3, 0, 0, 0)}, Reason.ENCODING),
        ({"chain": (8, 0, 0, 0)}, Reason.ENCODING),
        ({"chain": (9, 0, 0, 0)}, Reason.ENCODING),
        ({"chain": (2, 0, 0, 0)}, Reason.ENCODING),
        ({"stored": 8}, Reason.CHECKSUM),
    ],
)
def test_a_stream_that_does_not_decode_is_named(values: dict[str, object], reason: Reason) -> None:
    damaged = with_record(small_file(), "user", StreamKind.VALUES, values)
    options = recd.ReadOptions(verify_checksums=reason is Reason.CHECKSUM)
    with pytest.raises(RecdFormatError, match="stripe 0, 'owner 2', values, byte") as caught:
        recd.open(damaged, options=options).read(["user"])
    assert caught.value.reason in (reason, Reason.ENCODING)
