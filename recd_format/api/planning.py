"""From fields and a sample of their rows to a plan, and from a plan to a file's schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import encode_best
from recd_format.dedup.cluster import Clustering
from recd_format.dedup.plan import FieldSample, Plan, plan
from recd_format.errors import RecdInputError
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType
from recd_format.jagged import Column
from recd_format.writer.options import Profile, WriteOptions

__all__ = ["make_plan", "schema_of", "split_windows"]

# Enough that the share of rows that change is known to a few percent; 5,000 fields take 2 s.
_SAMPLE_ROWS = 8192


def make_plan(
    fields: Sequence[Field],
    columns: Sequence[Column],
    clustering: Clustering,
    dedup: Any,
    options: WriteOptions,
) -> Plan:
    """Return the dedup plan of some columns, from a sample of whole sessions.

    Parameters
    ----------
    fields, columns
        All fields of the file and their rows, in input order.
    clustering
        Order of the rows.
    dedup
        As `recd_format.write` takes it.
    options
        Profile and stripe size.
    """
    samples = [
        FieldSample(
            field.name,
            column,
            window=field.value_type is not ValueType.BYTES,
            # Bytes of their own for bytes and booleans: a list of uint8 is of another type.
            reference=field.value_type not in (ValueType.BYTES, ValueType.BOOL)
            and field.shape is not Shape.FIXED
            and field.kind is not Kind.ORDER_KEY,
            dedup=field.kind not in (Kind.LABEL, Kind.WEIGHT),
        )
        for field, column in zip(fields, columns, strict=True)
        if field.kind is not Kind.SESSION_KEY
    ]
    return plan(
        samples,
        clustering.sample(_SAMPLE_ROWS),
        dedup=dedup,
        size_of=_size_of(options.profile),
        stripe_rows=options.rows_per_stripe(0),
    )


def _size_of(profile: Profile) -> Callable[[NDArray[Any]], int]:
    def size_of(values: NDArray[Any]) -> int:
        encoded = encode_best(values, "values", profile)
        size = len(encoded.payload)
        if encoded.dictionary is not None:
            size += len(encode_best(encoded.dictionary, "dictionary", profile).payload)
        return size

    return size_of


def split_windows(plan: Plan, fields: Sequence[Field], columns: Sequence[Column]) -> Plan:
    """Return `plan` with window groups split where lists are not parallel in every row.

    A plan is made from a sample, or from another log, and window groups are fixed for a file.
    """
    column_of = {field.name: column for field, column in zip(fields, columns, strict=True)}
    groups = []
    for group in plan.groups:
        parts: list[tuple[NDArray[Any], list[str]]] = []
        for name in group.fields if group.mode == "window" else ():
            lengths = column_of[name].lengths
            for known, names in parts:
                if np.array_equal(known, lengths):
                    names.append(name)
                    break
            else:
                parts.append((lengths, [name]))
        if len(parts) < 2:
            groups.append(group)
        else:
            groups += [replace(group, fields=tuple(names)) for _, names in parts]
    return replace(plan, groups=tuple(groups))


def schema_of(fields: Sequence[Field], plan: Plan) -> Schema:
    """Return the schema of a file that is written by `plan`.

    Raises
    ------
    RecdInputError
        The plan was made for other columns.
    """
    names = {field.name: index for index, field in enumerate(fields)}
    planned = [name for group in plan.groups for name in group.fields]
    expected = {field.name for field in fields if field.kind is not Kind.SESSION_KEY}
    if set(planned) != expected or len(planned) != len(expected):
        missing = sorted(expected - set(planned)) or sorted(set(planned) - expected)
        raise RecdInputError(
            f"the plan is for other columns; not in both: {', '.join(missing[:5])}"
        )
    for group in plan.groups:
        scalars = [name for name in group.fields if not fields[names[name]].is_jagged]
        if group.mode == "window" and scalars:
            raise RecdInputError(f"the plan keeps {scalars[0]!r} as windows, but it is no list")
    grouped = list(fields)
    groups = []
    for number, group in enumerate(plan.groups):
        members = sorted(names[name] for name in group.fields)
        for member in members:
            grouped[member] = replace(grouped[member], group=number)
        groups.append(Group(tuple(members), group.mode == "window"))
    return Schema(tuple(grouped), tuple(groups))
