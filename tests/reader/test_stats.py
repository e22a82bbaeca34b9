"""What a file saved, from its directory alone."""

from __future__ import annotations

import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.reader.stats import file_stats
from tests.damage import small_file, write
from tests.reader.sources import reader_of


def test_fields_and_groups_add_up_to_the_file() -> None:
    data = small_file()
    stats = recd.open(data).stats()
    assert (stats.rows, stats.sessions, stats.stripes) == (24, 4, 2)
    assert stats.file_bytes == len(data)
    fields = {field.name: field for field in stats.fields}
    assert [field.name for field in stats.fields] == list(fields)
    modes = {name: field.mode for name, field in fields.items()}
    assert modes["session"] == "key"
    assert (modes["history"], modes["scores"], modes["user"]) == ("window", "stripe", "session")
    assert fields["user"].unique_rows == 4
    assert fields["user"].dedup_factor == 6.0
    assert fields["session"].unique_rows == stats.sessions
    # A session's windows are the 13 clicks that its lists slide over.
    assert fields["history"].values == 4 * 13
    assert fields["item"].chains == {"values": "LIST_AT"}
    assert fields["item"].bytes == 0
    assert fields["scores"].type == "list<int64, float32>"
    assert fields["vector"].type == "float32[2]"
    for group in stats.groups:
        assert [fields[name].group for name in group.fields] == [group.index] * len(group.fields)
        assert {fields[name].unique_rows for name in group.fields} == {group.unique_rows}
    streams = sum(each.bytes for each in (*stats.fields, *stats.groups))
    assert 0 < stats.metadata_bytes <= len(data) - streams


def test_no_stripe_is_read() -> None:
    data = small_file()
    reader, source = reader_of(data)
    file_stats(reader)
    assert source.bytes < len(data) - 4096 - 2 * 3000


def test_a_file_without_rows() -> None:
    data = write(pa.table({"session": pa.array([], pa.int64()), "x": pa.array([], pa.int64())}))
    stats = recd.open(data).stats()
    assert (stats.rows, stats.sessions, stats.stripes) == (0, 0, 0)
    assert [field.dedup_factor for field in stats.fields] == [1.0, 1.0]


@pytest.mark.parametrize("dedup", ["none", "adjacent", "full", "stripe"])
def test_unique_rows_are_those_of_the_mode(dedup: str) -> None:
    table = pa.table(
        {"session": [1] * 6 + [2] * 6, "ids": [[each] for each in [1, 1, 2, 2, 1, 1] * 2]}
    )
    field = recd.open(write(table, dedup=dedup)).stats().fields[1]
    assert field.unique_rows == {"none": 12, "adjacent": 6, "full": 4, "stripe": 2}[dedup]
    assert field.dedup_factor == 12 / field.unique_rows
