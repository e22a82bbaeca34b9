"""Stored bytes of some streams to decoded values in one arena, in few kernel calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from recd_format.codec import BATCH_CHAINS, DESCRIPTOR, decode, decode_many
from recd_format.codec.base import BatchError, Chain, CodecId
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import Records, StreamKind
from recd_format.format.schema import ValueType
from recd_format.format.validate import record_chain, value_dtype
from recd_format.io import Source, aligned_empty, coalesce

__all__ = ["Decoded", "StoredStreams", "decode_streams", "fetch"]

_DICTIONARY_KINDS = (StreamKind.DICTIONARY, StreamKind.WEIGHT_DICTIONARY)
_FLOATS = (ValueType.FLOAT16, ValueType.FLOAT32, ValueType.FLOAT64)


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
    """

    records: Records
    types: NDArray[np.int64]
    buffer: NDArray[np.uint8]
    positions: NDArray[np.int64]
    location: Location

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
    buffer = aligned_empty(int(span_starts[-1]))
    for (byte_offset, size), start in zip(plan.spans.tolist(), span_starts.tolist(), strict=False):
        source.read_into(stripe_offset + byte_offset, buffer[start : start + size])
    positions = np.zeros(len(records), np.int64)
    positions[used] = span_starts[plan.span] + plan.start
    streams = StoredStreams(records, types, buffer, positions, location)
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
    targets : ndarray of int64, shape [streams]
        Byte in `arena` where each stream's first decoded value is.
    counts : ndarray of int64, shape [streams]
        Values decoded of each stream.
    """

    arena: NDArray[np.uint8]
    targets: NDArray[np.int64]
    counts: NDArray[np.int64]

    def values(self, index: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the values of stream number `index` as a view."""
        start = int(self.targets[index])
        return self.arena[start : start + int(self.counts[index]) * dtype.itemsize].view(dtype)


def decode_streams(
    streams: StoredStreams,
    chosen: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    *,
    widen: bool = False,
) -> Decoded:
    """Decode values ``begin:end`` of each of the streams `chosen`, one kernel call per chain.

    Parameters
    ----------
    streams
        Stored bytes of the stripe.
    chosen : ndarray of int64, shape [streams]
        Stream numbers, ascending by (owner, kind), so that a dictionary's stream is found.
    begin, end : ndarray of int64, shape [streams]
        Values wanted.
    widen
        Decode integers of any width to 8 bytes (sign- or zero-extended).

    Raises
    ------
    RecdFormatError
        ENCODING, DICTIONARY, RANGE: a stream does not decode.
    """
    if not len(chosen):
        return Decoded(aligned_empty(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    dictionaries = _dictionaries_of(streams, chosen)
    owned = np.flatnonzero(dictionaries >= 0)
    everything = np.concatenate([chosen, dictionaries[owned]])
    records = streams.records[everything]
    counts = records["count"].astype(np.int64)
    table = np.zeros(len(everything), DESCRIPTOR)
    types = streams.types[everything]
    stored_sizes = _SIZES[types]
    sizes = np.where(widen & ~np.isin(types, _FLOATS), 8, stored_sizes) if widen else stored_sizes
    table["source"] = streams.positions[everything]
    table["stored"] = records["stored"]
    table["begin"] = np.concatenate([begin, np.zeros(len(owned), np.int64)])
    table["end"] = np.concatenate([end, counts[len(chosen) :]])
    table["count"] = counts
    table["itemsize"] = sizes
    table["stored_itemsize"] = stored_sizes
    table["signed"] = _SIGNED[types]
    table["params"] = records["params"]
    extents = -(-(table["end"] - table["begin"]) * sizes // 64) * 64
    starts = np.concatenate([[0], extents.cumsum()])
    table["target"] = starts[:-1]
    table["dictionary"][owned] = starts[len(chosen) : -1]
    table["dictionary_count"][owned] = counts[len(chosen) :]
    arena = aligned_empty(int(starts[-1]))
    chains = np.ascontiguousarray(records["chain"]).view("<u4").reshape(-1)
    # Dictionaries first: other chains gather from what they decode to.
    needs = np.zeros(len(everything), np.bool_)
    needs[owned] = True
    for later in (False, True):
        for key in np.unique(chains[needs == later]).tolist():
            which = np.flatnonzero((chains == key) & (needs == later))
            chain = tuple(key >> 8 * place & 0xFF for place in range(4) if key >> 8 * place & 0xFF)
            if chain in BATCH_CHAINS:
                _decode_batch(streams, chain, everything, table, which, arena)
            else:
                for index in which.tolist():
                    _decode_one(streams, chain, int(everything[index]), table[index], arena)
    count = len(chosen)
    return Decoded(arena, starts[:count], (table["end"] - table["begin"])[:count])


_SIZES = np.zeros(max(ValueType) + 1, np.int64)
_SIGNED = np.zeros(max(ValueType) + 1, np.int64)
for _type in ValueType:
    _SIZES[_type] = _type.dtype.itemsize
    _SIGNED[_type] = _type.dtype.kind == "i"


def _dictionaries_of(streams: StoredStreams, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stream number of the dictionary of each chosen stream, or -1 where it has none."""
    records = streams.records
    result = np.full(len(chosen), -1, np.int64)
    needing = np.flatnonzero(records["chain"][chosen, 0] == CodecId.DICTIONARY)
    if not len(needing):
        return result
    keys = records["owner"].astype(np.int64) << 8 | records["kind"]
    of_weights = records["kind"][chosen[needing]] == StreamKind.WEIGHTS
    kind = np.where(of_weights, StreamKind.WEIGHT_DICTIONARY, StreamKind.DICTIONARY)
    wanted = records["owner"][chosen[needing]].astype(np.int64) << 8 | kind
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    missing = keys[places] != wanted
    if missing.any():
        index = int(chosen[needing[int(np.argmax(missing))]])
        raise RecdFormatError(
            Reason.DICTIONARY, "its dictionary is missing", stream_location(streams, index)
        )
    result[needing] = places
    return result


def _decode_batch(
    streams: StoredStreams,
    chain: Chain,
    numbers: NDArray[np.int64],
    table: NDArray[np.void],
    which: NDArray[np.int64],
    arena: NDArray[np.uint8],
) -> None:
    try:
        decode_many(chain, np.ascontiguousarray(table[which]), streams.buffer, arena)
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
