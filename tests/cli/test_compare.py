"""The oracle of the demo: session order and equality of bits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from recd_format.cli._compare import first_difference, session_order

LIST = pa.list_(pa.int8())


def test_sessions_stand_by_their_earliest_row_ties_as_they_came() -> None:
    table = pa.table({"s": ["b", "a", "b", "a", "b"], "t": [5, 3, 1, 3, 5]})
    assert session_order(table, "s", "t").tolist() == [2, 0, 4, 1, 3]


def test_without_order_key_rows_stay_as_they_came() -> None:
    table = pa.table({"s": [2, 1, 2, 1]})
    assert session_order(table, "s", None).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (pa.array([1.0, None]), pa.array([1.0, None]), True),
        (pa.array([0.0]), pa.array([-0.0]), False),
        (pa.array([float("nan")]), pa.array([float("nan")]), True),
        (pa.array([[1.0], [float("nan")]]), pa.array([[1.0], [float("nan")]]), True),
        (pa.array([[1], [2, 3]]), pa.array([[1, 2], [3]]), False),
        (pa.array([[], None], LIST), pa.array([None, []], LIST), False),
        (pa.array([1], pa.int32()), pa.array([1], pa.int64()), False),
        (pa.array([{"a": -0.0}]), pa.array([{"a": 0.0}]), False),
        (pa.array(["x"]), pa.array(["x"]), True),
    ],
)  # fmt: skip
def test_equality_is_of_bits(left: pa.Array, right: pa.Array, same: bool) -> None:
    found = first_difference(pa.table({"c": left}), pa.table({"c": right}))
    assert found == (None if same else "c")


def test_nan_payloads_differ() -> None:
    bits = np.array([0x7FC00000, 0x7FC00001], "<u4").view("<f4")
    left, right = pa.table({"c": bits[:1]}), pa.table({"c": bits[1:]})
    assert first_difference(left, right) == "c"
