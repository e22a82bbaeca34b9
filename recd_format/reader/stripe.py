"""One stripe, or a range of its rows, as deduplicated columns: what everything else slices.

Three rounds of kernel calls: codes, which say which unique rows the rows want; lengths and
starts, which say which values those want; the values. Each round decodes all fields at once, one
call per chain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import block_sums, decode
from recd_format.codec.base import CodecId
from recd_format.constants import BLOCK_VALUES, ROWS_OWNER
from recd_format.dedup.exact import decode_codes_many
from recd_format.dedup.nulls import find_beyond_one, find_filled_null
from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.format.record import CODES_MONOTONE, Records, StreamKind, kind_mask
from recd_format.format.schema import Kind, Shape, ValueType
from recd_format.format.schema_block import SchemaBlock
from recd_format.format.validate import value_dtype
from recd_format.reader.data import FieldData, GroupData, StripeData
from recd_format.reader.references import resolve_references
from recd_format.reader.streams import Decoded, StoredStreams, decode_streams, stream_location

__all__ = ["decode_stripe"]


_CODES, _LENGTHS, _STARTS, _VALIDITY, _VALUES, _WEIGHTS, _SESSION_KEY, _SESSION_ROWS = (
    int(kind)
    for kind in (
        StreamKind.CODES,
        StreamKind.LENGTHS,
        StreamKind.STARTS,
        StreamKind.VALIDITY,
        StreamKind.VALUES,
        StreamKind.WEIGHTS,
        StreamKind.SESSION_KEY,
        StreamKind.SESSION_ROWS,
    )
)
_ROUND_TWO = kind_mask(StreamKind.LENGTHS, StreamKind.STARTS, StreamKind.VALIDITY)
_ROUND_THREE = kind_mask(StreamKind.VALUES, StreamKind.WEIGHTS, StreamKind.SESSION_KEY)
_DICTIONARIES = kind_mask(StreamKind.DICTIONARY, StreamKind.WEIGHT_DICTIONARY)
_WIDENED = kind_mask(StreamKind.VALUES, StreamKind.DICTIONARY)
_JAGGED = (int(Shape.LIST), int(Shape.WEIGHTED_LIST))
_BOOL = int(ValueType.BOOL)
_INT32_MAX = (1 << 31) - 1
_UINT32, _INT32, _BOOLEAN = np.dtype("<u4"), np.dtype("<i4"), np.dtype("?")


class _StripeDecoder:
    """State of decoding one stripe. Streams are known by their number among its records."""

    def __init__(
        self,
        streams: StoredStreams,
        schema: SchemaBlock,
        rows: int,
        begin: int,
        end: int,
        wide_fields: NDArray[np.bool_] | None,
    ) -> None:
        self.streams = streams
        self.rows = rows
        self.begin, self.end = begin, end
        self.whole = begin == 0 and end == rows
        records = streams.records
        self.kind_array = records["kind"]
        self.count_array = records["count"].astype(np.int64)
        # Lists: a loop reads their elements faster than those of arrays.
        self.kinds: list[int] = self.kind_array.tolist()
        self.owners: list[int] = records["owner"].tolist()
        self.counts: list[int] = self.count_array.tolist()
        self.number = {
            (owner, kind): number
            for number, (owner, kind) in enumerate(zip(self.owners, self.kinds, strict=True))
        }
        self.num_fields = schema.num_fields
        owned = [owner for owner in dict.fromkeys(self.owners) if owner < schema.num_fields]
        rows_of = schema.fields[owned]
        self.field_group: dict[int, int] = dict(zip(owned, rows_of["group"].tolist(), strict=True))
        self.field_shape = dict(zip(owned, rows_of["shape"].tolist(), strict=True))
        self.field_width = dict(zip(owned, rows_of["width"].tolist(), strict=True))
        keys = (rows_of["kind"] == int(Kind.SESSION_KEY)).tolist()
        for owner, is_key in zip(owned, keys, strict=True):
            if is_key:
                self.field_group[owner] = -1
        self.is_reference = records["chain"][:, 0] == int(CodecId.LIST_AT)
        self.wide = None if wide_fields is None else self._wide(records, wide_fields)
        self.groups: dict[int, GroupData] = {}
        # First and last unique row wanted, by group.
        self.wanted: dict[int, tuple[int, int]] = {}
        self.everything: Decoded | None = None
        if self.whole:
            chosen = np.flatnonzero(~self.is_reference & ~_DICTIONARIES[self.kind_array])
            self.everything = self._decode_all(chosen)

    def _wide(self, records: Records, fields: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Streams whose integers are decoded to 8 bytes: values and dictionaries of `fields`."""
        of_field = _WIDENED[records["kind"]] & (records["owner"] < self.num_fields)
        owners = np.where(of_field, records["owner"], 0).astype(np.int64)
        wide: NDArray[np.bool_] = of_field & fields[owners]
        return wide

    def _dtype(self, number: int) -> np.dtype[Any]:
        """Dtype that a stream of values is decoded to."""
        dtype = value_dtype(int(self.streams.types[number]))
        if self.wide is not None and self.wide[number] and dtype.kind in "iu":
            return np.dtype(f"<{dtype.kind}8")
        return dtype

    def _decode_all(self, chosen: NDArray[np.int64]) -> Decoded:
        begin = np.zeros(len(chosen), np.int64)
        return decode_streams(self.streams, chosen, begin, self.count_array[chosen], self.wide)

    def _decode(
        self, chosen: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]
    ) -> Decoded:
        return self.everything or decode_streams(self.streams, chosen, begin, end, self.wide)

    def _fail(self, number: int, reason: Reason, detail: str) -> RecdFormatError:
        return RecdFormatError(reason, detail, stream_location(self.streams, number))

    def session_offsets(self) -> NDArray[np.int64]:
        number = self.number[ROWS_OWNER, _SESSION_ROWS]
        decoded = self.everything or self._decode_all(np.array([number]))
        rows = decoded.values(number, _UINT32)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(rows, out=offsets[1:])
        if int(offsets[-1]) != self.rows or int(rows.min(initial=1)) == 0:
            raise self._fail(
                number, Reason.SESSIONS, f"sessions have {int(offsets[-1])} rows, not {self.rows}"
            )
        return offsets

    def decode_groups(self) -> None:
        """Round one: inverse lookups."""
        chosen = np.flatnonzero(self.kind_array == _CODES)
        begin = np.zeros(len(chosen), np.int64)
        before = np.zeros(len(chosen), np.int64)
        if not self.whole:
            for place, number in enumerate(chosen.tolist()):
                begin[place], before[place] = self._block_before(number, self.begin)
        decoded = self._decode(chosen, begin, np.full(len(chosen), self.end))
        unique_rows = self.streams.records["params"][chosen].astype(np.int64)
        targets = [decoded.spans[number][0] for number in chosen.tolist()]
        table = np.stack([np.array(targets, np.int64), self.end - begin, before, unique_rows], 1)
        bad, highest = decode_codes_many(table, decoded.arena)
        if bad >= 0:
            raise self._fail(
                int(chosen[bad]),
                Reason.CODES,
                f"a code refers outside of the {int(unique_rows[bad])} unique rows",
            )
        flags = self.streams.records["flags"][chosen].tolist()
        for place, number in enumerate(chosen.tolist()):
            inverse = decoded.values(number, _INT32)[self.begin - int(begin[place]) :]
            monotone = bool(flags[place] & CODES_MONOTONE)
            if monotone and highest[place] > 1:
                raise self._fail(number, Reason.CODES, "codes that are flagged monotone go back")
            self._add_group(number, inverse, monotone, int(unique_rows[place]))
        for group in self.field_group.values():
            if group >= 0 and group not in self.groups:
                self.groups[group] = GroupData(self.end - self.begin, None, True)
                self.wanted[group] = (self.begin, self.end)

    def _add_group(
        self, number: int, inverse: NDArray[np.int32], monotone: bool, unique: int
    ) -> None:
        if self.whole:
            low, high = 0, unique
            # A unique row that nobody refers to has no place in a batch.
            if int(inverse[-1] if monotone else inverse.max()) != unique - 1:
                raise self._fail(number, Reason.CODES, f"rows do not reach {unique} unique rows")
        elif monotone:
            low, high = int(inverse[0]), int(inverse[-1]) + 1
        else:
            low, high = int(inverse.min()), int(inverse.max()) + 1
        if low:
            inverse -= np.int32(low)
        group = self.owners[number] - self.num_fields
        self.groups[group] = GroupData(high - low, inverse, monotone)
        self.wanted[group] = (low, high)

    def _block_before(self, number: int, value: int) -> tuple[int, int]:
        """Where decoding may begin for `value`, and the stream's sum before that."""
        sums = block_sums(
            self.streams.payload(number),
            self.streams.chain(number),
            self.counts[number],
            int(self.streams.records["params"][number]),
        )
        if sums is None or not len(sums):
            return 0, 0
        block = min(value // BLOCK_VALUES, len(sums) - 1)
        before = int(sums[block])
        if before > _INT32_MAX:
            raise self._fail(
                number, Reason.ENCODING, f"sum {before} before block {block} is out of range"
            )
        return block * BLOCK_VALUES, before

    def _unique_range(self, owner: int) -> tuple[int, int]:
        """Unique rows wanted of a field or group; sessions are read whole."""
        if owner >= self.num_fields:
            return self.wanted[owner - self.num_fields]
        group = self.field_group[owner]
        if group < 0:
            return 0, self.counts[self.number[ROWS_OWNER, _SESSION_ROWS]]
        return self.wanted[group]

    def decode_fields(self) -> dict[int, FieldData]:
        """Rounds two and three: lengths, starts and validity; then values and weights."""
        chosen = np.flatnonzero(_ROUND_TWO[self.kind_array])
        numbers = chosen.tolist()
        wanted = [self._unique_range(self.owners[number]) for number in numbers]
        low = np.array([low for low, _ in wanted], np.int64)
        high = np.array([high for _, high in wanted], np.int64)
        begin, before = low.copy(), np.zeros(len(chosen), np.int64)
        if not self.whole:
            for place, number in enumerate(numbers):
                if self.kinds[number] == _LENGTHS:
                    start, before[place] = self._block_before(number, int(low[place]))
                    begin[place] = start
        self._check_counts(chosen, high, "entries")
        second = self._decode(chosen, begin, high)
        lengths: dict[int, NDArray[np.int32]] = {}
        starts: dict[int, NDArray[np.int32]] = {}
        validity: dict[int, NDArray[np.bool_]] = {}
        ranges: dict[int, tuple[int, int]] = {}
        places: dict[int, int] = {}
        for place, number in enumerate(numbers):
            owner, kind = self.owners[number], self.kinds[number]
            if kind == _VALIDITY:
                validity[owner] = second.values(number, _BOOLEAN)
            elif kind == _STARTS:
                starts[owner] = second.values(number, _INT32)
            else:
                values = second.values(number, _UINT32)
                skip = int(low[place] - begin[place])
                first = int(before[place]) + (int(values[:skip].sum(dtype=np.int64)) if skip else 0)
                own = values[skip:]
                ranges[owner] = (first, first + int(own.sum(dtype=np.int64)))
                places[owner] = second.spans[number][0] + skip * own.itemsize
                lengths[owner] = own.view(_INT32)
        for owner in starts:
            ranges[owner] = self._window_range(owner, starts[owner], lengths[owner])
        masks = [number for number in numbers if self.kinds[number] == _VALIDITY]
        self._require_bits(second, masks, Reason.VALIDITY, "a validity is neither 0 nor 1")
        lists = {
            owner: (places.get(owner, places.get(self._shared(owner), 0)), _UINT32.itemsize)
            for owner in validity
            if self.field_shape[owner] in _JAGGED
        }
        self._require_empty_nulls(lists, second, second)
        return self._decode_values(lengths, starts, validity, ranges, second)

    def _check_counts(
        self, chosen: NDArray[np.int64], expected: NDArray[np.int64], what: str
    ) -> None:
        """A stream has exactly the values that its unique rows ask for."""
        counts = self.count_array[chosen]
        good = counts == expected if self.whole else counts >= expected
        if not good.all():
            place = int(np.argmin(good))
            raise self._fail(
                int(chosen[place]),
                Reason.LENGTHS,
                f"{int(counts[place])} {what}, {int(expected[place])} expected",
            )

    def _shared(self, field: int) -> int:
        """Owner of the streams that a field's group has."""
        return self.num_fields + self.field_group[field]

    def _require_bits(
        self, decoded: Decoded, numbers: list[int], reason: Reason, detail: str
    ) -> None:
        """Streams of bytes hold 0 and 1 alone."""
        if not numbers:
            return
        spans = np.array([decoded.spans[number] for number in numbers], np.int64)
        bad = find_beyond_one(spans, decoded.arena)
        if bad >= 0:
            raise self._fail(numbers[bad], reason, detail)

    def _rows_of(
        self, validity: dict[int, NDArray[np.bool_]], third: Decoded
    ) -> dict[int, tuple[int, int]]:
        """Where values of fields without lengths begin, and the bytes of a row."""
        found = {}
        for owner in validity:
            kind = _SESSION_KEY if self.field_group[owner] < 0 else _VALUES
            number = self.number[owner, kind]
            if self.field_shape[owner] not in _JAGGED and number in third.spans:
                size = self._dtype(number).itemsize
                found[owner] = (third.spans[number][0], self.field_width[owner] * size)
        return found

    def _require_empty_nulls(
        self, places: dict[int, tuple[int, int]], second: Decoded, held: Decoded
    ) -> None:
        """Null rows of fields hold nothing: `places` are where rows begin in `held`, and sizes."""
        if not places:
            return
        numbers = [self.number[owner, _VALIDITY] for owner in places]
        table = [
            (second.spans[number][0], second.spans[number][1] - second.spans[number][0], *place)
            for number, place in zip(numbers, places.values(), strict=True)
        ]
        bad = find_filled_null(np.array(table, np.int64), second.arena, held.arena)
        if bad >= 0:
            raise self._fail(numbers[bad], Reason.VALIDITY, "a null row holds values")

    def _window_range(
        self, owner: int, starts: NDArray[np.int32], lengths: NDArray[np.int32]
    ) -> tuple[int, int]:
        number = self.number[owner, _STARTS]
        if int(starts.min(initial=0)) < 0 or int(lengths.min(initial=0)) < 0:
            raise self._fail(number, Reason.WINDOW, "a window begins or ends after 2^31 values")
        ends = starts.astype(np.int64) + lengths
        if self.whole:
            return 0, int(ends.max(initial=0))
        used = lengths != 0
        if not used.any():
            starts[:] = 0
            return 0, 0
        low = int(starts[used].min())
        np.maximum(starts - np.int32(low), 0, out=starts)
        return low, int(ends[used].max())

    def _decode_values(
        self,
        lengths: dict[int, NDArray[np.int32]],
        starts: dict[int, NDArray[np.int32]],
        validity: dict[int, NDArray[np.bool_]],
        ranges: dict[int, tuple[int, int]],
        second: Decoded,
    ) -> dict[int, FieldData]:
        of_round = _ROUND_THREE[self.kind_array]
        references = np.flatnonzero(of_round & self.is_reference)
        chosen = np.flatnonzero(of_round & ~self.is_reference)
        numbers = chosen.tolist()
        pairs = [self._value_range(self.owners[number], ranges) for number in numbers]
        begin = np.array([begin for begin, _ in pairs], np.int64)
        end = np.array([end for _, end in pairs], np.int64)
        self._check_counts(chosen, end, "values")
        third = self._decode(chosen, begin, end)
        types = self.streams.types.tolist()
        booleans = [number for number in numbers if types[number] == _BOOL]
        self._require_bits(third, booleans, Reason.ENCODING, "a BOOL is neither 0 nor 1")
        self._require_empty_nulls(self._rows_of(validity, third), second, third)
        values = {
            (self.owners[number], self.kinds[number] == _WEIGHTS): third.values(
                number, self._dtype(number)
            )
            for number in numbers
        }
        fields: dict[int, FieldData] = {}
        for owner, group in self.field_group.items():
            shared = self._shared(owner)
            windowed = group >= 0 and shared in starts
            fields[owner] = FieldData(
                group=group,
                values=values.get((owner, False), _NOT_YET),
                lengths=lengths.get(shared if windowed else owner),
                starts=starts.get(shared) if windowed else None,
                width=self.field_width[owner],
                weights=values.get((owner, True)),
                validity=validity.get(owner),
            )
        if not len(references):
            return fields
        resolved = resolve_references(self.streams, references, fields, self.groups, self._index_of)
        if self.wide is None:
            return resolved
        return self._widen_references(references, resolved)

    def _widen_references(
        self, references: NDArray[np.int64], fields: dict[int, FieldData]
    ) -> dict[int, FieldData]:
        """LIST_AT copies values as wide as the list has them; give each as it was asked for."""
        for number in references.tolist():
            field, dtype = fields[self.owners[number]], self._dtype(number)
            if field.values.dtype != dtype:
                fields[self.owners[number]] = replace(field, values=field.values.astype(dtype))
        return fields

    def _index_of(self, number: int) -> NDArray[np.int64]:
        """Indices that a LIST_AT stream holds itself."""
        values = decode(
            self.streams.chain(number),
            self.streams.payload(number),
            self.counts[number],
            int(self.streams.records["params"][number]),
            _UINT32,
            begin=self.begin,
            end=self.end,
        )
        return values.astype(np.int64)

    def _value_range(self, owner: int, ranges: dict[int, tuple[int, int]]) -> tuple[int, int]:
        if self.field_shape[owner] in _JAGGED:
            if owner in ranges:
                return ranges[owner]
            return ranges[self._shared(owner)]
        low, high = self._unique_range(owner)
        width = self.field_width[owner]
        return low * width, high * width


# Of LIST_AT fields until they are resolved.
_NOT_YET = np.zeros(0, np.uint8)


def decode_stripe(
    streams: StoredStreams,
    schema: SchemaBlock,
    rows: int,
    begin: int = 0,
    end: int | None = None,
    wide_fields: NDArray[np.bool_] | None = None,
) -> StripeData:
    """Decode rows ``begin:end`` of a stripe.

    Parameters
    ----------
    streams
        Records of the stripe, sorted by (owner, kind), and their bytes.
    schema
        Schema of the file.
    rows
        Rows of the stripe.
    begin, end
        Rows wanted; a range of whole sessions decodes nothing but what those rows refer to, and
        the blocks it stands in.
    wide_fields : ndarray of bool, shape [fields], or None
        Fields whose values, integers of any width, are decoded to 8 bytes.

    Raises
    ------
    RecdFormatError
        Anything in the stripe that breaks a rule.
    """
    end = rows if end is None else end
    if not 0 <= begin < end <= rows:
        raise RecdInputError(f"rows {begin} to {end} of a stripe of {rows} rows")
    decoder = _StripeDecoder(streams, schema, rows, begin, end, wide_fields)
    session_offsets = decoder.session_offsets()
    decoder.decode_groups()
    fields = decoder.decode_fields()
    return StripeData(begin, end - begin, session_offsets, decoder.groups, fields)
