"""Statistics: the least and greatest value come back, or there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format import Reason
from recd_format.format.schema import ValueType
from recd_format.format.statistics import (
    HAS_RANGE,
    STATISTIC,
    decode_statistics,
    field_statistics,
    statistic_values,
)
from tests.format.sealing import WHERE, broken

DTYPES = [each.dtype for each in ValueType]


@given(st.sampled_from(DTYPES), st.binary(min_size=8, max_size=64))
def test_the_range_of_any_values_comes_back(dtype: np.dtype[Any], data: bytes) -> None:
    values = np.frombuffer(data[: len(data) // 8 * 8], dtype)
    row = decode_statistics(field_statistics(3, 9, values, 2).tobytes(), WHERE)
    assert (int(row["field"][0]), int(row["stripe"][0]), int(row["nulls"][0])) == (3, 9, 2)
    nan = dtype.kind == "f" and np.isnan(values).any()
    assert bool(row["flags"][0] & HAS_RANGE) == (not nan)
    if not nan:
        assert statistic_values(row["minimum"], dtype)[0] == values.min()
        assert statistic_values(row["maximum"], dtype)[0] == values.max()


def test_no_values_have_no_range() -> None:
    row = field_statistics(0, 0, np.zeros(0, np.int64), 5)
    assert not row["flags"][0] & HAS_RANGE
    assert int(row["nulls"][0]) == 5


@pytest.mark.parametrize("size", [1, STATISTIC.itemsize - 1, STATISTIC.itemsize + 1])
def test_a_torn_section(size: int) -> None:
    with broken(Reason.SECTION, f"statistics have {size} bytes, not a multiple of"):
        decode_statistics(bytes(size), WHERE)
