"""CrossHash; its vectors are in test_hash_buckets.py, beside the page of `spec/`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.torch.transforms import CrossHash, HashBuckets, Transforms
from tests.torch_plugin.transforms.checks import check_description
from tests.torch_plugin.transforms.plain_hash import BUCKETS, SEEDS, plain_cross
from tests.torch_plugin.transforms.unique_rows import INT64, as_lists, fixed, plain, windowed

NAMES = ("a", "b", "c")


@st.composite
def columns(draw):
    """Three columns of at most one id a row, in all forms."""
    rows = draw(st.integers(0, 8))
    found = {}
    for name in NAMES:
        ids = draw(st.lists(INT64, min_size=rows, max_size=rows))
        form = draw(st.sampled_from(["fixed", "plain", "windowed"]))
        counts = draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
        if form == "fixed":
            found[name] = fixed(ids)
        elif form == "plain":
            lists = [[id_][:n] for id_, n in zip(ids, counts, strict=True)]
            found[name] = plain(lists)
        else:
            found[name] = windowed(ids, [(rows - 1 - u, n) for u, n in enumerate(counts)])
    return found


@given(columns(), BUCKETS, SEEDS)
def test_crosses(inputs, n, seed):
    made = CrossHash(NAMES, n, "x", seed)
    lists = [as_lists(inputs[name]) for name in NAMES]
    expected = [
        [plain_cross([id_ for (id_,) in ids], n, seed)] if all(ids) else []
        for ids in zip(*lists, strict=True)
    ]
    found = made.apply(inputs)
    assert as_lists(found) == expected
    assert found.values.dtype == np.int64
    assert found.starts is None
    assert made.bound() == n


@given(st.lists(INT64), BUCKETS, SEEDS)
def test_a_cross_of_one_column_is_its_hash(ids, n, seed):
    crossed = CrossHash(["a"], n, "x", seed).apply({"a": fixed(ids)}).values
    assert crossed.tolist() == HashBuckets(n, seed).apply("a", fixed(ids)).values.tolist()


def test_inputs_are_not_written_to():
    inputs = {"a": fixed([5]), "b": fixed([6])}
    CrossHash(["a", "b"], 10, "x").apply(inputs)
    assert [rows.values.tolist() for rows in inputs.values()] == [[5], [6]]


def test_description():
    check_description(
        CrossHash(["a", "b"], 10, "x", 1),
        CrossHash(["b", "a"], 10, "x", 1),
        CrossHash(["a", "c"], 10, "x", 1),
        CrossHash(["a", "b"], 11, "x", 1),
        CrossHash(["a", "b"], 10, "y", 1),
        CrossHash(["a", "b"], 10, "x"),
    )


def test_roles():
    made = Transforms(rows=[CrossHash(["a", "b"], 10, "x")])
    assert made.roles({"a": Role.SPARSE}) == {"a": Role.SPARSE, "x": Role.SPARSE}
    with pytest.raises(RecdInputError, match="CrossHash 'x' of 'b': expected id_list, it is dense"):
        made.roles({"a": Role.SPARSE, "b": Role.DENSE})


def test_lists_of_several_ids_raise():
    with pytest.raises(RecdInputError, match="CrossHash 'x': 'b' has 2 values in row 1"):
        CrossHash(["a", "b"], 10, "x").apply({"a": fixed([1, 2]), "b": plain([[1], [2, 3]])})


def test_floats_raise():
    with pytest.raises(RecdInputError, match="'b': expected ids, found float32"):
        CrossHash(["a", "b"], 10, "x").apply({"a": fixed([1]), "b": fixed([1], np.float32)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 10, "x"), "expected a list of names"),
        (("ab", 10, "x"), "expected a list of names"),
        ((["a", 1], 10, "x"), "expected a list of names"),
        ((["a", "a"], 10, "x"), "a name is there twice"),
        ((["a"], 0, "x"), r"CrossHash\(n=0\)"),
        ((["a"], 10, ""), r"CrossHash\(output=''\): expected a name"),
        ((["a"], 10, "x", -1), r"CrossHash\(seed=-1\)"),
    ],
)
def test_wrong_parameters_raise(arguments, message):
    with pytest.raises(RecdInputError, match=message):
        CrossHash(*arguments)
