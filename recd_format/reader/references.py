"""LIST_AT on the way out of a file: scalars copied from the lists of their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.list_at import Rows, resolve, unpack_reference
from recd_format.errors import Reason, RecdFormatError
from recd_format.reader.streams import stream_location

if TYPE_CHECKING:
    from recd_format.reader.data import FieldData, GroupData
    from recd_format.reader.streams import StoredStreams

__all__ = ["resolve_references"]


def resolve_references(
    streams: StoredStreams,
    references: NDArray[np.int64],
    fields: Mapping[int, FieldData],
    groups: Mapping[int, GroupData],
    own_index: Callable[[int], NDArray[np.int64]],
) -> dict[int, NDArray[Any]]:
    """Return the values of LIST_AT streams, by the field they are of.

    Parameters
    ----------
    references
        Stream numbers of LIST_AT streams.
    fields
        All decoded fields; those that LIST_AT streams point at are among them.
    own_index
        Gives the indices of a stream that holds its own.

    Raises
    ------
    RecdFormatError
        REFERENCE: an index is null, not an integer, or not within its row's list.
    """
    resolved = {}
    owners = set(streams.records["owner"][references].tolist())
    for number in references.tolist():
        owner = int(streams.records["owner"][number])
        try:
            resolved[owner] = _resolve(streams, number, owners, fields, groups, own_index)
        except RecdFormatError as exc:
            raise RecdFormatError(exc.reason, exc.detail, stream_location(streams, number)) from exc
    return resolved


def _resolve(
    streams: StoredStreams,
    number: int,
    owners: set[int],
    fields: Mapping[int, FieldData],
    groups: Mapping[int, GroupData],
    own_index: Callable[[int], NDArray[np.int64]],
) -> NDArray[Any]:
    """Values of one LIST_AT stream; `owners` have such streams."""
    record = streams.records[number]
    field = fields[int(record["owner"])]
    reference = unpack_reference(int(record["params"]))
    list_ = fields[reference.list_field]
    if groups[field.group].inverse_lookup is not None:
        raise RecdFormatError(Reason.REFERENCE, "LIST_AT in a group that has codes")
    dtype = list_.values.dtype
    starts, lengths = list_.ranges()
    if reference.index_field in owners:
        raise RecdFormatError(
            Reason.REFERENCE, f"its index, field {reference.index_field}, is a LIST_AT itself"
        )
    if reference.index_field is None:
        index = Rows(own_index(number))
    else:
        index = _row_values(fields[reference.index_field], groups)
        _require_index(fields[reference.index_field].validity, index.lookup, field.validity)
    return resolve(
        Rows(starts, groups[list_.group].inverse_lookup),
        lengths,
        list_.values,
        index,
        base=reference.base,
        validity=field.validity,
        out=streams.allocate(index.num_rows * dtype.itemsize).view(dtype),
    )


def _row_values(field: FieldData, groups: Mapping[int, GroupData]) -> Rows:
    """Integer values of a scalar field, by row."""
    if field.values.dtype.kind not in "iu":
        raise RecdFormatError(Reason.REFERENCE, f"an index of type {field.values.dtype}")
    return Rows(field.values, groups[field.group].inverse_lookup)


def _require_index(
    index: NDArray[np.bool_] | None,
    lookup: NDArray[np.int32] | None,
    scalar: NDArray[np.bool_] | None,
) -> None:
    """Raise where the index is null in a row whose scalar is not."""
    if index is None:
        return
    missing = ~(index if lookup is None else index[lookup])
    if scalar is not None:
        missing &= scalar
    if missing.any():
        row = int(np.argmax(missing))
        raise RecdFormatError(Reason.REFERENCE, f"row {row}: the index is null, the value is not")
