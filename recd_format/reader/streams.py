"""Stored bytes of some streams to decoded values in one arena, in few kernel calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from recd_format.codec import BATCH_CHAINS, CODED, DESCRIPTOR, decode, decode_many
from recd_format.codec.base import BatchError, Chain, CodecId
from recd_format.constants import Limits
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import Records, StreamKind
from recd_format.format.schema import ValueType
from recd_format.format.validate import record_chain, value_dtype
from recd_format.io import Source, aligned_empty, coalesce

__all__ = ["Decoded", "StoredStreams", "decode_streams", "fetch"]

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class StoredStreams:
    """Records of one stripe and their stored bytes.

    Attributes
    ----------
    records : structured array of RECORD
    types : ndarray of int64, shape [records]
        Value type of each stream.
    buffer : ndarray of uint8
        Bytes as read, 64-byte aligned.
    positions : ndarray of int64, shape [records]
        Where each stream begins in `buffer`.
    location : Location
        The stripe, for errors.
    allocate : callable
        Gives the memory to decode into: uint8 [n], aligned to 64 bytes.
    limits : Limits
        `stripe_bytes` caps what is decoded at once.
    """

    records: Records
    types: NDArray[np.int64]
    buffer: NDArray[np.uint8]
    positions: NDArray[np.int64]
    location: Location
    allocate: Callable[[int], NDArray[np.uint8]] = aligned_empty
    limits: Limits = _LIMITS

    def payload(self, index: int) -> NDArray[np.uint8]:
        """Stored bytes of stream number `index`."""
        start = int(self.positions[index])
        return self.buffer[start : start + int(self.records["stored"][index])]

    def chain(self, index: int) -> Chain:
        """Chain of stream number `index`."""
        return record_chain(self.records["chain"][index].tolist()) or ()


def fetch(
    source: Source,
    records: Records,
    types: NDArray[np.int64],
    stripe_offset: int,
    location: Location,
    *,
    verify: bool,
    gap: int,
    max_bytes: int,
    allocate: Callable[[int], NDArray[np.uint8]] = aligned_empty,
    limits: Limits = _LIMITS,
) -> StoredStreams:
    """Read the stored bytes of `records`, neighbours together, and check their checksums.

    Raises
    ------
    RecdFormatError
        CHECKSUM, TRUNCATED.
    """
    stored = records["stored"].astype(np.int64)
    sizes = -(-stored // 64) * 64
    used = np.flatnonzero(stored)
    ranges = np.stack([records["byte_offset"][used].astype(np.int64), sizes[used]], axis=1)
    plan = coalesce(ranges, gap, max_bytes)
    span_starts = np.concatenate([[0], plan.spans[:, 1].cumsum()])
    buffer = allocate(int(span_starts[-1]))
    source.read_many(
        [
            (stripe_offset + byte_offset, buffer[start : start + size])
            for (byte_offset, size), start in zip(
                plan.spans.tolist(), span_starts.tolist(), strict=False
            )
        ]
    )
    positions = np.zeros(len(records), np.int64)
    positions[used] = span_starts[plan.span] + plan.start
    streams = StoredStreams(records, types, buffer, positions, location, allocate, limits)
    if verify:
        _verify(streams, used, sizes)
    return streams


def _verify(streams: StoredStreams, used: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
    view = memoryview(streams.buffer)
    checksums = streams.records["xxh3"]
    for index, start, size, stored in zip(
        used.tolist(),
        streams.positions[used].tolist(),
        sizes[used].tolist(),
        checksums[used].tolist(),
        strict=True,
    ):
        computed = xxh3_64_intdigest(view[start : start + size])
        if computed != stored:
            raise RecdFormatError(
                Reason.CHECKSUM,
                f"stored {stored:016x}, computed {computed:016x}",
                stream_location(streams, index),
            )


def stream_location(streams: StoredStreams, index: int) -> Location:
    """Return where stream number `index` stands."""
    record = streams.records[index]
    where = streams.location
    return Location(
        where.path,
        where.part,
        int(record["stripe"]),
        f"owner {int(record['owner'])}",
        StreamKind(int(record["kind"])).name.lower(),
        int(record["byte_offset"]),
    )


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded streams in one arena.

    Attributes
    ----------
    arena : ndarray of uint8, 64-byte aligned
    begin, end : ndarray of int64, shape [records]
        Where in `arena` the values of each stream begin and end; -1 for streams not decoded.
    entries, num_entries : ndarray of int64, shape [records]
        Of streams that were decoded to codes: where their dictionary begins, and its values; -1.
    """

    arena: NDArray[np.uint8]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    entries: NDArray[np.int64]
    num_entries: NDArray[np.int64]

    def values(self, number: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the values of stream `number` as a view."""
        return self.arena[self.begin[number] : self.end[number]].view(dtype)


def decode_streams(
    streams: StoredStreams,
    chosen: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    wide: NDArray[np.bool_] | None = None,
    coded: NDArray[np.bool_] | None = None,
) -> Decoded:
    """Decode values ``begin:end`` of each of the streams `chosen`: one kernel call, and one call
    for each stream of a general-purpose compressor.

    Parameters
    ----------
    streams
        Stored bytes of the stripe.
    chosen : ndarray of int64, shape [streams]
        Stream numbers.
    begin, end : ndarray of int64, shape [streams]
        Values wanted.
    wide : ndarray of bool, shape [records], or None
        Streams whose integers, of any width, are decoded to 8 bytes (sign- or zero-extended);
        those and their dictionaries.
    coded : ndarray of bool, shape [records], or None
        Streams of the chain DICTIONARY, BITPACK that are decoded to codes of 4 bytes: whoever
        copies values on looks them up then.

    Raises
    ------
    RecdFormatError
        ENCODING, DICTIONARY, RANGE: a stream does not decode. LIMIT: all would have more than
        `stripe_bytes`.
    """
    span_begin, span_end, entries, num_entries = np.full((4, len(streams.records)), -1, np.int64)
    if not len(chosen):
        return Decoded(aligned_empty(0), span_begin, span_end, entries, num_entries)
    dictionaries, owned = _dictionaries_of(streams, chosen)
    numbers = np.concatenate([chosen, dictionaries])
    records = streams.records[numbers]
    counts = records["count"].astype(np.int64)
    types = streams.types[numbers]
    stored_sizes = _SIZES[types]
    sizes = stored_sizes
    if wide is not None:
        sizes = np.where(_IS_INTEGER[types] & wide[numbers], 8, stored_sizes)
    own = len(chosen)
    as_codes = np.zeros(len(numbers), np.bool_)
    if coded is not None:
        as_codes[:own] = coded[chosen]
        sizes = np.where(as_codes, 4, sizes)
    table = np.zeros(len(numbers), DESCRIPTOR)
    table["source"] = streams.positions[numbers]
    table["stored"] = records["stored"]
    table["begin"][:own] = begin
    table["end"][:own] = end
    table["end"][own:] = counts[own:]
    table["count"] = counts
    table["itemsize"] = sizes
    table["stored_itemsize"] = stored_sizes
    table["signed"] = _SIGNED[types]
    table["params"] = records["params"]
    used = (table["end"] - table["begin"]) * sizes
    ends = (-(-used // 64) * 64).cumsum()
    starts = np.concatenate([[0], ends[:-1]])
    table["target"] = starts
    table["dictionary"][owned] = starts[own:]
    table["dictionary_count"][owned] = counts[own:]
    if ends[-1] > streams.limits.stripe_bytes:
        raise RecdFormatError(
            Reason.LIMIT,
            f"{len(numbers)} streams decode to {int(ends[-1])} bytes, limit "
            f"{streams.limits.stripe_bytes}; read fewer columns or rows at once",
            streams.location,
        )
    arena = streams.allocate(int(ends[-1]))
    chains, chain_of = np.unique(
        np.ascontiguousarray(records["chain"]).view("<u4").reshape(-1), return_inverse=True
    )
    kinds = [BATCH_CHAINS.get(_chain_of(chain), -1) for chain in chains.tolist()]
    table["kind"] = np.where(as_codes, CODED, np.array(kinds, np.int64)[chain_of])
    batched = table["kind"] >= 0
    # Dictionaries first: other chains gather from what they decode to.
    order = np.roll(np.arange(len(numbers)), len(numbers) - own)
    singles = np.flatnonzero(~batched).tolist()

    def decode_singles(rows: Iterable[int]) -> None:
        for row in rows:
            chain = _chain_of(int(chains[chain_of[row]]))
            _decode_one(streams, chain, int(numbers[row]), table[row], arena)

    decode_singles(row for row in singles if row >= own)
    _decode_batch(streams, numbers, table, order[batched[order]], arena)
    decode_singles(row for row in singles if row < own)
    span_begin[chosen] = starts[:own]
    span_end[chosen] = (starts + used)[:own]
    holders = np.flatnonzero(as_codes[:own])
    entries[chosen[holders]] = table["dictionary"][holders]
    num_entries[chosen[holders]] = table["dictionary_count"][holders]
    return Decoded(arena, span_begin, span_end, entries, num_entries)


_DICTIONARY = int(CodecId.DICTIONARY)
_WEIGHTS = int(StreamKind.WEIGHTS)
_SIZES = np.zeros(max(ValueType) + 1, np.int64)
_SIGNED = np.zeros(max(ValueType) + 1, np.int64)
_IS_INTEGER = np.zeros(max(ValueType) + 1, np.bool_)
for _type in ValueType:
    _SIZES[_type] = _type.dtype.itemsize
    _SIGNED[_type] = _type.dtype.kind == "i"
    _IS_INTEGER[_type] = _type.dtype.kind in "iu"


@cache
def _chain_of(key: int) -> Chain:
    """Chain of the four chain bytes of a record, read as an integer."""
    return record_chain([key >> 8 * place & 0xFF for place in range(4)]) or ()


def _dictionaries_of(
    streams: StoredStreams, chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stream numbers of the dictionaries that chosen streams need, and the places of those."""
    records = streams.records
    owned = np.flatnonzero(records["chain"][chosen, 0] == _DICTIONARY)
    if not len(owned):
        return owned, owned
    keys = records["owner"].astype(np.int64) << 8 | records["kind"]
    of_weights = records["kind"][chosen[owned]] == _WEIGHTS
    kind = np.where(of_weights, int(StreamKind.WEIGHT_DICTIONARY), int(StreamKind.DICTIONARY))
    wanted = records["owner"][chosen[owned]].astype(np.int64) << 8 | kind
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    missing = keys[places] != wanted
    if missing.any():
        index = int(chosen[owned[int(np.argmax(missing))]])
        raise RecdFormatError(
            Reason.DICTIONARY, "its dictionary is missing", stream_location(streams, index)
        )
    return places, owned


def _decode_batch(
    streams: StoredStreams,
    numbers: NDArray[np.int64],
    table: NDArray[np.void],
    which: NDArray[np.int64],
    arena: NDArray[np.uint8],
) -> None:
    try:
        decode_many(np.ascontiguousarray(table[which]), streams.buffer, arena)
    except BatchError as exc:
        where = stream_location(streams, int(numbers[which[exc.index]]))
        raise RecdFormatError(exc.reason, exc.detail, where) from exc


def _decode_one(
    streams: StoredStreams,
    chain: Chain,
    index: int,
    entry: np.void,
    arena: NDArray[np.uint8],
) -> None:
    """Decode a stream of a chain that has no batch kernel: general-purpose compressors."""
    dtype = value_dtype(int(streams.types[index]))
    dictionary = None
    size = int(entry["itemsize"])
    wide = dtype if size == dtype.itemsize else np.dtype(f"<{dtype.kind}{size}")
    if entry["dictionary_count"]:
        start = int(entry["dictionary"])
        stop = start + int(entry["dictionary_count"]) * size
        dictionary = arena[start:stop].view(wide).astype(dtype, copy=False)
    begin, end = int(entry["begin"]), int(entry["end"])
    try:
        values = decode(
            chain,
            streams.payload(index),
            int(entry["count"]),
            int(entry["params"]),
            dtype,
            dictionary=dictionary,
            begin=begin,
            end=end,
        )
    except RecdFormatError as exc:
        raise RecdFormatError(exc.reason, exc.detail, stream_location(streams, index)) from exc
    target = int(entry["target"])
    arena[target : target + (end - begin) * size].view(wide)[:] = values
