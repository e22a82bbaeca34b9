"""What becomes of nulls, types and transforms when a decoded stripe is made ready for batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.constants import Limits
from recd_format.errors import RecdFormatError, RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.reader.options import ReadOptions
from tests.loader.expansion import assert_rows, check_batch, expand_batch, expected_rows
from tests.loader.logs import File, session_files, write
from tests.loader.preparations import Functions, last, overwritten
from tests.loader.staging import Stripes

NAN = float("nan")


def staged(
    table: dict[str, Any], *, transforms: Any = None, write_options: Any = None, **options: Any
) -> tuple[Stripes, dict[str, list[Any]]]:
    """Rows of a batch of all rows of one file, by feature."""
    rows = len(next(iter(table.values())))
    log = pa.table({"session": [0] * rows, "ts": range(rows), **table})
    stripes = Stripes(
        [write(log, **(write_options or {}))], LoaderOptions(transforms=transforms, **options)
    )
    batch = stripes.batch(stripes.stage())
    check_batch(batch)
    return stripes, {name: each.to_list() for name, each in expand_batch(batch).items()}


NULLS = {
    "list": (pa.array([[1, 2], None, []], pa.list_(pa.int64())), [[1, 2], [], []], {}),
    "small list": (pa.array([[-1], None, [3]], pa.list_(pa.int8())), [[-1], [], [3]], {}),
    "uint64 list": (pa.array([[2**64 - 1], [3], []], pa.list_(pa.uint64())), [[-1], [3], []], {}),
    "uint32 list": (pa.array([[2**32 - 1], [], []], pa.list_(pa.uint32())), [[2**32 - 1], [], []],
                    {}),
    "fixed ids": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), [[1, 2], [], [3, 4]],
                  {}),
    "id": (pa.array([5, None, -6], pa.int16()), [[5], [], [-6]], {}),
    "date": (pa.array([5, None, 6], pa.int32()).cast(pa.date32()), [[5], [], [6]],
             {"kinds": {"x": "id_list"}}),
    "floats": (pa.array([[1.5], None, []], pa.list_(pa.float64())), [[1.5], [], []], {}),
    "halves": (pa.array([[1.5], None, [0.1]], pa.list_(pa.float16())),
               [[1.5], [], [float(np.float16(0.1))]], {}),
    "scored": (pa.array([[(1, 0.5)], None, []], pa.map_(pa.int64(), pa.float64())),
               [[(1, 0.5)], [], []], {}),
    "dense": (pa.array([1.5, None, -0.0], pa.float32()), [[1.5], [NAN], [-0.0]], {}),
    "double": (pa.array([1e300, None, 0.1]), [[np.inf], [NAN], [float(np.float32(0.1))]], {}),
    "bool": (pa.array([True, None, False]), [[1], [NAN], [0]], {}),
    "dense int": (pa.array([2**24 + 1, None, -3]), [[2**24], [NAN], [-3]],
                  {"kinds": {"x": "dense"}}),
    "dense uint64": (pa.array([2**63, None, 0], pa.uint64()), [[2**63], [NAN], [0]],
                     {"kinds": {"x": "dense"}}),
    "vector": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
               [[1, 2], [NAN, NAN], [3, 4]], {}),
    "int vector": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.uint8(), 2)),
                   [[1, 2], [NAN, NAN], [3, 4]], {"kinds": {"x": "dense"}}),
    "label": (pa.array([1, None, 0], pa.int8()), [[1], [NAN], [0]], {"labels": ["x"]}),
    "bool label": (pa.array([True, None, False]), [[1], [NAN], [0]], {"labels": ["x"]}),
    "weight": (pa.array([0.5, None, 0]), [[0.5], [1], [0]], {"sample_weight": "x"}),
    "int weight": (pa.array([2, None, 0]), [[2], [1], [0]], {"sample_weight": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("dedup", ["none", "full", "stripe"])
@pytest.mark.parametrize("name", NULLS)
def test_nulls_and_types(name: str, dedup: str) -> None:
    column, expected, options = NULLS[name]
    stripes, found = staged({"x": column}, write_options={"dedup": dedup, **options})
    np.testing.assert_equal(found, {"x": expected})
    width = len(expected[0]) if stripes.columns.schema.features[0].role >= Role.DENSE else 0
    assert stripes.columns.schema.features[0].width == width


def test_columns_without_nulls_where_others_have_some() -> None:
    # A stripe whose rows are never null says nothing of nulls.
    ids = pa.array([1] * 20 + [None] * 20)
    x = pa.array([1.0] * 20 + [None] * 20)
    table = pa.table({"session": [0] * 20 + [1] * 20, "ts": range(40), "ids": ids, "x": x})
    stripes = Stripes([write(table, stripe_rows=20)], LoaderOptions())
    batch = stripes.batch(stripes.stage(0, 1), stripes.stage(0, 0))
    check_batch(batch)
    rows = {name: each.to_list() for name, each in expand_batch(batch).items()}
    np.testing.assert_equal(rows, {"ids": [[]] * 20 + [[1]] * 20, "x": [[NAN]] * 20 + [[1]] * 20})


def test_a_signaling_nan_is_a_nan() -> None:
    bits = np.array([0x7FF0000000000001] * 3, np.uint64).view(np.float64)
    half = np.array([0x7C01] * 3, np.uint16).view(np.float16)
    _, found = staged({"x": pa.array(bits), "y": pa.array(half), "z": pa.array(bits.tolist())})
    assert np.isnan(list(found.values())).all()


def test_columns_that_a_file_lacks() -> None:
    def table(**columns: Any) -> pa.Table:
        return pa.table({"session": [0, 0, 1], "ts": range(3), "row": range(3), **columns})

    full = table(
        ids=[[1], [2], []], scored=pa.array([[(1, 0.5)]] * 3, pa.map_(pa.int64(), pa.float32())),
        floats=[[0.5]] * 3, x=[0.5] * 3, v=pa.array([[1, 2]] * 3, pa.list_(pa.float32(), 2)),
        click=[1, 0, 1], w=[0.5] * 3,
    )  # fmt: skip
    options = {"labels": ["click"], "sample_weight": "w"}
    stripes = Stripes([write(full, **options), write(table())], LoaderOptions())
    batch = stripes.batch(stripes.stage(1), stripes.stage(0), stripes.stage(1, 0, 1, 3))
    check_batch(batch)
    lacking: dict[str, Any] = {
        "ids": [], "scored": [], "floats": [], "x": [NAN], "v": [NAN, NAN], "click": [NAN],
        "w": [1.0],
    }  # fmt: skip
    expected = expected_rows(stripes.tables, stripes.columns.schema)
    for name, rows in expand_batch(batch).items():
        assert_rows(expected[name].take([3, 4, 5, 0, 1, 2, 4, 5]), rows, name)
        if name in lacking:
            np.testing.assert_equal(rows.to_list()[:3], [lacking[name]] * 3)


def ids(values: list[int], lengths: list[int] | None = None, **more: Any) -> UniqueRows:
    return UniqueRows(
        np.array(values, np.int64), None if lengths is None else np.array(lengths, np.int32), **more
    )


def gives(rows: UniqueRows) -> Functions:
    return Functions({"x": lambda _: rows})


X = pa.array([[1, 2], [3], []], pa.list_(pa.int64()))
UNSOUND: dict[str, tuple[UniqueRows, str]] = {
    "too few": (ids([1], [1]), "has 1 rows after its transforms, 3 expected"),
    "narrow ids": (
        UniqueRows(np.zeros(3, np.int32), np.ones(3, np.int32)),
        "'x', a sparse: .*values int32 \\[3\\].*expected int64 values",
    ),
    "floats": (UniqueRows(np.zeros(3, np.float32), np.ones(3, np.int32)), "expected int64 values"),
    "matrix": (UniqueRows(np.zeros((3, 1), np.int64), np.ones(3, np.int32)), "int64 values"),
    "strided": (ids([1, 2, 3, 4, 5, 6], [1, 1, 1]), "contiguous"),
    "long lengths": (
        UniqueRows(np.zeros(3, np.int64), np.ones(3, np.int64)),  # type: ignore[arg-type]
        "int32 lengths",
    ),
    "negative": (ids([1, 2], [-1, 2, 1]), "int32 lengths of at least 0"),
    "more": (ids([1, 2], [1, 2, 1]), "expected 4 values"),
    "less": (ids([1, 2, 3], [1, 0, 1]), "expected 2 values"),
    "beyond": (ids([1, 2], [1, 2, 1], starts=np.array([0, 1, 0], np.int32)), "windows within 2"),
    "before": (ids([1, 2], [1, 2, 1], starts=np.array([0, -1, 0], np.int32)), "windows within 2"),
    "few starts": (
        ids([1, 2], [1, 1, 0], starts=np.array([0, 1], np.int32)),
        "an int32 start for each length",
    ),
    "weights": (ids([1, 2], [1, 1, 0], weights=np.zeros(2, np.float32)), "no weights"),
    "ragged": (ids([1, 2, 3, 4], width=3), "3 values a row"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_transforms_that_give_what_kernels_cannot_read(name: str) -> None:
    rows, message = UNSOUND[name]
    if name == "strided":
        rows = replace(rows, values=rows.values[::2])
    with pytest.raises(RecdInputError, match=message):
        staged({"x": X}, transforms=gives(rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (UniqueRows(np.zeros(3, np.float64)), "'x', a dense.*values float64.*float32 values"),
        (UniqueRows(np.zeros(6, np.float32), width=2), "1 values a row"),
        (UniqueRows(np.zeros(3, np.float32), np.ones(3, np.int32)), "no lengths"),
    ],
)
def test_dense_transforms_that_give_what_kernels_cannot_read(
    rows: UniqueRows, message: str
) -> None:
    with pytest.raises(RecdInputError, match=message):
        staged({"x": pa.array([0.5, 1.5, 2.5])}, transforms=gives(rows))


def test_weights_that_are_missing() -> None:
    x = pa.array([[(1, 0.5)]] * 3, pa.map_(pa.int64(), pa.float32()))
    with pytest.raises(RecdInputError, match="a float32 weight for each value"):
        staged({"x": x}, transforms=gives(ids([1, 2, 3], [1, 1, 1])))


def test_what_transforms_may_give() -> None:
    for rows, expected in (
        (ids([1, 2, 3]), [[1], [2], [3]]),
        (ids([1, 2, 3, 4, 5, 6], width=2), [[1, 2], [3, 4], [5, 6]]),
        (ids([], [0, 0, 0]), [[], [], []]),
        # No windows in the file: rows are written out. Empty ones may stand anywhere.
        (ids([1, 2], [2, 1, 0], starts=np.array([0, 1, 99], np.int32)), [[1, 2], [2], []]),
    ):
        _, found = staged({"x": X}, transforms=gives(rows))
        assert found == {"x": expected}


def test_floats_become_ids_and_ids_floats() -> None:
    def to_ids(rows: UniqueRows) -> UniqueRows:
        values = np.where(np.isnan(rows.values), -1, rows.values).astype(np.int64)
        return replace(rows, values=values)

    transforms = Functions({"x": to_ids, "y": to_ids}, to={"x": Role.SPARSE, "y": Role.SPARSE})
    columns = {"x": pa.array([0.5, 1.5, None]), "y": pa.array([[2.5], [], None]),
               "z": pa.array([[7], [8], None])}  # fmt: skip
    stripes, found = staged(columns, transforms=transforms)
    assert found == {"x": [[0], [1], [-1]], "y": [[2], [], []], "z": [[7], [8], []]}
    assert {feature.role for feature in stripes.columns.schema.features} == {Role.SPARSE}
    assert list(found) == ["x", "y", "z"]


def test_row_outputs() -> None:
    seen = {}

    def subtract(inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        seen.update(inputs)
        difference = inputs["a"].values - inputs["ts"].values
        return UniqueRows(difference.astype(np.float32))

    transforms = Functions(outputs={"age": (("a", "ts"), subtract)})
    columns = {"a": pa.array([2**53 + 1, 9, 9]), "x": pa.array([[1], [1], [2]])}
    stripes, found = staged(
        columns, transforms=transforms, columns=["x"], write_options={"dedup": "full"}
    )
    assert found == {"x": [[1], [1], [2]], "age": [[2.0**53], [8], [7]]}
    assert seen["a"].values.tolist() == [2**53 + 1, 9, 9]
    assert stripes.columns.schema.features[-1].name == "age"


def test_row_outputs_of_part_of_a_stripe() -> None:
    transforms = Functions(
        outputs={
            "of": (
                ("key", "n", "f", "session"),
                lambda inputs: UniqueRows(
                    np.concatenate([rows.values for rows in inputs.values()])[-4:].astype("f4")
                ),
            )
        }
    )
    table = pa.table({
        "session": [3] * 3 + [4] * 5, "ts": range(8), "key": [5] * 8, "n": range(8),
        "f": np.arange(8, dtype=np.float16),
    })  # fmt: skip
    stripes = Stripes([write(table)], LoaderOptions(columns=[], transforms=transforms))
    batch = stripes.batch(stripes.stage(0, 0, 1, 5))
    check_batch(batch)
    assert expand_batch(batch)["of"].to_list() == [[3], [3], [4], [4]]


def test_row_outputs_of_nulls() -> None:
    seen: dict[str, UniqueRows] = {}

    def look(inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        seen.update(inputs)
        return UniqueRows(np.zeros(4, np.float32))

    columns = {
        "i": pa.array([1, None, 3, 1]), "f": pa.array([0.5, None, 1.5, 0.5]),
        "b": pa.array([True, None, False, True]), "l": pa.array([[1], None, [2, 3], [1]]),
    }  # fmt: skip
    for dedup in ("none", "full"):
        staged(
            columns, columns=[], write_options={"dedup": dedup},
            transforms=Functions(outputs={"out": (tuple(columns), look)}),
        )  # fmt: skip
        assert seen["i"].values.tolist() == [1, 3, 1]
        assert seen["i"].lengths is not None
        assert seen["i"].lengths.tolist() == [1, 0, 1, 1]
        np.testing.assert_equal(seen["f"].values, [0.5, np.nan, 1.5, 0.5])
        assert seen["f"].values.dtype == np.float64
        assert seen["b"].lengths is not None
        assert seen["b"].lengths.tolist() == [1, 0, 1, 1]
        assert seen["b"].values.tolist() == [1, 0, 1]
        assert seen["l"].lengths is not None
        assert seen["l"].values.tolist() == [1, 2, 3, 1]
        assert seen["l"].lengths.tolist() == [1, 0, 2, 1]


def test_a_row_output_of_a_column_that_a_file_lacks() -> None:
    transforms = Functions(outputs={"out": (("a",), lambda _: UniqueRows(np.zeros(1, "f4")))})
    tables = [
        pa.table({"session": [0], "ts": [0], "a": [1]}),
        pa.table({"session": [0], "ts": [0]}),
    ]
    stripes = Stripes([write(t) for t in tables], LoaderOptions(transforms=transforms))
    stripes.stage(0)
    with pytest.raises(RecdInputError, match="'out' is computed from 'a', which a file lacks"):
        stripes.stage(1)


def test_a_row_output_is_capped() -> None:
    options = LoaderOptions(
        columns=[],
        transforms=Functions(outputs={"out": (("a",), lambda _: UniqueRows(np.zeros(9, "f4")))}),
        read=ReadOptions(limits=Limits(expanded_values=10)),
    )
    table = pa.table({"session": [0] * 9, "ts": range(9), "a": [[1, 2, 3]] * 9})
    stripes = Stripes([write(table)], options)
    stripes.readers[0].options = options.read
    with pytest.raises(RecdFormatError, match="27 values, limit 10"):
        stripes.stage()


def test_transforms_see_a_group_once() -> None:
    transforms = Functions({"a": lambda rows: rows, "b": lambda rows: rows, "c": lambda rows: rows})
    columns = {"a": [1, 1, 2], "b": [3, 3, 4], "c": [5, 6, 5]}
    staged(columns, transforms=transforms, write_options={"dedup": "full"})
    assert sorted(transforms.calls) == [("a", "b"), ("c",)]


def test_id_bounds() -> None:
    x = pa.array([[1 << 40], [5], []])
    hashed = Functions(
        {"x": lambda rows: replace(rows, values=rows.values % 100)}, bounds={"x": 100}
    )
    _, found = staged({"x": x}, transforms=hashed, id_dtype="int32")
    assert found == {"x": [[(1 << 40) % 100], [5], []]}
    _, found = staged({"x": x}, transforms=replace(hashed, bounds={}), id_dtype="int32")
    assert found == {"x": [[(1 << 40) % 100], [5], []]}
    far = Functions({"x": lambda rows: rows}, bounds={"x": (1 << 40) + 1})
    with pytest.raises(RecdInputError, match="'x' has ids from 5 to 1099511627776.*int32"):
        staged({"x": x}, transforms=far, id_dtype="int32")
    with pytest.raises(RecdInputError, match="'x' has ids from 5 to 1099511627776.*int32"):
        staged({"x": x}, id_dtype="int32")
    _, found = staged({"x": pa.array([[-(1 << 31)], [(1 << 31) - 1], []])}, id_dtype="int32")
    assert found == {"x": [[-(1 << 31)], [(1 << 31) - 1], []]}
    for bad in (-(1 << 31) - 1, 1 << 31):
        with pytest.raises(RecdInputError, match="int32"):
            staged({"x": pa.array([[bad], [1], []])}, id_dtype="int32")


@settings(max_examples=60)
@given(data=st.data(), log=session_files())
def test_transforms_write_into_their_feature_alone(data: st.DataObject, log: File) -> None:
    data_ = log.data()
    plain = Stripes([data_], LoaderOptions())
    names = [feature.name for feature in plain.columns.schema.features]
    touched = data.draw(st.lists(st.sampled_from(names), unique=True))
    meta = data.draw(st.lists(st.sampled_from(names), unique=True))
    transforms = Functions(dict.fromkeys(touched, overwritten))
    stripes = Stripes([data_], LoaderOptions(transforms=transforms, meta=meta))
    untouched = Stripes([data_], LoaderOptions(meta=meta))
    expected = expected_rows(stripes.tables, stripes.columns.schema)
    first = 0
    for stripe, rows in enumerate(stripes.readers[0].stripe_rows.tolist()):
        staged_ = stripes.stage(0, stripe)
        batch = stripes.batch(staged_)
        check_batch(batch)
        for name, found in expand_batch(batch).items():
            own = expected[name].take(range(first, first + rows))
            if name in touched:
                assert (found.values == 7).all()
                assert found.weights is None or (found.weights == 7).all()
                assert found.lengths.tolist() == own.lengths.tolist()
            else:
                assert_rows(own, found, name)
        first += rows
        # What batches carry as it is stays as it is.
        as_stored = untouched.stage(0, stripe).data
        for index in (stripes.readers[0].field_index(name) for name in meta):
            for what in ("values", "weights", "lengths", "starts", "validity"):
                one, other = (
                    getattr(data.fields[index], what) for data in (staged_.data, as_stored)
                )
                assert (one is None) == (other is None)
                assert one is None or one.tobytes() == other.tobytes()


@settings(max_examples=60)
@given(data=st.data(), log=session_files(), count=st.integers(0, 3))
def test_windows_and_rows_are_cut_by_starts_and_lengths(
    data: st.DataObject, log: File, count: int
) -> None:
    plain = Stripes([log.data()], LoaderOptions())
    jagged = [f.name for f in plain.columns.schema.features if f.role <= Role.FLOAT_LIST]
    transforms = Functions({name: last(count) for name in jagged})
    stripes = Stripes([log.data()], LoaderOptions(transforms=transforms))
    expected = expected_rows(stripes.tables, stripes.columns.schema)
    parts = [stripes.stage(0, stripe) for stripe in range(stripes.readers[0].num_stripes)]
    batch = stripes.batch(*data.draw(st.permutations(parts)))
    check_batch(batch)
    batch = stripes.batch(*parts)
    check_batch(batch)
    for name, found in expand_batch(batch).items():
        whole = expected[name].to_list()
        cut = [row[len(row) - min(len(row), count) :] for row in whole]
        np.testing.assert_equal(found.to_list(), cut if name in jagged else whole)
