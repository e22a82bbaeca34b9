"""DICTIONARY: codes by falling frequency into a stream of entries (`dictionary.md`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.codec.base import from_u64, to_u64

__all__ = ["Entries", "build", "distinct", "gather", "highest"]


@kernel()
def slot_of(value, mask):  # type: ignore[no-untyped-def]
    """Hash of a value: two multiplies, so that low bits depend on all bits."""
    value = (value ^ (value >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (value ^ (value >> np.uint64(32))) & mask


@kernel("int64(const uint64[::1], int64, int32[::1], uint64[::1], int64[::1])")
def count_distinct(values, limit, ids, entries, counts):  # type: ignore[no-untyped-def]
    """Number distinct values by first appearance; -1 as soon as there are more than `limit`.

    The table starts in L1 and doubles, so that few distinct values stay cheap.
    """
    capacity = 1024
    mask = np.uint64(capacity - 1)
    keys = np.empty(capacity, np.uint64)
    numbers = np.zeros(capacity, np.int32)  # number + 1; 0 = free
    known = 0
    check = 1 << 15
    total = len(values)
    for i in range(total):
        value = values[i]
        slot = slot_of(value, mask)
        while numbers[slot] != 0 and keys[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        number = np.int64(numbers[slot])
        if number == 0:
            if known >= limit:
                return -1
            keys[slot] = value
            numbers[slot] = known + 1
            entries[known] = value
            counts[known] = 0
            known += 1
            number = np.int64(known)
            if 2 * known > capacity:
                capacity *= 4
                mask = np.uint64(capacity - 1)
                keys = np.empty(capacity, np.uint64)
                numbers = np.zeros(capacity, np.int32)
                for j in range(known):
                    slot = slot_of(entries[j], mask)
                    while numbers[slot] != 0:
                        slot = (slot + np.uint64(1)) & mask
                    keys[slot] = entries[j]
                    numbers[slot] = j + 1
        counts[number - 1] += 1
        ids[i] = number - 1
        if i + 1 == check:
            # Nearly all distinct over a good part of the stream: no dictionary will pay.
            if known > check - (check >> 6) and check >= total >> 3:
                return -1
            check <<= 1
    return known


@kernel("void(const int32[::1], const int64[::1], uint64[::1])")
def rank_codes(ids, ranks, codes):  # type: ignore[no-untyped-def]
    """codes[i] = ranks[ids[i]]."""
    for i in range(len(ids)):
        codes[np.uint64(i)] = np.uint64(ranks[np.uint64(ids[np.uint64(i)])])


@kernel()
def gather(codes, skip, number, a1, a2, a4, a8, entries, at, itemsize):  # type: ignore[no-untyped-def]
    """Entries of codes[skip:skip + number] at byte `at`; entries start at byte `entries`.

    Both stand in the arena and both are multiples of `itemsize`.
    """
    start = np.uint64(skip)
    if itemsize == 8:
        first = np.uint64(at >> 3)
        origin = np.uint64(entries >> 3)
        for i in range(number):
            a8[first + np.uint64(i)] = a8[origin + codes[start + np.uint64(i)]]
    elif itemsize == 4:
        first = np.uint64(at >> 2)
        origin = np.uint64(entries >> 2)
        for i in range(number):
            a4[first + np.uint64(i)] = a4[origin + codes[start + np.uint64(i)]]
    elif itemsize == 2:
        first = np.uint64(at >> 1)
        origin = np.uint64(entries >> 1)
        for i in range(number):
            a2[first + np.uint64(i)] = a2[origin + codes[start + np.uint64(i)]]
    else:
        first = np.uint64(at)
        origin = np.uint64(entries)
        for i in range(number):
            a1[first + np.uint64(i)] = a1[origin + codes[start + np.uint64(i)]]


@kernel()
def highest(codes, skip, number):  # type: ignore[no-untyped-def]
    """Largest of codes[skip:skip + number]."""
    # A zero of the array's own type: compared as such, eight or sixteen at a time.
    top = codes[np.uint64(skip)] if number > 0 else codes.dtype.type(0)
    start = np.uint64(skip)
    for i in range(number):
        top = max(top, codes[start + np.uint64(i)])
    return top


class Entries(NamedTuple):
    """Distinct values in order of first appearance, how often each occurs, and who is who."""

    values: NDArray[np.uint64]
    counts: NDArray[np.int64]
    ids: NDArray[np.int32]


def distinct(values: NDArray[np.uint64], limit: int) -> Entries | None:
    """Return the distinct u64-domain values, or None where there are more than `limit`.

    Also None where the stream is almost free of repetition.
    """
    limit = min(limit, len(values))
    ids = np.empty(len(values), np.int32)
    entries = np.empty(limit, np.uint64)
    counts = np.empty(limit, np.int64)
    known = count_distinct(values, limit, ids, entries, counts)
    return None if known < 0 else Entries(entries[:known], counts[:known], ids)


def order_of(found: Entries, signed: bool) -> NDArray[np.int64]:
    """Return entry numbers by falling count, then rising value.

    Radix sort by counts below 2^16; the few entries above are sorted apart.
    """
    keys = found.values.view(np.int64) if signed else found.values
    order = np.argsort(keys)
    counts = found.counts[order]
    clipped = (65_535 - np.minimum(counts, 65_535)).astype(np.uint16)
    order = order[np.argsort(clipped, kind="stable")]
    head = int((clipped == 0).sum())
    order[:head] = order[:head][np.argsort(-found.counts[order[:head]], kind="stable")]
    return order


def build(
    values: NDArray[Any], found: Entries | None = None
) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Return (dictionary in the values' dtype, codes as uint64)."""
    if found is None:
        wide = to_u64(values)
        # All distinct is allowed when a dictionary is asked for by name.
        found = distinct(wide, len(wide)) or _all_distinct(wide)
    order = order_of(found, values.dtype.kind == "i")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    codes = np.empty(len(found.ids), np.uint64)
    rank_codes(found.ids, ranks, codes)
    return from_u64(found.values[order], values.dtype), codes


def _all_distinct(values: NDArray[np.uint64]) -> Entries:
    unique, ids, counts = np.unique(values, return_inverse=True, return_counts=True)
    return Entries(unique, counts.astype(np.int64), ids.astype(np.int32))
