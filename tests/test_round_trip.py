"""What is written is read back: in the order of the spec, bit for bit, whatever the options."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from tests.helpers import assert_same_bits, expected_order, in_file_order
from tests.strategies import session_logs

PROFILES = ["gpu", "balanced", "small"]
DEDUPS = ["auto", "none", "adjacent", "full", "stripe"]


def write(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    recd.write(table, sink, session_key="session", order_key="ts", **options)
    return sink.getvalue()


@settings(max_examples=150)
@given(session_logs(), st.sampled_from(PROFILES), st.sampled_from(DEDUPS), st.integers(1, 20))
def test_any_log_comes_back(table: pa.Table, profile: str, dedup: str, stripe_rows: int) -> None:
    data = write(table, profile=profile, dedup=dedup, stripe_rows=stripe_rows)
    file = recd.open(data)
    expected = in_file_order(table, "session", "ts")
    assert_same_bits(expected, file.read())
    assert_same_bits(expected, file.read(dedup=True), types=False)
    assert file.num_sessions == len(set(table["session"].to_pylist()))
    assert file.verify().stripes == len(file.stripes)


@settings(max_examples=60)
@given(session_logs(min_columns=1), st.sampled_from(PROFILES), st.data())
def test_any_rows_of_any_columns(table: pa.Table, profile: str, data: st.DataObject) -> None:
    stripe_rows = data.draw(st.integers(1, 50))
    dedup = data.draw(st.sampled_from(DEDUPS))
    file = recd.open(write(table, profile=profile, stripe_rows=stripe_rows, dedup=dedup))
    expected = in_file_order(table, "session", "ts")
    rows = table.num_rows
    names = data.draw(st.permutations(table.column_names).map(lambda names: names[:3]))
    begin, end = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    part = file.read(names, slice(begin, end))
    assert_same_bits(expected.select(names).slice(begin, end - begin), part)
    if rows:
        picks = data.draw(st.lists(st.integers(-rows, rows - 1), max_size=8))
        taken = expected.select(names).take(pa.array([pick % rows for pick in picks], pa.int64()))
        assert_same_bits(taken, file.take(picks, names))


@settings(max_examples=40)
@given(session_logs(), st.integers(1, 9), st.integers(1, 9))
def test_batches_are_the_rows(table: pa.Table, batch_size: int, stripe_rows: int) -> None:
    file = recd.open(write(table, stripe_rows=stripe_rows))
    batches = list(file.iter_batches(batch_size))
    assert [batch.num_rows for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    found = pa.Table.from_batches(batches, file.schema)
    assert_same_bits(in_file_order(table, "session", "ts"), found)


@settings(max_examples=60)
@given(session_logs(), st.integers(1, 7), st.sampled_from(PROFILES), st.integers(2, 9))
def test_same_rows_same_bytes(table: pa.Table, chunk: int, profile: str, stripe_rows: int) -> None:
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=chunk), table.schema)
    options = {"profile": profile, "stripe_rows": stripe_rows}
    assert write(table, **options) == write(chunked, **options) == write(table, **options)


@settings(max_examples=80)
@given(session_logs(), st.integers(1, 7), st.integers(1, 9))
def test_clustered_input_streams(table: pa.Table, chunk: int, stripe_rows: int) -> None:
    table = in_file_order(table, "session", "ts")
    sink = io.BytesIO()
    with recd.RecdWriter(
        sink, table.schema, session_key="session", order_key="ts", clustered=True,
        stripe_rows=stripe_rows,
    ) as writer:  # fmt: skip
        writer._least_flush_rows = 2
        for batch in table.to_batches(max_chunksize=chunk):
            writer.write(batch)
    file = recd.open(sink.getvalue())
    assert_same_bits(table, file.read())
    assert file.num_sessions == len(set(table["session"].to_pylist()))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["trivago_val100k", "yoochoose100k", "ml100k"])
def test_real_logs_come_back(
    log: Callable[[str], Path], tmp_path: Path, name: str, profile: str
) -> None:
    table = pq.read_table(log(name))
    path = tmp_path / "log.recd"
    recd.write(
        str(log(name)), path, session_key="session_id", order_key="timestamp", labels=["label"],
        profile=profile,
    )  # fmt: skip
    file = recd.open(path)
    expected = in_file_order(table, "session_id", "timestamp").combine_chunks()
    found = file.read()
    assert found.schema.equals(expected.schema, check_metadata=True)
    for column in expected.column_names:
        assert found[column].combine_chunks().equals(expected[column].combine_chunks()), column
    assert file.verify().bytes == path.stat().st_size


@pytest.mark.parametrize("dedup", DEDUPS)
@pytest.mark.parametrize("name", ["trivago_val100k", "yoochoose100k", "ml100k"])
def test_real_logs_come_back_in_every_mode(
    log: Callable[[str], Path], name: str, dedup: str
) -> None:
    table = pq.read_table(log(name)).slice(0, 60_000)
    sink = io.BytesIO()
    recd.write(
        table, sink, session_key="session_id", order_key="timestamp", labels=["label"], dedup=dedup
    )
    expected = in_file_order(table, "session_id", "timestamp").combine_chunks()
    found = recd.open(sink.getvalue()).read()
    for column in expected.column_names:
        assert found[column].combine_chunks().equals(expected[column].combine_chunks()), column


def giant_session(rows: int) -> pa.Table:
    history = np.arange(rows + 20)
    lists = [history[i : i + 20].tolist() for i in range(rows)]
    return pa.table({"session": [7] * rows, "ts": list(range(rows)), "hist": lists})


def test_a_giant_session_is_cut_and_counted_once() -> None:
    table = giant_session(5_000)
    file = recd.open(write(table, stripe_rows=1_000))
    assert [stripe.end - stripe.begin for stripe in file.stripes] == [2_000, 2_000, 1_000]
    assert file.num_sessions == 1
    assert_same_bits(table, file.read())


def test_order_of_sessions() -> None:
    table = pa.table({"session": ["b", "a", "b", "c"], "ts": [4, 3, 1, 2]})
    for order, expected in (
        ("first_seen", [2, 0, 3, 1]),
        ("key", [1, 2, 0, 3]),
        ("input", [2, 0, 1, 3]),
    ):
        file = recd.open(write(table, session_order=order))
        assert_same_bits(table.take(expected), file.read())
    assert expected_order(table, "session", "ts") == [2, 0, 3, 1]


def test_session_gap_splits_long_lived_keys() -> None:
    minute = 60_000
    start = 1_700_000_000_000
    times = [start + minutes * minute for minutes in (0, 1, 5, 90, 91)]
    table = pa.table({"session": [1, 2, 1, 1, 2], "ts": pa.array(times, pa.timestamp("ms"))})
    file = recd.open(write(table, session_gap="30m"))
    assert file.num_sessions == 4
    assert file.read()["session"].to_pylist() == [1, 1, 2, 1, 2]
    assert recd.open(write(table, session_max_span="2m")).num_sessions == 5


def test_metadata_and_child_names_come_back() -> None:
    item = pa.field("element", pa.int64(), nullable=False, metadata={b"unit": b"id"})
    schema = pa.schema(
        [
            pa.field("session", pa.int64(), nullable=False),
            pa.field("ts", pa.timestamp("us", "Europe/Berlin")),
            pa.field("ids", pa.large_list(item), metadata={b"owner": b"ads"}),
        ],
        metadata={b"\xff raw": b"\x00\x01"},
    )
    table = pa.table([[1, 1], [0, 1], [[1, 2], []]], schema=schema)
    file = recd.open(write(table))
    assert file.schema.equals(schema, check_metadata=True)
    assert file.metadata == {b"\xff raw": b"\x00\x01"}
    assert_same_bits(table, file.read())


def test_the_plan_of_a_report_serves_the_next_write() -> None:
    table = giant_session(300)
    first = recd.write(table, io.BytesIO(), session_key="session", order_key="ts")
    second = recd.write(table, io.BytesIO(), session_key="session", order_key="ts", plan=first.plan)
    assert second.plan == first.plan
    assert second.bytes_out == first.bytes_out
    with pytest.raises(recd.RecdInputError, match="plan is for other columns.*hist"):
        recd.write(table.drop(["hist"]), io.BytesIO(), session_key="session", plan=first.plan)


def test_a_read_without_columns_has_rows() -> None:
    file = recd.open(write(giant_session(300), stripe_rows=100))
    assert file.read([]).num_rows == 300
    assert file.read([], slice(10, 20)).num_rows == 10
    assert [batch.num_rows for batch in file.iter_batches(200, columns=[])] == [200, 100]


def test_a_column_of_one_stripe_is_one_chunk() -> None:
    assert recd.open(write(giant_session(300))).read()["ts"].num_chunks == 1


def test_a_fixed_size_list_of_one_is_no_reference() -> None:
    zeros = pa.array([[0.0, 0.0]] * 64, pa.list_(pa.float32()))
    fixed = pa.array([[0.0]] * 64, pa.list_(pa.float32(), 1))
    slots = pa.array(list(range(2)) * 32)
    table = pa.table({"session": [0] * 64, "ts": range(64), "l": zeros, "x": fixed, "s": slots})
    assert_same_bits(table, recd.open(write(table)).read())
