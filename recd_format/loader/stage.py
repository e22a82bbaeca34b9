"""A decoded stripe made ready for batches: nulls resolved, types made those of tensors.

All of it is done once a stripe, on unique rows; assembling a batch then only copies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import array_at, kernel
from recd_format.constants import Limits
from recd_format.dedup.gather import take_ranges
from recd_format.errors import RecdInputError
from recd_format.jagged import session_ids
from recd_format.loader.columns import Columns
from recd_format.loader.preparation import Preparation, Role
from recd_format.loader.rows import UniqueRows
from recd_format.reader.data import FieldData, GroupData, StripeData
from recd_format.reader.expand import expand, unique_column

__all__ = ["FeatureEntry", "GroupEntry", "StagedStripe", "stage"]

_IDS = (Role.SPARSE, Role.IDSCORE)
_JAGGED = (*_IDS, Role.FLOAT_LIST)


class FeatureEntry:
    """Columns of the table of a staged stripe's features."""

    VALUES, NUM_VALUES, LENGTHS, STARTS, OFFSETS, WEIGHTS, WIDTH = range(7)
    SIZE = 7


class GroupEntry:
    """Columns of the table of a staged stripe's groups. CODES and STAMPS are 0 where none."""

    CODES, NUM_UNIQUE, MONOTONE, STAMPS = range(4)
    SIZE = 4


@dataclass(frozen=True, slots=True)
class StagedStripe:
    """A stripe, ready for batches.

    Attributes
    ----------
    first_row, num_rows : int
        Rows of the stripe that are here.
    features : ndarray of int64, shape [features, FeatureEntry.SIZE]
        Addresses and sizes of each feature's unique rows.
    groups : ndarray of int64, shape [groups, GroupEntry.SIZE]
        Addresses and sizes of each group's inverse lookup.
    sessions : ndarray of int64, shape [2, sessions + 1]
        Row offsets of the stripe's sessions, relative to the stripe, and their ids.
    data : StripeData
    file : int
        Number of its file.
    kept : tuple
        Arrays that the tables hold addresses of.
    """

    first_row: int
    num_rows: int
    features: NDArray[np.int64]
    groups: NDArray[np.int64]
    sessions: NDArray[np.int64]
    data: StripeData
    file: int
    kept: tuple[Any, ...]


def _address(array: NDArray[Any]) -> int:
    # A third of the time of `array.ctypes.data`.
    address: int = array.__array_interface__["data"][0]
    return address


def stage(
    data: StripeData,
    columns: Columns,
    file: int,
    session_key: int,
    limits: Limits,
    transforms: Preparation | None = None,
    *,
    scattered: bool = False,
) -> StagedStripe:
    """Make a decoded stripe ready for batches.

    Parameters
    ----------
    data
        The stripe, with ids as 8-byte integers.
    columns
        Of the loader.
    file
        Number of the file the stripe is of.
    session_key
        Field of its session key.
    limits
        Cap what a row output may expand.
    transforms : Preparation, optional
    scattered
        Batches take single rows: a unique row is looked up, not counted on to be a neighbour.

    Raises
    ------
    RecdInputError
        A value does not fit its tensor, or a transform refuses it.
    """
    schema = columns.schema
    own = columns.files[file]
    prepared: dict[str, UniqueRows] = {}
    origin: dict[str, int] = {}
    raw: dict[str, FieldData | None] = {}
    for field, role, index, group in zip(
        columns.read, columns.roles, own.fields, own.groups, strict=True
    ):
        raw[field.name] = data.fields[index] if index >= 0 else None
        if role is not None:
            found = raw[field.name]
            keep = field.name in columns.meta
            prepared[field.name] = (
                _absent(role, field.width) if found is None else _unique_rows(found, role, keep)
            )
            origin[field.name] = group if found is not None else -1
    computed: dict[str, UniqueRows] = {}
    if transforms is not None:
        computed = _row_outputs(raw, data, limits, transforms)
        prepared = _prepared(prepared, origin, transforms)
        prepared.update(computed)
    kept: list[Any] = []
    groups = _group_table(columns, data, prepared, origin, kept, scattered)
    table = np.zeros((len(schema.features), FeatureEntry.SIZE), np.int64)
    jagged = []
    for number, feature in enumerate(schema.features):
        rows = prepared[feature.name]
        if feature.role in _JAGGED and rows.starts is not None and not feature.windowed:
            rows = _written_out(rows)
        lengths, starts, weights = rows.lengths, rows.starts, rows.weights
        table[number] = (
            _address(rows.values),
            len(rows.values),
            0 if lengths is None else _address(lengths),
            0 if starts is None else _address(starts),
            0,
            0 if weights is None else _address(weights),
            rows.width if lengths is None else 0,
        )
        if lengths is not None and starts is None:
            jagged.append((number, len(lengths)))
        if schema.id_bytes == 4 and feature.role in _IDS:
            bound = None if transforms is None else transforms.id_bound(feature.name)
            if bound is None or bound > 1 << 31:
                _require_int32(feature.name, rows.values)
        kept.append(rows)
    if jagged:
        kept.append(_fill_offsets(table, jagged))
    return StagedStripe(
        data.first_row,
        data.num_rows,
        table,
        groups,
        _sessions(data, session_key, limits),
        data,
        file,
        tuple(kept),
    )


def _sessions(data: StripeData, session_key: int, limits: Limits) -> NDArray[np.int64]:
    ids = session_ids(unique_column(data.fields[session_key], limits))
    return np.stack([data.session_offsets, np.append(ids, 0)])


def _absent(role: Role, width: int) -> UniqueRows:
    """One unique row of a feature that a file does not have."""
    if role in _JAGGED:
        dtype = np.int64 if role in _IDS else np.float32
        weights = np.zeros(0, np.float32) if role is Role.IDSCORE else None
        return UniqueRows(np.zeros(0, dtype), np.zeros(1, np.int32), weights=weights)
    missing = 1.0 if role is Role.WEIGHT else np.nan
    return UniqueRows(np.full(max(width, 1), missing, np.float32), width=max(width, 1))


def _unique_rows(field: FieldData, role: Role, keep: bool) -> UniqueRows:
    """Unique rows of a field with the types of tensors. `keep`: leave the field as it is."""
    values = field.values
    if role in _IDS:
        if values.dtype != np.int64:
            values = values.view(np.int64) if values.dtype == np.uint64 else values.astype(np.int64)
    else:
        values = _float32(values)
    if keep and values.base is not None:
        values = values.copy()
    weights = None if field.weights is None else _float32(field.weights)
    if field.lengths is not None:
        # A null list is an empty one.
        return UniqueRows(values, field.lengths, field.starts, weights=weights)
    rows = UniqueRows(values, width=field.width, weights=weights)
    if field.validity is None:
        return rows
    if role in _JAGGED:
        lengths = np.where(field.validity, np.int32(field.width), np.int32(0)).astype(np.int32)
        return UniqueRows(values[np.repeat(field.validity, field.width)], lengths)
    if values is field.values:
        values = values.copy()
    values[np.repeat(~field.validity, field.width)] = 1.0 if role is Role.WEIGHT else np.nan
    return replace(rows, values=values)


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, as anywhere
        return values.astype(np.float32)


def _prepared(
    rows: dict[str, UniqueRows], origin: dict[str, int], transforms: Preparation
) -> dict[str, UniqueRows]:
    """Apply the transforms, one dedup group of the file at a time."""
    by_group: dict[int, list[str]] = {}
    for name in rows:
        by_group.setdefault(origin[name], []).append(name)
    result = dict(rows)
    for group, names in by_group.items():
        # Of an absent feature there is one row: its group is its own.
        for part in [names] if group >= 0 else [[name] for name in names]:
            result.update(transforms.apply({name: rows[name] for name in part}))
    return result


def _row_outputs(
    raw: dict[str, FieldData | None], data: StripeData, limits: Limits, transforms: Preparation
) -> dict[str, UniqueRows]:
    """Features that are computed row by row: their inputs alone are written out."""
    found = {}
    for output, inputs in transforms.row_outputs().items():
        rows = {}
        for name in inputs:
            field = raw[name]
            if field is None:
                raise RecdInputError(f"{output!r} is computed from {name!r}, which a file lacks")
            rows[name] = _row_input(field, data, limits)
        found[output] = transforms.apply_to_rows(output, rows)
    return found


def _row_input(field: FieldData, data: StripeData, limits: Limits) -> UniqueRows:
    lookup: NDArray[Any] | None
    if field.group < 0:
        rows = np.arange(data.first_row, data.first_row + data.num_rows)
        lookup = np.searchsorted(data.session_offsets, rows, side="right") - 1
    else:
        lookup = data.groups[field.group].inverse_lookup
    column = unique_column(field, limits) if lookup is None else expand(field, lookup, limits)
    values = column.values
    if values.dtype.kind in "iu":
        values = values.astype(np.int64)
    elif values.dtype == np.float16:
        values = values.astype(np.float32)
    width, validity = column.width, column.validity
    if column.offsets is not None:
        begin, end = int(column.offsets[0]), int(column.offsets[-1])
        lengths = np.diff(column.offsets).astype(np.int32)
        return UniqueRows(values[begin:end], lengths)
    if validity is None:
        return UniqueRows(values, width=width)
    if values.dtype.kind == "f":
        values = values.copy()
        values[np.repeat(~validity, width)] = np.nan
        return UniqueRows(values, width=width)
    lengths = np.where(validity, np.int32(width), np.int32(0)).astype(np.int32)
    return UniqueRows(values[np.repeat(validity, width)], lengths)


def _group_table(
    columns: Columns,
    data: StripeData,
    prepared: dict[str, UniqueRows],
    origin: dict[str, int],
    kept: list[Any],
    scattered: bool,
) -> NDArray[np.int64]:
    """Where the inverse lookup of each group of batches is, in this stripe."""
    schema = columns.schema
    table = np.zeros((len(schema.groups), GroupEntry.SIZE), np.int64)
    identity = GroupData(data.num_rows, None, True)
    one_row = GroupData(1, np.zeros(data.num_rows, np.int32), True)
    for number, members in enumerate(schema.groups):
        names = [schema.features[member].name for member in members]
        computed = names[0] not in origin
        absent = not computed and origin[names[0]] < 0
        group = identity if computed else one_row if absent else data.groups[origin[names[0]]]
        for name in names:
            if prepared[name].num_rows != group.num_unique:
                raise RecdInputError(
                    f"feature {name!r} has {prepared[name].num_rows} rows after its transforms, "
                    f"{group.num_unique} expected"
                )
        codes = group.inverse_lookup
        if codes is None:
            table[number] = (0, group.num_unique, 1, 0)
            continue
        monotone = group.monotone and not scattered
        stamps = None if monotone else np.full(group.num_unique, -1, np.int32)
        table[number] = (
            _address(codes),
            group.num_unique,
            int(monotone),
            0 if stamps is None else _address(stamps),
        )
        kept += [codes, stamps]
    return table


def _written_out(rows: UniqueRows) -> UniqueRows:
    """Rows without starts, where batches have no timelines of the feature."""
    lengths = rows.lengths
    assert lengths is not None
    assert rows.starts is not None
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    starts = rows.starts.astype(np.int64)
    weights = rows.weights
    return UniqueRows(
        take_ranges(rows.values, starts, offsets),
        lengths,
        weights=None if weights is None else take_ranges(weights, starts, offsets),
    )


def _require_int32(name: str, ids: NDArray[np.int64]) -> None:
    if len(ids) and not -(1 << 31) <= int(ids.min()) <= int(ids.max()) < 1 << 31:
        raise RecdInputError(
            f"feature {name!r} has ids from {int(ids.min())} to {int(ids.max())}, which int32 "
            "does not hold: use id_dtype=torch.int64, or a transform that bounds them"
        )


def _fill_offsets(table: NDArray[np.int64], jagged: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Row offsets of all jagged features in one array; their addresses go into the table."""
    numbers = np.array([number for number, _ in jagged], np.int64)
    counts = np.array([count for _, count in jagged], np.int64)
    places = np.cumsum(counts + 1) - (counts + 1)
    offsets = np.empty(int((counts + 1).sum()), np.int64)
    sum_lengths(table[numbers, FeatureEntry.LENGTHS], counts, places, offsets)
    table[numbers, FeatureEntry.OFFSETS] = _address(offsets) + 8 * places
    return offsets


int32_at = array_at("int32")


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def sum_lengths(addresses, counts, places, offsets):  # type: ignore[no-untyped-def]
    """Running sums of many arrays of lengths."""
    for i in range(len(addresses)):
        lengths = int32_at(addresses[i], counts[i])
        place = places[i]
        total = np.int64(0)
        for k in range(counts[i]):
            offsets[place + k] = total
            total += lengths[k]
        offsets[place + counts[i]] = total
