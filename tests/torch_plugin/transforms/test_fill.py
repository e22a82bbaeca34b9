from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch.transforms import Fill
from tests.torch_plugin.transforms.checks import (
    FLOAT_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import fixed, float_rows


@given(float_rows(), st.floats(-10, 10, width=32))
def test_nan_is_replaced(rows, value):
    found = check_elementwise(Fill(value), rows, lambda x: value if math.isnan(x) else x)
    assert not np.isnan(found.values).any()


def test_it_works_in_place():
    check_in_place(Fill(1), fixed([np.nan], np.float32))


def test_description():
    check_description(Fill(0.5), Fill(1))


def test_roles():
    check_roles(Fill(0), FLOAT_ROLES)


@pytest.mark.parametrize("value", [None, "0", float("nan"), float("-inf"), -1e39])
def test_wrong_parameters_raise(value):
    with pytest.raises(RecdInputError, match=r"Fill\(value="):
        Fill(value)
