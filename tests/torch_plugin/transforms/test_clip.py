from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.torch.transforms import Clip, Transforms
from tests.torch_plugin.transforms.checks import (
    FLOAT_ROLES,
    ID_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import fixed, float_rows, id_rows

BOUND = st.one_of(st.integers(0, 10), st.integers(0, 2**63 - 1))


@given(id_rows(), st.tuples(BOUND, BOUND).map(sorted), st.booleans())
def test_ids(rows, bounds, open_end):
    low, high = bounds
    high = None if open_end else high
    most = 2**63 - 1 if high is None else high
    found = check_elementwise(Clip(low, high), rows, lambda id_: min(max(id_, low), most))
    assert found.values.dtype == np.int64
    assert found.values.min(initial=0) >= 0


@given(
    float_rows(),
    st.one_of(st.none(), st.floats(-50, 0, width=32)),
    st.one_of(st.none(), st.floats(0, 50, width=32)),
)
def test_floats(rows, low, high):
    if low is None and high is None:
        low = -1.5

    def oracle(value):
        return float(np.clip(np.float32(value), low, high))

    found = check_elementwise(Clip(low, high), rows, oracle)
    assert found.values.dtype == np.float32


def test_nan_stays_and_infinity_does_not():
    found = Clip(-1, 1).apply("f", fixed([np.nan, np.inf, -np.inf, 0.5], np.float32)).values
    np.testing.assert_array_equal(found, np.array([np.nan, 1, -1, 0.5], np.float32))


def test_it_works_in_place():
    check_in_place(Clip(1, 2), fixed([1, 2, 3]))
    check_in_place(Clip(1, 2), fixed([1, 2, 3], np.float32))


def test_description():
    check_description(Clip(0, 5), Clip(0, 6), Clip(1, 5), Clip(0), Clip(high=5), Clip(0, 5.5))
    check_description(Clip(-0.5, 2.25), Clip(-0.5, 2.5))


def test_roles():
    check_roles(Clip(0, 5), ID_ROLES | FLOAT_ROLES)


@pytest.mark.parametrize("clip", [Clip(high=5), Clip(-1, 5), Clip(0.0, 5.0), Clip(0, 2**63)])
def test_ids_need_bounds_that_leave_no_negative_one(clip):
    assert Transforms(unique={"f": [clip]}).roles({"f": Role.DENSE}) == {"f": Role.DENSE}
    with pytest.raises(RecdInputError, match="of the ids of 'f': expected integers from 0 to"):
        Transforms(unique={"f": [clip]}).roles({"f": Role.SPARSE})
    with pytest.raises(RecdInputError, match="of the ids of 'f'"):
        clip.apply("f", fixed([1]))


@given(st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted), st.integers(1, 12))
def test_the_bound_is_one_more_than_the_largest_id(bounds, before):
    low, high = bounds
    ids = range(before)
    assert Clip(low, high).bound_after(before) == 1 + max(min(max(i, low), high) for i in ids)
    assert Clip(low, high).bound_after(None) == high + 1
    assert Clip(low).bound_after(before) == 1 + max(max(i, low) for i in ids)
    assert Clip(low).bound_after(None) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"expected low, high or both"),
        ({"low": 2, "high": 1}, "expected low <= high"),
        ({"low": "a"}, r"Clip\(low='a'\): expected a number"),
        ({"low": True}, r"Clip\(low=True\): expected a number"),
        ({"high": float("nan")}, "expected a finite number"),
        ({"high": float("inf")}, "expected a finite number"),
        ({"high": 1e39}, "too large for float32"),
    ],
)
def test_wrong_parameters_raise(arguments, message):
    with pytest.raises(RecdInputError, match=message):
        Clip(**arguments)
