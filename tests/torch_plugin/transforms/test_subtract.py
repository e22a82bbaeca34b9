from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.torch.transforms import Subtract, Transforms
from tests.torch_plugin.transforms.checks import check_description
from tests.torch_plugin.transforms.unique_rows import INT64, fixed, plain, windowed

AGE = Subtract("now", "ts", "age")


def subtract(left, right):
    return AGE.apply({"now": left, "ts": right})


@given(st.lists(st.tuples(INT64, INT64)))
def test_integers_are_subtracted_exactly(pairs):
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    found = subtract(fixed(left), fixed(right))
    exact = np.array([a - b for a, b in pairs], object)
    # Beyond int64 through float64: two roundings.
    near = 6e-8 if any(abs(x) >= 2**63 for x in exact) else 0
    expected = np.array([np.float32(np.float64(x)) for x in exact], np.float32)
    if not near:
        expected = exact.astype(np.int64).astype(np.float32)
    np.testing.assert_allclose(found.values, expected, rtol=near)
    assert found.values.dtype == np.float32
    assert (found.lengths, found.starts, found.width) == (None, None, 1)


def test_small_ages_of_large_times():
    now = 1_700_000_000_000_000_001
    assert subtract(fixed([now, now]), fixed([now - 1, now + 3])).values.tolist() == [1.0, -3.0]


@given(st.lists(st.tuples(st.floats(width=32), st.one_of(st.floats(-1e6, 1e6), st.none()))))
def test_floats(pairs):
    left = np.array([a for a, _ in pairs], np.float32)
    right = np.array([np.nan if b is None else b for _, b in pairs], np.float64)
    found = subtract(fixed(left, np.float32), fixed(right, np.float64)).values
    with np.errstate(over="ignore"):
        expected = (left.astype(np.float64) - right).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_an_integer_and_a_float():
    assert subtract(fixed([10]), fixed([2.5], np.float32)).values.tolist() == [7.5]


def test_nan_where_one_is_null():
    left = plain([[5], [], [7], []])
    right = windowed([1, 2], [(0, 1), (1, 1), (2, 0), (0, 0)])
    np.testing.assert_array_equal(subtract(left, right).values, [4, np.nan, np.nan, np.nan])


def test_inputs_are_not_written_to():
    left, right = fixed([5, 6]), plain([[1], []])
    subtract(left, right)
    assert left.values.tolist() == [5, 6]
    assert right.values.tolist() == [1]


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (plain([[1], [1, 2]]), "Subtract 'age': 'now' has 2 values in row 1, expected at most one"),
        (fixed([1, 2, 3, 4], width=2), "'now' has 2 values in row 0"),
    ],
)
def test_lists_raise(left, message):
    with pytest.raises(RecdInputError, match=message):
        subtract(left, fixed([1, 2]))


def test_description():
    check_description(
        AGE, Subtract("ts", "now", "age"), Subtract("now", "ts", "old"), Subtract("now", "t", "age")
    )


def test_roles():
    made = Transforms(rows=[AGE])
    assert made.roles({"a": Role.SPARSE}) == {"a": Role.SPARSE, "age": Role.DENSE}
    assert made.roles({"now": Role.LABEL})["age"] == Role.DENSE
    for role in (Role.IDSCORE, Role.FLOAT_LIST):
        with pytest.raises(RecdInputError, match="Subtract 'age' of 'ts': expected id_list or den"):
            made.roles({"ts": role})


@pytest.mark.parametrize("name", ["", None, 3])
def test_wrong_names_raise(name):
    with pytest.raises(RecdInputError, match=r"Subtract\(right=.*expected a name"):
        Subtract("a", name, "c")
