"""Repeating values: the rows asked for, and no more than the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recd_format as recd
from recd_format import Limits, Reason, RecdFormatError
from recd_format.reader.data import FieldData
from recd_format.reader.expand import expand, unique_column
from tests.damage import write


def field(
    values: list[int],
    lengths: list[int] | None = None,
    starts: list[int] | None = None,
    **more: Any,
) -> FieldData:
    return FieldData(
        group=0,
        values=np.array(values, np.int64),
        lengths=None if lengths is None else np.array(lengths, np.int32),
        starts=None if starts is None else np.array(starts, np.int32),
        width=more.get("width", 1),
        weights=more.get("weights"),
        validity=more.get("validity"),
    )


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_any_rows_of_lists(rows: list[list[int]], data: st.DataObject) -> None:
    flat = [value for row in rows for value in row]
    lookup = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=12))
    weights = np.array(flat, np.float32) / 2
    found = expand(
        field(flat, [len(row) for row in rows], weights=weights),
        np.array(lookup, np.int32),
        Limits(),
    )
    assert found.offsets is not None
    assert found.weights is not None
    expected = [rows[each] for each in lookup]
    assert found.lengths.tolist() == [len(row) for row in expected]
    assert found.values.tolist() == [value for row in expected for value in row]
    assert found.weights.tolist() == [value / 2 for row in expected for value in row]


def test_windows_fixed_lists_and_nulls() -> None:
    windows = field([1, 2, 3, 4], [2, 3, 0], [0, 1, 9])
    assert unique_column(windows, Limits()).values.tolist() == [1, 2, 2, 3, 4]
    fixed = field([1, 2, 3, 4], width=2, validity=np.array([True, False]))
    found = expand(fixed, np.array([1, 0, 1]), Limits())
    assert found.values.tolist() == [3, 4, 1, 2, 3, 4]
    assert found.validity is not None
    assert found.validity.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("given", "lookup"),
    [
        (field([1] * 10, [10]), [0] * 11),
        (field([1] * 10, [10, 10] * 6, [0] * 12), None),
        (field([1]), [0] * 101),
        (field([1] * 4, width=4), [0] * 26),
    ],
)
def test_more_than_the_limit_is_an_error(given: FieldData, lookup: list[int] | None) -> None:
    rows = None if lookup is None else np.array(lookup, np.int32)
    with pytest.raises(RecdFormatError, match=r"would expand to \d+ values, limit 100") as caught:
        expand(given, rows, Limits(expanded_values=100))
    assert caught.value.reason is Reason.LIMIT
    expand(given, rows, Limits(expanded_values=200))


def test_a_reader_takes_the_callers_limit() -> None:
    table = pa.table({"session": [1] * 100, "ids": [[7] * 50] * 100})
    options = recd.ReadOptions(limits=recd.Limits(expanded_values=1000))
    file = recd.open(write(table, dedup={"ids": "session"}), options=options)
    with pytest.raises(RecdFormatError, match="'ids': reading .* to 5000 values, limit 1000"):
        file.read()
    assert file.read(rows=slice(0, 20)).num_rows == 20
    shared = file.read(dedup=True)
    assert shared["ids"].to_pylist() == table["ids"].to_pylist()
