"""`verify` sees what reading does not: copies that disagree, gaps, order, sums, sessions."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format import Reason, RecdFormatError
from recd_format.filesystem import MemorySource
from recd_format.format import head, schema_block, stripe, tables
from recd_format.format.record import RECORD, StreamKind
from recd_format.reader.file import FileReader
from tests.damage import parts_of, reseal, small_file, write
from tests.format.sealing import with_fields
from tests.reader.sources import with_payload, with_record


def fails(data: bytes, reason: Reason, message: str) -> None:
    with pytest.raises(RecdFormatError, match=message) as caught:
        recd.open(data).verify()
    assert caught.value.reason is reason


def test_a_sound_file() -> None:
    data = small_file()
    report = recd.open(data).verify()
    assert (report.stripes, report.bytes) == (2, len(data))
    assert report.streams == len(FileReader(MemorySource(data)).metadata.all_records())


def test_damage_after_opening_is_seen() -> None:
    data = bytearray(small_file())
    file = recd.open(io.BytesIO(data))
    file.verify()
    file = recd.open(memoryview(data))
    file.read()
    directory = parts_of(bytes(data)).directory
    data[directory.start + 8] ^= 1
    with pytest.raises(RecdFormatError, match="directory"):
        file.verify()


@pytest.mark.parametrize("part", ["head", "stripes", "gap"])
def test_bytes_that_no_read_touches(part: str) -> None:
    sound = small_file()
    parts = parts_of(sound)
    place = {
        "head": parts.head.stop - 1,
        "stripes": parts.stripes[1].start - 1,
        "gap": parts.directory.start - 1,
    }[part]
    damaged = sound[:place] + b"\1" + sound[place + 1 :]
    assert recd.open(damaged).read().equals(recd.open(sound).read())
    fails(damaged, Reason.PADDING, "not zero")


def test_a_head_of_another_schema() -> None:
    sound = small_file()
    place = head.HEAD.itemsize + schema_block.HEADER.itemsize
    damaged = with_fields(sound, schema_block.FIELD, place + schema_block.FIELD.itemsize, kind=4)
    fails(reseal(damaged, sound), Reason.HEAD, "head and tables have different schemas")


@pytest.mark.parametrize("name", ["index", "rows", "sessions", "bytes", "flags"])
def test_a_stripe_header_that_disagrees(name: str) -> None:
    sound = small_file()
    start = parts_of(sound).stripes[1].start
    value = int(np.frombuffer(sound, stripe.HEADER, 1, start)[0][name]) + 1
    damaged = reseal(with_fields(sound, stripe.HEADER, start, **{name: value}), sound)
    assert recd.open(damaged).read().equals(recd.open(sound).read())
    fails(damaged, Reason.STRIPE, "stripe 1: header and stripe table disagree")


def test_records_of_a_header_that_disagree() -> None:
    sound = small_file()
    start = parts_of(sound).stripes[0].start + stripe.HEADER.itemsize
    damaged = reseal(with_fields(sound, RECORD, start, flags=4), sound)
    fails(damaged, Reason.STRIPE, "header and directory have other records")


def test_records_out_of_order() -> None:
    sound = small_file()
    directory = parts_of(sound).directory
    # Two records of one owner: the owners' ranges stay right.
    records = np.frombuffer(sound, RECORD, len(directory) // RECORD.itemsize, directory.start)
    first = int(np.flatnonzero(records["owner"][1:] == records["owner"][:-1])[0])
    swapped = records.copy()
    swapped[[first, first + 1]] = swapped[[first + 1, first]]
    damaged = sound[: directory.start] + swapped.tobytes() + sound[directory.stop :]
    fails(reseal(damaged, sound), Reason.DIRECTORY, "records are not sorted")


def test_names_that_are_not_found() -> None:
    sound = small_file()
    place = parts_of(sound).tables.start + tables.HEADER.itemsize + schema_block.HEADER.itemsize
    for data in (
        with_fields(sound, schema_block.FIELD, place, name_hash=1),
        swapped_names(sound),
    ):
        damaged = reseal(data, sound)
        fails(damaged, Reason.DIRECTORY, "index of names is wrong")
        with pytest.raises(RecdFormatError, match="index of names does not find 'session'"):
            recd.open(damaged).read(["session"])


def swapped_names(sound: bytes) -> bytes:
    part = parts_of(sound).tables
    found = FileReader(MemorySource(sound)).metadata.tables.names.astype("<u4")
    at = sound.rindex(found.tobytes(), part.start, part.stop)
    return sound[:at] + found[::-1].tobytes() + sound[at + found.nbytes :]


def long_file() -> bytes:
    rows = 3000
    table = pa.table(
        {
            "session": [row // 10 for row in range(rows)],
            "ids": [[row // 3 % 7] * (row // 3 % 5) for row in range(rows)],
            "history": [list(range(row, row + 3)) for row in range(rows)],
        }
    )
    return write(table, dedup={"ids": "session", "history": "window"}, profile="gpu")


@pytest.mark.parametrize(
    ("owner", "kind"),
    [("group of ids", StreamKind.CODES), ("ids", StreamKind.LENGTHS)],
)
def test_sums_before_blocks_that_are_wrong(owner: str, kind: StreamKind) -> None:
    """Reading all rows does not look at them; a partial read would begin in the wrong place."""
    sound = long_file()
    # BITPACK: an 8-byte header, the bases of the blocks, then the sums before all but the first.
    damaged = None
    for at in range(8, 64, 4):
        candidate = with_payload(sound, owner, kind, at, b"\1\0\0\0")
        try:
            if recd.open(candidate).read().equals(recd.open(sound).read()) and candidate != sound:
                damaged = candidate
                break
        except RecdFormatError:
            continue
    assert damaged is not None
    fails(damaged, Reason.ENCODING, "sum before block")


def test_a_session_that_refers_to_another() -> None:
    sound = long_file()
    # Stripe scope may; without the flag the first row of a session is new.
    shared = write(
        pa.table({"session": [1, 1, 2, 2], "ids": [[5], [6], [5], [6]]}), dedup={"ids": "stripe"}
    )
    recd.open(shared).verify()
    damaged = with_record(shared, "group of ids", StreamKind.CODES, {"flags": 0})
    damaged = same_in_header(damaged, shared)
    fails(damaged, Reason.CODES, "a session does not begin with a unique row of its own")
    assert recd.open(sound).verify().stripes == 1


def same_in_header(damaged: bytes, sound: bytes) -> bytes:
    """The stripe header's copy of the records made that of the directory."""
    parts = parts_of(sound)
    directory = damaged[parts.directory.start : parts.directory.stop]
    start = parts.stripes[0].start + stripe.HEADER.itemsize
    return reseal(damaged[:start] + directory + damaged[start + len(directory) :], sound)


def test_timelines_that_overlap() -> None:
    table = pa.table({"session": [1, 2, 3], "ids": [[1, 2], [3, 4], [5, 6]]})
    sound = write(table, dedup={"ids": "window"})
    starts = np.array([0, 1, 4], "<u4")
    plain: dict[str, Any] = {"chain": (1, 0, 0, 0), "stored": 12}
    damaged = with_record(sound, "group of ids", StreamKind.STARTS, plain)
    damaged = with_payload(damaged, "group of ids", StreamKind.STARTS, 0, starts.tobytes())
    damaged = same_in_header(damaged, sound)
    assert recd.open(damaged).num_rows == 3
    fails(damaged, Reason.WINDOW, "timelines do not stand end to end")
