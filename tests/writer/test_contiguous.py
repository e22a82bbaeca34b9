"""Sessions that stand together, over any batches: what comes back is named with its row."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from recd_format.writer.contiguous import Contiguity


def stream(table: pa.Table, chunk: int, stripe_rows: int) -> recd.RecdFile:
    sink = io.BytesIO()
    order = "ts" if "ts" in table.column_names else None
    with recd.RecdWriter(
        sink, table.schema, session_key="session", order_key=order, clustered=True,
        stripe_rows=stripe_rows,
    ) as writer:  # fmt: skip
        writer._least_flush_rows = 2
        for batch in table.to_batches(max_chunksize=chunk):
            writer.write(batch)
    return recd.open(sink.getvalue())


def first_return(keys: list[int]) -> int | None:
    """Row where a key comes back after another, or None."""
    ended: set[int] = set()
    for row, key in enumerate(keys):
        if row and key != keys[row - 1]:
            ended.add(keys[row - 1])
        if key in ended:
            return row
    return None


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=12),
    st.integers(1, 12),
    st.integers(1, 6),
    st.booleans(),
)
def test_a_key_that_comes_back_is_named(
    runs: list[tuple[int, int]], chunk: int, stripe_rows: int, text: bool
) -> None:
    keys = [key for key, length in runs for _ in range(length)]
    column = (
        pa.array([f"user {key}" for key in keys], pa.string())
        if text
        else pa.array(keys, pa.int64())
    )
    table = pa.table({"session": column, "row": pa.array(range(len(keys)), pa.int64())})
    wrong = first_return(keys)
    if wrong is None:
        file = stream(table, chunk, stripe_rows)
        assert file.read().equals(table)
        assert file.num_sessions == len(set(keys))
    else:
        message = f"row {wrong}: the session of 'session' with id .* comes back"
        with pytest.raises(recd.RecdInputError, match=message):
            stream(table, chunk, stripe_rows)


@settings(max_examples=150)
@given(st.data(), st.integers(1, 30), st.integers(1, 8), st.integers(1, 12))
def test_a_cut_session_loses_no_row(
    data: st.DataObject, chunk: int, stripe_rows: int, shuffled: int
) -> None:
    """A session longer than two stripes is in order or an error: rows are not lost, nor doubled."""
    rows = data.draw(st.integers(0, 60))
    times = sorted(data.draw(st.lists(st.integers(0, 30), min_size=rows, max_size=rows)))
    for start in range(0, rows, shuffled):
        times[start : start + shuffled] = data.draw(
            st.permutations(times[start : start + shuffled])
        )
    table = pa.table(
        {
            "session": pa.array([1] * rows + [2, 2], pa.int64()),
            "ts": pa.array([*times, 5, 4], pa.int64()),
            "row": pa.array(range(rows + 2), pa.int64()),
        }
    )
    if times != sorted(times):
        with suppress(recd.RecdInputError):
            check_rows(stream(table, chunk, stripe_rows), times)
    else:
        check_rows(stream(table, chunk, stripe_rows), times)


def check_rows(file: recd.RecdFile, times: list[int]) -> None:
    rows = len(times)
    inside = sorted(range(rows), key=lambda row: times[row])
    assert file.read()["row"].to_pylist() == [*inside, rows + 1, rows]
    assert file.num_sessions == 1 + (rows > 0)


def test_a_cut_session_out_of_order_is_an_error() -> None:
    table = pa.table({"session": [1] * 9, "ts": [1, 2, 3, 4, 5, 6, 7, 8, 0]})
    with pytest.raises(recd.RecdInputError, match="row 6: a session of 'session' that is longer "
                       "than two stripes is not in the order of the order key"):  # fmt: skip
        stream(table, 1, 1)


def test_the_same_rows_may_be_checked_again() -> None:
    seen = Contiguity()
    keys = np.array([1, 1, 2], np.int64)
    seen.check(keys, None, "session", 0)
    seen.check(np.append(keys, 2), None, "session", 0)
    seen.wrote(np.array([0, 2, 4]), np.arange(4), 2)
    seen.check(np.array([2, 2, 2, 3]), None, "session", 2)
    with pytest.raises(recd.RecdInputError, match="row 4: .* with id 1 comes back"):
        seen.check(np.array([2, 2, 1]), None, "session", 2)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9), max_size=30))
def test_every_key_that_ended_is_known(flushes: list[list[int]]) -> None:
    seen = Contiguity()
    ended: set[int] = set()
    for keys in flushes:
        new = sorted(set(keys) - ended)
        seen.check(np.array([*new, 0], np.int64)[: len(new)], None, "session", 0)
        rows = np.arange(len(new) + 1)
        seen.wrote(rows, rows[:-1], len(new))
        ended |= set(new)
        for key in list(ended)[:3]:
            with pytest.raises(recd.RecdInputError, match=f"with id {key} comes back"):
                seen.check(np.array([key], np.int64), None, "session", 0)
    assert sum(len(part) for part in seen._ended) == len(ended)
    assert len(seen._ended) <= 6


def test_a_session_that_is_cut_is_open() -> None:
    seen = Contiguity()
    seen.check(np.array([1, 1, 1]), np.array([1, 3, 2]), "session", 0)
    seen.wrote(np.array([0, 3]), np.array([0, 2, 1]), 2)
    assert seen.is_open
    with pytest.raises(recd.RecdInputError, match="row 2: .*longer than two stripes"):
        seen.check(np.array([1]), np.array([1]), "session", 2)
    seen.check(np.array([1]), np.array([2]), "session", 2)
    seen.check(np.zeros(0, np.int64), None, "session", 2)
