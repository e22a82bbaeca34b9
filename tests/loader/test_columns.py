"""Columns of many files become one schema of batches, or a clear error."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType
from recd_format.loader.columns import ABSENT, COMPUTED, Columns, resolve_columns
from recd_format.loader.options import Downsample, LoaderOptions
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from tests.loader.preparations import Functions

INT, FLOAT = ValueType.INT64, ValueType.FLOAT32
OF_KIND: dict[Kind, tuple[Shape, ValueType, int, Role]] = {
    Kind.ID_LIST: (Shape.LIST, INT, 0, Role.SPARSE),
    Kind.ID_SCORE_LIST: (Shape.WEIGHTED_LIST, INT, 0, Role.IDSCORE),
    Kind.FLOAT_LIST: (Shape.LIST, FLOAT, 0, Role.FLOAT_LIST),
    Kind.DENSE: (Shape.SCALAR, FLOAT, 1, Role.DENSE),
    Kind.LABEL: (Shape.SCALAR, FLOAT, 1, Role.LABEL),
    Kind.WEIGHT: (Shape.SCALAR, FLOAT, 1, Role.WEIGHT),
}


def column(name: str, kind: Kind, group: int = 0, **changes: Any) -> Field:
    shape, type_, width, _ = OF_KIND.get(kind, (Shape.SCALAR, INT, 1, None))
    values = {"shape": shape, "value_type": type_, "width": width, **changes}
    weight = FLOAT if values["shape"] is Shape.WEIGHTED_LIST else None
    return Field(name, kind, weight_type=weight, group=group, **values)


def schema(*fields: Field, windows: Sequence[int] = ()) -> Schema:
    """A file's schema; a session key stands before the columns."""
    key = Field("session", Kind.SESSION_KEY, Shape.SCALAR, INT, width=1)
    every = (key, *fields)
    count = max((field.group for field in every), default=-1) + 1
    groups = tuple(
        Group(tuple(n for n, f in enumerate(every) if f.group == group), group in windows)
        for group in range(count)
    )
    return Schema(every, groups)


def resolve(*schemas: Schema, **options: Any) -> Columns:
    names = [f"{chr(97 + number)}.recd" for number in range(len(schemas))]
    return resolve_columns(names, schemas, LoaderOptions(**options))


EVERY = schema(
    column("w", Kind.WEIGHT, 0), column("y", Kind.LABEL, 0), column("x", Kind.DENSE, 1),
    column("i", Kind.ID_LIST, 1), column("m", Kind.META, 1), column("f", Kind.FLOAT_LIST, 2),
    column("s", Kind.ID_SCORE_LIST, 2), column("j", Kind.ID_LIST, 2),
    column("v", Kind.DENSE, 2, shape=Shape.FIXED, width=3), column("t", Kind.ORDER_KEY, 0),
    windows=[2],
)  # fmt: skip


def test_features_come_by_role_and_then_as_they_are_named() -> None:
    found = resolve(EVERY).schema
    assert [feature.name for feature in found.features] == ["i", "j", "s", "f", "x", "v", "y", "w"]
    assert [feature.width for feature in found.features] == [0, 0, 0, 0, 1, 3, 1, 1]
    assert {f.name for f in found.features if f.windowed} == {"j", "s", "f"}
    assert found.of_role(Role.SPARSE) == range(2)
    assert found.of_role(Role.DENSE) == range(4, 6)
    assert found.slice_of(Role.WEIGHT) == slice(7, 8)
    names = [{found.features[n].name for n in group} for group in found.groups]
    assert names == [{"i", "x"}, {"j", "s", "f", "v"}, {"y", "w"}]
    assert found.id_bytes == 8
    assert not found.has_factor
    some = resolve(EVERY, columns=["x", "j", "i"], id_dtype="int32").schema
    assert [feature.name for feature in some.features] == ["j", "i", "x"]
    assert some.id_bytes == 4
    assert resolve(EVERY, downsample=Downsample("y", 0.5)).schema.has_factor
    assert resolve(EVERY, columns=[]).schema.features == ()


def test_a_schema_pickles_small() -> None:
    found = resolve(EVERY).schema
    assert found.windowed.any()
    assert len(found.roles) == len(found.group_of_feature)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert list(again.__dict__) == ["features", "groups", "id_bytes", "has_factor"]
    assert np.array_equal(again.roles, found.roles)


def test_where_files_have_them() -> None:
    other = schema(
        column("j", Kind.ID_LIST, 0), column("i", Kind.ID_LIST, 1), column("x", Kind.DENSE, 0)
    )
    found = resolve(EVERY, other, columns=["x", "i", "j", "s"])
    assert [feature.name for feature in found.schema.features] == ["i", "j", "s", "x"]
    assert [field.name for field in found.read] == ["x", "i", "j", "s"]
    assert found.files[0].fields == (3, 4, 8, 7)
    assert found.files[1].fields == (3, 2, 1, ABSENT)
    assert found.files[1].field_of_feature.tolist() == [2, 1, ABSENT, 3]
    # i and x share a group in the first file alone, j and x in the second alone.
    assert len(found.schema.groups) == 4
    assert found.files[1].group_of_group.tolist() == [1, 0, ABSENT, 0]
    # Windows in one file make timelines of all.
    assert [feature.windowed for feature in found.schema.features] == [False, True, True, False]


@settings(max_examples=100)
@given(
    st.integers(1, 8).flatmap(
        lambda columns: st.lists(
            st.lists(st.integers(-1, 3), min_size=columns, max_size=columns), min_size=1, max_size=4
        )
    )
)
def test_groups_are_those_of_all_files(files: list[list[int]]) -> None:
    count = len(files[0])
    # The first file has every column.
    files[0] = [max(group, 0) for group in files[0]]
    schemas = []
    for groups in files:
        present = sorted({group for group in groups if group >= 0})
        schemas.append(
            schema(
                *(
                    column(f"c{n}", Kind.ID_LIST, present.index(group))
                    for n, group in enumerate(groups)
                    if group >= 0
                )
            )
        )
    found = resolve(*schemas)
    signature = [tuple(groups[n] for groups in files) for n in range(count)]
    for n in range(count):
        for m in range(count):
            together = found.schema.features[n].group == found.schema.features[m].group
            assert together == (signature[n] == signature[m])
    for group, members in enumerate(found.schema.groups):
        assert members
        for member in members:
            assert found.schema.features[member].group == group
            for file in found.files:
                assert file.group_of_group[group] == file.groups[member]
    assert sorted(n for members in found.schema.groups for n in members) == list(range(count))


def test_row_outputs_have_a_group_of_their_own() -> None:
    transforms = Functions(
        to={"x": Role.SPARSE},
        outputs={
            "age": (("t", "i"), lambda _: UniqueRows(np.zeros(0, np.float32))),
            "gap": (("t",), lambda _: UniqueRows(np.zeros(0, np.float32))),
        },
    )
    found = resolve(EVERY, EVERY, columns=["x", "y", "i"], transforms=transforms)
    assert [(f.name, f.role) for f in found.schema.features] == [
        ("x", Role.SPARSE), ("i", Role.SPARSE), ("age", Role.DENSE), ("gap", Role.DENSE),
        ("y", Role.LABEL),
    ]  # fmt: skip
    assert [feature.width for feature in found.schema.features] == [0, 0, 1, 1, 1]
    assert [field.name for field in found.read] == ["x", "y", "i", "t"]
    assert found.roles == (Role.DENSE, Role.LABEL, Role.SPARSE, None)
    assert found.schema.groups == ((0, 1), (2, 3), (4,))
    for file in found.files:
        assert file.group_of_group.tolist() == [1, COMPUTED, 0]
        assert file.field_of_feature.tolist() == [3, 4, COMPUTED, COMPUTED, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["ii"]}, "a.recd: there is no column 'ii'; did you mean 'i'?"),
        ({"columns": ["nothing"]}, "no column 'nothing'; there are \\['session', 'w'"),
        ({"meta": ["nothing"]}, "no column 'nothing'"),
        ({"columns": ["m"]}, "column 'm' is a meta, no feature: ask for it with meta=\\['m'\\]"),
        ({"columns": ["t"]}, "column 't' is a order_key, no feature"),
        ({"columns": ["session"]}, "column 'session' is a session_key, no feature"),
    ],
)
def test_columns_that_are_not_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        resolve(EVERY, **options)


def test_inputs_of_transforms_that_are_not_there() -> None:
    transforms = Functions(outputs={"age": (("nothing",), lambda rows: rows["nothing"])})
    with pytest.raises(RecdInputError, match="no column 'nothing'"):
        resolve(EVERY, transforms=transforms)


@pytest.mark.parametrize("kind", [Kind.LABEL, Kind.DENSE, Kind.WEIGHT])
def test_lists_that_are_not_jagged_features(kind: Kind) -> None:
    listed = schema(column("y", kind, shape=Shape.LIST, width=0), column("i", Kind.ID_LIST))
    with pytest.raises(RecdInputError, match=f"'y' is a {kind.name.lower()} and a list.*meta="):
        resolve(listed)
    assert len(resolve(listed, columns=["i"], meta=["y"]).schema.features) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": Kind.LABEL}, "column 'x': kind is dense in a.recd and label in c.recd"),
        ({"shape": Shape.FIXED}, "column 'x': shape is scalar in a.recd and fixed in c.recd"),
        ({"shape": Shape.FIXED, "width": 2}, "column 'x': shape is scalar"),
    ],
)
def test_files_that_do_not_agree(changes: dict[str, Any], message: str) -> None:
    first = schema(column("x", Kind.DENSE), column("i", Kind.ID_LIST))
    lacking = schema(column("i", Kind.ID_LIST))
    kind = changes.pop("kind", Kind.DENSE)
    third = schema(column("i", Kind.ID_LIST), column("x", kind, **changes))
    with pytest.raises(RecdInputError, match=message):
        resolve(first, lacking, third)
    # What nobody reads may differ.
    assert len(resolve(first, lacking, third, columns=["i"]).schema.features) == 1
    assert len(resolve(lacking, first, third).schema.features) == 1


def test_widths_that_do_not_agree() -> None:
    files = [schema(column("v", Kind.DENSE, shape=Shape.FIXED, width=width)) for width in (2, 3)]
    with pytest.raises(RecdInputError, match="column 'v': width is 2 in a.recd and 3 in b.recd"):
        resolve(*files)


def test_types_of_values_may_differ() -> None:
    files = [schema(column("i", Kind.ID_LIST, value_type=t)) for t in (INT, ValueType.UINT8)]
    assert [feature.name for feature in resolve(*files).schema.features] == ["i"]


def test_a_column_of_the_second_file_can_be_asked_for() -> None:
    first, second = schema(column("i", Kind.ID_LIST)), schema(column("j", Kind.ID_LIST))
    assert [f.name for f in resolve(first, second).schema.features] == ["i"]
    found = resolve(first, second, columns=["j", "i"])
    assert [f.name for f in found.schema.features] == ["j", "i"]
    assert found.files[0].fields == (ABSENT, 1)


def test_meta_columns_are_in_every_file() -> None:
    first = schema(column("i", Kind.ID_LIST), column("m", Kind.META))
    second = schema(column("i", Kind.ID_LIST))
    with pytest.raises(RecdInputError, match="b.recd: meta column 'm' is not there"):
        resolve(first, second, meta=["m"])
    assert resolve(first, first, meta=["m", "session"]).meta == ("m", "session")
