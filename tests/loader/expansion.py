"""Batches written out as plain rows, and what must hold of any batch: NumPy alone, no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recd_format.loader.columns import BatchSchema, Feature
from recd_format.loader.layout import JAGGED, BatchBuffer, Section
from recd_format.loader.preparation import Role

__all__ = [
    "Rows",
    "absent_rows",
    "arrow_rows",
    "assert_rows",
    "check_batch",
    "expand_batch",
    "expected_rows",
    "inverse_of",
    "joined",
]


@dataclass(frozen=True)
class Rows:
    """Rows of one feature, written out end to end.

    Attributes
    ----------
    lengths : ndarray of int64, shape [rows]
    values : ndarray of int64, int32 or float32
    weights : ndarray of float32, or None
    """

    lengths: NDArray[np.int64]
    values: NDArray[Any]
    weights: NDArray[np.float32] | None = None

    def take(self, rows: Iterable[int] | NDArray[Any]) -> Rows:
        """Some rows, in the order given."""
        number = np.asarray(rows, np.int64)
        ends = np.cumsum(self.lengths)
        lengths = self.lengths[number]
        index = _ranges((ends - self.lengths)[number], lengths)
        weights = None if self.weights is None else self.weights[index]
        return Rows(lengths, self.values[index], weights)

    def to_list(self) -> list[Any]:
        """Rows as lists of numbers, or of (number, weight)."""
        flat: list[Any] = self.values.tolist()
        if self.weights is not None:
            flat = list(zip(flat, self.weights.tolist(), strict=True))
        ends = np.cumsum(self.lengths).tolist()
        return [flat[a:b] for a, b in itertools.pairwise([0, *ends])]


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several, one after the other."""
    weights = [part.weights for part in parts if part.weights is not None]
    return Rows(
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate(weights) if weights else None,
    )


def assert_rows(expected: Rows, found: Rows, what: object = "") -> None:
    """Fail unless both are the same rows, bit for bit; any NaN equals any other."""
    same = (
        np.array_equal(expected.lengths, found.lengths)
        and _same_bits(expected.values, found.values)
        and (expected.weights is None) == (found.weights is None)
        and (expected.weights is None or _same_bits(expected.weights, found.weights))
    )
    # Lists only now: they say which row differs.
    assert same, f"{what}: expected {expected.to_list()[:50]}, found {found.to_list()[:50]}"


def _same_bits(one: NDArray[Any], other: NDArray[Any] | None) -> bool:
    if other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        one, other = (np.where(a != a, np.float32(np.nan), a) for a in (one, other))
        return one.tobytes() == other.tobytes()
    return np.array_equal(one, other)


def inverse_of(batch: BatchBuffer, group: int) -> NDArray[np.int64]:
    """Unique row of each row of the batch."""
    layout = batch.layout()
    row = int(layout.inverse_row[group])
    if row < 0:
        assert batch.identity[group]
        return np.arange(batch.num_rows)
    stored = layout.inverse.of(batch.data).reshape(-1, batch.num_rows)
    return stored[row].astype(np.int64)


def expand_batch(batch: BatchBuffer) -> dict[str, Rows]:
    """Every feature of a batch, row by row.

    Where a feature's values are follows from the order of the features alone, as the layout
    describes it; its `places` are not used.
    """
    schema, layout = batch.schema, batch.layout()
    found: dict[str, Rows] = {}
    for role in JAGGED:
        sections = layout.jagged[role]
        values, lengths = sections.values.of(batch.data), sections.lengths.of(batch.data)
        starts = sections.starts.of(batch.data)
        weights = None if sections.weights is None else sections.weights.of(batch.data)
        value_at = length_at = start_at = 0
        for number in schema.of_role(role):
            feature = schema.features[number]
            unique, count = int(batch.unique[feature.group]), int(batch.values[number])
            own_lengths = lengths[length_at : length_at + unique].astype(np.int64)
            if feature.windowed:
                own_starts = starts[start_at : start_at + unique].astype(np.int64)
                start_at += unique
                assert (own_starts >= 0).all(), feature.name
                assert (own_starts + own_lengths <= count).all(), feature.name
            else:
                assert int(own_lengths.sum()) == count, feature.name
                own_starts = np.cumsum(own_lengths) - own_lengths
            own = slice(value_at, value_at + count)
            timeline = Rows(
                np.ones(count, np.int64), values[own], None if weights is None else weights[own]
            )
            inverse = inverse_of(batch, feature.group)
            rows = timeline.take(_ranges(own_starts[inverse], own_lengths[inverse]))
            found[feature.name] = replace(rows, lengths=own_lengths[inverse])
            value_at, length_at = value_at + count, length_at + unique
        assert (value_at, length_at, start_at) == (len(values), len(lengths), len(starts)), role
    for role, section in (
        (Role.DENSE, layout.dense), (Role.LABEL, layout.labels), (Role.WEIGHT, layout.weights),
    ):  # fmt: skip
        values = section.of(batch.data)
        at = 0
        for number in schema.of_role(role):
            feature = schema.features[number]
            unique = int(batch.unique[feature.group])
            count = unique * feature.width
            assert int(batch.values[number]) == count, feature.name
            own_lengths = np.full(unique, feature.width, np.int64)
            found[feature.name] = Rows(own_lengths, values[at : at + count]).take(
                inverse_of(batch, feature.group)
            )
            at += count
        assert at == len(values), role
    return found


def check_batch(batch: BatchBuffer, *, aligned: bool = True) -> None:
    """Fail unless the numbers and sections of a batch say what they must.

    aligned: its buffer is where a loader put it.
    """
    _check_sections(batch)
    assert not aligned or batch.data.ctypes.data % 64 == 0
    layout, rows = batch.layout(), batch.num_rows
    assert rows >= 1
    csr_at = inverse_row = 0
    for group in range(len(batch.schema.groups)):
        unique, inverse = int(batch.unique[group]), inverse_of(batch, group)
        identity, monotone = bool(batch.identity[group]), bool(batch.monotone[group])
        # Numbered in the order of their first rows, and none that no row refers to.
        highest = np.maximum.accumulate(inverse)
        assert inverse[0] == 0
        assert (np.diff(highest) <= 1).all()
        assert int(highest[-1]) + 1 == unique
        assert monotone == bool((np.diff(inverse) >= 0).all())
        if identity:
            assert unique == rows
            assert monotone
            assert layout.inverse_row[group] == -1
        else:
            assert layout.inverse_row[group] == inverse_row
            inverse_row += 1
        if identity or monotone:
            assert layout.csr_start[group] == -1
            continue
        assert layout.csr_start[group] == csr_at
        stored = layout.csr.of(batch.data)[csr_at : csr_at + unique + 1 + rows]
        csr_at += len(stored)
        counts = np.bincount(inverse, minlength=unique)
        assert stored[: unique + 1].tolist() == [0, *np.cumsum(counts).tolist()]
        assert stored[unique + 1 :].tolist() == np.argsort(inverse, kind="stable").tolist()
    assert csr_at == layout.csr.count
    assert inverse_row * rows == layout.inverse.count
    session_rows = layout.session_rows.of(batch.data)
    assert len(session_rows) == len(layout.session_ids.of(batch.data)) == batch.num_sessions
    assert (session_rows > 0).all()
    assert int(session_rows.sum()) == rows
    assert layout.factor.count == (rows if batch.schema.has_factor else 0)


def _check_sections(batch: BatchBuffer) -> None:
    """Sections stand in order, aligned, apart, within the buffer."""
    layout = batch.layout()
    sections: list[Section] = [layout.inverse, layout.csr]
    for role in JAGGED:
        own = layout.jagged[role]
        sections += [own.values, *([own.weights] if own.weights else []), own.lengths, own.starts]
    sections += [layout.dense, layout.labels, layout.weights]
    sections += [layout.session_ids, layout.session_rows, layout.factor]
    assert batch.data.dtype == np.uint8
    end = 0
    for section in sections:
        assert section.byte_offset % 64 == 0
        assert section.byte_offset >= end
        end = section.byte_offset + section.count * np.dtype(section.dtype).itemsize
    assert end <= layout.nbytes <= len(batch.data)
    # Without the layout it was made by, as after a journey, the batch finds the same.
    other = replace(batch).layout()
    for name in ("csr_start", "inverse_row", "places"):
        assert np.array_equal(getattr(other, name), getattr(layout, name)), name
    for name in ("inverse", "csr", "jagged", "dense", "labels", "weights", "session_ids",
                 "session_rows", "factor", "nbytes"):  # fmt: skip
        assert getattr(other, name) == getattr(layout, name), name


def arrow_rows(column: pa.ChunkedArray, feature: Feature, id_bytes: int = 8) -> Rows:
    """Rows of a feature as a file's column says them, with the nulls and types of batches."""
    parts = [_array_rows(chunk, feature) for chunk in column.chunks if len(chunk)]
    rows = joined(parts) if parts else absent_rows(feature, 0)
    if feature.role in (Role.SPARSE, Role.IDSCORE) and id_bytes == 4:
        rows = replace(rows, values=rows.values.astype(np.int32))
    return rows


def absent_rows(feature: Feature, rows: int, id_bytes: int = 8) -> Rows:
    """Rows of a feature that a file does not have."""
    if feature.role in JAGGED:
        ids = np.int64 if id_bytes == 8 else np.int32
        values = np.zeros(0, np.float32 if feature.role is Role.FLOAT_LIST else ids)
        weights = np.zeros(0, np.float32) if feature.role is Role.IDSCORE else None
        return Rows(np.zeros(rows, np.int64), values, weights)
    missing = 1.0 if feature.role is Role.WEIGHT else np.nan
    lengths = np.full(rows, feature.width, np.int64)
    return Rows(lengths, np.full(rows * feature.width, missing, np.float32))


def _array_rows(array: pa.Array, feature: Feature) -> Rows:
    type_ = array.type
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    fixed = feature.role not in JAGGED
    if pa.types.is_map(type_) or (
        pa.types.is_nested(type_) and pa.types.is_struct(type_.value_type)
    ):
        return _weighted_rows(array)
    if pa.types.is_nested(type_):
        flat = _numbers(array.flatten(), feature.role)
        if pa.types.is_fixed_size_list(type_):
            lengths = np.where(valid, type_.list_size, 0)
        else:
            lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    else:
        flat = _numbers(array.drop_null(), feature.role)
        lengths = valid.astype(np.int64)
    lengths = lengths.astype(np.int64)
    if not fixed:
        return Rows(lengths, flat)
    missing = 1.0 if feature.role is Role.WEIGHT else np.nan
    values = np.full((len(array), feature.width), missing, np.float32)
    values[valid] = flat.reshape(-1, feature.width)
    return Rows(np.full(len(array), feature.width, np.int64), values.reshape(-1))


def _weighted_rows(array: pa.Array) -> Rows:
    rows: list[list[Any]] = []
    for row in array.to_pylist():
        pairs = [tuple(pair.values()) if isinstance(pair, dict) else pair for pair in row or []]
        rows.append(pairs)
    flat = [pair for row in rows for pair in row]
    first_is_id = pa.types.is_map(array.type) or pa.types.is_integer(array.type.value_type[0].type)
    ids = [pair[0 if first_is_id else 1] for pair in flat]
    weights = [pair[1 if first_is_id else 0] for pair in flat]
    with np.errstate(all="ignore"):
        scores = np.array(weights, np.float64).astype(np.float32)
    return Rows(
        np.array([len(row) for row in rows], np.int64),
        np.array([number % (1 << 64) for number in ids], np.uint64).view(np.int64),
        scores,
    )


def _numbers(array: pa.Array, role: Role) -> NDArray[Any]:
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    values = array.to_numpy(zero_copy_only=False)
    if role in (Role.SPARSE, Role.IDSCORE):
        return values.astype(np.uint64 if values.dtype.kind == "u" else np.int64).view(np.int64)
    with np.errstate(all="ignore"):
        return values.astype(np.float32)


def expected_rows(tables: Sequence[pa.Table], schema: BatchSchema) -> Mapping[str, Rows]:
    """Each feature's rows of several files, in file order."""
    return {
        feature.name: joined(
            [
                arrow_rows(table[feature.name], feature, schema.id_bytes)
                if feature.name in table.column_names
                else absent_rows(feature, table.num_rows, schema.id_bytes)
                for table in tables
            ]
        )
        for feature in schema.features
    }
