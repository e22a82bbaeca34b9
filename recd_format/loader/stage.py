"""A decoded stripe made ready for batches: what kernels need to know of it, in two tables.

All of it is done once a stripe, on unique rows; assembling a batch then only copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import array_at, kernel
from recd_format.constants import Limits
from recd_format.errors import RecdInputError
from recd_format.format.schema import ValueType
from recd_format.io import BufferPool
from recd_format.jagged import session_ids
from recd_format.loader.columns import ABSENT, COMPUTED, Columns
from recd_format.loader.preparation import Preparation, Role
from recd_format.loader.prepare import prepare, require_sound, written_out
from recd_format.loader.rows import UniqueRows
from recd_format.reader.data import StripeData
from recd_format.reader.expand import unique_column

__all__ = ["FeatureEntry", "GroupEntry", "StagedStripe", "stage"]


class FeatureEntry:
    """Columns of the table of a staged stripe's features."""

    VALUES, NUM_VALUES, LENGTHS, STARTS, OFFSETS, WEIGHTS, WIDTH, ENTRIES, NUM_ENTRIES = range(9)
    SIZE = 9


class GroupEntry:
    """Columns of the table of a staged stripe's groups. CODES and STAMPS are 0 where none."""

    CODES, NUM_UNIQUE, MONOTONE, STAMPS = range(4)
    SIZE = 4


# Columns of `StripeTable.fields` in the order of `FeatureEntry`, the offsets aside.
_OF_TABLE = np.array(
    [
        FeatureEntry.VALUES,
        FeatureEntry.NUM_VALUES,
        FeatureEntry.LENGTHS,
        FeatureEntry.STARTS,
        FeatureEntry.WEIGHTS,
        FeatureEntry.WIDTH,
        FeatureEntry.ENTRIES,
        FeatureEntry.NUM_ENTRIES,
    ]
)
# Lent again once a stripe is done: fresh memory faults in every page.
_OFFSETS = BufferPool()
_LONG = (int(ValueType.INT64), int(ValueType.UINT64))
_FLOAT = int(ValueType.FLOAT32)


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
        Arrays that the tables hold addresses of, those of `data` aside.
    """

    first_row: int
    num_rows: int
    features: NDArray[np.int64]
    groups: NDArray[np.int64]
    sessions: NDArray[np.int64]
    data: StripeData
    file: int
    kept: tuple[Any, ...]


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
    fields = columns.files[file].field_of_feature
    table = np.zeros((len(fields), FeatureEntry.SIZE), np.int64)
    direct = _taken_as_they_are(data, columns, fields, transforms)
    rows = data.table.row_of_field[fields[direct]]
    table[np.flatnonzero(direct)[:, None], _OF_TABLE] = data.table.fields[rows]
    kept: list[Any] = []
    groups = _group_table(columns, file, data, kept, scattered)
    others = np.flatnonzero(~direct).tolist()
    if others:
        names = [schema.features[number].name for number in others]
        prepared = prepare(names, columns, file, data, limits, transforms)
        for number, name in zip(others, names, strict=True):
            feature = schema.features[number]
            unique = prepared[name]
            if transforms is not None:
                require_sound(feature, unique, int(groups[feature.group, GroupEntry.NUM_UNIQUE]))
            if unique.starts is not None and not feature.windowed:
                unique = written_out(unique)
            if schema.id_bytes == 4 and feature.role in (Role.SPARSE, Role.IDSCORE):
                _require_int32(name, unique.values)
            table[number] = _entry(unique)
            kept.append(unique)
    kept.append(_fill_offsets(table, groups[schema.group_of_feature, GroupEntry.NUM_UNIQUE]))
    sessions = _sessions(data, session_key, limits)
    return StagedStripe(
        data.first_row, data.num_rows, table, groups, sessions, data, file, tuple(kept)
    )


def _taken_as_they_are(
    data: StripeData,
    columns: Columns,
    fields: NDArray[np.int64],
    transforms: Preparation | None,
) -> NDArray[np.bool_]:
    """Features whose decoded arrays are what tensors hold: bool [features]."""
    schema, table = columns.schema, data.table
    direct = fields >= 0
    if transforms is not None:
        touched = transforms.touched()
        direct &= np.array([feature.name not in touched for feature in schema.features], np.bool_)
    rows = table.row_of_field[np.maximum(fields, 0)]
    types = table.value_types[rows]
    is_id = schema.roles <= Role.IDSCORE
    # Whether they fit into int32 has to be looked at.
    fitting = table.wide[rows] | np.isin(types, _LONG) if schema.id_bytes == 8 else False
    direct &= np.where(is_id, fitting, types == _FLOAT)
    direct &= (table.weight_types[rows] == _FLOAT) | (schema.roles != Role.IDSCORE)
    found: NDArray[np.bool_] = direct & table.plain[rows]
    return found


def _address(array: NDArray[Any]) -> int:
    # A third of the time of `array.ctypes.data`.
    address: int = array.__array_interface__["data"][0]
    return address


def _entry(rows: UniqueRows) -> tuple[int, ...]:
    lengths, starts, weights = rows.lengths, rows.starts, rows.weights
    return (
        _address(rows.values),
        len(rows.values),
        0 if lengths is None else _address(lengths),
        0 if starts is None else _address(starts),
        0,
        0 if weights is None else _address(weights),
        rows.width if lengths is None else 0,
        0,
        0,
    )


def _sessions(data: StripeData, session_key: int, limits: Limits) -> NDArray[np.int64]:
    ids = session_ids(unique_column(data.fields[session_key], limits))
    return np.stack([data.session_offsets, np.append(ids, 0)])


def _group_table(
    columns: Columns, file: int, data: StripeData, kept: list[Any], scattered: bool
) -> NDArray[np.int64]:
    """Where the inverse lookup of each group of batches is, in this stripe."""
    own = columns.files[file].group_of_group
    table = np.zeros((len(own), GroupEntry.SIZE), np.int64)
    table[:, : GroupEntry.STAMPS] = data.table.groups[np.maximum(own, 0)]
    table[own == COMPUTED, : GroupEntry.STAMPS] = (0, data.num_rows, 1)
    if (own == ABSENT).any():
        # All rows have the one unique row of a feature that the file lacks.
        codes = np.zeros(data.num_rows, np.int32)
        kept.append(codes)
        table[own == ABSENT, : GroupEntry.STAMPS] = (_address(codes), 1, 1)
    coded = table[:, GroupEntry.CODES] != 0
    if scattered:
        table[coded, GroupEntry.MONOTONE] = 0
    stamped = np.flatnonzero(coded & (table[:, GroupEntry.MONOTONE] == 0))
    if len(stamped):
        sizes = table[stamped, GroupEntry.NUM_UNIQUE]
        stamps = np.full(int(sizes.sum()), -1, np.int32)
        kept.append(stamps)
        table[stamped, GroupEntry.STAMPS] = _address(stamps) + 4 * (np.cumsum(sizes) - sizes)
    return table


def _require_int32(name: str, ids: NDArray[np.int64]) -> None:
    if len(ids) and not -(1 << 31) <= int(ids.min()) <= int(ids.max()) < 1 << 31:
        raise RecdInputError(
            f"feature {name!r} has ids from {int(ids.min())} to {int(ids.max())}, which int32 "
            "does not hold: use id_dtype=torch.int64, or a transform that bounds them"
        )


def _fill_offsets(table: NDArray[np.int64], unique: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row offsets of all jagged features in one array; their addresses go into the table."""
    jagged = (table[:, FeatureEntry.LENGTHS] != 0) & (table[:, FeatureEntry.STARTS] == 0)
    numbers = np.flatnonzero(jagged)
    counts = unique[numbers]
    places = np.cumsum(counts + 1) - (counts + 1)
    offsets = _OFFSETS.take(8 * int((counts + 1).sum())).view(np.int64)
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
