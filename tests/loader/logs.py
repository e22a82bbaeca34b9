"""Session logs of every kind of column, as files whose dedup is forced, for tests of the loader.

Structure is drawn (which columns, which dedup, which rows repeat); contents come from a seed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from numpy.typing import NDArray

import recd_format as recd
from recd_format.dedup.plan import GroupPlan, Plan
from recd_format.dedup.reference import Reference

__all__ = ["NARROW", "File", "Spec", "files", "session_files", "write"]

INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
# Those that int32 holds.
NARROW = ["int8", "int16", "int32", "uint8", "uint16"]
# Values of a session's timeline.
TIMELINE = 60
FLOATS = ["float16", "float32", "float64"]
_JAGGED = ("ids", "scored", "floats")
_ROW = "row"


@dataclass(frozen=True)
class Spec:
    """A column of all files; width: values of a dense row."""

    name: str
    what: str  # ids, id, item, price, amount, scored, floats, dense, fixed, label, weight
    width: int = 1


@dataclass(frozen=True)
class File:
    """A log and how it is written.

    Attributes
    ----------
    table : pa.Table
        With a column `row` whose ids are of this row alone among all rows of all files.
    options : dict
        Keyword arguments of `recd_format.write`.
    """

    table: pa.Table
    options: dict[str, Any] = field(default_factory=dict)

    def data(self) -> bytes:
        """The file."""
        return write(self.table, **self.options)


def write(table: pa.Table, **options: Any) -> bytes:
    """A file of a log with columns session and ts."""
    sink = io.BytesIO()
    recd.write(table, sink, **{"session_key": "session", "order_key": "ts", **options})
    return sink.getvalue()


@st.composite
def files(
    draw: st.DrawFn, *, most: int = 3, max_rows: int = 30, ints: Sequence[str] = INTS
) -> list[File]:
    """Some files with the same columns, of which all but the first may lack some.

    ints: types that ids may have.
    """
    specs = draw(_specs())
    found, row = [], 0
    for number in range(draw(st.integers(1, most))):
        present = [s for s in specs if number == 0 or s.name == _ROW or draw(_usually())]
        made = draw(_file(present, row, max_rows, ints))
        found.append(made)
        row += made.table.num_rows
    return found


@st.composite
def session_files(draw: st.DrawFn, *, max_rows: int = 30) -> File:
    """One file."""
    return draw(_file(draw(_specs()), 0, max_rows, INTS))


def _usually() -> st.SearchStrategy[bool]:
    return st.integers(0, 4).map(bool)


@st.composite
def _specs(draw: st.DrawFn) -> list[Spec]:
    choices = [
        "ids", "ids", "id", "item", "price", "amount", "scored", "floats", "dense", "fixed",
        "label",
    ]  # fmt: skip
    specs = [Spec(_ROW, "row")]
    for number, what in enumerate(draw(st.lists(st.sampled_from(choices), min_size=2, max_size=7))):
        width = draw(st.integers(1, 3)) if what == "fixed" else 1
        specs.append(Spec(f"{what}{number}", what, width))
    if draw(st.booleans()):
        specs.append(Spec("w", "weight"))
    return draw(st.permutations(specs))


@dataclass(frozen=True)
class _Shape:
    """Which rows are of which session, and what repeats in them."""

    random: np.random.Generator
    lengths: NDArray[np.int64]
    windows: list[tuple[int, int]]

    @property
    def rows(self) -> int:
        return int(self.lengths.sum())

    def of_session(self, per_session: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(per_session, self.lengths, axis=0)

    def picks(self, how: str, pool: int) -> NDArray[np.int64]:
        """Which of `pool` values each row has."""
        random = self.random
        if how == "constant":
            return np.zeros(self.rows, np.int64)
        if how == "random":
            return random.integers(0, pool, self.rows)
        # One value a session, that changes now and then, and may come back.
        own = self.of_session(random.integers(0, pool, len(self.lengths)))
        changes = random.random(self.rows) < random.choice([0.0, 0.2, 0.6])
        return np.where(changes, random.integers(0, pool, self.rows), own)


@st.composite
def _file(
    draw: st.DrawFn, specs: Sequence[Spec], first_row: int, max_rows: int, ints: Sequence[str]
) -> File:
    lengths = draw(st.lists(st.integers(1, 9), min_size=2, max_size=max(2, max_rows // 4)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = np.array(lengths, np.int64)
    shape = _Shape(random, count, _windows(random, count))
    rows = shape.rows
    columns: dict[str, pa.Array] = {
        "session": _session_keys(draw(st.sampled_from(["int64", "uint64", "string"])), shape),
        "ts": pa.array(np.arange(rows)),
    }
    options: dict[str, Any] = {"labels": [], "kinds": {}}
    windowed: list[str] = []
    references: list[Reference] = []
    for spec in specs:
        _add_column(draw, spec, shape, ints, first_row, columns, options, windowed, references)
    options["stripe_rows"] = draw(st.sampled_from([1000, 7, 2]))
    options["profile"] = draw(st.sampled_from(["gpu", "balanced", "small"]))
    modes = ["auto", "none", "adjacent", "full", "stripe"]
    dedup = draw(st.sampled_from([*modes, *["plan"] * 5]))
    if dedup == "plan":
        options["plan"] = draw(_plan([n for n in columns if n != "session"], windowed, references))
    else:
        options["dedup"] = dedup
    table = pa.table(columns)
    # Files put rows in order by themselves.
    return File(table.take(pa.array(random.permutation(rows))), options)


def _session_keys(type_: str, shape: _Shape) -> pa.Array:
    keys = shape.of_session(np.arange(len(shape.lengths)))
    if type_ == "string":
        return pa.array([f"user-{key}" for key in keys.tolist()])
    if type_ == "uint64":
        return pa.array(np.uint64(2**64 - 1) - keys.astype(np.uint64))
    return pa.array(keys)


def _windows(random: np.random.Generator, lengths: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(start, end) of lists that slide over a timeline; all sliding lists of a file share them."""
    found = []
    for rows in lengths.tolist():
        start, end = 0, int(random.integers(0, 4))
        for _ in range(rows):
            found.append((start, end))
            if random.random() < 0.6:
                end = min(end + int(random.integers(0, 6)), TIMELINE)
                start = max(start, end - 15)
            if random.random() < 0.1:
                start = end
    return found


def _numbers(random: np.random.Generator, type_: str, count: int) -> NDArray[Any]:
    """Values of a type: small ones, extremes, any bits."""
    dtype = np.dtype(type_)
    bits = random.integers(0, 256, count * dtype.itemsize, dtype=np.uint8).view(dtype)
    small = random.integers(0, 6, count).astype(dtype)
    if dtype.kind == "f":
        extremes = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    else:
        extremes = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0], dtype)
    ends = random.choice(extremes, count)
    pick = random.integers(0, 3, count)
    return np.where(pick == 0, small, np.where(pick == 1, ends, bits)).astype(dtype)


def _add_column(
    draw: st.DrawFn,
    spec: Spec,
    shape: _Shape,
    ints: Sequence[str],
    first_row: int,
    columns: dict[str, pa.Array],
    options: dict[str, Any],
    windowed: list[str],
    references: list[Reference],
) -> None:
    random, rows, name = shape.random, shape.rows, spec.name
    if spec.what == "row":
        columns[name] = pa.array(first_row + np.arange(rows))
        return
    nulls = draw(st.sampled_from([0.0, 0.0, 0.3]))
    mask = random.random(rows) < nulls
    how = draw(st.sampled_from(["session", "session", "random", "constant"]))
    if spec.what in _JAGGED:
        how = draw(st.sampled_from(["windows", "few", how, "windows", how]))
        numbers = FLOATS if spec.what == "floats" else ints
        type_ = draw(st.sampled_from(numbers))
        weight = draw(st.sampled_from(FLOATS)) if spec.what == "scored" else None
        columns[name] = _lists(shape, type_, weight, how, mask, draw(st.booleans()))
        if how == "windows" and not mask.any():
            windowed.append(name)
    elif spec.what == "id":
        columns[name] = _scalars(shape, draw(st.sampled_from(ints)), how, mask)
    elif spec.what in ("item", "price", "amount"):
        type_ = draw(st.sampled_from(FLOATS if spec.what == "price" else ints))
        if spec.what == "amount":
            options["kinds"][name] = "dense"
        _add_reference(draw, name, type_, shape, mask, columns, references)
    elif spec.what == "fixed":
        type_ = draw(st.sampled_from(FLOATS))
        pool = _numbers(random, type_, 5 * spec.width).reshape(5, spec.width)
        flat = pool[shape.picks(how, 5)].reshape(-1)
        columns[name] = pa.FixedSizeListArray.from_arrays(
            pa.array(flat), spec.width, mask=pa.array(mask)
        )
    else:
        type_ = draw(st.sampled_from(["bool", "int8", "uint64", *FLOATS]))
        columns[name] = _scalars(shape, type_, how, mask)
        if spec.what == "label":
            options["labels"].append(name)
        elif spec.what == "weight":
            options["sample_weight"] = name
        elif type_ in INTS:
            options["kinds"][name] = "dense"


def _scalars(shape: _Shape, type_: str, how: str, mask: NDArray[np.bool_]) -> pa.Array:
    if type_ == "bool":
        return pa.array(shape.picks(how, 2).astype(bool), mask=mask)
    return pa.array(_numbers(shape.random, type_, 5)[shape.picks(how, 5)], mask=mask)


def _lists(
    shape: _Shape, type_: str, weight: str | None, how: str, mask: NDArray[np.bool_], other: bool
) -> pa.Array:
    """Lists, some empty; `other`: maps or large lists."""
    random = shape.random
    if how == "few":
        # Rows that all differ, of few different values: worth a dictionary.
        pool = _numbers(random, type_, 6)
        lengths = random.integers(16, 24, shape.rows)
        starts = np.cumsum(lengths) - lengths
        values = random.choice(pool, int(lengths.sum()))
    elif how == "windows":
        # A timeline for each session.
        sessions = len(shape.lengths)
        own = shape.of_session(np.arange(sessions)) * TIMELINE
        values = _numbers(random, type_, TIMELINE * sessions)
        if random.random() < 0.5:
            values = random.choice(values[:6], TIMELINE * sessions)
        bounds = np.array(shape.windows).reshape(-1, 2)
        starts, lengths = own + bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    else:
        sizes = random.integers(0, 5, 6)
        values = _numbers(random, type_, int(sizes.sum()))
        pick = shape.picks(how, 6)
        starts, lengths = (np.cumsum(sizes) - sizes)[pick], sizes[pick]
    lengths = np.where(mask, 0, lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    index = np.repeat(starts - offsets[:-1], lengths) + np.arange(int(offsets[-1]))
    flat = pa.array(values[index])
    if weight is None:
        make = pa.LargeListArray if other else pa.ListArray
        at = offsets.astype(np.int64 if other else np.int32)
        return make.from_arrays(pa.array(at), flat, mask=pa.array(mask))
    scores = pa.array(_numbers(random, weight, len(values))[index])
    at = pa.array(offsets.astype(np.int32))
    if other:
        type__ = pa.map_(flat.type, scores.type)
        holes = pa.array(np.append(np.where(mask, 0, offsets[:-1]), offsets[-1]).astype(np.int32),
                         mask=np.append(mask, False))  # fmt: skip
        return pa.MapArray.from_arrays(holes, flat, scores, type__)
    pairs = pa.StructArray.from_arrays([flat, scores], ["id", "weight"])
    return pa.ListArray.from_arrays(at, pairs, mask=pa.array(mask))


def _add_reference(
    draw: st.DrawFn,
    name: str,
    type_: str,
    shape: _Shape,
    mask: NDArray[np.bool_],
    columns: dict[str, pa.Array],
    references: list[Reference],
) -> None:
    """A scalar that is an element of a list of its row."""
    random, rows = shape.random, shape.rows
    lengths = shape.of_session(random.integers(1, 5, len(shape.lengths)))
    pools = _numbers(random, type_, 5 * len(shape.lengths)).reshape(-1, 5)
    session = shape.of_session(np.arange(len(shape.lengths)))
    lists = [pools[s, :n] for s, n in zip(session.tolist(), lengths.tolist(), strict=True)]
    slots = (random.random(rows) * lengths).astype(np.int64)
    item = np.array([row[slot] for row, slot in zip(lists, slots.tolist(), strict=True)], type_)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns[f"{name}_list"] = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(np.concatenate(lists).astype(type_))
    )
    base = draw(st.integers(0, 1))
    if draw(st.booleans()):
        columns[f"{name}_slot"] = pa.array(slots + base, pa.int32())
        index: str | None = f"{name}_slot"
    else:
        index, base = None, 0
    columns[name] = pa.array(item, mask=mask)
    references.append(Reference(name, f"{name}_list", index, base))


@st.composite
def _plan(
    draw: st.DrawFn, names: list[str], windowed: list[str], references: list[Reference]
) -> Plan:
    """Any columns share any groups, in any mode that the writer takes."""
    referring = [reference.field for reference in references]
    windows = [name for name in windowed if draw(_usually())]
    buckets: dict[Any, list[str]] = {}
    for name in names:
        if name in referring:
            buckets.setdefault("referring", []).append(name)
        elif name in windows:
            buckets.setdefault("windows", []).append(name)
        else:
            buckets.setdefault(draw(st.integers(0, 3)), []).append(name)
    groups = []
    for key, members in buckets.items():
        mode = {"referring": "none", "windows": "window"}.get(key)
        if mode is None:
            mode = draw(st.sampled_from(["none", "adjacent", "session", "session", "stripe"]))
        groups.append(GroupPlan(tuple(members), mode))
    return Plan(tuple(groups), tuple(references))
