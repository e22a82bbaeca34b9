"""One stripe, or a range of its rows, as deduplicated columns: what everything else slices.

Three rounds of kernel calls: codes, which say which unique rows the rows want; lengths and
starts, which say which values those want; the values. Each round decodes all fields at once, one
call per chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import block_sums, decode
from recd_format.codec.base import CodecId
from recd_format.constants import BLOCK_VALUES, ROWS_OWNER
from recd_format.dedup.exact import decode_codes_many
from recd_format.errors import Reason, RecdFormatError
from recd_format.format.record import CODES_MONOTONE, StreamKind
from recd_format.format.schema import Kind, Shape
from recd_format.format.schema_block import SchemaBlock
from recd_format.format.validate import value_dtype
from recd_format.reader.references import resolve_references
from recd_format.reader.streams import Decoded, StoredStreams, decode_streams, stream_location

__all__ = ["FieldData", "GroupData", "StripeData", "decode_stripe"]


@dataclass(frozen=True, slots=True)
class GroupData:
    """How the rows refer to a group's unique rows.

    Attributes
    ----------
    num_unique : int
        Unique rows decoded.
    inverse_lookup : ndarray of int32, shape [rows], or None
        Unique row of each row; None: row i is unique row i.
    monotone : bool
        True where `inverse_lookup` never falls.
    """

    num_unique: int
    inverse_lookup: NDArray[np.int32] | None
    monotone: bool


@dataclass(frozen=True, slots=True)
class FieldData:
    """Unique rows of a field.

    Attributes
    ----------
    group : int
        Its group; -1 for the session key, whose rows are the sessions.
    values : ndarray, 1-D
        Values end to end: of the unique rows, or of the sessions' timelines where windowed.
    lengths : ndarray of int32, shape [unique rows], or None
        Values of each unique row, for jagged fields.
    starts : ndarray of int32, shape [unique rows], or None
        Where windowed: unique row u is ``values[starts[u]:starts[u] + lengths[u]]``.
    width : int
        Values of a unique row where `lengths` is None.
    weights : ndarray or None
        Parallel to `values`.
    validity : ndarray of bool, shape [unique rows], or None
    """

    group: int
    values: NDArray[Any]
    lengths: NDArray[np.int32] | None
    starts: NDArray[np.int32] | None
    width: int
    weights: NDArray[Any] | None
    validity: NDArray[np.bool_] | None

    def ranges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where each unique row begins in `values` and how long it is, int64."""
        if self.lengths is None:
            count = len(self.values) // self.width
            return np.arange(count) * self.width, np.full(count, self.width, np.int64)
        lengths = self.lengths.astype(np.int64)
        if self.starts is not None:
            return self.starts.astype(np.int64), lengths
        starts = np.zeros(len(lengths), np.int64)
        np.cumsum(lengths[:-1], out=starts[1:])
        return starts, lengths


@dataclass(frozen=True, slots=True)
class StripeData:
    """Decoded rows of one stripe.

    Attributes
    ----------
    first_row : int
        Number in the stripe of the first row.
    num_rows : int
    session_offsets : ndarray of int64, shape [sessions + 1]
        Row offsets of the stripe's sessions, all of them, relative to the stripe.
    groups : dict of int to GroupData
    fields : dict of int to FieldData
    """

    first_row: int
    num_rows: int
    session_offsets: NDArray[np.int64]
    groups: dict[int, GroupData]
    fields: dict[int, FieldData]


class _StripeDecoder:
    def __init__(
        self, streams: StoredStreams, schema: SchemaBlock, rows: int, begin: int, end: int
    ) -> None:
        self.streams = streams
        self.schema = schema
        self.rows = rows
        self.begin, self.end = begin, end
        self.whole = begin == 0 and end == rows
        records = streams.records
        self.kinds = records["kind"]
        self.owners = records["owner"].astype(np.int64)
        self.counts = records["count"].astype(np.int64)
        keys = self.owners << 8 | self.kinds
        self.index = {key: number for number, key in enumerate(keys.tolist())}
        self.groups: dict[int, GroupData] = {}
        # First and last unique row wanted, by group.
        self.wanted: dict[int, tuple[int, int]] = {}

    def _of(self, *kinds: StreamKind) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.kinds, kinds))

    def _fail(self, index: int, reason: Reason, detail: str) -> RecdFormatError:
        return RecdFormatError(reason, detail, stream_location(self.streams, index))

    def session_offsets(self) -> NDArray[np.int64]:
        number = self.index[ROWS_OWNER << 8 | StreamKind.SESSION_ROWS]
        chosen = np.array([number])
        decoded = decode_streams(self.streams, chosen, np.array([0]), self.counts[chosen])
        rows = decoded.values(0, np.dtype("<u4")).astype(np.int64)
        if (rows == 0).any() or int(rows.sum()) != self.rows:
            raise self._fail(
                number, Reason.SESSIONS, f"sessions have {int(rows.sum())} rows, not {self.rows}"
            )
        return np.concatenate([[0], rows.cumsum()])

    def decode_groups(self) -> None:
        """Round one: inverse lookups."""
        chosen = self._of(StreamKind.CODES)
        begin = np.zeros(len(chosen), np.int64)
        before = np.zeros(len(chosen), np.int64)
        if not self.whole:
            for place, number in enumerate(chosen.tolist()):
                begin[place], before[place] = self._block_before(number, self.begin)
        decoded = decode_streams(self.streams, chosen, begin, np.full(len(chosen), self.end))
        unique_rows = self.streams.records["params"][chosen].astype(np.int64)
        table = np.stack([decoded.targets, decoded.counts, before, unique_rows], axis=1)
        bad = decode_codes_many(table, decoded.arena)
        if bad >= 0:
            raise self._fail(
                int(chosen[bad]),
                Reason.CODES,
                f"a code refers outside of the {int(unique_rows[bad])} unique rows",
            )
        flags = self.streams.records["flags"][chosen]
        for place, number in enumerate(chosen.tolist()):
            inverse = decoded.values(place, np.dtype("<i4"))[self.begin - int(begin[place]) :]
            group = int(self.owners[number]) - self.schema.num_fields
            monotone = bool(flags[place] & CODES_MONOTONE)
            self._add_group(number, group, inverse, monotone, int(unique_rows[place]))
        for group in np.unique(self._groups_of_fields()).tolist():
            if group not in self.groups:
                self.groups[group] = GroupData(self.end - self.begin, None, True)
                self.wanted[group] = (self.begin, self.end)

    def _add_group(
        self, number: int, group: int, inverse: NDArray[np.int32], monotone: bool, unique: int
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
        self.groups[group] = GroupData(high - low, inverse, monotone)
        self.wanted[group] = (low, high)

    def _groups_of_fields(self) -> NDArray[np.int64]:
        fields = np.unique(self.owners[self.owners < self.schema.num_fields])
        rows = self.schema.fields[fields]
        return rows["group"][rows["kind"] != Kind.SESSION_KEY].astype(np.int64)

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
        return block * BLOCK_VALUES, int(sums[block])

    def _unique_range(self, owner: int) -> tuple[int, int]:
        """Unique rows wanted of a field or group; sessions are read whole."""
        if owner >= self.schema.num_fields:
            return self.wanted[owner - self.schema.num_fields]
        row = self.schema.fields[owner]
        if int(row["kind"]) == Kind.SESSION_KEY:
            return 0, int(self.counts[self.index[ROWS_OWNER << 8 | StreamKind.SESSION_ROWS]])
        return self.wanted[int(row["group"])]

    def decode_fields(self) -> dict[int, FieldData]:
        """Rounds two and three: lengths, starts and validity; then values and weights."""
        chosen = self._of(StreamKind.LENGTHS, StreamKind.STARTS, StreamKind.VALIDITY)
        wanted = [self._unique_range(int(owner)) for owner in self.owners[chosen]]
        low = np.array([low for low, _ in wanted], np.int64)
        high = np.array([high for _, high in wanted], np.int64)
        begin, before = low.copy(), np.zeros(len(chosen), np.int64)
        if not self.whole:
            for place, number in enumerate(chosen.tolist()):
                if self.kinds[number] == StreamKind.LENGTHS:
                    start, before[place] = self._block_before(number, int(low[place]))
                    begin[place] = start
        self._check_counts(chosen, high)
        second = decode_streams(self.streams, chosen, begin, high)
        lengths: dict[int, NDArray[np.int32]] = {}
        starts: dict[int, NDArray[np.int32]] = {}
        validity: dict[int, NDArray[np.bool_]] = {}
        ranges: dict[int, tuple[int, int]] = {}
        for place, number in enumerate(chosen.tolist()):
            owner, kind = int(self.owners[number]), int(self.kinds[number])
            if kind == StreamKind.VALIDITY:
                bits = second.values(place, np.dtype("u1"))
                if len(bits) and int(bits.max()) > 1:
                    raise self._fail(number, Reason.VALIDITY, "a validity is neither 0 nor 1")
                validity[owner] = bits.view(np.bool_)
                continue
            values = second.values(place, np.dtype("<u4"))
            if kind == StreamKind.STARTS:
                starts[owner] = values.view("<i4")
                continue
            skip = int(low[place] - begin[place])
            first = int(before[place]) + int(values[:skip].sum(dtype=np.int64))
            own = values[skip:]
            ranges[owner] = (first, first + int(own.sum(dtype=np.int64)))
            lengths[owner] = own.view("<i4")
        for owner in starts:
            ranges[owner] = self._window_range(owner, starts[owner], lengths[owner])
        return self._decode_values(lengths, starts, validity, ranges)

    def _check_counts(self, chosen: NDArray[np.int64], high: NDArray[np.int64]) -> None:
        """A stream of unique rows has exactly as many values as there are unique rows."""
        counts = self.counts[chosen]
        good = counts == high if self.whole else counts >= high
        if not good.all():
            place = int(np.argmin(good))
            raise self._fail(
                int(chosen[place]),
                Reason.LENGTHS,
                f"{int(counts[place])} entries for {int(high[place])} unique rows",
            )

    def _window_range(
        self, owner: int, starts: NDArray[np.int32], lengths: NDArray[np.int32]
    ) -> tuple[int, int]:
        number = self.index[owner << 8 | StreamKind.STARTS]
        used = lengths != 0
        ends = starts.astype(np.int64) + lengths
        if (starts < 0).any() or (lengths < 0).any():
            raise self._fail(number, Reason.WINDOW, "a window begins or ends after 2^31 values")
        low = 0 if self.whole or not used.any() else int(starts[used].min())
        high = int(ends[used].max()) if used.any() else 0
        if low:
            np.maximum(starts - np.int32(low), 0, out=starts)
        return low, max(low, high)

    def _decode_values(
        self,
        lengths: dict[int, NDArray[np.int32]],
        starts: dict[int, NDArray[np.int32]],
        validity: dict[int, NDArray[np.bool_]],
        ranges: dict[int, tuple[int, int]],
    ) -> dict[int, FieldData]:
        chosen = self._of(StreamKind.VALUES, StreamKind.WEIGHTS, StreamKind.SESSION_KEY)
        chains = self.streams.records["chain"][chosen, 0]
        references = chosen[chains == CodecId.LIST_AT]
        chosen = chosen[chains != CodecId.LIST_AT]
        begin, end = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.int64)
        for place, owner in enumerate(self.owners[chosen].tolist()):
            begin[place], end[place] = self._value_range(owner, ranges)
        counts = self.counts[chosen]
        good = counts == end if self.whole else counts >= end
        if not good.all():
            place = int(np.argmin(good))
            raise self._fail(
                int(chosen[place]),
                Reason.LENGTHS,
                f"{int(counts[place])} values, {int(end[place])} expected",
            )
        third = decode_streams(self.streams, chosen, begin, end)
        fields: dict[int, FieldData] = {}
        weights = {
            int(self.owners[number]): place
            for place, number in enumerate(chosen.tolist())
            if self.kinds[number] == StreamKind.WEIGHTS
        }
        for place, number in enumerate(chosen.tolist()):
            owner = int(self.owners[number])
            if self.kinds[number] == StreamKind.WEIGHTS:
                continue
            values = third.values(place, value_dtype(int(self.streams.types[number])))
            weight = weights.get(owner)
            fields[owner] = self._field(
                owner,
                values,
                None if weight is None else self._weights(third, weight, chosen),
                lengths,
                starts,
                validity,
            )
        for number in references.tolist():
            owner = int(self.owners[number])
            fields[owner] = self._field(
                owner, np.zeros(0, "u1"), None, lengths, starts, validity
            )
        return resolve_references(self.streams, references, fields, self.groups, self._index_of)

    def _index_of(self, number: int) -> NDArray[np.int64]:
        """Indices that a LIST_AT stream holds itself."""
        values = decode(
            self.streams.chain(number),
            self.streams.payload(number),
            int(self.counts[number]),
            int(self.streams.records["params"][number]),
            np.dtype("<u4"),
            begin=self.begin,
            end=self.end,
        )
        return values.astype(np.int64)

    def _weights(self, third: Decoded, place: int, chosen: NDArray[np.int64]) -> NDArray[Any]:
        return third.values(place, value_dtype(int(self.streams.types[chosen[place]])))

    def _value_range(self, owner: int, ranges: dict[int, tuple[int, int]]) -> tuple[int, int]:
        row = self.schema.fields[owner]
        if int(row["shape"]) in (Shape.LIST, Shape.WEIGHTED_LIST):
            group = self.schema.num_fields + int(row["group"])
            return ranges[owner] if owner in ranges else ranges[group]
        low, high = self._unique_range(owner)
        return low * int(row["width"]), high * int(row["width"])

    def _field(
        self,
        owner: int,
        values: NDArray[Any],
        weights: NDArray[Any] | None,
        lengths: dict[int, NDArray[np.int32]],
        starts: dict[int, NDArray[np.int32]],
        validity: dict[int, NDArray[np.bool_]],
    ) -> FieldData:
        row = self.schema.fields[owner]
        is_key = int(row["kind"]) == Kind.SESSION_KEY
        group = -1 if is_key else int(row["group"])
        shared = self.schema.num_fields + group
        windowed = not is_key and shared in starts
        return FieldData(
            group=group,
            values=values,
            lengths=lengths.get(shared if windowed else owner),
            starts=starts.get(shared) if windowed else None,
            width=int(row["width"]),
            weights=weights,
            validity=validity.get(owner),
        )


def decode_stripe(
    streams: StoredStreams,
    schema: SchemaBlock,
    rows: int,
    begin: int = 0,
    end: int | None = None,
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

    Raises
    ------
    RecdFormatError
        Anything in the stripe that breaks a rule.
    """
    end = rows if end is None else end
    decoder = _StripeDecoder(streams, schema, rows, begin, end)
    session_offsets = decoder.session_offsets()
    decoder.decode_groups()
    fields = decoder.decode_fields()
    return StripeData(begin, end - begin, session_offsets, decoder.groups, fields)

