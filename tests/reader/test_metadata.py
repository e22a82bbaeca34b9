"""Opening a file reads its end, and each column only what it is in."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format import Reason, RecdFormatError
from recd_format.constants import DIRECTORY_PAGE_BYTES, POSTSCRIPT_BYTES, ROWS_OWNER
from recd_format.format import postscript, tables
from recd_format.format.record import RECORD
from tests.damage import parts_of, reseal, small_file, write
from tests.format.sealing import with_fields
from tests.reader.sources import reader_of

COLUMNS, STRIPES = 1_000, 4


@cache
def wide_file() -> bytes:
    """A thousand columns in four stripes: some five pages of directory."""
    rows = np.arange(40)
    columns = {f"f{number}": rows % (number + 2) for number in range(COLUMNS)}
    return write(
        pa.table({"session": rows // 4, **columns}), dedup="none", stripe_rows=40 // STRIPES
    )


def test_opening_reads_the_end_alone() -> None:
    data = wide_file()
    parts = parts_of(data)
    _, source = reader_of(data)
    assert source.bytes == POSTSCRIPT_BYTES + len(parts.tables)
    assert source.requests == 2
    # With the default tail it is one read where the tables fit in it.
    small = small_file()
    _, source = reader_of(small, tail_bytes=64 << 10)
    assert source.requests == 1


def test_directory_pages_are_read_when_they_are_touched_and_once() -> None:
    data = wide_file()
    pages = len(parts_of(data).directory) // DIRECTORY_PAGE_BYTES + 1
    assert pages >= 4
    reader, source = reader_of(data)
    opened = source.bytes
    reader.metadata.records(np.array([0], np.int64))
    assert source.bytes - opened == DIRECTORY_PAGE_BYTES
    reader.metadata.records(np.array([0, 1], np.int64))
    assert source.bytes - opened == DIRECTORY_PAGE_BYTES
    reader.metadata.records(np.array([ROWS_OWNER], np.int64))
    assert source.bytes - opened < 2 * DIRECTORY_PAGE_BYTES + 1
    reader.metadata.all_records()
    assert source.bytes - opened == len(parts_of(data).directory)


def test_a_column_of_a_wide_file_reads_its_own_bytes() -> None:
    data = wide_file()
    reader, source = reader_of(data)
    projection = reader.project([reader.field_index("f500")])
    planned = source.bytes
    for stripe in range(STRIPES):
        reader.read_stripe(stripe, projection)
    own = -(-projection.records["stored"].astype(np.int64) // 64) * 64
    assert source.bytes - planned == int(own.sum())
    assert source.bytes < len(data) // 4


def test_a_damaged_page_breaks_its_own_columns() -> None:
    data = bytearray(wide_file())
    directory = parts_of(bytes(data)).directory
    data[directory.start + DIRECTORY_PAGE_BYTES] ^= 1
    file = recd.open(bytes(data))
    assert file.read(["f1"]).num_rows == 40
    with pytest.raises(RecdFormatError, match="directory: .*stored .*, computed") as caught:
        file.read()
    assert caught.value.reason is Reason.CHECKSUM


def test_sections_are_read_when_asked_for() -> None:
    data = write(pa.table({"session": [1]}).replace_schema_metadata({b"a": b"b"}))
    reader, source = reader_of(data)
    before = source.requests
    assert reader.user_metadata() == {b"a": b"b"}
    assert source.requests == before + 1
    assert reader.metadata.section(0x9999_9999) is None


def with_postscript(sound: bytes, **values: int) -> bytes:
    place = parts_of(sound).postscript.start
    return reseal(with_fields(sound, postscript.LAYOUT, place, **values), sound)


@pytest.mark.parametrize(
    ("values", "reason", "message"),
    [
        ({"rows": 25}, Reason.SESSIONS, "counts 25 rows in 4 sessions, the stripes have 24 in 4"),
        ({"sessions": 3}, Reason.SESSIONS, "counts 24 rows in 3 sessions"),
        ({"directory_bytes": 64}, Reason.DIRECTORY, "64 bytes for"),
    ],
)
def test_counts_that_disagree(values: dict[str, int], reason: Reason, message: str) -> None:
    with pytest.raises(RecdFormatError, match=message) as caught:
        recd.open(with_postscript(small_file(), **values)).read()
    assert caught.value.reason is reason


def test_tables_and_directories_larger_than_the_limit() -> None:
    data = small_file()
    limits = recd.ReadOptions(limits=recd.Limits(metadata_bytes=512))
    with pytest.raises(RecdFormatError, match="tables of .* bytes, limit 512") as caught:
        recd.open(data, options=limits)
    assert caught.value.reason is Reason.LIMIT


def test_a_record_among_those_of_another_owner() -> None:
    sound = small_file()
    place = parts_of(sound).directory.start
    damaged = reseal(with_fields(sound, RECORD, place, owner=3), sound)
    with pytest.raises(RecdFormatError, match="among those of another owner, or names no stripe"):
        recd.open(damaged).read(["session"])
    damaged = reseal(with_fields(sound, RECORD, place, stripe=2), sound)
    with pytest.raises(RecdFormatError, match="among those of another owner, or names no stripe"):
        recd.open(damaged).read(["session"])


def test_a_section_that_lies_elsewhere() -> None:
    sound = small_file()
    parts = parts_of(sound)
    # Section entries stand before page checksums and names, at the end of the tables.
    entries = sound.rindex(parts.sections[0].start.to_bytes(8, "little"), 0, parts.tables.stop) - 8
    for values in ({"byte_offset": 0}, {"bytes": len(sound)}, {"byte_offset": 2**64 - 1}):
        damaged = with_fields(sound, tables.SECTION, entries, **values)
        damaged = reseal(damaged, sound)
        with pytest.raises(RecdFormatError, match="section 1: .* expected within bytes") as caught:
            _ = recd.open(damaged).schema
        assert caught.value.reason is Reason.SECTION


def test_reserved_ids_of_sections_may_be_there() -> None:
    sound = small_file()
    parts = parts_of(sound)
    entries = sound.rindex(parts.sections[0].start.to_bytes(8, "little"), 0, parts.tables.stop) - 8
    damaged = reseal(with_fields(sound, tables.SECTION, entries, id=0x8000_0001), sound)
    file = recd.open(damaged)
    # Without the Arrow schema the field table says what the types are.
    assert file.schema.names == recd.open(sound).schema.names
    assert file.read(["user"]).equals(recd.open(sound).read(["user"]))
