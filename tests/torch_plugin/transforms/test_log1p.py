from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch.transforms import Log1p
from tests.torch_plugin.transforms.checks import (
    FLOAT_ROLES,
    check_description,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import as_lists, copied, fixed, float_rows

ABOVE = st.one_of(
    st.floats(-0.5, 100, width=32),
    st.floats(0, width=32),
    st.sampled_from([float("nan"), float(np.nextafter(np.float32(-1), np.float32(0)))]),
)


@given(float_rows(ABOVE))
def test_logarithms(rows):
    before = copied(rows)
    found = Log1p().apply("f", rows)
    assert found.values.dtype == np.float32
    expected = [[np.log1p(np.float64(x)) for x in row] for row in as_lists(before)]
    for have, want in zip(as_lists(found), expected, strict=True):
        # Half a unit of float32, and what two libraries may differ by in float64.
        np.testing.assert_allclose(have, want, rtol=6e-8)


def test_known_values():
    found = Log1p().apply("f", fixed([0.0, math.e - 1, np.nan, np.inf], np.float32)).values
    np.testing.assert_allclose(found, [0, 1, np.nan, np.inf], rtol=1e-7)


def test_it_works_in_place():
    check_in_place(Log1p(), fixed([1], np.float32))


@pytest.mark.parametrize("value", [-1.0, -2.5, -np.inf])
def test_values_without_logarithm_raise(value):
    with pytest.raises(RecdInputError, match=f"Log1p of 'age': expected .* found {value}; Clip"):
        Log1p().apply("age", fixed([1, value], np.float32))


def test_description():
    check_description(Log1p())


def test_roles():
    check_roles(Log1p(), FLOAT_ROLES)
