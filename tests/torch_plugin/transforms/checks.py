"""What holds of every operation on unique rows."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms import Transforms
from recd_format.torch.transforms.base import Operation, RowOperation, UniqueOperation
from tests.torch_plugin.transforms.unique_rows import as_lists, copied


def same(found: list[list[Any]], expected: list[list[Any]]) -> bool:
    """Equal, and NaN where NaN is."""
    return len(found) == len(expected) and all(
        np.array_equal(np.array(a, float), np.array(b, float), equal_nan=True)
        if any(isinstance(x, float) for x in [*a, *b])
        else a == b
        for a, b in zip(found, expected, strict=True)
    )


def check_elementwise(
    operation: UniqueOperation, rows: UniqueRows, oracle: Callable[[Any], Any]
) -> UniqueRows:
    """Each value of each row is what `oracle` makes of it; all else is the same object."""
    before = copied(rows)
    found = operation.apply("feature", rows)
    expected = [[oracle(value) for value in row] for row in as_lists(before)]
    assert same(as_lists(found), expected)
    assert found.lengths is rows.lengths
    assert found.starts is rows.starts
    assert found.width == rows.width
    assert found.weights is rows.weights
    if rows.weights is not None:
        assert rows.weights.tolist() == before.weights.tolist()
    return found


def check_in_place(operation: UniqueOperation, rows: UniqueRows) -> None:
    assert np.shares_memory(operation.apply("feature", rows).values, rows.values)


def transforms_of(operation: Operation) -> Transforms:
    if isinstance(operation, RowOperation):
        return Transforms(rows=[operation])
    return Transforms(unique={"f": [operation]})


def check_description(operation: Operation, *others: Operation) -> None:
    """It survives configuration and pickle; every one of `others` has another fingerprint."""
    made = transforms_of(operation)
    again = Transforms.from_config(made.to_config())
    assert again == made
    assert again.fingerprint == made.fingerprint
    restored = pickle.loads(pickle.dumps(made))
    assert restored == made
    assert restored.to_config() == made.to_config()
    assert pickle.loads(pickle.dumps(operation)) == operation
    prints = {transforms_of(each).fingerprint for each in (operation, *others)}
    assert len(prints) == 1 + len(others)


def check_roles(operation: UniqueOperation, taken: dict[Role, Role]) -> None:
    """It takes features of the roles of `taken`, and gives each the role there; no others."""
    for role in Role:
        if role in taken:
            assert Transforms(unique={"f": [operation]}).roles({"f": role}) == {"f": taken[role]}
        else:
            with pytest.raises(ValueError, match=f"{operation.name} of 'f': expected "):
                Transforms(unique={"f": [operation]}).roles({"f": role})


ID_ROLES = {Role.SPARSE: Role.SPARSE, Role.IDSCORE: Role.IDSCORE}
FLOAT_ROLES = {Role.FLOAT_LIST: Role.FLOAT_LIST, Role.DENSE: Role.DENSE}
LIST_ROLES = ID_ROLES | {Role.FLOAT_LIST: Role.FLOAT_LIST}
