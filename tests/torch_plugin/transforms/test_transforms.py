"""Transforms as a loader sees them: chains, roles, alignment, row outputs, what goes wrong."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Preparation, Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms import (
    Bucketize,
    Clip,
    CrossHash,
    Fill,
    FirstN,
    HashBuckets,
    LastN,
    Log1p,
    Modulo,
    Normalize,
    Subtract,
    Transforms,
    Vocabulary,
)
from recd_format.torch.transforms.config import OPERATIONS
from tests.torch_plugin.transforms.unique_rows import (
    INT64,
    any_rows,
    as_lists,
    copied,
    fixed,
    float_rows,
    id_rows,
    plain,
    shared,
    windowed,
)

EVERYTHING = Transforms(
    unique={
        ("user", "item"): [LastN(3), HashBuckets(1000, 7)],
        "scores": [Modulo(10)],
        "word": [Vocabulary([5, 6]), Clip(0, 1)],
        "price": [Fill(0), Clip(0), Log1p(), Normalize(1, 2.5)],
        "hour": [Bucketize([6, 12, 18])],
        "hist_item": [FirstN(50)],
        "age": [Clip(0, 100)],
        "cross": [Modulo(3)],
    },
    rows=[Subtract("now", "ts", "age"), CrossHash(["user", "item"], 99, "cross", 3)],
    aligned=[("hist_item", "hist_time")],
)
GIVEN = {
    "user": Role.SPARSE,
    "item": Role.SPARSE,
    "scores": Role.IDSCORE,
    "word": Role.SPARSE,
    "hist_item": Role.SPARSE,
    "hist_time": Role.FLOAT_LIST,
    "price": Role.DENSE,
    "hour": Role.DENSE,
    "label": Role.LABEL,
}
ID_OPS = st.one_of(
    st.integers(1, 5).map(FirstN),
    st.integers(1, 5).map(LastN),
    st.builds(HashBuckets, st.integers(1, 50), st.integers(0, 2)),
    st.builds(Clip, st.integers(0, 5), st.integers(5, 50)),
    st.lists(st.integers(0, 9), unique=True).map(Vocabulary),
)
FLOAT_OPS = st.one_of(
    st.integers(1, 5).map(FirstN),
    st.builds(Fill, st.integers(0, 3)),
    st.just(Clip(0, 50)),
    st.just(Normalize(1, 2)),
)


def test_it_is_a_preparation() -> None:
    assert isinstance(EVERYTHING, Preparation)
    assert isinstance(Transforms(), Preparation)


def test_importing_it_does_not_import_torch() -> None:
    code = (
        "import sys, recd_format.torch.transforms as t; "
        "print(sorted({'torch', 'numba', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@given(id_rows(), st.lists(ID_OPS, max_size=4))
def test_a_chain_is_one_operation_after_the_other(rows: UniqueRows, chain: list[Any]) -> None:
    step = copied(rows)
    for operation in chain:
        step = operation.apply("f", step)
    given_ = {"f": rows, "other": plain([[1]])}
    found = Transforms(unique={"f": chain}).apply(given_)
    assert list(found) == ["f", "other"]
    assert found["other"] is given_["other"]
    assert as_lists(found["f"]) == as_lists(step)


# `lengths` and `starts` of these strategies are read-only: a write would raise. Kernels are not
# stopped by the flag, only by their signatures, so the contents are compared too.
@given(st.data(), st.booleans())
def test_lengths_and_starts_are_never_written(data: st.DataObject, floats: bool) -> None:
    rows = data.draw(float_rows() if floats else id_rows())
    chain = data.draw(st.lists(FLOAT_OPS if floats else ID_OPS, min_size=1, max_size=4))
    if floats:
        chain.append(Bucketize([0, 1]))
    before = [None if a is None else a.tobytes() for a in (rows.lengths, rows.starts)]
    Transforms(unique={"f": chain}).apply({"f": rows})
    assert [None if a is None else a.tobytes() for a in (rows.lengths, rows.starts)] == before


@given(id_rows(), st.lists(ID_OPS, min_size=1, max_size=5))
def test_the_bound_holds(rows: UniqueRows, chain: list[Any]) -> None:
    made = Transforms(unique={"f": chain})
    bound = made.id_bound("f")
    found = made.apply({"f": rows})["f"]
    if all(isinstance(operation, (FirstN, LastN)) for operation in chain):
        assert bound is None
    else:
        assert bound is not None
        assert all(0 <= id_ < bound for row in as_lists(found) for id_ in row)


@pytest.mark.parametrize(
    ("chain", "bound"),
    [
        ([], None),
        ([FirstN(3)], None),
        ([HashBuckets(100)], 100),
        ([HashBuckets(100), LastN(2)], 100),
        ([HashBuckets(100), Modulo(7)], 7),
        ([HashBuckets(100), Modulo(700)], 100),
        ([Modulo(700), HashBuckets(1000)], 1000),
        ([HashBuckets(100), Clip(5, 50)], 51),
        ([HashBuckets(100), Clip(5, 500)], 100),
        ([HashBuckets(3), Clip(5, 500)], 6),
        ([Clip(5)], None),
        ([Clip(5, 9)], 10),
        ([HashBuckets(100), Vocabulary([1, 2])], 3),
        ([Vocabulary(range(9)), Modulo(5)], 5),
        ([Fill(0), Bucketize([1, 2])], 4),
        ([Bucketize([1, 2]), Modulo(3)], 3),
        ([Bucketize([1, 2]), Vocabulary([0])], 2),
    ],
)
def test_bounds_of_chains(chain: list[Any], bound: int | None) -> None:
    assert Transforms(unique={"f": chain}).id_bound("f") == bound


def test_bounds_of_others() -> None:
    assert EVERYTHING.id_bound("cross") == 3
    assert EVERYTHING.id_bound("label") is None
    assert Transforms(rows=[CrossHash(["a"], 9, "x")]).id_bound("x") == 9


# --- roles ---------------------------------------------------------------------------------------


def test_roles() -> None:
    found = EVERYTHING.roles(GIVEN)
    expected = {**GIVEN, "hour": Role.SPARSE, "age": Role.DENSE, "cross": Role.SPARSE}
    assert found == expected
    assert list(found) == list(expected)
    assert Transforms().roles(GIVEN) == GIVEN


def test_a_chain_may_change_the_role_on_its_way() -> None:
    made = Transforms(unique={"hour": [Bucketize([6]), HashBuckets(5)]})
    assert made.roles(GIVEN)["hour"] == Role.SPARSE
    with pytest.raises(RecdInputError, match="Log1p of 'hour': expected float_list or dense, it i"):
        Transforms(unique={"hour": [Bucketize([6]), Log1p()]}).roles(GIVEN)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Transforms({"usr": [FirstN(2)]}), "no feature 'usr'; did you mean 'user'\\?$"),
        (Transforms({"zzz": [FirstN(2)]}), "the batch has no feature 'zzz'$"),
        (Transforms(aligned=[("hist_item", "hist_tme")]), "did you mean 'hist_time'"),
        (Transforms(aligned=[("hist_item", "price")]), "'price': expected a list, it is dense"),
        (
            Transforms({"price": [HashBuckets(3)]}),
            "HashBuckets of 'price': expected id_list or id_score_list, it is dense",
        ),
        (Transforms({"user": [Fill(3)]}), "Fill of 'user': expected float_list or dense, it is id"),
        (Transforms({"label": [Clip(0, 1)]}), "it is label$"),
        (Transforms({"price": [FirstN(1)]}), "FirstN of 'price'"),
        (Transforms(rows=[Subtract("a", "b", "user")]), "output 'user' is a column already"),
        (Transforms(rows=[Subtract("scores", "b", "x")]), "it is id_score_list"),
    ],
)
def test_names_and_roles_are_checked(made: Transforms, message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        made.roles(GIVEN)


# --- aligned -------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["hist_item", "hist_time"])
@pytest.mark.parametrize("cut", [FirstN(2), LastN(2)])
def test_a_cut_of_one_cuts_all(named: str, cut: Any) -> None:
    made = Transforms(unique={named: [cut]}, aligned=[("hist_item", "hist_time", "hist_shop")])
    lengths, starts = shared([3, 1, 2]), shared([0, 3, 1])
    for begin in (None, starts):
        rows = {
            name: UniqueRows(np.arange(6) + 10 * i, lengths, begin)
            for i, name in enumerate(("hist_item", "hist_time", "hist_shop"))
        }
        found = made.apply(rows)
        part = slice(0, 2) if isinstance(cut, FirstN) else slice(-2, None)
        for i, name in enumerate(rows):
            lists = [[0, 1, 2], [3], [4, 5]] if begin is None else [[0, 1, 2], [3], [1, 2]]
            assert as_lists(found[name]) == [[x + 10 * i for x in row[part]] for row in lists]


def test_a_cut_stands_before_what_else_is_done() -> None:
    made = Transforms(
        unique={"a": [FirstN(1)], "b": [Modulo(5)], "c": [Modulo(6), FirstN(1)]},
        aligned=[("a", "b", "c")],
    )
    # Modulo takes no negative id; the cut has taken it away before.
    found = made.apply({"a": plain([[1, 2]]), "b": plain([[7, -1]]), "c": plain([[8, 2]])})
    assert [as_lists(found[name]) for name in "abc"] == [[[1]], [[2]], [[2]]]


@pytest.mark.parametrize(
    ("first", "second", "row"),
    [
        (plain([[1], [1, 2]]), plain([[1], [1]]), 1),
        (windowed([1, 2], [(0, 2), (0, 1)]), plain([[1], [1]]), 0),
        (fixed([1, 2, 3, 4], width=2), plain([[1, 2], [1]]), 1),
        (fixed([1, 2], width=2), fixed([1], width=1), 0),
    ],
)
def test_lists_that_are_not_equally_long_raise(
    first: UniqueRows, second: UniqueRows, row: int
) -> None:
    made = Transforms(aligned=[("a", "b")])
    with pytest.raises(RecdInputError, match=rf"aligned 'a' and 'b': .* in unique row {row}$"):
        made.apply({"a": first, "b": second})
    # Alone in its group there is nothing to compare with.
    assert made.apply({"b": second}) == {"b": second}


@given(any_rows())
def test_lists_of_equal_lengths_are_aligned(rows: UniqueRows) -> None:
    made = Transforms(aligned=[("a", "b")])
    lists = as_lists(rows)
    assert as_lists(made.apply({"a": rows, "b": plain(lists)})["b"]) == lists


def test_cuts_that_contradict_raise() -> None:
    with pytest.raises(RecdInputError, match="aligned 'a' and 'b' are cut differently"):
        Transforms({"a": [FirstN(2)], "b": [LastN(2)]}, aligned=[("a", "b")])
    Transforms({"a": [FirstN(2)], "b": [Modulo(3), FirstN(2)]}, aligned=[("a", "b")])


# --- rows ----------------------------------------------------------------------------------------


def test_columns_and_outputs() -> None:
    assert EVERYTHING.columns_needed(["user", "price"]) == ("now", "ts", "item")
    assert EVERYTHING.row_outputs() == {"age": ("now", "ts"), "cross": ("user", "item")}
    assert Transforms().columns_needed(["a"]) == ()


@given(st.lists(st.tuples(INT64, INT64), max_size=5))
def test_chains_of_outputs(pairs: list[tuple[int, int]]) -> None:
    inputs = {"now": fixed([a for a, _ in pairs]), "ts": fixed([b for _, b in pairs])}
    age = EVERYTHING.apply_to_rows("age", inputs).values
    expected = np.clip(Subtract("now", "ts", "age").apply(inputs).values, 0, 100)
    np.testing.assert_array_equal(age, expected)
    inputs = {"user": inputs["now"], "item": inputs["ts"]}
    cross = CrossHash(["user", "item"], 99, "cross", 3).apply(inputs).values
    assert EVERYTHING.apply_to_rows("cross", inputs).values.tolist() == (cross % 3).tolist()


# --- construction --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unique": [FirstN(2)]}, "expected a dict of names to operations"),
        ({"unique": {3: []}}, "key 3: expected a name or a tuple of names"),
        ({"unique": {("a", ""): []}}, "expected a name or a tuple of names"),
        ({"unique": {"a": FirstN(2)}}, "expected a list of operations"),
        ({"unique": {"a": ["FirstN"]}}, "'FirstN' is no operation on unique rows"),
        ({"unique": {"a": [Subtract("a", "b", "c")]}}, r"\(it belongs into rows=\)"),
        ({"unique": {"a": [], ("b", "a"): []}}, "'a' is there twice"),
        ({"rows": Subtract("a", "b", "c")}, "expected a list of row operations"),
        ({"rows": [FirstN(2)]}, r"no row operation \(it belongs into unique=\)"),
        ({"rows": [Subtract("a", "b", "c")] * 2}, "output 'c' is there twice"),
        (
            {"rows": [Subtract("a", "b", "c"), Subtract("c", "b", "d")]},
            "Subtract 'd': 'c' is an output itself",
        ),
        ({"aligned": "ab"}, "expected a list of lists of names"),
        ({"aligned": ["ab"]}, "'ab': expected a list of at least two names"),
        ({"aligned": [("a",)]}, "expected a list of at least two names"),
        ({"aligned": [("a", "b"), ("c", "b")]}, "aligned: 'b': expected a name, once"),
        ({"rows": [Subtract("a", "b", "c")], "aligned": [("a", "c")]}, "of no row output"),
    ],
)
def test_wrong_arguments_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        Transforms(**arguments)


def test_it_is_frozen_and_copies_what_it_is_given() -> None:
    chain = [FirstN(2)]
    unique = {"a": chain}
    made = Transforms(unique=unique)
    before = made.fingerprint
    chain.append(FirstN(1))
    unique["b"] = []
    assert made.unique == {"a": (FirstN(2),)}
    assert made.fingerprint == before
    with pytest.raises(FrozenInstanceError):
        made.rows = ()  # type: ignore[misc]


def test_config_is_plain_json_and_leads_back() -> None:
    config = EVERYTHING.to_config()
    again = Transforms.from_config(json.loads(json.dumps(config, allow_nan=False)))
    assert again == EVERYTHING
    assert hash(again) == hash(EVERYTHING)
    assert again.to_config() == config
    assert again.unique == EVERYTHING.unique
    assert again.rows == EVERYTHING.rows
    assert again.aligned == EVERYTHING.aligned
    assert again.roles(GIVEN) == EVERYTHING.roles(GIVEN)


def test_pickles() -> None:
    again = pickle.loads(pickle.dumps(EVERYTHING))
    assert again == EVERYTHING
    rows = {"word": plain([[5, 6, 7]]), "user": plain([[1, 2, 3, 4]])}
    found = again.apply({name: copied(each) for name, each in rows.items()})
    expected = EVERYTHING.apply(rows)
    assert [as_lists(each) for each in found.values()] == [
        as_lists(each) for each in expected.values()
    ]


def test_the_fingerprint_is_of_what_is_done() -> None:
    made = Transforms(unique={("a", "b"): [FirstN(2)], "c": []})
    apart = Transforms(unique={"b": [FirstN(2)], "a": [FirstN(2)]})
    assert made.fingerprint == apart.fingerprint
    assert made == apart
    others = [
        Transforms(),
        Transforms({"a": [FirstN(2)]}),
        Transforms({("a", "c"): [FirstN(2)]}),
        Transforms({("a", "b"): [LastN(2)]}),
        Transforms({("a", "b"): [FirstN(2), Modulo(3)]}),
        Transforms({("a", "b"): [Modulo(3), FirstN(2)]}),
        Transforms({"a": [FirstN(2)]}, aligned=[("a", "b")]),
        Transforms({("a", "b"): [FirstN(2)]}, [Subtract("x", "y", "z")]),
        Transforms({("a", "b"): [FirstN(2)]}, [CrossHash(["x"], 3, "z")]),
    ]
    assert len({each.fingerprint for each in [made, *others]}) == 1 + len(others)
    assert made != "something else"


def test_the_fingerprint_is_the_same_everywhere() -> None:
    code = (
        "from recd_format.torch.transforms import *; "
        "print(Transforms({('a', 'b'): [HashBuckets(9)], 'c': [Log1p()]}).fingerprint)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    (only,) = found
    made = Transforms({("a", "b"): [HashBuckets(9)], "c": [Log1p()]})
    assert only.strip() == made.fingerprint


def test_every_operation_can_be_configured() -> None:
    used = {op["op"] for entry in EVERYTHING.to_config()["unique"] for op in entry["operations"]}
    used |= {op["op"] for op in EVERYTHING.to_config()["rows"]}
    assert used == set(OPERATIONS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "expected a dict"),
        ({}, "expected version 1, found None"),
        ({"version": 2}, "expected version 1, found 2"),
        ({"version": 1, "uniqe": []}, "'uniqe' is not known"),
        ({"version": 1, "unique": {}}, "unique={}: expected a list"),
        ({"version": 1, "unique": [{"features": "a"}]}, "expected features and operations"),
        (
            {"version": 1, "unique": [{"features": 3, "operations": []}]},
            "features=3: expected a list",
        ),
        (
            {"version": 1, "unique": [{"features": "a", "operations": []}] * 2},
            "'a' is there twice",
        ),
        (
            {"version": 1, "unique": [{"features": "a", "operations": [{"n": 1}]}]},
            "expected an operation",
        ),
        ({"version": 1, "rows": [{"op": "os.system"}]}, "no operation 'os.system'; there are"),
        ({"version": 1, "rows": [{"op": "Subtract", "lft": "a"}]}, "Subtract: no parameter 'lft'"),
        ({"version": 1, "rows": [{"op": "Subtract", "left": "a"}]}, "Subtract: .*missing 2"),
        ({"version": 1, "rows": [{"op": "FirstN", "n": 0}]}, r"FirstN\(n=0\)"),
    ],
)
def test_wrong_configs_raise(config: Any, message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        Transforms.from_config(config)
