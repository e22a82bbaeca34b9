from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.torch.transforms import Bucketize
from tests.torch_plugin.transforms.checks import (
    check_description,
    check_elementwise,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import FLOATS, fixed, float_rows

BORDERS = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-100, 100, width=32)),
    min_size=1,
    max_size=6,
    unique=True,
).map(sorted)


@given(st.data(), BORDERS)
def test_ids_are_those_of_digitize_and_nan_has_its_own(data, borders):
    rows = data.draw(float_rows(st.one_of(FLOATS, st.sampled_from(borders))))

    def oracle(x):
        return len(borders) + 1 if np.isnan(x) else int(np.digitize(x, borders))

    made = Bucketize(borders)
    found = check_elementwise(made, rows, oracle)
    assert found.values.dtype == np.int64
    assert found.values.max(initial=0) < made.bound_after(None)


def test_values_on_a_border_are_above_it():
    rows = fixed([-np.inf, 0, 1, 9.5, 10, np.inf, np.nan], np.float32)
    assert Bucketize([1, 10]).apply("f", rows).values.tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_borders_are_compared_as_float32():
    # 0.7 is less in float32: the value that was 0.7 is on the border all the same.
    assert Bucketize([0.7]).apply("f", fixed([0.7], np.float32)).values.tolist() == [1]


def test_description():
    check_description(Bucketize([1, 2.5]), Bucketize([1]), Bucketize([1, 2.25]))
    assert Bucketize(np.array([1.0, 2.5])) == Bucketize((1, 2.5))


def test_floats_become_ids():
    check_roles(Bucketize([1]), {Role.DENSE: Role.SPARSE, Role.FLOAT_LIST: Role.SPARSE})
    assert Bucketize([1, 2]).bound_after(None) == 4


@pytest.mark.parametrize(
    ("borders", "message"),
    [
        ([], "at least one border"),
        ([1, 1], "border 1.0 after 1.0: expected rising"),
        ([2, 1], "border 1.0 after 2.0: expected rising"),
        ([1, 1 + 1e-9], "as float32"),
        ([float("nan")], "finite float32"),
        ([float("inf")], "finite float32"),
        ([1e39], "finite float32"),
        (["1"], "border '1': expected a number"),
        ("1", "expected a list of numbers"),
        (1.0, "expected a list of numbers"),
    ],
)
def test_wrong_parameters_raise(borders, message):
    with pytest.raises(RecdInputError, match=message):
        Bucketize(borders)
