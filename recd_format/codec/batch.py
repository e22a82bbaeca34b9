"""The batch kernel: all streams of one chain, decoded into an arena by one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import DESCRIPTOR, FAULTS, BatchError, Chain, CodecId, Fault, chain_name
from recd_format.codec.bitpack import PARTS, open_stream, unpack_part
from recd_format.codec.byte_stream_split import merge_planes
from recd_format.codec.delta import sum_deltas
from recd_format.codec.dictionary import gather, highest
from recd_format.codec.plain import extend_sign, load_values, store_values
from recd_format.constants import BLOCK_VALUES
from recd_format.errors import RecdInputError

__all__ = ["BATCH_CHAINS", "CODED", "decode_many"]

_KIND_PLAIN, _KIND_CONSTANT, _KIND_BITPACK, _KIND_DELTA, _KIND_DICTIONARY, _KIND_SPLIT = range(6)
_KIND_CODED = 6
BATCH_CHAINS: dict[Chain, int] = {
    (int(CodecId.PLAIN),): _KIND_PLAIN,
    (int(CodecId.CONSTANT),): _KIND_CONSTANT,
    (int(CodecId.BITPACK),): _KIND_BITPACK,
    (int(CodecId.DELTA), int(CodecId.BITPACK)): _KIND_DELTA,
    (int(CodecId.DICTIONARY), int(CodecId.BITPACK)): _KIND_DICTIONARY,
    (int(CodecId.BYTE_STREAM_SPLIT),): _KIND_SPLIT,
}
"""Chains that `decode_many` decodes, and their numbers in its table."""

CODED = _KIND_CODED
"""Another way to decode DICTIONARY, BITPACK: to its codes, 4 bytes each, all of them entries."""

_SOURCE = int(Fault.SOURCE)
_TARGET = int(Fault.TARGET)
_VALUE_RANGE = int(Fault.VALUE_RANGE)
_ITEMSIZE = int(Fault.ITEMSIZE)
_STORED = int(Fault.STORED)
_KIND = int(Fault.KIND)
_CODE = int(Fault.CODE)
_DICTIONARY = int(Fault.DICTIONARY)
_COLUMNS = len(DESCRIPTOR.names or ())
_MAX_COUNT = 1 << 40  # keeps count * 8 far from overflow; ranges are checked against real bytes


@kernel()
def is_itemsize(size):  # type: ignore[no-untyped-def]
    """True for 1, 2, 4, 8."""
    return size == 1 or size == 2 or size == 4 or size == 8


@kernel()
def copy_bytes(s1, s8, at, number, a1, a8, to):  # type: ignore[no-untyped-def]
    """Copy bytes between places that are multiples of 8."""
    words = number >> 3
    source, target = np.uint64(at >> 3), np.uint64(to >> 3)
    for i in range(words):
        a8[target + np.uint64(i)] = s8[source + np.uint64(i)]
    for i in range(words << 3, number):
        a1[to + i] = s1[at + i]


@kernel(
    "int64(const int64[::1], const uint8[::1], const uint16[::1], const uint32[::1], "
    "const uint64[::1], uint8[::1], uint16[::1], uint32[::1], uint64[::1], uint64[::1], int64[::1])"
)
def decode_streams(  # type: ignore[no-untyped-def]
    table, s1, s2, s4, s8, a1, a2, a4, a8, scratch, parts
):
    """Decode every stream of the table; returns 0, or row * 16 + fault of the first bad one.

    Helpers take variables, never literals: Numba compiles one more copy for a literal argument.
    """
    limit = len(s1)
    arena = len(a1)
    for row in range(len(table) // _COLUMNS):
        d = row * _COLUMNS
        start, stored, target = table[d], table[d + 1], table[d + 2]
        begin, end, count = table[d + 3], table[d + 4], table[d + 5]
        itemsize, narrow, signed = table[d + 6], table[d + 7], table[d + 8]
        entries, num_entries, kind = table[d + 10], table[d + 11], table[d + 12]
        bad = row * 16
        if start < 0 or start & 7 or stored < 0 or start > limit or stored > limit - start:
            return bad + _SOURCE
        if begin < 0 or begin > end or end > count or count > _MAX_COUNT:
            return bad + _VALUE_RANGE
        if not is_itemsize(itemsize) or (kind == _KIND_CODED and itemsize != 4):
            return bad + _ITEMSIZE
        if kind < _KIND_PLAIN or kind > _KIND_CODED:
            return bad + _KIND
        number = end - begin
        if target < 0 or target & 7 or target > arena or number * itemsize > arena - target:
            return bad + _TARGET
        shift = 3 if itemsize == 8 else itemsize >> 1
        if kind in (_KIND_PLAIN, _KIND_SPLIT):
            if not is_itemsize(narrow):
                return bad + _ITEMSIZE
            if stored != count * narrow:
                return bad + _STORED
        if kind == _KIND_PLAIN and narrow == itemsize and (begin * itemsize) & 7 == 0:
            copy_bytes(s1, s8, start + begin * itemsize, number * itemsize, a1, a8, target)
            continue
        if kind == _KIND_CONSTANT:
            if stored != 0:
                return bad + _STORED
            value = np.uint64(table[d + 9])
            for i in range(min(number, 1024)):
                scratch[i] = value
        elif kind == _KIND_DELTA:
            bases = ((count + 1023) >> 10) * 8
            if stored < bases:
                return bad + _STORED
            fault = open_stream(s1, start + bases, stored - bases, count, parts)
            if fault:
                return bad + fault
        elif kind in (_KIND_BITPACK, _KIND_DICTIONARY, _KIND_CODED):
            fault = open_stream(s1, start, stored, count, parts)
            if fault:
                return bad + fault
            if kind == _KIND_DICTIONARY and (
                num_entries < 0 or entries < 0 or entries & 7 or entries > arena
                or num_entries > (arena - entries) // itemsize
            ):  # fmt: skip
                return bad + _DICTIONARY
        for block in range(begin >> 10, (end + 1023) >> 10):
            origin = block << 10
            low = max(begin - origin, 0)
            high = min(end - origin, 1024)
            to = target + ((origin + low - begin) << shift)
            skip = 0
            if kind != _KIND_PLAIN and kind != _KIND_CONSTANT and kind != _KIND_SPLIT:
                packed = kind in (_KIND_BITPACK, _KIND_CODED)
                direct = packed and itemsize >= 4 and (low | high) & 15 == 0
                first = 0 if kind == _KIND_DELTA else low >> 4
                last = (high + 15) >> 4
                if direct and itemsize == 4:
                    fault = unpack_part(s1, s8, parts, block, count, first, last, a4, to >> 2)
                else:
                    out = a8 if direct else scratch
                    place = to >> 3 if direct else 0
                    fault = unpack_part(s1, s8, parts, block, count, first, last, out, place)
                if fault:
                    return bad + fault
                skip = low - (first << 4)
                if kind == _KIND_CODED:
                    if direct:
                        top = np.uint64(highest(a4, to >> 2, high - low))
                    else:
                        top = highest(scratch, skip, high - low)
                    if top >= np.uint64(num_entries):
                        return bad + _CODE
                if direct:
                    continue
            if kind == _KIND_DELTA:
                sum_deltas(scratch, s8[(start >> 3) + block], high)
            elif kind == _KIND_DICTIONARY:
                if highest(scratch, skip, high - low) >= np.uint64(num_entries):
                    return bad + _CODE
                gather(scratch, skip, high - low, a1, a2, a4, a8, entries, to, itemsize)
                continue
            elif kind == _KIND_PLAIN:
                at = start + (origin + low) * narrow
                load_values(s1, s2, s4, s8, at, narrow, high - low, scratch)
            elif kind == _KIND_SPLIT:
                merge_planes(s1, start, narrow, count, origin + low, high - low, scratch)
            if signed and narrow < 8 and kind in (_KIND_PLAIN, _KIND_SPLIT):
                extend_sign(scratch, high - low, narrow)
            store_values(scratch, skip, high - low, a1, a2, a4, a8, to, itemsize)
    return 0


def _views(data: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
    """The bytes as u1, u2, u4 and u8, each without a ragged end."""
    size = len(data)
    return (
        data,
        data[: size & ~1].view("<u2"),
        data[: size & ~3].view("<u4"),
        data[: size & ~7].view("<u8"),
    )


def decode_many(table: NDArray[Any], source: NDArray[np.uint8], arena: NDArray[np.uint8]) -> None:
    """Decode many streams with one kernel call, in the order of the table.

    Parameters
    ----------
    table : structured array of DESCRIPTOR
        A row a stream. ``kind``: its chain's number in BATCH_CHAINS. ``source``, ``stored``: its
        bytes in `source`, starting at a multiple of 8. ``begin``, ``end``: the values wanted of
        its ``count``. ``target``: byte in `arena`, a multiple of 8, where value `begin` goes,
        ``itemsize`` bytes each. ``stored_itemsize`` and ``signed`` describe the stored type:
        signed integers are sign-extended where itemsize is greater. ``params``: the value of a
        CONSTANT. ``kind`` CODED decodes a DICTIONARY stream to its codes, of 4 bytes.
        ``dictionary``, ``dictionary_count``: byte in `arena` of the entries, decoded
        to the same itemsize: by an earlier row, or before.
    source : uint8
        Stored bytes, 8-byte aligned.
    arena : uint8
        Decoded values are written into it, 8-byte aligned.

    Raises
    ------
    BatchError
        For the first stream that breaks a rule; its ``index`` is the row. Nothing outside
        `source` is read and nothing outside `arena` is written, whatever the bytes are.
    """
    if table.dtype != DESCRIPTOR or not table.flags.c_contiguous:
        raise RecdInputError("decode_many takes a contiguous table of dtype DESCRIPTOR")
    for name, data in (("source", source), ("arena", arena)):
        if data.dtype != np.uint8 or not data.flags.c_contiguous or data.ctypes.data & 7:
            raise RecdInputError(f"{name} must be contiguous uint8, aligned to 8 bytes")
    if len(table) == 0:
        return
    scratch, parts = np.empty(BLOCK_VALUES, np.uint64), np.zeros(PARTS, np.int64)
    status = decode_streams(table.view("<i8"), *_views(source), *_views(arena), scratch, parts)
    if status:
        row, fault = divmod(status, 16)
        reason, rule = FAULTS[Fault(fault)]
        entry = table[row]
        names = [chain for chain, kind in BATCH_CHAINS.items() if kind == entry["kind"]]
        chain = names[0] if names else ()
        detail = (
            f"{chain_name(chain)} stream of {entry['count']} values in {entry['stored']} bytes: "
            f"{rule}"
        )
        raise BatchError(int(row), reason, detail)
