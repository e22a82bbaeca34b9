"""What plans need to know of stripes: their sessions, and which rows of them are wanted.

The thin shell around `selection`: reads session lengths, and for splits and sampling the session
keys, order keys or labels, of one stripe at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recd_format.api.file import RecdFile
from recd_format.errors import RecdInputError
from recd_format.format.schema import Kind, Shape
from recd_format.jagged import session_ids
from recd_format.loader.options import LoaderOptions
from recd_format.loader.segments import Segments, StripeInfo
from recd_format.loader.selection import (
    carry_first_keys,
    positive_sessions,
    select,
    share_positive,
)
from recd_format.reader.data import FieldData, StripeData
from recd_format.reader.expand import unique_column
from recd_format.reader.file import FileReader

__all__ = ["OPEN_FILES", "StripeSessions"]

# Files that stay open between reads; of more, each is closed after its turn.
OPEN_FILES = 32

# Session tables of stripes that are kept: windows that overlap ask for some twice.
_KEPT = 64


@dataclass(slots=True)
class _Keys:
    """What splits and samples look at, of one stripe."""

    offsets: NDArray[np.int64]
    ids: NDArray[np.int64] | None = None
    first_keys: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None


class StripeSessions:
    """Stripes of some files as plans see them.

    Parameters
    ----------
    readers
        The files.
    options
        `time_range`, `session_hash` and `downsample` count; with none of them only the session
        lengths are ever read, and only of stripes that are asked for.
    """

    def __init__(self, readers: Sequence[FileReader], options: LoaderOptions) -> None:
        self._readers = readers
        self._options = options
        self._all = [
            (file, stripe)
            for file, reader in enumerate(readers)
            for stripe in range(reader.num_stripes)
        ]
        self._selects = (
            options.time_range is not None
            or options.session_hash is not None
            or options.downsample is not None
        )
        self._infos: list[StripeInfo] | None = None
        self._chosen: list[Segments] = []
        # Plans are asked in the thread of batches and by the caller: this needs no lock.
        self._whole = lru_cache(_KEPT)(self._read_whole)
        self._keys: dict[int, int] = {}

    def session_key(self, file: int) -> int:
        """Field of a file's session key."""
        if file not in self._keys:
            self._keys[file] = _only(self._readers[file], Kind.SESSION_KEY)
        return self._keys[file]

    def stripes(self) -> Sequence[StripeInfo]:
        """Every stripe of every file, with the rows that are wanted of it."""
        if self._infos is None:
            if self._selects:
                self._chosen = self._select_all()
            self._infos = [
                StripeInfo(
                    file,
                    stripe,
                    self._chosen[number].num_rows
                    if self._selects
                    else int(self._readers[file].stripe_rows[stripe]),
                    self._readers[file].continues(stripe),
                    not self._selects,
                )
                for number, (file, stripe) in enumerate(self._all)
            ]
        return self._infos

    def segments(self, number: int) -> Segments:
        """Wanted rows of a stripe."""
        if self._selects:
            self.stripes()
            return self._chosen[number]
        return self._whole(number)

    def _read_whole(self, number: int) -> Segments:
        file, stripe = self._all[number]
        reader = self._readers[file]
        data = reader.read_stripe(stripe, reader.project([]))
        if len(self._readers) > OPEN_FILES:
            reader.close()
        return Segments.whole(data.session_offsets)

    def _select_all(self) -> list[Segments]:
        options = self._options
        keys: list[_Keys] = []
        for file, reader in enumerate(self._readers):
            keys += self._keys_of(file, reader)
            if len(self._readers) > 1:
                reader.close()
        continues = [self._readers[file].continues(stripe) for file, stripe in self._all]
        first_keys = positive = None
        if options.time_range is not None:
            first_keys = carry_first_keys([_found(key.first_keys) for key in keys], continues)
        if options.downsample is not None and options.downsample.by == "session":
            found = [positive_sessions(key.offsets, _found(key.labels)) for key in keys]
            positive = share_positive(found, continues)
        chosen, first_row = [], 0
        for number, key in enumerate(keys):
            file, _ = self._all[number]
            chosen.append(
                select(
                    key.offsets,
                    session_hash=options.session_hash,
                    session_ids=key.ids,
                    time_range=self._time_range(file),
                    first_keys=None if first_keys is None else first_keys[number],
                    downsample=options.downsample,
                    labels=key.labels,
                    positive=None if positive is None else positive[number],
                    first_row=first_row,
                )
            )
            first_row += int(key.offsets[-1])
        return chosen

    def _keys_of(self, file: int, reader: FileReader) -> list[_Keys]:
        options = self._options
        key = self.session_key(file)
        order = None if options.time_range is None else _order_key(reader)
        downsample = options.downsample
        label = None if downsample is None else _label(reader, downsample.label)
        wanted = sorted({field for field in (key, order, label) if field is not None})
        projection = reader.project(wanted)
        found = []
        for stripe in range(reader.num_stripes):
            data = reader.read_stripe(stripe, projection)
            column = unique_column(data.fields[key], reader.options.limits)
            found.append(
                _Keys(
                    data.session_offsets,
                    session_ids(column),
                    None if order is None else _rows(data, order)[data.session_offsets[:-1]],
                    None if label is None else _rows(data, label),
                )
            )
        return found

    def _time_range(self, file: int) -> tuple[Any, Any] | None:
        if self._options.time_range is None:
            return None
        reader = self._readers[file]
        field = reader.schema.fields[_only(reader, Kind.ORDER_KEY)]
        arrow_type = RecdFile(reader).schema.field(field.name).type
        begin, end = (_stored(bound, arrow_type) for bound in self._options.time_range)
        return begin, end


def _only(reader: FileReader, kind: Kind) -> int:
    found = [index for index, field in enumerate(reader.schema.fields) if field.kind is kind]
    if not found:
        use = ", which time_range needs" if kind is Kind.ORDER_KEY else ""
        raise RecdInputError(f"{reader.name} has no {kind.name.lower()}{use}")
    return found[0]


def _order_key(reader: FileReader) -> int:
    index = _only(reader, Kind.ORDER_KEY)
    field = reader.schema.fields[index]
    if field.shape is not Shape.SCALAR:
        raise RecdInputError(
            f"{reader.name}: time_range looks at {field.name!r}, an order key of text: expected "
            "one of numbers, dates or times"
        )
    return index


def _label(reader: FileReader, name: str) -> int:
    index = reader.field_index(name)
    field = reader.schema.fields[index]
    if field.kind is not Kind.LABEL or field.width != 1:
        raise RecdInputError(
            f"{reader.name}: Downsample looks at {name!r}, a {field.kind.name.lower()} of width "
            f"{field.width}: expected a label of one value"
        )
    return index


def _rows(data: StripeData, index: int) -> NDArray[Any]:
    """Values of a scalar by row; null labels are NaN."""
    field: FieldData = data.fields[index]
    values = field.values
    if field.validity is not None:
        values = np.where(field.validity, values.astype(np.float64), np.nan)
    inverse = data.groups[field.group].inverse_lookup
    return values if inverse is None else values[inverse]


def _found(array: NDArray[Any] | None) -> NDArray[Any]:
    assert array is not None
    return array


def _stored(bound: Any, arrow_type: pa.DataType) -> Any:
    """A bound of time as order keys are stored: numbers are; all else by Arrow's conversion."""
    if bound is None or isinstance(bound, Real):
        return bound
    try:
        scalar = pa.scalar(bound)
        if not scalar.type.equals(arrow_type):
            scalar = scalar.cast(arrow_type)
        if pa.types.is_temporal(arrow_type):
            scalar = scalar.cast(pa.int32() if arrow_type.bit_width == 32 else pa.int64())
        return scalar.as_py()
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise RecdInputError(
            f"time_range: {bound!r} is no {arrow_type}, the type of the order key"
        ) from exc
