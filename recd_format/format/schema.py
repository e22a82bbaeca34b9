"""The fields of a file and the groups they are deduplicated in (`spec/file.md`, Schema block)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["Field", "Group", "Kind", "Schema", "Shape", "ValueType"]


class Kind(IntEnum):
    """What a field is to a model (the words of DESIGN: dense, id_list, ...)."""

    ID_LIST = 1
    ID_SCORE_LIST = 2
    FLOAT_LIST = 3
    DENSE = 4
    LABEL = 5
    WEIGHT = 6
    SESSION_KEY = 7
    ORDER_KEY = 8
    META = 9


class Shape(IntEnum):
    """How many values a row has."""

    SCALAR = 1
    LIST = 2
    FIXED = 3
    WEIGHTED_LIST = 4


class ValueType(IntEnum):
    """Physical type of a value. Logical types (date, timestamp, ...) are in `arrow_schema`."""

    BOOL = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    UINT8 = 6
    UINT16 = 7
    UINT32 = 8
    UINT64 = 9
    FLOAT16 = 10
    FLOAT32 = 11
    FLOAT64 = 12
    BYTES = 13
    """Strings and binaries: a list of bytes."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """NumPy dtype of decoded values, little-endian."""
        return _DTYPES[self]


_DTYPES: dict[ValueType, np.dtype[np.generic]] = {
    ValueType.BOOL: np.dtype("u1"),
    ValueType.INT8: np.dtype("i1"),
    ValueType.INT16: np.dtype("<i2"),
    ValueType.INT32: np.dtype("<i4"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.UINT8: np.dtype("u1"),
    ValueType.UINT16: np.dtype("<u2"),
    ValueType.UINT32: np.dtype("<u4"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.FLOAT16: np.dtype("<f2"),
    ValueType.FLOAT32: np.dtype("<f4"),
    ValueType.FLOAT64: np.dtype("<f8"),
    ValueType.BYTES: np.dtype("u1"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the file.

    Attributes
    ----------
    name : str
        Unique in the file.
    kind : Kind
        What the field is to a model.
    shape : Shape
        Scalar, list, fixed-size list, or list of (id, weight). BYTES fields are LIST.
    value_type : ValueType
        Type of a value (of an id, where weighted).
    weight_type : ValueType or None
        Type of a weight, WEIGHTED_LIST only.
    width : int
        Values of a row: the size of a FIXED list, 1 for a SCALAR, 0 otherwise.
    nullable : bool
        False promises that no stripe has a validity stream for the field.
    group : int
        Index of the dedup group; -1 for the session key, which is stored once per session.
    """

    name: str
    kind: Kind
    shape: Shape
    value_type: ValueType
    weight_type: ValueType | None = None
    width: int = 0
    nullable: bool = True
    group: int = -1

    @property
    def is_jagged(self) -> bool:
        """True where rows have lengths of their own."""
        return self.shape in (Shape.LIST, Shape.WEIGHTED_LIST)


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that share one inverse lookup.

    Attributes
    ----------
    fields : tuple of int
        Indices into `Schema.fields`, ascending.
    window : bool
        True where unique rows may be (start, length) windows on a timeline per session;
        all fields are then jagged, and share starts and lengths.
    """

    fields: tuple[int, ...]
    window: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """Fields in file order, groups, and which field is the session key.

    Examples
    --------
    >>> schema.groups[schema.fields[3].group].fields   # doctest: +SKIP
    (3, 4, 7)
    """

    fields: tuple[Field, ...]
    groups: tuple[Group, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in file order."""
        return tuple(field.name for field in self.fields)
