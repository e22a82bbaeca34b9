from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recd_format.torch.transforms import FirstN
from tests.torch_plugin.transforms.checks import LIST_ROLES, check_description, check_roles
from tests.torch_plugin.transforms.cuts import check_cut, check_cut_edges
from tests.torch_plugin.transforms.unique_rows import any_rows, id_rows, windowed


@given(id_rows(), st.integers(1, 6))
def test_ids_and_weights(rows, n):
    check_cut(FirstN(n), rows, lambda row: row[:n])


@given(any_rows(st.integers(0, 9), np.float32), st.integers(1, 6))
def test_floats(rows, n):
    check_cut(FirstN(n), rows, lambda row: row[:n])


def test_edges():
    check_cut_edges(FirstN)


def test_windows_are_cut_without_moving_a_value():
    rows = windowed([10, 11, 12, 13], [(0, 3), (1, 3), (4, 0)])
    found = FirstN(2).apply("f", rows)
    assert found.values is rows.values
    assert found.lengths.tolist() == [2, 2, 0]
    assert found.starts.tolist() == [0, 1, 4]


def test_description():
    check_description(FirstN(5), FirstN(6))


def test_roles_and_bound():
    check_roles(FirstN(3), LIST_ROLES)
    assert FirstN(3).bound_after(None) is None
    assert FirstN(3).bound_after(7) == 7
