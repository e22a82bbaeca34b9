from __future__ import annotations

import copy
import pickle
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils import _pytree  # noqa: E402

from recd_format.errors import RecdInputError  # noqa: E402
from recd_format.torch import InverseKeyedJaggedTensor, _jagged  # noqa: E402
from recd_format.torch._core import sorted_rows, sorted_rows_torch  # noqa: E402
from recd_format.torch._jagged import row_sources_torch, take_torch  # noqa: E402
from recd_format.torch._keys import Keys  # noqa: E402
from tests.torch_plugin.jagged_model import (  # noqa: E402
    Model,
    assert_means,
    assert_rows,
    flat,
    models,
)

INT64 = (torch.int64,)


def ints(*values: int) -> Any:
    return torch.tensor(values, dtype=torch.int64)


@given(models())
def test_expand_writes_out_every_row(model: Model) -> None:
    assert_means(model.ikjt(), model)


@given(models())
def test_unique_rows_are_plain_whatever_is_carried(model: Model) -> None:
    ikjt = model.ikjt()
    weighted = model.weighted
    for key in model.keys:
        rows = model.unique_rows(key)
        feature = model.features[key]
        weights = [feature.row_weights(u) for u in range(len(rows))] if weighted else None
        assert_rows(ikjt[key], rows, weights)
        assert ikjt[key].num_unique() == ikjt.num_unique(key) == len(rows)
        assert ikjt[key].stride() == model.stride
    every = [row for key in model.keys for row in model.unique_rows(key)]
    assert ikjt.values().tolist() == flat(every)
    assert ikjt.lengths().tolist() == [len(row) for row in every]
    assert ikjt.offsets().tolist() == np.cumsum([0, *map(len, every)]).tolist()
    assert ikjt.length_per_key() == [len(flat(model.unique_rows(key))) for key in model.keys]


@given(models())
def test_windows_are_the_same_rows_on_a_timeline(model: Model) -> None:
    ikjt = model.ikjt()
    for key in model.keys:
        timeline, start, length = ikjt.windows(key)
        assert start.dtype == length.dtype == torch.int32
        assert timeline.tolist() == model.features[key].pool
        spans = zip(start.tolist(), length.tolist(), strict=True)
        assert [timeline[a : a + n].tolist() for a, n in spans] == model.unique_rows(key)
        weights = ikjt.window_weights(key)
        assert (None if weights is None else weights.tolist()) == model.features[key].weights
        assert all(
            torch.equal(a, b) for a, b in zip(ikjt[key].windows(), ikjt.windows(key), strict=True)
        )


@given(models())
def test_torch_alone_takes_the_same_rows(model: Model) -> None:
    # What runs on devices, run here.
    ikjt = model.ikjt()
    plain = ikjt.values()
    if ikjt._has_windows():
        known = (ikjt._row_bounds(), ikjt._carried_bounds(), ikjt._value_bounds(), ikjt._window())
        sources = row_sources_torch(ikjt.lengths(), ikjt._parts.starts, *known)
        # An empty row may begin anywhere.
        some = ikjt.lengths() > 0
        assert torch.equal(sources[some], ikjt._sources()[some])
        assert sources.dtype == torch.int64
    every = _jagged.Picks.every(ikjt._row_bounds(), ikjt.device)
    written = take_torch(ikjt._rows(), every, total=plain.numel())
    assert torch.equal(written.values, plain)
    assert torch.equal(written.lengths, ikjt.lengths())
    expanded = ikjt.expand()
    for total in (None, expanded.values().numel()):
        found = take_torch(ikjt._rows(), ikjt._picks(np.arange(len(model.keys))), total)
        assert torch.equal(found.values, expanded.values())
        assert torch.equal(found.lengths, expanded.lengths())
        assert found.lengths.dtype == torch.int32
        if model.weighted:
            assert torch.equal(found.weights, expanded.weights())


@given(models())
def test_groups_know_their_inverse(model: Model) -> None:
    ikjt = model.ikjt()
    for number, group in enumerate(model.groups):
        inverse = model.inverse[number]
        lookup = model.lookup(group[0])
        for name in (number, group[-1], group):
            found = ikjt.inverse_lookup(name)
            assert found.tolist() == lookup
            assert found.dtype == torch.int32
            assert ikjt.is_identity(name) == (inverse is None)
            assert ikjt.num_unique(name) == model.unique[number]
            assert ikjt.monotone(name) == (sorted(lookup) == lookup)
        assert torch.equal(ikjt[group[0]].inverse_lookup(), ikjt.inverse_lookup(number))


@given(models())
def test_csr_gives_the_rows_of_each_unique_row(model: Model) -> None:
    ikjt = model.ikjt()
    for number, group in enumerate(model.groups):
        lookup = model.lookup(group[0])
        unique = model.unique[number]
        for offsets, rows in (
            ikjt.csr(number),
            sorted_rows_torch(ikjt.inverse_lookup(number), unique),
        ):
            assert offsets.dtype == rows.dtype == torch.int32
            found = [rows[a:b].tolist() for a, b in pairwise(offsets.tolist())]
            expected = [[b for b in range(model.stride) if lookup[b] == u] for u in range(unique)]
            assert found == expected


def test_csr_and_monotone_that_a_reader_knows_are_taken_as_they_are() -> None:
    carried = torch.tensor([9, 9, 0, 2, 3, 1, 0, 2], dtype=torch.int32)
    ikjt = InverseKeyedJaggedTensor._from_parts(
        Keys.of(["a"]), values=ints(5, 6), lengths=torch.ones(2, dtype=torch.int32),
        inverse=torch.tensor([[1, 0, 1]], dtype=torch.int32), inverse_row=np.array([0]),
        unique=np.array([2]), stride=3, monotone=np.array([True]),
        csr=(carried, np.array([2])),
    )  # fmt: skip
    offsets, rows = ikjt.csr("a")
    assert offsets.tolist() == [0, 2, 3]
    assert rows.tolist() == [1, 0, 2]
    assert ikjt.monotone("a")


@given(st.data(), models())
def test_index_select_keeps_what_is_referred_to(data: st.DataObject, model: Model) -> None:
    ikjt = model.ikjt()
    stride = model.stride
    chosen = data.draw(st.lists(st.integers(0, stride - 1), max_size=9) if stride else st.just([]))
    picked = ikjt.index_select(torch.tensor(chosen, dtype=torch.int64))
    assert picked.stride() == len(chosen)
    assert picked.values().dtype == model.dtype
    for key in model.keys:
        rows = model.rows(key)
        weights = model.row_weights(key) if model.weighted else None
        assert_rows(
            picked.expand()[key],
            [rows[b] for b in chosen],
            None if weights is None else [weights[b] for b in chosen],
        )
        lookup = model.lookup(key)
        kept = list(dict.fromkeys(lookup[b] for b in chosen))
        assert_rows(
            picked[key],
            [model.unique_rows(key)[u] for u in kept],
            None if weights is None else [model.features[key].row_weights(u) for u in kept],
        )
        expected = [kept.index(lookup[b]) for b in chosen]
        assert picked.inverse_lookup(key).tolist() == expected
        assert picked.monotone(key) == (sorted(expected) == expected)
        assert picked.is_identity(key) == (len(kept) == len(chosen))
        if model.features[key].windowed:
            spans = [model.features[key].spans[u] for u in kept]
            covered = sorted({place for span in spans for place in range(*span)})
            pool = model.features[key].pool
            assert picked.windows(key)[0].tolist() == [pool[place] for place in covered]


@given(models())
def test_index_select_takes_windows_apart_where_torch_runs(model: Model) -> None:
    # A device's path: rows are gathered from the timelines, by torch.
    ikjt = model.ikjt()
    picks = _jagged.Picks(
        torch.cat([torch.arange(u, dtype=torch.int32).flip(0) for u in model.unique]),
        *(
            numbers[ikjt._parts.keys.group_of_key]
            for numbers in (np.cumsum(model.unique) - model.unique, np.array(model.unique))
        ),
    )
    taken = take_torch(ikjt._rows(), picks)
    rows = [row for key in model.keys for row in model.unique_rows(key)[::-1]]
    assert taken.values.tolist() == flat(rows)
    assert taken.lengths.tolist() == [len(row) for row in rows]


def test_index_select_takes_any_list_of_numbers() -> None:
    ikjt = InverseKeyedJaggedTensor(["a"], ints(5, 6), ints(1, 1), None, [ints(0, 1, 0)])
    for rows in ([2, 1], (2, 1), np.array([2, 1], np.uint8), torch.tensor([2, 1])):
        assert ikjt.index_select(rows).expand()["a"].values().tolist() == [5, 6]
    assert ikjt.index_select([]).stride() == 0
    for rows, message in [
        ([3], "rows: expected 0 to 2, found 3 to 3"),
        ([-1, 0], "rows: expected 0 to 2, found -1 to 0"),
        ([0.5], "rows: expected row numbers in 1 dimension, found float64"),
        ([[0]], "found int64 of shape \\(1, 1\\)"),
        (torch.tensor([True, False, True]), "found bool"),
    ]:
        with pytest.raises(RecdInputError, match=message):
            ikjt.index_select(rows)


@given(st.data(), models(dtypes=INT64))
def test_concat_is_the_rows_of_both(data: st.DataObject, model: Model) -> None:
    stride = model.stride
    numbers = st.lists(st.integers(0, stride - 1), max_size=5) if stride else st.just([])
    picks = data.draw(st.lists(numbers, min_size=1, max_size=3))
    parts = [model.ikjt().index_select(pick) for pick in picks]
    parts.append(model.without_windows().ikjt() if data.draw(st.booleans()) else model.ikjt())
    joined = InverseKeyedJaggedTensor.concat(parts)
    rows = [b for pick in picks for b in pick] + list(range(stride))
    assert joined.stride() == len(rows)
    expanded = joined.expand()
    for key in model.keys:
        every = model.rows(key)
        weights = model.row_weights(key) if model.weighted else None
        assert_rows(
            expanded[key],
            [every[b] for b in rows],
            None if weights is None else [weights[b] for b in rows],
        )
        assert joined.num_unique(key) == sum(part.num_unique(key) for part in parts)
        lookup = joined.inverse_lookup(key).tolist()
        assert joined.monotone(key) == (sorted(lookup) == lookup)
        assert joined.is_identity(key) == all(part.is_identity(key) for part in parts)


@given(st.data(), models(dtypes=INT64))
def test_concat_keeps_windows(data: st.DataObject, model: Model) -> None:
    joined = InverseKeyedJaggedTensor.concat([model.ikjt(), model.ikjt()])
    for key in model.keys:
        timeline, _, _ = joined.windows(key)
        assert timeline.tolist() == model.features[key].pool * 2
        assert joined[key].values().tolist() == flat(model.unique_rows(key) * 2)


def test_concat_tells_what_differs() -> None:
    one = InverseKeyedJaggedTensor(["a"], ints(5), ints(1))
    assert InverseKeyedJaggedTensor.concat([one]) is one
    other_type = InverseKeyedJaggedTensor(["a"], ints(5).to(torch.int32), ints(1))
    weighted = InverseKeyedJaggedTensor(["a"], ints(5), ints(1), weights=torch.ones(1))
    for others, message in [
        ([], "concat: expected at least one"),
        ([one, InverseKeyedJaggedTensor(["b"], ints(5), ints(1))], "number 1 has other keys"),
        ([one, one, other_type], "value type: expected torch.int64 as the first, found torch.int32"
         " in number 2"),
        ([one, weighted], "weights: expected False as the first, found True in number 1"),
    ]:  # fmt: skip
        with pytest.raises(RecdInputError, match=message):
            InverseKeyedJaggedTensor.concat(others)


def _carries_the_same(a: InverseKeyedJaggedTensor, b: InverseKeyedJaggedTensor) -> None:
    for left, right in zip(a._tensors(), b._tensors(), strict=True):
        assert (left is None) == (right is None)
        assert left is None or (torch.equal(left, right) and left.dtype == right.dtype)


@given(models())
def test_pickled_and_copied_they_are_the_same(model: Model) -> None:
    ikjt = model.ikjt()
    for other in (pickle.loads(pickle.dumps(ikjt)), copy.deepcopy(ikjt), copy.copy(ikjt)):
        _carries_the_same(ikjt, other)
        assert_means(other, model)


def test_a_pickle_does_not_hold_the_buffer_it_is_a_view_of() -> None:
    buffer = torch.zeros(1 << 20, dtype=torch.int64)
    ikjt = InverseKeyedJaggedTensor(["a"], buffer[3:5], ints(1, 1))
    pickled = pickle.dumps(ikjt)
    assert len(pickled) < 10_000
    assert pickle.loads(pickled).values().tolist() == [0, 0]


@given(models())
def test_pytree_leaves_are_the_few_tensors(model: Model) -> None:
    ikjt = model.ikjt()
    leaves, spec = _pytree.tree_flatten({"batch": ikjt})
    assert len(leaves) == len([tensor for tensor in ikjt._tensors() if tensor is not None])
    again = _pytree.tree_unflatten(leaves, spec)["batch"]
    _carries_the_same(ikjt, again)
    assert_means(again, model)
    doubled = _pytree.tree_map(lambda tensor: tensor.clone(), ikjt)
    assert_means(doubled, model)
    assert doubled.values() is not ikjt.values() or not doubled.values().numel()
    assert _pytree.tree_flatten(model.ikjt())[1] == _pytree.tree_flatten(ikjt)[1]


def test_pytrees_of_other_batches_differ() -> None:
    spec = _pytree.tree_flatten(InverseKeyedJaggedTensor(["a"], ints(1, 2), ints(2)))[1]
    for other in (
        InverseKeyedJaggedTensor(["b"], ints(1, 2), ints(2)),
        InverseKeyedJaggedTensor(["a"], ints(1, 2), ints(1, 1)),
    ):
        assert _pytree.tree_flatten(other)[1] != spec


@given(models())
def test_on_the_cpu_already_nothing_moves(model: Model) -> None:
    ikjt = model.ikjt()
    assert ikjt.to("cpu") is ikjt
    assert ikjt.to(torch.device("cpu"), non_blocking=True) is ikjt
    # The CPU has no streams: nothing to record, and no error.
    ikjt.record_stream(None)


def test_it_does_not_change() -> None:
    ikjt = InverseKeyedJaggedTensor(["a"], ints(5), ints(1))
    for name in ("_parts", "groups", "anything"):
        with pytest.raises(AttributeError, match="does not change once made"):
            setattr(ikjt, name, None)
    with pytest.raises(AttributeError, match="does not change once made"):
        del ikjt._parts
    ikjt.keys().append("b")
    assert ikjt.keys() == ["a"]
    with pytest.raises(TypeError):
        iter(ikjt)


def _many(keys: int) -> dict[str, Any]:
    names = [f"f{number}" for number in range(keys)]
    return {
        "keys": Keys.of(names, [names[: keys // 2], names[keys // 2 :]], names[:1]),
        "values": torch.zeros(3 * keys, dtype=torch.int64),
        "lengths": torch.ones(3 * keys, dtype=torch.int32),
        "starts": torch.zeros(3, dtype=torch.int32),
        "inverse": torch.zeros((2, 4), dtype=torch.int32),
        "inverse_row": np.arange(2),
        "unique": np.array([3, 3]),
        "stride": 4,
        "value_counts": np.full(keys, 3),
        "monotone": np.array([True, True]),
    }


class _Watched:
    """Keys that count what is asked of them."""

    def __init__(self, keys: Keys) -> None:
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "real", keys)

    def __getattr__(self, name: str) -> Any:
        object.__getattribute__(self, "asked").append(name)
        return getattr(object.__getattribute__(self, "real"), name)


def _python_calls(function: Any) -> int:
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


def test_making_one_costs_the_same_with_two_thousand_keys() -> None:
    parts = _many(2_000)
    keys = parts.pop("keys")
    watched = _Watched(keys)
    ikjt = InverseKeyedJaggedTensor._from_parts(watched, **parts)  # type: ignore[arg-type]
    assert watched.asked == []
    assert ikjt.values is not None
    few = _many(2)
    few_keys = few.pop("keys")
    make = InverseKeyedJaggedTensor._from_parts
    assert _python_calls(lambda: make(keys, **parts)) == _python_calls(
        lambda: make(few_keys, **few)
    )
    # Nothing of a key is looked at until it is asked for; then keys are shared, not copied.
    assert make(keys, **parts)._memo == {}
    assert make(keys, **parts)._parts.keys is keys


class _OnDevice:
    """Stands for a tensor on a device that is not here."""

    def __init__(self, device: Any = "cuda") -> None:
        self.device = torch.device(device)
        self.streams: list[Any] = []
        self.moves: list[str] = []

    def record_stream(self, stream: Any) -> None:
        self.streams.append(stream)

    def to(self, device: Any, non_blocking: bool = False) -> _OnDevice:
        self.moves.append(f"to {device} {non_blocking}")
        return _OnDevice(device)

    def pin_memory(self) -> _OnDevice:
        self.moves.append("pin")
        return _OnDevice(self.device)


def test_moving_and_recording_touch_the_few_tensors() -> None:
    parts = _many(2_000)
    tensors = {}
    for name in ("values", "lengths", "starts", "inverse"):
        tensors[name] = parts[name] = _OnDevice()
    tensors["weights"] = parts["weights"] = _OnDevice()
    tensors["csr"] = _OnDevice()
    parts["csr"] = (tensors["csr"], np.array([-1, 0]))
    ikjt = InverseKeyedJaggedTensor._from_parts(parts.pop("keys"), **parts)
    # What was computed since is recorded too.
    ikjt._memo["plain"] = (written := _OnDevice(), None)
    ikjt._memo["offsets"] = summed = _OnDevice()
    ikjt._memo["rows"] = np.zeros(3)
    ikjt.record_stream("stream")
    every = [*tensors.values(), written, summed]
    assert [tensor.streams for tensor in every] == [["stream"]] * 8
    moved = ikjt.to("cpu", non_blocking=True)
    assert moved is not ikjt
    pinned = ikjt.pin_memory()
    assert [tensor.moves for tensor in tensors.values()] == [["to cpu True", "pin"]] * 6
    assert pinned._parts.keys is ikjt._parts.keys
    assert [t is not None for t in pinned._tensors()] == [True] * 6


@given(models(windows=False))
def test_the_public_constructor_makes_the_same(model: Model) -> None:
    features = list(model.features.values())
    made = InverseKeyedJaggedTensor(
        model.keys,
        torch.tensor([v for f in features for v in f.pool], dtype=model.dtype),
        torch.tensor([e - b for f in features for b, e in f.spans], dtype=torch.int64),
        model.groups,
        [None if row is None else torch.tensor(row, dtype=torch.int64) for row in model.inverse],
        torch.tensor([w for f in features for w in f.weights or []]) if model.weighted else None,
    )
    # Where all groups but empty batches' are the identity, B follows from the lengths.
    assert_means(made, model)


def test_what_does_not_fit_together_is_told() -> None:
    make = InverseKeyedJaggedTensor
    two = ints(5, 6)
    for arguments, message in [
        (([], two, ints(2)), "keys: expected a list of names, found \\[\\]"),
        (("ab", two, ints(2)), "keys: expected a list of names, found 'ab'"),
        ((["a", "a"], two, ints(1, 1)), "keys: 'a' is there twice"),
        ((["a"], two, ints(2), [["a", "b"]]), "groups: 'b' is none of the keys"),
        ((["a"], two, ints(2), [["a"], ["a"]]), "groups: 'a' is there twice"),
        ((["a"], two, ints(2), [["a"], []]), "groups: group 1 is empty"),
        ((["a", "b"], two, ints(1, 1), [["a"]]), "groups: 'b' is in none"),
        ((["a"], [5, 6], ints(2)), "values: expected a tensor, found list"),
        ((["a"], two.double(), ints(2)), "values: expected torch.int64 or torch.int32 or"),
        ((["a"], two[None], ints(2)), "values: expected 1 dimension, found shape \\(1, 2\\)"),
        ((["a"], two, ints(2).float()), "lengths: expected torch.int64 or torch.int32, found"),
        ((["a"], two, ints(3, -1)), "lengths: expected 0 or more, found -1 to 3"),
        ((["a"], two, ints(3)), "values: lengths add up to 3, found 2 values"),
        ((["a", "b"], two, ints(2)), "lengths: expected as many for each of 2 keys, found 1"),
        ((["a"], two, ints(1, 1), None, []), "inverse_lookup: expected one a group, 1, found 0"),
        ((["a"], two, ints(1, 1), None, [ints(0, -1)]), "numbers of unique rows from 0, found -1"),
        ((["a"], two, ints(1, 1), None, [ints(0, 0)]), "lengths: expected 1, one for each unique"),
        ((["a", "b"], two, ints(1, 1), None, [ints(0, 0), ints(0)]),
         "inverse_lookup of the group of 'b': expected 2 rows, found 1"),
        ((["a"], two, ints(1, 1), None, [two.float()]), "group of 'a': expected torch.int64 or"),
        ((["a"], two, ints(2), None, None, two), "weights: expected torch.float32, found"),
        ((["a"], two, ints(2), None, None, torch.ones(1)), "weights: expected one a value, 2, "),
    ]:  # fmt: skip
        with pytest.raises(RecdInputError, match=message):
            make(*arguments)


def test_names_that_are_not_there_are_told() -> None:
    ikjt = InverseKeyedJaggedTensor(["a", "b"], ints(5, 6), ints(1, 1), [["b", "a"]])
    assert "a" in ikjt
    assert "c" not in ikjt
    assert ikjt.groups == (("b", "a"),)
    for call, message in [
        (lambda: ikjt["c"], "there is no key 'c'; there are a, b"),
        (lambda: ikjt[0], "there is no key 0"),
        (lambda: ikjt.windows("c"), "there is no key 'c'"),
        (lambda: ikjt.inverse_lookup(1), "there is no group 1, of 1"),
        (lambda: ikjt.num_unique(-1), "there is no group -1, of 1"),
        (lambda: ikjt.csr(("a", "b")), "there is no group \\('a', 'b'\\)"),
        (lambda: ikjt.is_identity(()), "there is no group \\(\\)"),
        (lambda: ikjt.weights(), "these features have no weights"),
        (lambda: ikjt["a"].weights(), "key 'a' has no weights"),
        (lambda: ikjt.expand().weights(), "these features have no weights"),
        (lambda: ikjt.expand()["c"], "there is no key 'c'"),
    ]:
        with pytest.raises(RecdInputError, match=message):
            call()


def _parts(**changes: Any) -> dict[str, Any]:
    """Two windowed rows on one timeline, with a part replaced."""
    given = {
        "values": ints(1, 2, 3),
        "lengths": torch.tensor([2, 2], dtype=torch.int32),
        "starts": torch.tensor([0, 1], dtype=torch.int32),
        "inverse": torch.tensor([[0, 1, 0]], dtype=torch.int32),
        "inverse_row": np.array([0]),
        "unique": np.array([2]),
        "stride": 3,
        "value_counts": np.array([3]),
    }
    return {**given, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"inverse": torch.tensor([[0, 2, 0]], dtype=torch.int32)},
        {"inverse": torch.tensor([[0, -1, 0]], dtype=torch.int32)},
        {"starts": torch.tensor([0, 2], dtype=torch.int32)},
        {"starts": torch.tensor([-1, 0], dtype=torch.int32)},
        {"lengths": torch.tensor([2, 3], dtype=torch.int32)},
        {"lengths": torch.tensor([-1, 2], dtype=torch.int32)},
        {"lengths": torch.tensor([2], dtype=torch.int32)},
        {"starts": torch.tensor([0], dtype=torch.int32)},
        {"values": ints(1, 2)},
        {"inverse_row": np.array([1])},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_never_reach_other_memory(changes: dict[str, Any]) -> None:
    ikjt = InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **_parts(**changes))
    with pytest.raises(RecdInputError, match="'a'|expected"):
        ikjt.expand()
    ikjt = InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **_parts(**changes))
    with pytest.raises(RecdInputError, match="'a'|expected"):
        ikjt.index_select([0, 1, 2])


def test_the_parts_of_that_test_fit_unchanged() -> None:
    ikjt = InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **_parts())
    assert ikjt.expand().values().tolist() == [1, 2, 2, 3, 1, 2]
    assert ikjt.index_select([1]).windows("a")[0].tolist() == [2, 3]


def test_sorting_rows_needs_an_inverse_in_range() -> None:
    with pytest.raises(RecdInputError, match="inverse_lookup of group 3: expected 0 to 1"):
        sorted_rows(torch.tensor([0, 2], dtype=torch.int32), 3, 2)


def test_expansion_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    ikjt = InverseKeyedJaggedTensor(["a"], ints(5, 6), ints(2), None, [ints(0, 0, 0)])
    assert ikjt.expand().values().numel() == 6
    monkeypatch.setattr(_jagged, "_MOST_VALUES", 5)
    with pytest.raises(RecdInputError, match="6 values would come out, at most 5"):
        ikjt.expand()
    with pytest.raises(RecdInputError, match="6 values would come out, at most 5"):
        take_torch(ikjt._rows(), ikjt._picks(np.arange(1)))


def test_the_identity_is_not_expanded() -> None:
    ikjt = InverseKeyedJaggedTensor(["a", "b"], ints(5, 6, 7), ints(2, 1))
    expanded = ikjt.expand()
    assert expanded.values() is ikjt.values()
    assert expanded.lengths() is ikjt.lengths()


@given(models())
def test_dedup_factor_compares_values(model: Model) -> None:
    ikjt = model.ikjt()
    every = sum(len(flat(model.rows(key))) for key in model.keys)
    unique = sum(len(flat(model.unique_rows(key))) for key in model.keys)
    if unique:
        assert ikjt.dedup_factor == pytest.approx(every / unique)
    for key in model.keys:
        values = len(flat(model.unique_rows(key)))
        if values:
            expected = len(flat(model.rows(key))) / values
            assert ikjt.dedup_factor_of(key) == pytest.approx(expected)


def test_dedup_factor_without_values_compares_rows() -> None:
    empty = InverseKeyedJaggedTensor(["a"], ints(), ints(0, 0), None, [ints(0, 1, 1, 0)])
    assert empty.dedup_factor == empty.dedup_factor_of("a") == 2.0
    assert InverseKeyedJaggedTensor(["a"], ints(), ints()).dedup_factor == 1.0


def test_gradients_stop_here() -> None:
    weights = torch.tensor([1.0, 2.0], requires_grad=True)
    ikjt = InverseKeyedJaggedTensor(["a"], ints(5, 6), ints(2), None, [ints(0, 0)], weights)
    assert not ikjt.expand().weights().requires_grad
    assert ikjt.weights().requires_grad


def test_repr_is_short_and_says_what_it_is() -> None:
    model = InverseKeyedJaggedTensor(
        [f"f{n}" for n in range(2_000)], torch.zeros(4_000), torch.ones(4_000, dtype=torch.int64),
        weights=torch.zeros(4_000),
    )  # fmt: skip
    assert repr(model) == (
        "InverseKeyedJaggedTensor(2000 keys, 2000 groups, stride=2, 4000 unique rows, 4000 "
        "values, float32, weighted, device='cpu')"
    )
    windowed = InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **_parts())
    assert ", int64, windowed, device=" in repr(windowed)
    assert repr(windowed["a"]) == "InverseJaggedFeature('a', 2 rows)"
    assert repr(windowed.expand()["a"]) == "JaggedFeature('a', 3 rows)"


@pytest.mark.parametrize(("target", "written"), [("cuda:1", ["cuda:1"]), ("cpu", [])])
def test_windows_are_written_out_on_the_device_they_are_sent_to(
    monkeypatch: pytest.MonkeyPatch, target: str, written: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(
        InverseKeyedJaggedTensor, "_plain", lambda ikjt: found.append(str(ikjt.device))
    )
    parts = _parts(plain_counts=np.array([4]))
    parts |= {name: _OnDevice() for name in ("values", "lengths", "starts", "inverse")}
    InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **parts).to(target)
    assert found == written


def test_counts_that_a_device_would_be_asked_for_travel_along() -> None:
    ikjt = InverseKeyedJaggedTensor._from_parts(Keys.of(["a"], None, ["a"]), **_parts())
    moved = ikjt._moved(lambda tensor: tensor.clone())
    assert moved._parts.plain_counts.tolist() == [4]
    leaves, spec = _pytree.tree_flatten(ikjt)
    assert _pytree.tree_unflatten(leaves, spec)._parts.plain_counts.tolist() == [4]
