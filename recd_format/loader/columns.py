"""Columns of a loader: one schema for the batches of many files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.format.schema import Field, Kind, Schema, Shape
from recd_format.loader.options import LoaderOptions
from recd_format.loader.preparation import Role

__all__ = [
    "ABSENT",
    "COMPUTED",
    "BatchSchema",
    "Columns",
    "Feature",
    "FileColumns",
    "resolve_columns",
]

_ROLES = {
    Kind.ID_LIST: Role.SPARSE,
    Kind.ID_SCORE_LIST: Role.IDSCORE,
    Kind.FLOAT_LIST: Role.FLOAT_LIST,
    Kind.DENSE: Role.DENSE,
    Kind.LABEL: Role.LABEL,
    Kind.WEIGHT: Role.WEIGHT,
}
_JAGGED = (Role.SPARSE, Role.IDSCORE, Role.FLOAT_LIST)
ABSENT, COMPUTED = -1, -2


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of batches.

    Attributes
    ----------
    name : str
    role : Role
    group : int
        Its dedup group, of the groups of the schema.
    width : int
        Values of a row for dense features, labels and weights; 0 for the others.
    windowed : bool
        Batches hold timelines, and a start and a length for each unique row.
    """

    name: str
    role: Role
    group: int
    width: int
    windowed: bool


@dataclass(frozen=True)
class BatchSchema:
    """What batches of a loader look like, whatever files they come from.

    Attributes
    ----------
    features : tuple of Feature
        By role; within a role in the order of the columns.
    groups : tuple of tuple of int
        Features of each group.
    id_bytes : {8, 4}
    has_factor : bool
        Rows have a weight factor of downsampling.
    """

    features: tuple[Feature, ...]
    groups: tuple[tuple[int, ...], ...]
    id_bytes: int = 8
    has_factor: bool = False

    def of_role(self, role: Role) -> range:
        """Numbers of the features of one role."""
        return self._of_role[role]

    def slice_of(self, role: Role) -> slice:
        """The same as a slice."""
        numbers = self._of_role[role]
        return slice(numbers.start, numbers.stop)

    @cached_property
    def _of_role(self) -> dict[Role, range]:
        bounds = np.searchsorted(self.roles, np.arange(len(Role) + 1)).tolist()
        return {role: range(bounds[role], bounds[role + 1]) for role in Role}

    @cached_property
    def roles(self) -> NDArray[np.int64]:
        """Role of each feature, ascending."""
        return np.array([feature.role for feature in self.features], np.int64)

    @cached_property
    def group_of_feature(self) -> NDArray[np.int64]:
        """Group of each feature."""
        return np.array([feature.group for feature in self.features], np.int64)

    @cached_property
    def windowed(self) -> NDArray[np.bool_]:
        """True for features that batches hold timelines of."""
        return np.array([feature.windowed for feature in self.features], np.bool_)

    def __getstate__(self) -> tuple[object, ...]:
        # Every batch that leaves a worker carries its schema: not what can be computed of it.
        return (self.features, self.groups, self.id_bytes, self.has_factor)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        names = ("features", "groups", "id_bytes", "has_factor")
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Fields of one file that a loader reads.

    Attributes
    ----------
    fields : tuple of int
        Field of each column that is read; -1 where the file has no such column.
    groups : tuple of int
        Group in the file of each column; -1 where the file has no such column.
    field_of_feature : ndarray of int64, shape [features]
        Field of each feature of batches; ABSENT, or COMPUTED.
    group_of_group : ndarray of int64, shape [groups]
        Group in the file of each group of batches; ABSENT, or COMPUTED.
    """

    fields: tuple[int, ...]
    groups: tuple[int, ...]
    field_of_feature: NDArray[np.int64]
    group_of_group: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """What a loader reads, and what becomes of it.

    Attributes
    ----------
    schema : BatchSchema
    read : tuple of Field
        Columns read for features, each as the first file that has it declares it.
    roles : tuple of Role or None
        Of each column read; None where it is read for transforms alone.
    meta : tuple of str
    files : tuple of FileColumns
    """

    schema: BatchSchema
    read: tuple[Field, ...]
    roles: tuple[Role | None, ...]
    meta: tuple[str, ...]
    files: tuple[FileColumns, ...]


def resolve_columns(
    names: Sequence[str], schemas: Sequence[Schema], options: LoaderOptions
) -> Columns:
    """Return the columns of batches.

    Parameters
    ----------
    names
        Names of the files, for messages.
    schemas
        Their schemas.
    options
        `columns`, `meta`, `transforms`, `id_dtype`, `downsample` count.

    Raises
    ------
    RecdInputError
        A column is nowhere, is no feature, or is not the same in two files.
    """
    by_name = [dict(zip(schema.names, schema.fields, strict=True)) for schema in schemas]
    found: dict[str, Field] = {}
    for schema in by_name:
        found = {**schema, **found}
    if options.columns is None:
        wanted = [f.name for f in schemas[0].fields if f.kind in _ROLES]
    else:
        wanted = list(options.columns)
    for name in (*wanted, *(options.meta or ())):
        _require_known(name, found, names[0])
    for name in options.meta or ():
        # Batches have rows of it from every file.
        for path, schema in zip(names, by_name, strict=True):
            if name not in schema:
                raise RecdInputError(f"{path}: meta column {name!r} is not there")
    for name in wanted:
        if found[name].kind not in _ROLES:
            raise RecdInputError(
                f"column {name!r} is a {found[name].kind.name.lower()}, no feature: ask for it "
                f"with meta=[{name!r}]"
            )
        if found[name].is_jagged and _ROLES[found[name].kind] not in _JAGGED:
            raise RecdInputError(
                f"column {name!r} is a {found[name].kind.name.lower()} and a list: batches have "
                f"such columns of a fixed width only; ask for it with meta=[{name!r}]"
            )
    given = {name: _ROLES[found[name].kind] for name in wanted}
    transforms = options.transforms
    extra = () if transforms is None else transforms.columns_needed(tuple(wanted))
    for name in extra:
        _require_known(name, found, names[0])
    roles = given if transforms is None else transforms.roles(given)
    read = tuple(found[name] for name in dict.fromkeys([*wanted, *extra]))
    for field in read:
        _require_same(field.name, names, by_name)
    own_fields = [_indices(schema, read) for schema in schemas]
    own_groups = [
        tuple(ABSENT if index < 0 else schema.fields[index].group for index in indices)
        for schema, indices in zip(schemas, own_fields, strict=True)
    ]
    windows = [
        any(
            field.name in schema and schemas[n].groups[schema[field.name].group].window
            for n, schema in enumerate(by_name)
        )
        for field in read
    ]
    place = {field.name: number for number, field in enumerate(read)}
    computed = [name for name in roles if name not in given]
    columns = sorted(roles, key=lambda name: roles[name])
    groups = _common_groups(own_groups, len(read))
    signature = [groups[place[n]] if n not in computed else COMPUTED for n in columns]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(signature))}
    features = tuple(
        Feature(
            name,
            roles[name],
            numbers[group],
            0 if roles[name] in _JAGGED else _width(name, found, computed),
            name not in computed and roles[name] in _JAGGED and windows[place[name]],
        )
        for name, group in zip(columns, signature, strict=True)
    )
    members: list[list[int]] = [[] for _ in numbers]
    for number, feature in enumerate(features):
        members[feature.group].append(number)
    schema_ = BatchSchema(
        features,
        tuple(map(tuple, members)),
        4 if options.id_dtype == "int32" else 8,
        options.downsample is not None,
    )
    sources = [
        COMPUTED if feature.name in computed else place[feature.name] for feature in features
    ]
    files = [
        FileColumns(
            fields,
            own,
            np.array([n if n < 0 else fields[n] for n in sources], np.int64),
            np.array([n if n < 0 else own[n] for n in (sources[m[0]] for m in members)], np.int64),
        )
        for fields, own in zip(own_fields, own_groups, strict=True)
    ]
    return Columns(
        schema_, read, tuple(given.get(f.name) for f in read), tuple(options.meta or ()),
        tuple(files),
    )  # fmt: skip


def _indices(schema: Schema, read: Sequence[Field]) -> tuple[int, ...]:
    order = {name: index for index, name in enumerate(schema.names)}
    return tuple(order.get(field.name, ABSENT) for field in read)


def _width(name: str, found: dict[str, Field], computed: Sequence[str]) -> int:
    return 1 if name in computed or found[name].shape is Shape.SCALAR else found[name].width


def _require_known(name: str, found: dict[str, Field], where: str) -> None:
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {list(found)[:20]}"
        raise RecdInputError(f"{where}: there is no column {name!r}; {hint}")


def _require_same(name: str, files: Sequence[str], schemas: Sequence[dict[str, Field]]) -> None:
    """Files that have a column have it of one kind, shape and width."""
    own = [
        (file, schema[name]) for file, schema in zip(files, schemas, strict=True) if name in schema
    ]
    first_file, first = own[0]
    for file, field in own[1:]:
        for what in ("kind", "shape", "width"):
            old, new = getattr(first, what), getattr(field, what)
            if old != new:
                raise RecdInputError(
                    f"column {name!r}: {what} is {_word(old)} in {first_file} and {_word(new)} "
                    f"in {file}"
                )


def _word(value: Kind | Shape | int) -> str:
    return value.name.lower() if isinstance(value, (Kind, Shape)) else str(value)


def _common_groups(files: Sequence[tuple[int, ...]], columns: int) -> list[int]:
    """Number of each column's group: columns share one where they do in every file."""
    common = np.zeros(columns, np.int64)
    for groups in dict.fromkeys(files):
        own = np.array(groups, np.int64) + 1
        _, common = np.unique(common * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    return [int(group) for group in common]
