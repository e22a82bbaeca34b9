from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch.transforms import Modulo
from tests.torch_plugin.transforms.checks import (
    ID_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import IDS, fixed, id_rows, windowed

NUMBERS = st.one_of(
    st.integers(1, 20), st.integers(0, 62).map(lambda k: 1 << k), st.integers(1, 2**63 - 1)
)


@given(id_rows(IDS), NUMBERS)
def test_remainders(rows, n):
    check_elementwise(Modulo(n), rows, lambda id_: id_ % n)


def test_it_works_in_place():
    check_in_place(Modulo(2), fixed([1, 2, 3]))


@pytest.mark.parametrize("n", [8, 10])
def test_a_negative_id_raises(n):
    with pytest.raises(RecdInputError, match=rf"Modulo\(n={n}\) of 'user'.*found -3$"):
        Modulo(n).apply("user", fixed([11, -3, -4]))


def test_a_negative_id_of_a_timeline_raises():
    with pytest.raises(RecdInputError, match="found -1"):
        Modulo(5).apply("user", windowed([1, 2, -1], [(0, 3)]))


def test_description():
    check_description(Modulo(5), Modulo(6))


def test_roles_and_bound():
    check_roles(Modulo(5), ID_ROLES)
    assert Modulo(5).bound_after(None) == 5
    assert Modulo(5).bound_after(3) == 3
    assert Modulo(5).bound_after(9) == 5


@pytest.mark.parametrize("n", [0, -1, 1 << 63, 1.5, "5", None])
def test_wrong_parameters_raise(n):
    with pytest.raises(RecdInputError, match=r"Modulo\(n="):
        Modulo(n)


def test_the_largest_id():
    found = Modulo(10**9 + 7).apply("f", fixed([2**63 - 1])).values
    assert found.tolist() == [(2**63 - 1) % (10**9 + 7)]
    assert found.dtype == np.int64
