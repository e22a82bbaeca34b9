"""The file around the stripes: what is written where, and when it appears."""

from __future__ import annotations

import io
import os
from typing import Any

import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.filesystem import LocalSink, MemorySource
from recd_format.format.tables import SectionId
from recd_format.reader.file import FileReader
from recd_format.writer import stripe as stripe_module
from tests.damage import parts_of, small_file, small_log, write


def test_parts_stand_in_their_order_and_aligned() -> None:
    parts = parts_of(small_file())
    assert parts.head.start == 0
    assert all(stripe.start % 4096 == 0 for stripe in parts.stripes)
    assert all(stream.start % 64 == 0 for stream in parts.streams)
    order = [*parts.stripes, parts.directory, *parts.sections, parts.tables, parts.postscript]
    for before, after in zip([parts.head, *order], order, strict=False):
        assert before.stop <= after.start < before.stop + 4096
    assert parts.tables.stop == parts.postscript.start


def test_sections_hold_schema_plan_metadata_and_statistics() -> None:
    table = small_log().replace_schema_metadata({b"owner": b"ads"})
    metadata = FileReader(MemorySource(write(table))).metadata
    assert metadata.tables.sections["id"].tolist() == [
        SectionId.ARROW_SCHEMA, SectionId.METADATA, SectionId.STATISTICS, SectionId.PLAN,
    ]  # fmt: skip
    plan = metadata.section(SectionId.PLAN)
    assert plan is not None
    assert recd.Plan.from_json(bytes(plan).decode()).groups


@pytest.mark.parametrize("profile", ["gpu", "balanced", "small"])
def test_bytes_do_not_depend_on_threads(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for cpus in (1, 2, 8, None):
        monkeypatch.setattr(os, "cpu_count", lambda cpus=cpus: cpus)
        found.add(small_file(profile=profile, dedup="auto"))
    assert len(found) == 1


@pytest.mark.parametrize("clustered", [False, True])
def test_statistics_of_the_session_key_prune(clustered: bool) -> None:
    table = pa.table({"session": [row // 10 for row in range(100)], "x": list(range(100))})
    file = recd.open(write(table, stripe_rows=20, clustered=clustered))
    entries = file.reader.statistics()
    mine = entries[entries["field"] == 0]
    assert mine["minimum"].tolist() == [0, 2, 4, 6, 8]
    assert mine["maximum"].tolist() == [1, 3, 5, 7, 9]
    assert mine["nulls"].tolist() == [0] * 5
    text = table.set_column(0, "session", table["session"].cast(pa.string()))
    entries = recd.open(write(text)).reader.statistics()
    assert 0 not in entries["field"]


def test_the_report_is_of_what_was_written(tmp_path: Any) -> None:
    """Whatever is at the place: it may be write-only, hold more, or be another sink."""
    table = small_log()

    def report(where: Any) -> recd.WriteReport:
        return recd.write(table, where, session_key="session", order_key="ts")

    expected = report(tmp_path / "log.recd")
    assert expected.stats == recd.open(tmp_path / "log.recd").stats()
    assert expected.bytes_out == (tmp_path / "log.recd").stat().st_size
    behind = io.BytesIO(b"head")
    behind.seek(4)
    with open(tmp_path / "object.recd", "wb") as file:
        for where in (file, behind, LocalSink(str(tmp_path / "sink.recd"))):
            assert report(where).stats == expected.stats
    assert recd.open(tmp_path / "object.recd").num_rows == recd.open(behind.getvalue()[4:]).num_rows


def test_too_many_values_of_a_stripe_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe_module, "_MOST_VALUES", 50)
    table = pa.table({"session": list(range(20)), "ids": [[row] * 3 for row in range(20)]})
    with pytest.raises(recd.RecdInputError, match="ids: a stripe would hold 60 values .* at most"):
        write(table)
    assert recd.open(write(table, stripe_rows=10)).read().equals(table)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("plan", ["auto", "given"])
def test_windows_of_lists_that_cease_to_be_parallel(clustered: bool, plan: str) -> None:
    """A plan comes from a sample or another log; where lists part, they are stored apart."""
    rows = 3_000
    ids = [list(range(row, row + 8)) for row in range(rows)]
    seconds = [[10 * each for each in row] for row in ids]
    parallel = pa.table(
        {"session": [row // 30 for row in range(rows)], "ids": ids, "seconds": seconds}
    )
    seconds = [row if number < rows - 40 else row[:-1] for number, row in enumerate(seconds)]
    parted = parallel.set_column(2, "seconds", pa.array(seconds))
    given = recd.write(
        parallel, io.BytesIO(), session_key="session", dedup={"ids": "window", "seconds": "window"}
    ).plan
    assert ("ids", "seconds") in [group.fields for group in given.groups]
    sink = io.BytesIO()
    options: dict[str, Any] = {"plan": given} if plan == "given" else {}
    with recd.RecdWriter(
        sink, parted.schema, session_key="session", clustered=clustered, stripe_rows=100, **options
    ) as writer:
        writer._least_flush_rows = 2
        for batch in parted.to_batches(max_chunksize=500):
            writer.write(batch)
    file = recd.open(sink.getvalue())
    assert file.read().equals(parted)
    assert file.read(rows=slice(2950, 2990)).equals(parted.slice(2950, 40))
    assert file.verify().stripes == len(file.stripes)
    modes = {field.name: field.mode for field in file.stats().fields}
    if clustered:
        # The group is fixed when the first stripe is written: some stripes have no windows.
        assert "window" in modes["seconds"]
    else:
        assert modes["ids"] == modes["seconds"] == "window"
        assert all(len(group.fields) == 1 for group in file.groups)
