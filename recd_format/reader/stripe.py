"""One stripe, or a range of its rows, as deduplicated columns: what everything else slices.

Three rounds of kernel calls: codes, which say which unique rows the rows want; lengths and
starts, which say which values those want; the values. Each round decodes all fields at once, one
call per chain, and looks at none of them in Python: a stripe may have thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import block_sums, decode
from recd_format.codec.base import CodecId
from recd_format.constants import BLOCK_VALUES, ROWS_OWNER
from recd_format.dedup.exact import decode_codes_many
from recd_format.errors import Reason, RecdInputError
from recd_format.format.record import CODES_MONOTONE, StreamKind, kind_mask
from recd_format.format.schema import Kind, Shape, ValueType
from recd_format.format.schema_block import SchemaBlock
from recd_format.format.validate import value_dtype
from recd_format.reader.bounds import bound_codes, sum_lengths
from recd_format.reader.checks import StripeChecks
from recd_format.reader.data import FieldData, GroupData, Lazy, StripeData, StripeTable
from recd_format.reader.references import resolve_references
from recd_format.reader.streams import Decoded, StoredStreams, decode_streams

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
_CODED_CHAIN = (int(CodecId.DICTIONARY), int(CodecId.BITPACK))
_INT32_MAX = (1 << 31) - 1
_UINT32, _INT32, _BOOLEAN = np.dtype("<u4"), np.dtype("<i4"), np.dtype("?")
_SIZES = np.zeros(max(ValueType) + 1, np.int64)
_INTEGERS = np.zeros(max(ValueType) + 1, np.bool_)
for _type in ValueType:
    _SIZES[_type] = _type.dtype.itemsize
    _INTEGERS[_type] = _type.dtype.kind in "iu"


class _StripeDecoder:
    """State of decoding one stripe. Streams are known by their number among its records; fields
    that are read, by their row among these."""

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
        self.begin, self.end = begin, end
        self.whole = begin == 0 and end == rows
        records = streams.records
        self.kinds = records["kind"]
        self.owners = records["owner"].astype(np.int64)
        self.counts = records["count"].astype(np.int64)
        # The records are sorted by these.
        self.keys = self.owners << 8 | self.kinds
        self.checks = StripeChecks(streams, self.counts, self.whole)
        self.num_fields = schema.num_fields
        self.fields = np.unique(self.owners[self.owners < schema.num_fields])
        self.row_of_field = np.full(schema.num_fields, -1, np.int64)
        self.row_of_field[self.fields] = np.arange(len(self.fields))
        read = schema.fields[self.fields]
        is_key = read["kind"] == int(Kind.SESSION_KEY)
        self.group = np.where(is_key, -1, read["group"].astype(np.int64))
        self.jagged = np.isin(read["shape"], _JAGGED)
        self.width = read["width"].astype(np.int64)
        self.is_reference = records["chain"][:, 0] == int(CodecId.LIST_AT)
        self.sizes = _SIZES[streams.types]
        self.wide = None if wide_fields is None else self._wide(wide_fields)
        self.coded = None
        if self.wide is not None:
            self.coded = self._coded()
            self.sizes = np.where(self.coded, 4, np.where(self.wide, 8, self.sizes))
        self.sessions = self.counts[int(self._find(np.array([ROWS_OWNER]), _SESSION_ROWS)[0])]
        # Unique rows wanted of each group, and its inverse lookup: none, until it is found.
        # A file of nothing but session keys has no group: what is looked up is not used then.
        groups = max(schema.num_groups, 1)
        self.low = np.full(groups, begin, np.int64)
        self.high = np.full(groups, end, np.int64)
        self.monotone = np.ones(groups, np.bool_)
        self.codes_of_group = np.full(groups, -1, np.int64)
        self.everything: Decoded | None = None
        if self.whole:
            chosen = np.flatnonzero(~self.is_reference & ~_DICTIONARIES[self.kinds])
            self.everything = self._decode_all(chosen)

    def _wide(self, fields: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Streams whose integers are decoded to 8 bytes: values and dictionaries of `fields`."""
        of_field = _WIDENED[self.kinds] & (self.owners < self.num_fields)
        chosen = fields[np.where(of_field, self.owners, 0)]
        wide: NDArray[np.bool_] = of_field & chosen & _INTEGERS[self.streams.types]
        return wide

    def _coded(self) -> NDArray[np.bool_]:
        """Streams that are decoded to the codes of their dictionary: wide ones that would
        otherwise be written in full and be copied once more. Not those with nulls, whose values
        are looked at."""
        chain = self.streams.records["chain"]
        is_coded = (chain[:, :2] == _CODED_CHAIN).all(1) & (chain[:, 2] == 0)
        masked = self.owners[self.kinds == _VALIDITY]
        is_values = (self.kinds == _VALUES) & ~np.isin(self.owners, masked)
        coded: NDArray[np.bool_] = is_coded & is_values & self.wide
        return coded

    def _dtype(self, number: int) -> np.dtype[Any]:
        """Dtype that a stream of values is decoded to."""
        dtype = value_dtype(int(self.streams.types[number]))
        if self.wide is not None and self.wide[number]:
            return np.dtype(f"<{dtype.kind}8")
        return dtype

    def _find(self, owners: NDArray[np.int64], kinds: int | NDArray[np.int64]) -> NDArray[np.int64]:
        """Stream of each owner and kind; -1 where there is none."""
        keys = owners << 8 | kinds
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: NDArray[np.int64] = np.where(self.keys[places] == keys, places, -1)
        return found

    def _decode_all(self, chosen: NDArray[np.int64]) -> Decoded:
        begin = np.zeros(len(chosen), np.int64)
        return decode_streams(
            self.streams, chosen, begin, self.counts[chosen], self.wide, self.coded
        )

    def _decode(
        self, chosen: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]
    ) -> Decoded:
        return self.everything or decode_streams(
            self.streams, chosen, begin, end, self.wide, self.coded
        )

    def session_offsets(self) -> NDArray[np.int64]:
        number = int(self._find(np.array([ROWS_OWNER]), _SESSION_ROWS)[0])
        decoded = self.everything or self._decode_all(np.array([number]))
        rows = decoded.values(number, _UINT32)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(rows, out=offsets[1:])
        return offsets

    def decode_groups(self) -> None:
        """Round one: inverse lookups."""
        chosen = np.flatnonzero(self.kinds == _CODES)
        begin = np.zeros(len(chosen), np.int64)
        before = np.zeros(len(chosen), np.int64)
        if not self.whole:
            for place, number in enumerate(chosen.tolist()):
                begin[place], before[place] = self._block_before(number, self.begin)
        decoded = self._decode(chosen, begin, np.full(len(chosen), self.end))
        unique_rows = self.streams.records["params"][chosen].astype(np.int64)
        table = np.stack([decoded.begin[chosen], self.end - begin, before, unique_rows], axis=1)
        bad, highest = decode_codes_many(table, decoded.arena)
        if bad >= 0:
            raise self.checks.fail(
                int(chosen[bad]),
                Reason.CODES,
                f"a code refers outside of the {int(unique_rows[bad])} unique rows",
            )
        monotone = (self.streams.records["flags"][chosen] & CODES_MONOTONE) != 0
        self.checks.require_monotone(chosen, monotone, highest)
        starts = decoded.begin[chosen] + 4 * (self.begin - begin)
        rows = np.full(len(chosen), self.end - self.begin)
        bounds = bound_codes(np.stack([starts, rows], axis=1), monotone, decoded.arena)
        if self.whole:
            self.checks.require_reached(chosen, bounds, unique_rows)
        group = self.owners[chosen] - self.num_fields
        self.low[group], self.high[group] = bounds[:, 0], bounds[:, 1] + 1
        self.monotone[group] = monotone
        self.codes_of_group[group] = starts
        self.codes_arena = decoded.arena

    def _block_before(self, number: int, value: int) -> tuple[int, int]:
        """Where decoding may begin for `value`, and the stream's sum before that."""
        sums = block_sums(
            self.streams.payload(number),
            self.streams.chain(number),
            int(self.counts[number]),
            int(self.streams.records["params"][number]),
        )
        if sums is None or not len(sums):
            return 0, 0
        block = min(value // BLOCK_VALUES, len(sums) - 1)
        before = int(sums[block])
        if before > _INT32_MAX:
            raise self.checks.fail(
                number, Reason.ENCODING, f"sum {before} before block {block} is out of range"
            )
        return block * BLOCK_VALUES, before

    def _unique_ranges(
        self, owners: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Unique rows wanted of fields or groups; sessions are read whole."""
        field = np.minimum(owners, self.num_fields - 1)
        of_field = self.group[self.row_of_field[field]]
        group = np.where(owners >= self.num_fields, owners - self.num_fields, of_field)
        low = np.where(group < 0, 0, self.low[group])
        high = np.where(group < 0, self.sessions, self.high[group])
        return low, high

    def decode_lengths(self) -> None:
        """Round two: lengths, starts and validity."""
        chosen = np.flatnonzero(_ROUND_TWO[self.kinds])
        low, high = self._unique_ranges(self.owners[chosen])
        begin, before = low.copy(), np.zeros(len(chosen), np.int64)
        is_lengths = self.kinds[chosen] == _LENGTHS
        if not self.whole:
            for place in np.flatnonzero(is_lengths).tolist():
                begin[place], before[place] = self._block_before(
                    int(chosen[place]), int(low[place])
                )
        self.checks.require_counts(chosen, high, "entries")
        second = self.second = self._decode(chosen, begin, high)
        # Of each stream of lengths or starts: the values its rows have, and its first byte.
        self.first_value, self.last_value, self.first_byte = np.zeros(
            (3, len(self.kinds)), np.int64
        )
        self.first_byte[chosen] = second.begin[chosen]
        streams = chosen[is_lengths]
        skip = (low - begin)[is_lengths]
        spans = np.stack([second.begin[streams], skip, (high - low)[is_lengths]], axis=1)
        sums = sum_lengths(spans, second.arena)
        self.first_value[streams] = before[is_lengths] + sums[:, 0]
        self.last_value[streams] = self.first_value[streams] + sums[:, 1]
        self.first_byte[streams] += 4 * skip
        shared = self.group + self.num_fields
        self.starts_stream = np.where(self.group >= 0, self._find(shared, _STARTS), -1)
        windowed = self.starts_stream >= 0
        self.lengths_stream = np.where(
            windowed, self._find(shared, _LENGTHS), self._find(self.fields, _LENGTHS)
        )
        for number in chosen[self.kinds[chosen] == _STARTS].tolist():
            self._bound_windows(number)
        self.validity_stream = self._find(self.fields, _VALIDITY)
        self.checks.require_bits(
            second,
            chosen[self.kinds[chosen] == _VALIDITY],
            Reason.VALIDITY,
            "a validity is neither 0 nor 1",
        )
        masked = np.flatnonzero((self.validity_stream >= 0) & self.jagged)
        places = self.first_byte[self.lengths_stream[masked]]
        self.checks.require_empty_nulls(
            self.validity_stream[masked], places, np.full(len(masked), 4), second, second
        )

    def _lengths(self, number: int, rows: int) -> NDArray[np.int32]:
        """Lengths of unique rows, past those that were decoded to get there."""
        first = int(self.first_byte[number])
        return self.second.arena[first : first + 4 * rows].view(_INT32)

    def _bound_windows(self, number: int) -> None:
        """Which part of the timelines the windows of a group look at."""
        owner = self.owners[number : number + 1]
        of_lengths = int(self._find(owner, _LENGTHS)[0])
        starts = self.second.values(number, _INT32)
        lengths = self._lengths(of_lengths, len(starts))
        self.checks.require_windows(number, starts, lengths)
        ends = starts.astype(np.int64) + lengths
        low, high = 0, int(ends.max(initial=0))
        if not self.whole:
            used = lengths != 0
            low = int(starts[used].min()) if used.any() else 0
            high = int(ends[used].max()) if used.any() else 0
            np.maximum(starts - np.int32(low), 0, out=starts)
        self.first_value[of_lengths], self.last_value[of_lengths] = low, high

    def decode_values(self) -> None:
        """Round three: values and weights."""
        of_round = _ROUND_THREE[self.kinds]
        self.references = np.flatnonzero(of_round & self.is_reference)
        chosen = np.flatnonzero(of_round & ~self.is_reference)
        rows = self.row_of_field[self.owners[chosen]]
        low, high = self._unique_ranges(self.owners[chosen])
        jagged, width, lengths = self.jagged[rows], self.width[rows], self.lengths_stream[rows]
        begin = np.where(jagged, self.first_value[lengths], low * width)
        end = np.where(jagged, self.last_value[lengths], high * width)
        self.checks.require_counts(chosen, end, "values")
        third = self.third = self._decode(chosen, begin, end)
        self.checks.require_bits(
            third,
            chosen[self.streams.types[chosen] == _BOOL],
            Reason.ENCODING,
            "a BOOL is neither 0 nor 1",
        )
        kind = np.where(self.group < 0, _SESSION_KEY, _VALUES)
        self.values_stream = self._find(self.fields, kind)
        self.weights_stream = self._find(self.fields, _WEIGHTS)
        self.values_begin = third.begin[self.values_stream]
        masked = np.flatnonzero(
            (self.validity_stream >= 0) & ~self.jagged & (self.values_begin >= 0)
        )
        self.checks.require_empty_nulls(
            self.validity_stream[masked],
            self.values_begin[masked],
            self.width[masked] * self.sizes[self.values_stream[masked]],
            self.second,
            third,
        )

    def groups(self) -> Mapping[int, GroupData]:
        """Inverse lookups of the groups that have a field here."""
        found = np.unique(self.group)
        return Lazy(found[found >= 0].tolist(), self._group)

    def _group(self, group: int) -> GroupData:
        first = int(self.codes_of_group[group])
        unique = int(self.high[group] - self.low[group])
        if first < 0:
            return GroupData(unique, None, True)
        rows = self.codes_arena[first : first + 4 * (self.end - self.begin)].view(_INT32)
        return GroupData(unique, rows, bool(self.monotone[group]))

    def data(self, session_offsets: NDArray[np.int64]) -> StripeData:
        """Everything decoded."""
        groups = self.groups()
        self.resolved: dict[int, NDArray[Any]] = {}
        fields: Mapping[int, FieldData] = Lazy(self.fields.tolist(), self._field)
        if len(self.references):
            self.resolved = resolve_references(
                self.streams, self.references, fields, groups, self._index_of
            )
            # Those that the references looked at may be references themselves.
            fields = Lazy(self.fields.tolist(), self._field)
            for number in self.references.tolist():
                # Copied as wide as the list has them; give each as it was asked for.
                owner, dtype = int(self.owners[number]), self._dtype(number)
                self.resolved[owner] = self.resolved[owner].astype(dtype, copy=False)
        # Fields are made later, of what is decoded: the stored bytes are done with.
        self.streams = replace(self.streams, buffer=_NOTHING)
        rows = self.end - self.begin
        return StripeData(self.begin, rows, session_offsets, groups, fields, self._table())

    def _field(self, index: int) -> FieldData:
        row = int(self.row_of_field[index])
        group = int(self.group[row])
        unique = int(self.sessions if group < 0 else self.high[group] - self.low[group])
        numbers = (self.lengths_stream, self.starts_stream, self.validity_stream)
        lengths, starts, validity = (int(streams[row]) for streams in numbers)
        values, weights = int(self.values_stream[row]), int(self.weights_stream[row])
        if index in self.resolved:
            found = self.resolved[index]
        elif self.values_begin[row] < 0:
            found = _NOT_YET
        else:
            found = self._values(values)
        return FieldData(
            group=group,
            values=found,
            lengths=self._lengths(lengths, unique) if self.jagged[row] else None,
            starts=None if starts < 0 else self.second.values(starts, _INT32),
            width=int(self.width[row]),
            weights=None if weights < 0 else self.third.values(weights, self._dtype(weights)),
            validity=None if validity < 0 else self.second.values(validity, _BOOLEAN),
        )

    def _values(self, number: int) -> NDArray[Any]:
        """Values of a stream; looked up where they are codes."""
        dtype = self._dtype(number)
        first = int(self.third.entries[number])
        if first < 0:
            return self.third.values(number, dtype)
        end = first + int(self.third.num_entries[number]) * dtype.itemsize
        entries: NDArray[Any] = self.third.arena[first:end].view(dtype)
        values: NDArray[Any] = entries[self.third.values(number, _UINT32)]
        return values

    def _table(self) -> StripeTable:
        """The same as addresses."""
        second, third = (_address(part.arena) for part in (self.second, self.third))
        values, weights = self.values_stream, self.weights_stream
        sizes, entries = self.sizes[values], self.third.entries[values]
        fields = np.stack(
            [
                third + self.values_begin,
                (self.third.end[values] - self.values_begin) // sizes,
                np.where(self.jagged, second + self.first_byte[self.lengths_stream], 0),
                np.where(self.starts_stream >= 0, second + self.first_byte[self.starts_stream], 0),
                np.where(weights >= 0, third + self.third.begin[weights], 0),
                np.where(self.jagged, 0, self.width),
                np.where(entries >= 0, third + entries, 0),
                self.third.num_entries[values],
            ],
            axis=1,
        )
        types = self.streams.types
        no = np.zeros(len(values), np.bool_)
        codes = self.codes_of_group
        return StripeTable(
            row_of_field=self.row_of_field,
            fields=fields,
            value_types=types[values],
            weight_types=np.where(weights >= 0, types[weights], 0),
            wide=no if self.wide is None else self.wide[values],
            plain=(self.validity_stream < 0) & (self.values_begin >= 0),
            groups=np.stack(
                [
                    np.where(codes >= 0, _address(self.codes_arena) + codes, 0),
                    self.high - self.low,
                    self.monotone,
                ],
                axis=1,
            ),
        )

    def _index_of(self, number: int) -> NDArray[np.int64]:
        """Indices that a LIST_AT stream holds itself."""
        values = decode(
            self.streams.chain(number),
            self.streams.payload(number),
            int(self.counts[number]),
            int(self.streams.records["params"][number]),
            _UINT32,
            begin=self.begin,
            end=self.end,
        )
        return values.astype(np.int64)


# Of LIST_AT fields until they are resolved.
_NOT_YET = np.zeros(0, np.uint8)
_NOTHING = np.zeros(0, np.uint8)


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


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
    decoder.checks.require_sessions(session_offsets, rows)
    decoder.decode_groups()
    decoder.decode_lengths()
    decoder.decode_values()
    return decoder.data(session_offsets)
