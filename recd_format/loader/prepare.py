"""Features of a stripe with the types of tensors: nulls resolved, transforms applied.

Most features of most stripes need none of it: `stage` takes them as they were decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import Limits
from recd_format.dedup.gather import take_ranges
from recd_format.errors import RecdInputError
from recd_format.loader.columns import Columns, Feature
from recd_format.loader.preparation import Preparation, Role
from recd_format.loader.rows import UniqueRows
from recd_format.reader.data import FieldData, StripeData
from recd_format.reader.expand import expand, unique_column

__all__ = ["prepare", "require_sound", "written_out"]

_IDS = (Role.SPARSE, Role.IDSCORE)
_JAGGED = (*_IDS, Role.FLOAT_LIST)


def prepare(
    names: Sequence[str],
    columns: Columns,
    file: int,
    data: StripeData,
    limits: Limits,
    transforms: Preparation | None,
) -> dict[str, UniqueRows]:
    """Return the unique rows of some features, ready for tensors.

    Parameters
    ----------
    names
        Features of the batches.
    columns, file
        Of the loader, and the file that the stripe is of.
    data
        The stripe.
    limits
        Cap what a row output may expand.
    transforms : Preparation, optional

    Raises
    ------
    RecdInputError
        A transform refuses a value.
    """
    wanted = set(names)
    outputs = {} if transforms is None else transforms.row_outputs()
    inputs = {name for each in outputs.values() for name in each}
    own = columns.files[file]
    fields: dict[str, FieldData | None] = {}
    prepared: dict[str, UniqueRows] = {}
    origin: dict[str, int] = {}
    for field, role, index, group in zip(
        columns.read, columns.roles, own.fields, own.groups, strict=True
    ):
        if field.name not in wanted and field.name not in inputs:
            continue
        found = fields[field.name] = data.fields[index] if index >= 0 else None
        if role is not None and field.name in wanted:
            keep = field.name in columns.meta
            prepared[field.name] = (
                _absent(role, field.width) if found is None else _unique_rows(found, role, keep)
            )
            origin[field.name] = group if found is not None else -1
    if transforms is None:
        return prepared
    computed = _row_outputs(fields, data, limits, transforms)
    return {**_prepared(prepared, origin, transforms), **computed}


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
    weights = None if field.weights is None else _float32(field.weights)
    if keep:
        # Transforms write into what they are given.
        values = values.copy() if np.may_share_memory(values, field.values) else values
        weights = None if weights is None else weights.copy()
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
    # A float64 beyond float32 is infinite, as anywhere; a NaN, quiet or not, is a NaN.
    with np.errstate(over="ignore", invalid="ignore"):
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
        values = _float32(values)
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


def require_sound(feature: Feature, rows: UniqueRows, unique: int) -> None:
    """Raise RecdInputError unless `rows` are `unique` rows of what kernels expect of a feature.

    Transforms may be anybody's, and kernels read arrays by their addresses.
    """
    values, lengths, starts, weights = rows.values, rows.lengths, rows.starts, rows.weights
    jagged = feature.role in _JAGGED
    dtype = np.int64 if feature.role in _IDS else np.float32
    _require(values.dtype == dtype and values.ndim == 1, feature, rows, f"{np.dtype(dtype)} values")
    given = [array for array in (values, lengths, starts, weights) if array is not None]
    _require(all(a.flags.c_contiguous for a in given), feature, rows, "contiguous arrays")
    needs = feature.role is Role.IDSCORE
    good = (weights is not None) == needs
    if weights is not None:
        good = good and weights.dtype == np.float32 and weights.shape == values.shape
    _require(good, feature, rows, "a float32 weight for each value" if needs else "no weights")
    if lengths is None:
        width = rows.width if jagged else feature.width
        good = starts is None and rows.width == width and width * rows.num_rows == len(values)
        _require(good, feature, rows, f"{width} values a row")
    else:
        _require(jagged, feature, rows, "no lengths")
        good = lengths.dtype == np.int32 and int(lengths.min(initial=0)) >= 0
        _require(good, feature, rows, "int32 lengths of at least 0")
        total = int(lengths.sum(dtype=np.int64))
        if starts is None:
            _require(total == len(values), feature, rows, f"{total} values")
        else:
            good = starts.dtype == np.int32 and starts.shape == lengths.shape
            _require(good, feature, rows, "an int32 start for each length")
            used = lengths > 0
            first, end = starts[used], starts[used] + lengths[used].astype(np.int64)
            good = int(first.min(initial=0)) >= 0 and int(end.max(initial=0)) <= len(values)
            _require(good, feature, rows, f"windows within {len(values)} values")
    if rows.num_rows != unique:
        raise RecdInputError(
            f"feature {feature.name!r} has {rows.num_rows} rows after its transforms, {unique} "
            "expected"
        )


def _require(good: bool, feature: Feature, rows: UniqueRows, expected: str) -> None:
    if not good:
        raise RecdInputError(
            f"feature {feature.name!r}, a {feature.role.name.lower()}: its transforms gave "
            f"{_described(rows)}; expected {expected}"
        )


def _described(rows: UniqueRows) -> str:
    arrays = {name: getattr(rows, name) for name in ("values", "lengths", "starts", "weights")}
    found = [f"{name} {a.dtype} {list(a.shape)}" for name, a in arrays.items() if a is not None]
    return f"{', '.join(found)}, width {rows.width}"


def written_out(rows: UniqueRows) -> UniqueRows:
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
