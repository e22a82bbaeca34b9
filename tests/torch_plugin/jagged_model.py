"""Jagged batches as Python lists, drawn by Hypothesis, and the tensors that hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from recd_format.torch._keys import Keys
from recd_format.torch.ikjt import InverseKeyedJaggedTensor

Row = list[Any]


@dataclass(frozen=True)
class Feature:
    """Unique rows of one key: (begin, end) of its pool of values, overlapping if windowed."""

    pool: list[Any]
    weights: list[float] | None
    spans: list[tuple[int, int]]
    windowed: bool

    def row(self, unique: int) -> Row:
        begin, end = self.spans[unique]
        return self.pool[begin:end]

    def row_weights(self, unique: int) -> list[float]:
        assert self.weights is not None
        begin, end = self.spans[unique]
        return self.weights[begin:end]


@dataclass(frozen=True)
class Model:
    """A batch: `inverse` of each group, None for the identity."""

    stride: int
    groups: tuple[tuple[str, ...], ...]
    inverse: list[list[int] | None]
    unique: list[int]
    features: dict[str, Feature]
    dtype: torch.dtype = torch.int64

    @property
    def keys(self) -> list[str]:
        return list(self.features)

    @property
    def weighted(self) -> bool:
        return any(feature.weights is not None for feature in self.features.values())

    def group_of(self, key: str) -> int:
        return next(number for number, group in enumerate(self.groups) if key in group)

    def lookup(self, key: str) -> list[int]:
        inverse = self.inverse[self.group_of(key)]
        return list(range(self.stride)) if inverse is None else inverse

    def unique_rows(self, key: str) -> list[Row]:
        return [self.features[key].row(u) for u in range(self.unique[self.group_of(key)])]

    def rows(self, key: str) -> list[Row]:
        """Every row of the batch: what the tensors must mean."""
        return [self.features[key].row(u) for u in self.lookup(key)]

    def row_weights(self, key: str) -> list[Row]:
        return [self.features[key].row_weights(u) for u in self.lookup(key)]

    def without_windows(self) -> Model:
        """The same rows, each written out in its pool."""
        return replace(self, features={k: _written_out(f) for k, f in self.features.items()})

    def ikjt(self) -> InverseKeyedJaggedTensor:
        """Build it as a reader does: from parts."""
        features = list(self.features.values())
        windowed = [key for key, feature in self.features.items() if feature.windowed]
        keys = Keys.of(self.keys, self.groups, windowed)
        stored = [row for row in self.inverse if row is not None]
        number, inverse_row = 0, []
        for row in self.inverse:
            inverse_row.append(-1 if row is None else number)
            number += row is not None
        starts = [b for f in features if f.windowed for b, _ in f.spans]
        inverse = torch.tensor(stored, dtype=torch.int32).reshape(len(stored), self.stride)
        return InverseKeyedJaggedTensor._from_parts(
            keys,
            values=torch.tensor([v for f in features for v in f.pool], dtype=self.dtype),
            lengths=torch.tensor([e - b for f in features for b, e in f.spans], dtype=torch.int32),
            starts=torch.tensor(starts, dtype=torch.int32) if windowed else None,
            weights=torch.tensor([w for f in features for w in f.weights or []])
            if self.weighted
            else None,
            inverse=inverse,
            inverse_row=np.array(inverse_row, np.int64),
            unique=np.array(self.unique, np.int64),
            stride=self.stride,
            value_counts=np.array([len(f.pool) for f in features], np.int64),
        )


def _written_out(feature: Feature) -> Feature:
    pool, weights, spans = [], [], []
    for begin, end in feature.spans:
        spans.append((len(pool), len(pool) + end - begin))
        pool += feature.pool[begin:end]
        weights += (feature.weights or [])[begin:end]
    return Feature(pool, None if feature.weights is None else weights, spans, False)


def flat(rows: list[Row]) -> Row:
    return [value for row in rows for value in row]


def assert_rows(jagged: Any, rows: list[Row], weights: list[Row] | None = None) -> None:
    """Check one key: values, lengths, offsets and weights of its rows."""
    lengths = [len(row) for row in rows]
    assert jagged.values().tolist() == flat(rows)
    assert jagged.lengths().tolist() == lengths
    assert jagged.lengths().dtype == torch.int32
    assert jagged.offsets().tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    assert jagged.offsets().dtype == torch.int64
    if weights is None:
        assert jagged.weights_or_none() is None
    else:
        assert jagged.weights().tolist() == flat(weights)


def assert_means(ikjt: InverseKeyedJaggedTensor, model: Model) -> None:
    """Check that the tensors stand for the rows of the model, all keys at once and one by one."""
    expanded = ikjt.expand()
    rows = {key: model.rows(key) for key in model.keys}
    weights = {key: model.row_weights(key) if model.weighted else None for key in model.keys}
    assert expanded.keys() == ikjt.keys() == model.keys
    assert ikjt.groups == model.groups
    assert expanded.stride() == ikjt.stride() == model.stride
    assert expanded.values().dtype == ikjt.values().dtype == model.dtype
    every = [row for key in model.keys for row in rows[key]]
    every_weight = flat([w for key in model.keys for w in weights[key]]) if model.weighted else None
    assert expanded.values().tolist() == flat(every)
    assert expanded.lengths().tolist() == [len(row) for row in every]
    assert expanded.offsets()[-1] == len(flat(every))
    assert (expanded.weights_or_none() is None) == (every_weight is None)
    if every_weight is not None:
        assert expanded.weights().tolist() == every_weight
    for key, jagged in expanded.to_dict().items():
        assert_rows(jagged, rows[key], weights[key])
        assert_rows(ikjt[key].expand(), rows[key], weights[key])


@st.composite
def models(
    draw: st.DrawFn,
    windows: bool = True,
    weighted: bool | None = None,
    dtypes: tuple[torch.dtype, ...] = (torch.int64, torch.int32, torch.float32),
    most_rows: int = 7,
    least_rows: int = 0,
    ids: st.SearchStrategy[Any] | None = None,
) -> Model:
    """Batches with no rows, empty lists, identity groups, overlapping windows, weights."""
    stride = draw(st.integers(least_rows, most_rows))
    names = [f"f{number}" for number in range(draw(st.integers(1, 5)))]
    members = [draw(st.integers(0, len(names) - 1)) for _ in names]
    order = draw(st.permutations(sorted(set(members))))
    groups = tuple(
        tuple(name for name, member in zip(names, members, strict=True) if member == number)
        for number in order
    )
    inverse: list[list[int] | None] = []
    unique = []
    for _ in groups:
        row = draw(lookups(stride))
        inverse.append(row)
        unique.append(stride if row is None else max(row, default=-1) + 1)
    has_weights = draw(st.booleans()) if weighted is None else weighted
    dtype = draw(st.sampled_from(dtypes))
    element = _values(dtype) if ids is None else ids
    features = {}
    for name in names:
        rows = unique[next(n for n, group in enumerate(groups) if name in group)]
        windowed = windows and draw(st.booleans())
        features[name] = draw(_features(rows, has_weights, windowed, element))
    return Model(stride, groups, inverse, unique, features, dtype)


@st.composite
def lookups(draw: st.DrawFn, stride: int) -> list[int] | None:
    """An inverse that names every unique row, mostly in order of first appearance; or None."""
    if draw(st.booleans()) and draw(st.booleans()):
        return None
    raw = draw(st.lists(st.integers(0, 3), min_size=stride, max_size=stride))
    if draw(st.booleans()):
        raw = sorted(raw)
    seen = list(dict.fromkeys(raw))
    if draw(st.booleans()):
        seen = seen[::-1]
    return [seen.index(value) for value in raw]


def _values(dtype: torch.dtype) -> st.SearchStrategy[Any]:
    if dtype == torch.float32:
        return st.sampled_from([0.0, 1.5, -2.25, float("inf")])
    if dtype == torch.int32:
        return st.integers(-(2**31), 2**31 - 1)
    return st.one_of(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1))


@st.composite
def _features(
    draw: st.DrawFn, rows: int, weighted: bool, windowed: bool, element: st.SearchStrategy[Any]
) -> Feature:
    weight = st.sampled_from([0.0, 0.5, -1.0, 3.0])
    if windowed:
        pool = draw(st.lists(element, max_size=8))
        begins = draw(st.lists(st.integers(0, len(pool)), min_size=rows, max_size=rows))
        spans = [(begin, draw(st.integers(begin, len(pool)))) for begin in begins]
    else:
        lists = draw(st.lists(st.lists(element, max_size=4), min_size=rows, max_size=rows))
        ends = [sum(len(row) for row in lists[: n + 1]) for n in range(rows)]
        spans = [(end - len(row), end) for row, end in zip(lists, ends, strict=True)]
        pool = flat(lists)
    count = len(pool)
    weights = draw(st.lists(weight, min_size=count, max_size=count)) if weighted else None
    return Feature(pool, weights, spans, windowed)
