from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch.transforms import Transforms, Vocabulary
from recd_format.torch.transforms.vocabulary import load_vocabulary, save_vocabulary
from tests.torch_plugin.transforms.checks import (
    ID_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.unique_rows import INT64, fixed, id_rows


def saved(path, ids):
    with open(path, "wb") as file:
        save_vocabulary(file, np.array(ids, np.int64), np.ones(len(ids), np.int64))
    return path


@given(st.data(), st.lists(INT64, max_size=30, unique=True))
def test_known_ids_are_numbered_from_1_and_others_are_0(data, ids):
    elements = st.one_of(INT64, st.sampled_from(ids)) if ids else INT64
    rows = data.draw(id_rows(elements))
    places = {id_: place for place, id_ in enumerate(ids, 1)}
    made = Vocabulary(ids)
    found = check_elementwise(made, rows, lambda id_: places.get(id_, 0))
    assert found.values.max(initial=0) < made.bound_after(None)


@pytest.mark.parametrize("step", [1, 1 << 20, 1 << 32, 1 << 44, -(1 << 50)])
def test_regular_ids_are_found(step):
    ids = np.arange(5000) * step
    found = Vocabulary(ids).apply("f", fixed(np.concatenate([ids, ids + 1]))).values
    known = set(ids.tolist())
    expected = [i + 1 for i in range(5000)]
    expected += [(int(id_) // step + 1) if int(id_) in known else 0 for id_ in ids + 1]
    assert found.tolist() == expected


def test_it_works_in_place():
    check_in_place(Vocabulary([5]), fixed([5, 6]))


def test_an_empty_vocabulary_knows_nobody():
    made = Vocabulary([])
    assert made.apply("f", fixed([0, 1, -1])).values.tolist() == [0, 0, 0]
    assert made.bound_after(None) == 1


def test_negative_ids_are_ids_or_unknown():
    assert Vocabulary([-5]).apply("f", fixed([-5, -6])).values.tolist() == [1, 0]


def test_description_of_ids():
    check_description(Vocabulary([7, 5]), Vocabulary([5, 7]), Vocabulary([7]), Vocabulary([]))


def test_description_of_a_file(tmp_path):
    path = saved(tmp_path / "a.npz", [7, 5])
    made = Vocabulary(path)
    check_description(made, Vocabulary([5, 7]))
    config = Transforms(unique={"f": [made]}).to_config()
    (entry,) = config["unique"][0]["operations"]
    assert entry == {"op": "Vocabulary", "path": str(path), "digest": made.digest}
    assert Transforms.from_config(json.loads(json.dumps(config))).fingerprint == (
        Transforms(unique={"f": [Vocabulary([7, 5])]}).fingerprint
    )


def test_a_file_with_other_ids_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", [7, 5])
    config = Transforms(unique={"f": [Vocabulary(path)]}).to_config()
    saved(path, [7, 6])
    with pytest.raises(RecdInputError, match=r"a\.npz: expected the ids whose digest is"):
        Transforms.from_config(config)


def test_a_pickle_does_not_need_the_file(tmp_path):
    path = saved(tmp_path / "a.npz", [7, 5])
    made = Vocabulary(path)
    made.apply("f", fixed([1]))
    data = pickle.dumps(made)
    path.unlink()
    restored = pickle.loads(data)
    assert restored == made
    assert restored.path == str(path)
    assert restored.apply("f", fixed([5, 7, 6])).values.tolist() == [2, 1, 0]


def test_the_hash_table_is_not_pickled():
    made = Vocabulary(range(1000))
    fresh = len(pickle.dumps(made))
    made.apply("f", fixed([1]))
    assert len(pickle.dumps(made)) == fresh < 9_000


def test_ids_cannot_be_changed():
    ids = np.array([1, 2])
    made = Vocabulary(ids)
    ids[0] = 9
    assert made.ids.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        made.ids[0] = 3
    assert len(made) == 2


def test_roles():
    check_roles(Vocabulary([1]), ID_ROLES)
    assert Vocabulary([1, 2]).bound_after(2) == 3


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 1], "Vocabulary: id 1 is there twice"),
        ([1.5], "expected a list of int64 ids, found float64"),
        ([[1, 2]], "expected a list of int64 ids"),
        ([1 << 64], "expected a list of int64 ids"),
        (np.array([1 << 63], np.uint64), "id 9223372036854775808 is no int64"),
        (["a"], "expected a list of int64 ids"),
        (5, "expected ids or a path, found int"),
    ],
)
def test_wrong_ids_raise(ids, message):
    with pytest.raises(RecdInputError, match=message):
        Vocabulary(ids)


@pytest.mark.parametrize(
    "parameters", [{}, {"digest": "x"}, {"ids": [1], "size": 3}, {"path": "a", "ids": [1]}]
)
def test_wrong_configurations_raise(parameters):
    with pytest.raises(RecdInputError, match="expected path and digest, or ids"):
        Vocabulary.from_parameters(parameters)


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(RecdInputError, match=r"no\.npz: there is no such file"):
        Vocabulary(tmp_path / "no.npz")


def array_file(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def cut_short():
    return array_file(ids=np.arange(100))[:-30]


def one_array():
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        cut_short(),
        one_array(),
        array_file(other=np.arange(3)),
        array_file(ids=np.array([{}], object)),
        array_file(ids=np.array([1.5])),
        array_file(ids=np.array([[1]])),
    ],
)
def test_a_file_that_is_no_vocabulary_raises(tmp_path, data):
    path = tmp_path / "bad.npz"
    path.write_bytes(data)
    with pytest.raises(RecdInputError, match=r"bad\.npz"):
        Vocabulary(path)


def test_counts_are_kept_in_the_file(tmp_path):
    path = tmp_path / "a.npz"
    with open(path, "wb") as file:
        save_vocabulary(file, np.array([4, 2]), np.array([9, 8]))
    ids, counts = load_vocabulary(path)
    assert (ids.tolist(), counts.tolist()) == ([4, 2], [9, 8])
