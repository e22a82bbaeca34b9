"""Schema block: the schema as bytes, the same in the head and in the tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from recd_format.constants import Limits
from recd_format.errors import Location, Reason, RecdFormatError, RecdInputError
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType

__all__ = ["FIELD", "NULLABLE", "SchemaBlock", "encode_schema", "name_hash"]

HEADER: np.dtype[np.void] = np.dtype(
    [("fields", "<u4"), ("groups", "<u4"), ("heap_bytes", "<u4"), ("reserved", "<u4")]
)
FIELD: np.dtype[np.void] = np.dtype(
    [
        ("name_hash", "<u8"),
        ("name_offset", "<u4"),
        ("name_bytes", "<u2"),
        ("kind", "u1"),
        ("shape", "u1"),
        ("value_type", "u1"),
        ("weight_type", "u1"),
        ("flags", "<u2"),
        ("width", "<u4"),
        ("group", "<u4"),
        ("reserved", "<u4"),
    ]
)
GROUP: np.dtype[np.void] = np.dtype([("flags", "<u4"), ("fields", "<u4")])

NULLABLE = 1
_WINDOW = 1
_NO_GROUP = 0xFFFFFFFF
_MAX_NAME_BYTES = 0xFFFF

_INTEGERS = tuple(range(ValueType.INT8, ValueType.UINT64 + 1))
_FLOATS = tuple(range(ValueType.FLOAT16, ValueType.FLOAT64 + 1))
_SCALAR_KINDS = (Kind.DENSE, Kind.LABEL, Kind.WEIGHT, Kind.ORDER_KEY, Kind.META)


def _combinations() -> NDArray[np.bool_]:
    """Shapes, value types and kinds that go together, bool [shape, value type, kind]."""
    allowed = np.zeros((max(Shape) + 1, max(ValueType) + 1, max(Kind) + 1), np.bool_)
    for shape, types, kinds in (
        (Shape.SCALAR, (ValueType.BOOL,), _SCALAR_KINDS),
        (Shape.SCALAR, _INTEGERS, (*_SCALAR_KINDS, Kind.ID_LIST, Kind.SESSION_KEY)),
        (Shape.SCALAR, _FLOATS, (*_SCALAR_KINDS, Kind.SESSION_KEY)),
        (Shape.LIST, (ValueType.BYTES,), (Kind.META, Kind.SESSION_KEY, Kind.ORDER_KEY)),
        (Shape.LIST, _INTEGERS, (Kind.ID_LIST, Kind.META)),
        (Shape.LIST, _FLOATS, (Kind.FLOAT_LIST, Kind.META)),
        (Shape.FIXED, _INTEGERS + _FLOATS, (Kind.DENSE, Kind.META)),
        (Shape.WEIGHTED_LIST, _INTEGERS, (Kind.ID_SCORE_LIST, Kind.META)),
    ):
        allowed[np.ix_([shape], types, kinds)] = True
    return allowed


_COMBINATIONS = _combinations()


def name_hash(name: str) -> int:
    """XXH3-64 of a field name's UTF-8 bytes."""
    return xxh3_64_intdigest(name.encode())


def encode_schema(schema: Schema) -> bytes:
    """Return the schema block of `schema`."""
    names = [field.name.encode() for field in schema.fields]
    fields = np.zeros(len(names), FIELD)
    lengths = np.array([len(name) for name in names], np.int64)
    if lengths.max(initial=0) > _MAX_NAME_BYTES:
        longest = schema.fields[int(lengths.argmax())].name
        raise RecdInputError(
            f"column {longest[:40]!r}…: a name of {lengths.max()} bytes, at most "
            f"{_MAX_NAME_BYTES} fit"
        )
    if (lengths == 0).any():
        raise RecdInputError(f"column {int(lengths.argmin())} has no name")
    fields["name_bytes"] = lengths
    fields["name_offset"] = np.concatenate([[0], lengths.cumsum()[:-1]]) if names else 0
    for row, field, name in zip(fields, schema.fields, names, strict=True):
        row["name_hash"] = xxh3_64_intdigest(name)
        row["kind"] = field.kind
        row["shape"] = field.shape
        row["value_type"] = field.value_type
        row["weight_type"] = field.weight_type or 0
        row["flags"] = NULLABLE if field.nullable else 0
        row["width"] = field.width
        row["group"] = field.group if field.group >= 0 else _NO_GROUP
    groups = np.zeros(len(schema.groups), GROUP)
    groups["flags"] = [_WINDOW if group.window else 0 for group in schema.groups]
    groups["fields"] = [len(group.fields) for group in schema.groups]
    heap = b"".join(names)
    header = np.array((len(names), len(groups), len(heap), 0), HEADER)
    block = header.tobytes() + fields.tobytes() + groups.tobytes() + heap
    return block + bytes(-len(block) % 8)


class SchemaBlock:
    """A schema block read lazily: opening a file of 5,000 fields builds no 5,000 objects.

    Parameters
    ----------
    data
        Bytes of the block, checksum already verified.
    location
        Where the block stands, for errors.
    limits
        Caps on the number of fields.

    Raises
    ------
    RecdFormatError
        SCHEMA, LIMIT: counts, enums, groups or names are out of range.
    """

    def __init__(self, data: bytes | memoryview, location: Location, limits: Limits) -> None:
        self._location = location
        if len(data) < HEADER.itemsize:
            raise self._error(f"schema block has {len(data)} bytes, at least 16 expected")
        header = np.frombuffer(data, HEADER, 1)[0]
        fields, groups = int(header["fields"]), int(header["groups"])
        heap = int(header["heap_bytes"])
        if fields > limits.fields or groups > limits.fields:
            raise RecdFormatError(
                Reason.LIMIT, f"{fields} fields, {groups} groups, limit {limits.fields}", location
            )
        size = HEADER.itemsize + fields * FIELD.itemsize + groups * GROUP.itemsize + heap
        if len(data) != size + -size % 8:
            raise self._error(f"schema block has {len(data)} bytes, {size + -size % 8} expected")
        position = HEADER.itemsize
        self.fields = np.frombuffer(data, FIELD, fields, position)
        position += self.fields.nbytes
        self.groups = np.frombuffer(data, GROUP, groups, position)
        self._heap = bytes(data[position + self.groups.nbytes : size])
        self.size = len(data)
        self._check()

    def _error(self, detail: str) -> RecdFormatError:
        return RecdFormatError(Reason.SCHEMA, detail, self._location)

    def _check(self) -> None:
        fields = self.fields
        ends = fields["name_offset"].astype(np.int64) + fields["name_bytes"]
        rules = {
            "name range": (ends <= len(self._heap)) & (fields["name_bytes"] > 0),
            "kind": (fields["kind"] >= 1) & (fields["kind"] <= max(Kind)),
            "shape": (fields["shape"] >= 1) & (fields["shape"] <= max(Shape)),
            "value type": (fields["value_type"] >= 1) & (fields["value_type"] <= max(ValueType)),
            "weight type": np.where(
                fields["shape"] == Shape.WEIGHTED_LIST,
                (fields["weight_type"] >= ValueType.FLOAT16)
                & (fields["weight_type"] <= ValueType.FLOAT64),
                fields["weight_type"] == 0,
            ),
            "width": np.where(
                fields["shape"] == Shape.FIXED,
                fields["width"] > 0,
                fields["width"] == (fields["shape"] == Shape.SCALAR),
            ),
            "type of a string": (fields["value_type"] != ValueType.BYTES)
            | (fields["shape"] == Shape.LIST),
            "group": np.where(
                fields["kind"] == Kind.SESSION_KEY,
                fields["group"] == _NO_GROUP,
                fields["group"] < len(self.groups),
            ),
            "flag": (fields["flags"] & ~np.uint16(NULLABLE)) == 0,
        }
        for what, good in rules.items():
            if not good.all():
                raise self._error(f"field {int(np.argmin(good))} has an invalid {what}")
        good = _COMBINATIONS[fields["shape"], fields["value_type"], fields["kind"]]
        if not good.all():
            bad = int(np.argmin(good))
            shape, type_, kind = (
                enum(int(fields[name][bad])).name.lower()
                for enum, name in ((Shape, "shape"), (ValueType, "value_type"), (Kind, "kind"))
            )
            raise self._error(f"field {bad}: no {kind} is a {shape} of {type_}")
        if (self.groups["flags"] & ~np.uint32(_WINDOW)).any():
            raise self._error("a group has an invalid flag")
        keys = int((fields["kind"] == Kind.SESSION_KEY).sum())
        if len(fields) and keys != 1:
            raise self._error(f"{keys} session keys, 1 expected")
        if (fields["kind"] == Kind.ORDER_KEY).sum() > 1:
            raise self._error("more than one order key")
        members = np.bincount(
            fields["group"][fields["group"] != _NO_GROUP], minlength=len(self.groups)
        )
        if not np.array_equal(members, self.groups["fields"]) or (members == 0).any():
            raise self._error("a group's number of fields disagrees with its members")
        window = (self.groups["flags"] & _WINDOW) != 0
        inside = fields["group"] != _NO_GROUP
        jagged = np.isin(fields["shape"], (Shape.LIST, Shape.WEIGHTED_LIST))
        if (window[fields["group"][inside]] & ~jagged[inside]).any():
            raise self._error("a window group has a field that is not a list")
        of_bytes = fields["value_type"][inside] == ValueType.BYTES
        if (window[fields["group"][inside]] & of_bytes).any():
            raise self._error("a window group has a field of bytes")

    @property
    def num_fields(self) -> int:
        """Number of fields."""
        return len(self.fields)

    @property
    def num_groups(self) -> int:
        """Number of groups."""
        return len(self.groups)

    def name(self, field: int) -> str:
        """Name of field number `field`."""
        row = self.fields[field]
        start = int(row["name_offset"])
        try:
            return self._heap[start : start + int(row["name_bytes"])].decode()
        except UnicodeDecodeError as exc:
            raise self._error(f"name of field {field} is not UTF-8") from exc

    def field(self, index: int) -> Field:
        """Field number `index` as an object."""
        row = self.fields[index]
        weight = int(row["weight_type"])
        group = int(row["group"])
        return Field(
            name=self.name(index),
            kind=Kind(int(row["kind"])),
            shape=Shape(int(row["shape"])),
            value_type=ValueType(int(row["value_type"])),
            weight_type=ValueType(weight) if weight else None,
            width=int(row["width"]),
            nullable=bool(row["flags"] & NULLABLE),
            group=-1 if group == _NO_GROUP else group,
        )

    def group(self, index: int) -> Group:
        """Group number `index` as an object."""
        members = np.flatnonzero(self.fields["group"] == index)
        return Group(
            tuple(int(member) for member in members),
            bool(self.groups[index]["flags"] & _WINDOW),
        )

    def schema(self) -> Schema:
        """Return the whole schema; duplicate names are an error."""
        fields = tuple(self.field(index) for index in range(self.num_fields))
        names = {field.name for field in fields}
        if len(names) != len(fields):
            raise self._error("two fields have the same name")
        members: list[list[int]] = [[] for _ in range(self.num_groups)]
        for index, field in enumerate(fields):
            if field.group >= 0:
                members[field.group].append(index)
        groups = tuple(
            Group(tuple(fields_), bool(row["flags"] & _WINDOW))
            for fields_, row in zip(members, self.groups, strict=True)
        )
        return Schema(fields, groups)
