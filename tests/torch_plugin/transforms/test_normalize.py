from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch.transforms import Normalize
from tests.torch_plugin.transforms.checks import (
    FLOAT_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import fixed, float_rows


@given(float_rows(), st.floats(-100, 100), st.floats(0.5, 100))
def test_mean_and_deviation(rows, mean, std):
    def oracle(x):
        with np.errstate(over="ignore"):
            return float(((np.float64(x) - mean) / std).astype(np.float32))

    check_elementwise(Normalize(mean, std), rows, oracle)


def test_large_values_keep_their_differences():
    # As float32, 16777217 is 16777216: the mean must not be rounded to it.
    found = Normalize(16777217.0, 1.0).apply("f", fixed([16777216.0], np.float32)).values
    assert found.tolist() == [-1.0]


def test_it_works_in_place():
    check_in_place(Normalize(1, 2), fixed([1], np.float32))


def test_description():
    check_description(Normalize(1, 2), Normalize(1, 2.5), Normalize(2, 2))


def test_roles():
    check_roles(Normalize(0, 1), FLOAT_ROLES)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (0, 0, "expected more than 0"),
        (0, -1.0, "expected more than 0"),
        (float("nan"), 1, r"Normalize\(mean=nan\)"),
        (0, float("inf"), r"Normalize\(std=inf\)"),
        ("0", 1, "expected a number"),
    ],
)
def test_wrong_parameters_raise(mean, std, message):
    with pytest.raises(RecdInputError, match=message):
        Normalize(mean, std)
