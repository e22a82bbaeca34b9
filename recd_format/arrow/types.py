"""Which Arrow types a file holds, and how: shapes, value types and kinds."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as pt

from recd_format.format.schema import Field, Kind, Shape, ValueType

__all__ = [
    "Storage",
    "advice",
    "arrow_type_of",
    "is_bytes",
    "is_list",
    "plain_type",
    "storage_of",
    "type_fits",
    "weighted_fields",
]

_NUMBERS: dict[pa.DataType, ValueType] = {
    pa.bool_(): ValueType.BOOL,
    pa.int8(): ValueType.INT8,
    pa.int16(): ValueType.INT16,
    pa.int32(): ValueType.INT32,
    pa.int64(): ValueType.INT64,
    pa.uint8(): ValueType.UINT8,
    pa.uint16(): ValueType.UINT16,
    pa.uint32(): ValueType.UINT32,
    pa.uint64(): ValueType.UINT64,
    pa.float16(): ValueType.FLOAT16,
    pa.float32(): ValueType.FLOAT32,
    pa.float64(): ValueType.FLOAT64,
}
_ARROW_NUMBERS = {value: arrow for arrow, value in _NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Storage:
    """How the values of an Arrow type are held, and the kinds that make sense for them.

    Attributes
    ----------
    shape, value_type, weight_type, width
        As in `Field`.
    kinds : tuple of Kind
        Kinds a column of this type may have; the first is the one when nobody says.
    """

    shape: Shape
    value_type: ValueType
    weight_type: ValueType | None
    width: int
    kinds: tuple[Kind, ...]


def plain_type(type_: pa.DataType) -> pa.DataType:
    """Return `type_` without extension and dictionary wrappers."""
    while True:
        if isinstance(type_, pa.BaseExtensionType):
            type_ = type_.storage_type
        elif pt.is_dictionary(type_):
            type_ = type_.value_type
        else:
            return type_


def is_list(type_: pa.DataType) -> bool:
    """True for lists of any length and layout, maps aside."""
    return bool(
        pt.is_list(type_)
        or pt.is_large_list(type_)
        or pt.is_list_view(type_)
        or pt.is_large_list_view(type_)
    )


def is_bytes(type_: pa.DataType) -> bool:
    """True for strings and binaries of any layout."""
    return bool(
        pt.is_string(type_)
        or pt.is_large_string(type_)
        or pt.is_string_view(type_)
        or pt.is_binary(type_)
        or pt.is_large_binary(type_)
        or pt.is_binary_view(type_)
        or pt.is_fixed_size_binary(type_)
    )


def weighted_fields(type_: pa.DataType) -> tuple[pa.Field, pa.Field, bool] | None:
    """Return the id and weight fields of the elements, and whether the id stands first.

    None where `type_` is not map<int, float> or a list of structs of one integer and one float.
    """
    if pt.is_map(type_):
        pair = (type_.key_field, type_.item_field)
    elif is_list(type_) and pt.is_struct(type_.value_type) and type_.value_type.num_fields == 2:
        pair = (type_.value_type.field(0), type_.value_type.field(1))
    else:
        return None
    if pt.is_integer(pair[0].type) and pt.is_floating(pair[1].type):
        return pair[0], pair[1], True
    if not pt.is_map(type_) and pt.is_floating(pair[0].type) and pt.is_integer(pair[1].type):
        return pair[1], pair[0], False
    return None


def storage_of(type_: pa.DataType) -> Storage | None:
    """Return how values of `type_` are held, or None where the type is not supported."""
    if pt.is_dictionary(type_) and type_.ordered:
        return None
    type_ = plain_type(type_)
    if is_bytes(type_):
        kinds = (Kind.META, Kind.SESSION_KEY, Kind.ORDER_KEY)
        return Storage(Shape.LIST, ValueType.BYTES, None, 0, kinds)
    if (weighted := weighted_fields(type_)) is not None:
        ids, weights = _NUMBERS[weighted[0].type], _NUMBERS[weighted[1].type]
        return Storage(Shape.WEIGHTED_LIST, ids, weights, 0, (Kind.ID_SCORE_LIST, Kind.META))
    if is_list(type_) or pt.is_fixed_size_list(type_):
        return _list_storage(type_)
    return _scalar_storage(type_)


def _list_storage(type_: pa.DataType) -> Storage | None:
    value = _NUMBERS.get(type_.value_type)
    if value is None or value == ValueType.BOOL:
        return None
    is_float = pt.is_floating(type_.value_type)
    if not pt.is_fixed_size_list(type_):
        list_kind = Kind.FLOAT_LIST if is_float else Kind.ID_LIST
        return Storage(Shape.LIST, value, None, 0, (list_kind, Kind.META))
    if type_.list_size < 1:
        return None
    if is_float:
        kinds = (Kind.DENSE, Kind.FLOAT_LIST, Kind.META)
        return Storage(Shape.FIXED, value, None, type_.list_size, kinds)
    # Ids of a fixed number are a list like any other: equal lengths cost no bytes.
    kinds = (Kind.ID_LIST, Kind.DENSE, Kind.META)
    return Storage(Shape.LIST, value, None, 0, kinds)


def _scalar_storage(type_: pa.DataType) -> Storage | None:
    if (number := _NUMBERS.get(type_)) is not None:
        numeric = (Kind.LABEL, Kind.WEIGHT, Kind.ORDER_KEY, Kind.META)
        if number == ValueType.BOOL:
            kinds: tuple[Kind, ...] = (Kind.DENSE, *numeric)
        elif pt.is_floating(type_):
            kinds = (Kind.DENSE, *numeric, Kind.SESSION_KEY)
        else:
            kinds = (Kind.ID_LIST, Kind.DENSE, *numeric, Kind.SESSION_KEY)
        return Storage(Shape.SCALAR, number, None, 1, kinds)
    if pt.is_temporal(type_) and not pt.is_interval(type_):
        value = ValueType.INT32 if type_.bit_width == 32 else ValueType.INT64
        kinds = (Kind.META, Kind.SESSION_KEY, Kind.ORDER_KEY, Kind.ID_LIST)
        return Storage(Shape.SCALAR, value, None, 1, kinds)
    return None


def advice(type_: pa.DataType) -> str:
    """What to do about a column of an unsupported type."""
    if pt.is_dictionary(type_) and type_.ordered:
        return "the order of its categories would be lost; cast it to string"
    type_ = plain_type(type_)
    if pt.is_decimal(type_):
        return "cast it to float64"
    if pt.is_null(type_):
        return "cast it to the type it should have, or leave it out"
    if pt.is_struct(type_):
        return "make its fields columns of their own (Table.flatten)"
    if pt.is_map(type_):
        return "maps must be map<integer, float>; replace the keys by integer ids"
    if pt.is_fixed_size_list(type_) and type_.list_size < 1:
        return "leave it out: its rows hold no values"
    if is_list(type_) or pt.is_fixed_size_list(type_):
        return _list_advice(type_.value_type)
    return "leave it out, or convert it to integers, floats, strings or lists of numbers"


def _list_advice(value: pa.DataType) -> str:
    if pt.is_boolean(value):
        return "cast it to a list of int8"
    if is_bytes(plain_type(value)):
        return "replace the strings by integer ids (a hash or a vocabulary)"
    if pt.is_nested(value):
        if pt.is_struct(value):
            return "structs in a list must be one integer id and one float weight"
        return "flatten it: lists of lists cannot be held"
    if pt.is_decimal(value):
        return "cast it to a list of float64"
    if pt.is_temporal(value):
        return "cast it to a list of int64"
    return "lists must hold integers or floats"


def type_fits(type_: pa.DataType, field: Field) -> bool:
    """True where values of `type_` are held as `field` says."""
    storage = storage_of(type_)
    if storage is None:
        return False
    plain = plain_type(type_)
    width = plain.list_size if pt.is_fixed_size_list(plain) else storage.width
    values = (storage.value_type, storage.weight_type) == (field.value_type, field.weight_type)
    if field.shape == Shape.FIXED:
        return values and pt.is_fixed_size_list(plain) and width == field.width
    if pt.is_fixed_size_list(plain):
        return values and field.shape == Shape.LIST
    return values and storage.shape == field.shape


def arrow_type_of(field: Field) -> pa.DataType:
    """Return the Arrow type of a field where the file does not say: the plainest that fits."""
    if field.value_type == ValueType.BYTES:
        return pa.binary()
    value = _ARROW_NUMBERS[field.value_type]
    if field.shape == Shape.FIXED:
        return pa.list_(value, field.width)
    if field.shape == Shape.WEIGHTED_LIST:
        weight = _ARROW_NUMBERS[field.weight_type or ValueType.FLOAT32]
        return pa.list_(pa.struct([pa.field("id", value), pa.field("weight", weight)]))
    return pa.list_(value) if field.shape == Shape.LIST else value
