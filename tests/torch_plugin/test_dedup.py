from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from recd_format.errors import RecdInputError  # noqa: E402
from recd_format.torch import InverseKeyedJaggedTensor  # noqa: E402
from tests.torch_plugin.jagged_model import Model, assert_means, flat, models  # noqa: E402


def from_jagged(model: Model, grouped: bool = True) -> InverseKeyedJaggedTensor:
    """Write a model's rows out by hand, and let `from_jagged` find the duplicates."""
    rows = [row for key in model.keys for row in model.rows(key)]
    weights = [w for key in model.keys for w in model.row_weights(key)] if model.weighted else None
    return InverseKeyedJaggedTensor.from_jagged(
        model.keys,
        torch.tensor(flat(rows), dtype=model.dtype),
        torch.tensor([len(row) for row in rows], dtype=torch.int32),
        None if weights is None else torch.tensor(flat(weights), dtype=torch.float32),
        model.groups if grouped else None,
        model.stride,
    )


def _expected(rows: list[Any]) -> tuple[list[Any], list[int]]:
    """Distinct rows in order of first appearance, and which each row is."""
    seen: dict[Any, int] = {}
    inverse = [seen.setdefault(row, len(seen)) for row in rows]
    return list(seen), inverse


def _bits(model: Model, key: str, b: int) -> tuple[Any, ...]:
    """A row as something to compare: -0.0 is not 0.0."""
    row = [struct.pack("d", v) if isinstance(v, float) else v for v in model.rows(key)[b]]
    weights = model.row_weights(key)[b] if model.weighted else []
    return (tuple(row), tuple(struct.pack("d", w) for w in weights))


@given(models(windows=False))
def test_expanded_it_is_what_was_given(model: Model) -> None:
    assert_means(from_jagged(model), model)


@given(models(windows=False, most_rows=12))
def test_unique_rows_are_distinct_and_in_order_of_first_appearance(model: Model) -> None:
    ikjt = from_jagged(model)
    for number, group in enumerate(model.groups):
        rows = [tuple(_bits(model, key, b) for key in group) for b in range(model.stride)]
        distinct, inverse = _expected(rows)
        assert ikjt.inverse_lookup(number).tolist() == inverse
        assert ikjt.num_unique(number) == len(distinct)
        assert ikjt.is_identity(number) == (len(distinct) == model.stride)
        assert ikjt._parts.monotone[number] == (sorted(inverse) == inverse)
        first = [inverse.index(u) for u in range(len(distinct))]
        for key in group:
            assert ikjt[key].values().tolist() == flat([model.rows(key)[b] for b in first])


@given(models(windows=False))
def test_without_groups_each_key_is_deduplicated_by_itself(model: Model) -> None:
    ikjt = from_jagged(model, grouped=False)
    assert ikjt.groups == tuple((key,) for key in model.keys)
    for key in model.keys:
        distinct, inverse = _expected([_bits(model, key, b) for b in range(model.stride)])
        assert ikjt.inverse_lookup(key).tolist() == inverse
        assert ikjt.num_unique(key) == len(distinct)
    assert ikjt.expand().values().tolist() == from_jagged(model).expand().values().tolist()


@given(models())
def test_it_finds_what_a_reader_knew(model: Model) -> None:
    ikjt = model.ikjt()
    jagged = ikjt.expand()
    again = InverseKeyedJaggedTensor.from_jagged(
        jagged.keys(), jagged.values(), jagged.lengths(), jagged.weights_or_none(), ikjt.groups
    )
    assert torch.equal(again.expand().values(), jagged.values())
    for number in range(len(ikjt.groups)):
        assert again.num_unique(number) <= ikjt.num_unique(number)


def test_equality_is_of_bits() -> None:
    values = torch.tensor([0.0, -0.0, float("nan"), float("nan"), 0.0])
    ikjt = InverseKeyedJaggedTensor.from_jagged(["a"], values, torch.ones(5, dtype=torch.int64))
    assert ikjt.inverse_lookup(0).tolist() == [0, 1, 2, 2, 0]
    weighted = InverseKeyedJaggedTensor.from_jagged(
        ["a"], torch.zeros(5, dtype=torch.int64), torch.ones(5, dtype=torch.int64), values
    )
    assert weighted.inverse_lookup(0).tolist() == [0, 1, 2, 2, 0]


def test_neighbouring_rows_with_the_same_bytes_are_told_apart_by_their_lengths() -> None:
    # [7, 7] [7] [7, 7, 7] [] [7]: all are the same bytes, cut differently.
    ikjt = InverseKeyedJaggedTensor.from_jagged(
        ["a"], torch.full((7,), 7), torch.tensor([2, 1, 3, 0, 1])
    )
    assert ikjt.inverse_lookup(0).tolist() == [0, 1, 2, 3, 1]
    grouped = InverseKeyedJaggedTensor.from_jagged(
        ["a", "b"], torch.full((6,), 7), torch.tensor([1, 2, 2, 1]), groups=[["b", "a"]]
    )
    assert grouped.num_unique(0) == 2


@given(st.integers(1, 40), st.integers(0, 5))
def test_many_rows_that_share_hash_slots(distinct: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, distinct, 500)
    ikjt = InverseKeyedJaggedTensor.from_jagged(
        ["a", "b"],
        torch.from_numpy(np.concatenate([rows, rows // 2])),
        torch.ones(1_000, dtype=torch.int32),
    )
    for number, expected in enumerate((rows, rows // 2)):
        unique, inverse = _expected(expected.tolist())
        assert ikjt.inverse_lookup(number).tolist() == inverse
        assert ikjt[ikjt.keys()[number]].values().tolist() == unique


def test_what_is_given_stays_as_it_was() -> None:
    values, lengths = torch.tensor([5, 5, 6]), torch.tensor([1, 1, 1], dtype=torch.int32)
    ikjt = InverseKeyedJaggedTensor.from_jagged(["a"], values, lengths)
    values[:] = 0
    lengths[:] = 0
    assert ikjt.expand().values().tolist() == [5, 5, 6]
    # Strided tensors are taken too.
    every_other = torch.tensor([5, 0, 5, 0])[::2]
    strided = InverseKeyedJaggedTensor.from_jagged(["a"], every_other, torch.ones(2).long())
    assert strided.num_unique(0) == 1


def test_what_does_not_fit_together_is_told() -> None:
    make = InverseKeyedJaggedTensor.from_jagged
    two, ones = torch.tensor([5, 6]), torch.tensor([1, 1])
    for arguments, message in [
        ((["a"], two, ones, None, [["b"]]), "groups: 'b' is none of the keys"),
        ((["a", "b", "c"], two, ones), "lengths: expected as many for each of 3 keys, found 2"),
        ((["a", "b"], two, ones, None, None, 2), "lengths: expected 2 keys x 2 rows = 4, found 2"),
        ((["a"], two, ones, two), "weights: expected torch.float32, found torch.int64"),
        ((["a"], two.short(), ones), "values: expected torch.int64 or torch.int32"),
        ((["a"], two, -ones), "lengths: expected 0 or more"),
    ]:
        with pytest.raises(RecdInputError, match=message):
            make(*arguments)
