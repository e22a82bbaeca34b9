"""Arrow schemas to fields and back, and as bytes."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from recd_format.arrow.types import advice, arrow_type_of, plain_type, storage_of, type_fits
from recd_format.errors import Location, Reason, RecdFormatError, RecdInputError
from recd_format.format.schema import Field, Kind, Shape

__all__ = [
    "arrow_schema_of",
    "check_arrow_schema",
    "infer_schema",
    "leak_warnings",
    "schema_from_bytes",
    "schema_to_bytes",
]

_KIND_NAMES = {kind.name.lower(): kind for kind in Kind}
_KEYS = frozenset({Kind.SESSION_KEY, Kind.ORDER_KEY})


def infer_schema(
    arrow_schema: pa.Schema,
    *,
    session_key: str,
    order_key: str | None = None,
    labels: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    sample_weight: str | None = None,
) -> tuple[Field, ...]:
    """Return the fields of a file for rows of `arrow_schema`, in its order, groups not yet set.

    Parameters
    ----------
    arrow_schema
        Schema of the rows.
    session_key, order_key, labels, sample_weight
        Names of columns.
    kinds
        Kinds that differ from what the type says: ``{"request_id": "meta"}``.

    Raises
    ------
    RecdInputError
        Where a name is unknown or doubled, a type is not supported, or a kind does not fit it.
    """
    if isinstance(labels, str):
        labels = (labels,)
    repeated = [name for name, times in Counter(arrow_schema.names).items() if times > 1]
    if repeated:
        raise RecdInputError(f"column names must differ, but these repeat: {repeated}")
    chosen = _chosen_kinds(
        arrow_schema.names,
        [("session_key", session_key, Kind.SESSION_KEY)]
        + ([] if order_key is None else [("order_key", order_key, Kind.ORDER_KEY)])
        + [("labels", label, Kind.LABEL) for label in labels]
        + ([] if sample_weight is None else [("sample_weight", sample_weight, Kind.WEIGHT)])
        + [("kinds", name, _kind(name, kind)) for name, kind in (kinds or {}).items()],
    )
    return tuple(_field(column, chosen.get(column.name)) for column in arrow_schema)


def _kind(name: str, kind: str) -> Kind:
    found = _KIND_NAMES.get(str(kind).lower())
    choices = [word for word, value in _KIND_NAMES.items() if value not in _KEYS]
    if found is None:
        raise RecdInputError(f"kinds[{name!r}] is {kind!r}; it can be one of {choices}")
    if found in _KEYS:
        raise RecdInputError(f"kinds[{name!r}]: give the {kind} by the argument of that name")
    return found


def _chosen_kinds(
    names: Sequence[str], choices: Sequence[tuple[str, str, Kind]]
) -> dict[str, tuple[str, Kind]]:
    known = set(names)
    chosen: dict[str, tuple[str, Kind]] = {}
    for argument, name, kind in choices:
        if name not in known:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the columns are {list(names)[:20]}"
            raise RecdInputError(f"{argument}: there is no column {name!r}; {hint}")
        other = chosen.setdefault(name, (argument, kind))
        if other[1] != kind:
            raise RecdInputError(f"column {name!r} is named by both {other[0]} and {argument}")
    return chosen


def _field(column: pa.Field, chosen: tuple[str, Kind] | None) -> Field:
    storage = storage_of(column.type)
    if storage is None:
        raise RecdInputError(
            f"column {column.name!r} has type {column.type}, which a file cannot hold: "
            f"{advice(column.type)}"
        )
    argument, kind = chosen or ("", storage.kinds[0])
    if kind not in storage.kinds:
        words = [each.name.lower() for each in storage.kinds]
        raise RecdInputError(
            f"{argument}: column {column.name!r} of type {column.type} cannot be a "
            f"{kind.name.lower()}; it can be one of {words}"
        )
    shape, width = storage.shape, storage.width
    plain = plain_type(column.type)
    if pt.is_fixed_size_list(plain):
        jagged = kind in (Kind.ID_LIST, Kind.FLOAT_LIST)
        shape, width = (Shape.LIST, 0) if jagged else (Shape.FIXED, plain.list_size)
    return Field(
        name=column.name,
        kind=kind,
        shape=shape,
        value_type=storage.value_type,
        weight_type=storage.weight_type,
        width=width,
        nullable=column.nullable and kind not in _KEYS,
    )


def leak_warnings(fields: Sequence[Field]) -> tuple[str, ...]:
    """Name the features that look like labels: a model that sees one learns to read it off."""
    features = (Kind.ID_LIST, Kind.ID_SCORE_LIST, Kind.FLOAT_LIST, Kind.DENSE)
    return tuple(
        f"column {field.name!r} is stored as a feature ({field.kind.name.lower()}) but is named "
        "like a label: add it to labels, or set kinds to 'meta'"
        for field in fields
        if field.kind in features
        and (field.name.lower() in ("label", "target") or field.name.lower().startswith("click"))
    )


def arrow_schema_of(fields: Sequence[Field]) -> pa.Schema:
    """Return the Arrow schema of a file that has no `arrow_schema` section."""
    return pa.schema([pa.field(f.name, arrow_type_of(f), f.nullable) for f in fields])


def check_arrow_schema(schema: pa.Schema, fields: Sequence[Field], path: str | None = None) -> None:
    """Raise RecdFormatError unless `schema` names the same columns with types that fit `fields`."""
    where = Location(path, "arrow_schema section")
    if list(schema.names) != [field.name for field in fields]:
        detail = "expected the names of the field table, found others"
        raise RecdFormatError(Reason.SECTION, detail, where)
    for column, field in zip(schema, fields, strict=True):
        if not type_fits(column.type, field):
            detail = f"column {column.name!r}: type {column.type} does not fit the field table"
            raise RecdFormatError(Reason.SECTION, detail, where)


def schema_to_bytes(schema: pa.Schema) -> bytes:
    """Serialize a schema, metadata included, as an Arrow IPC message."""
    return bytes(schema.serialize())


def schema_from_bytes(data: bytes | memoryview, path: str | None = None) -> pa.Schema:
    """Read a schema that `schema_to_bytes` made; raise RecdFormatError where it is none."""
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(data))
        # Arrow decodes names when they are asked for, and raises then where they are not UTF-8.
        _ = schema.names
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        where = Location(path, "arrow_schema section")
        detail = f"expected an Arrow IPC schema message: {error}"
        raise RecdFormatError(Reason.SECTION, detail, where) from error
    return schema
