"""The same rows make the same bytes, whatever batches they come in."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd


def written(
    table: pa.Table, sizes: list[int], *, least: int | None = None, **options: Any
) -> tuple[bytes, recd.WriteReport]:
    """The file written in batches of `sizes` rows, over and over."""
    sink = io.BytesIO()
    options = {"session_key": "session", "order_key": "ts", "clustered": True, **options}
    with recd.RecdWriter(sink, table.schema, **options) as writer:
        if least is not None:
            writer._least_flush_rows = least
        begin, step = 0, 0
        while begin < table.num_rows:
            size = sizes[step % len(sizes)]
            writer.write(table.slice(begin, size))
            begin, step = begin + size, step + 1
    assert writer.report is not None
    return sink.getvalue(), writer.report


def changing(rows: int, repeats_until: int, session_rows: int) -> pa.Table:
    """A log with a column that repeats in its sessions at first, and later does not."""
    rng = np.random.default_rng(3)
    session = np.arange(rows) // session_rows
    noise = rng.integers(0, 1 << 40, rows)
    place = np.arange(rows)
    return pa.table(
        {
            "session": session,
            "ts": place,
            "x": np.where(place < repeats_until, session * 7919, noise),
            "y": pa.array([[int(s)] * (s % 3) for s in session], pa.list_(pa.int64())),
        }
    )


@pytest.mark.parametrize("session_rows", [10, 7, 6000])
def test_the_plan_depends_on_the_rows_alone(session_rows: int) -> None:
    table = changing(20_000, 4500, session_rows)
    whole, report = written(table, [table.num_rows], stripe_rows=1024)
    for sizes in ([4096], [997], [64], [5000, 1]):
        data, other = written(table, sizes, stripe_rows=1024)
        assert other.plan == report.plan, sizes
        assert data == whole, sizes
    assert recd.open(whole).read().equals(table)


def test_a_session_span_is_measured_from_its_first_row() -> None:
    rows = np.arange(20_000)
    table = pa.table({"session": np.ones(20_000, np.int64), "ts": rows, "x": rows % 7})
    options = {"session_max_span": 9000, "stripe_rows": 1024}
    whole, report = written(table, [20_000], **options)
    assert report.sessions == 3
    assert written(table, [20_000], clustered=False, **options)[1].sessions == 3
    for sizes in ([500], [1023], [9001]):
        assert written(table, sizes, **options)[0] == whole


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=25), max_size=8),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 6),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, 1, 7]),
    st.integers(1, 12),
)
def test_batches_leave_no_trace(
    sessions: list[list[int]], sizes: list[int], stripe_rows: int, gap: int | None,
    span: int | None, least: int,
) -> None:  # fmt: skip
    lengths = [len(steps) for steps in sessions]
    times = [np.cumsum(steps) for steps in sessions]
    rows = sum(lengths)
    table = pa.table(
        {
            "session": np.repeat(np.arange(len(lengths), dtype=np.int64), lengths),
            "ts": np.concatenate([np.zeros(0, np.int64), *times]).astype(np.int64),
            "x": (np.arange(rows) // 9) ** 5,
            "a": pa.array([[r // 4] * (r % 3) for r in range(rows)], pa.list_(pa.int64())),
            "b": pa.array(
                [[r // 5] * (r % 3 + (r > 20)) for r in range(rows)], pa.list_(pa.int64())
            ),
        }
    )
    options = {
        "session_gap": gap, "session_max_span": span, "stripe_rows": stripe_rows, "least": least,
    }  # fmt: skip
    whole, report = written(table, [max(rows, 1)], **options)
    data, other = written(table, sizes, **options)
    assert data == whole
    assert other.plan == report.plan
    assert recd.open(data).read().equals(table)
    assert (
        written(table, [max(rows, 1)], **{**options, "clustered": False, "session_order": "input"})[
            1
        ].sessions
        == report.sessions
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=60),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from([None, 2]),
    st.sampled_from([None, 7]),
)
def test_rows_out_of_order_are_an_error_or_leave_no_trace(
    times: list[int], sizes: list[int], stripe_rows: int, gap: int | None, span: int | None
) -> None:
    table = pa.table({"session": [1] * len(times), "ts": times, "row": range(len(times))})
    options = {
        "session_gap": gap, "session_max_span": span, "stripe_rows": stripe_rows, "least": 1,
    }  # fmt: skip
    found = []
    for each in ([len(times)], sizes):
        try:
            found.append(written(table, each, **options)[0])
        except recd.RecdInputError as error:
            assert "is not in the order of the order key" in str(error)  # noqa: PT017
    assert len(set(found)) <= 1


def test_the_report_is_there_after_the_block() -> None:
    table = pa.table({"session": [1, 1, 2], "ts": [0, 2**64 - 1, 5]}, pa.schema(
        [("session", pa.int64()), ("ts", pa.uint64())]
    ))  # fmt: skip
    writer = recd.RecdWriter(io.BytesIO(), table.schema, session_key="session", order_key="ts")
    with writer:
        writer.write(table)
        assert writer.report is None
    assert writer.report is not None
    assert (writer.report.rows, writer.report.sessions) == (3, 2)


def test_unsigned_epoch_times_have_a_unit() -> None:
    start = 1_700_000_000_000
    times = [start, start + 1000, start + 3_600_000]
    table = pa.table({"session": [1, 1, 1], "ts": pa.array(times, pa.uint64())})
    _, report = written(table, [3], session_gap="30m")
    assert report.sessions == 2
    assert report.span_p99_seconds == pytest.approx(0.99)


def test_spans_of_the_whole_range_do_not_overflow() -> None:
    times = pa.array([-(2**63), 2**63 - 1], pa.timestamp("ns"))
    table = pa.table({"session": [1, 1], "ts": times})
    assert written(table, [2])[1].span_p99_seconds == pytest.approx(2**64 / 1e9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 4), st.booleans())
def test_texts_order_a_session_that_is_cut(
    sizes: list[int], stripe_rows: int, dictionary: bool
) -> None:
    times = pa.array([f"{row // 2:03d}" for row in range(80)])
    times = times.dictionary_encode() if dictionary else times
    table = pa.table({"session": ["a"] * 70 + ["b"] * 10, "ts": times, "row": range(80)})
    options = {"stripe_rows": stripe_rows, "least": 1}
    whole, report = written(table, [80], **options)
    assert written(table, sizes, **options)[0] == whole
    assert report.sessions == 2
    assert recd.open(whole).read()["row"].to_pylist() == list(range(80))


@pytest.mark.parametrize("ts", [[0.5, 1.5], ["a", "b"]])
def test_a_gap_needs_an_order_that_can_be_measured(ts: list[Any]) -> None:
    with pytest.raises(recd.RecdInputError, match="need an order_key of integers or times, 'ts'"):
        written(pa.table({"session": [1, 1], "ts": ts}), [2], session_gap=1)
