"""The batch kernel: many streams by one call, and never outside its arrays."""

from __future__ import annotations

import pickle
from contextlib import suppress

import numpy as np
import pytest

from recd_format.codec import (
    BATCH_CHAINS,
    DESCRIPTOR,
    BatchError,
    CodecId,
    chain_name,
    decode_many,
    encode,
)
from recd_format.errors import Reason, RecdInputError
from tests.codec.checks import sample

PLAIN, CONSTANT, BITPACK = (1,), (2,), (3,)
DICTIONARY_BITPACK = (5, 3)


@pytest.mark.parametrize("chain", sorted(BATCH_CHAINS), ids=chain_name)
def test_random_descriptors_stay_in_their_arrays(chain: tuple[int, ...]) -> None:
    rng = np.random.default_rng(9)
    values = sample(1500)
    if chain == (CodecId.CONSTANT,):
        values[:] = 5
    encoded = encode(values, chain)
    known = 0 if encoded.dictionary is None else len(encoded.dictionary)
    payload = encoded.payload
    source = np.zeros(len(payload) // 8 + 1, np.uint64).view(np.uint8)
    source[: len(payload)] = payload
    good = (
        0,
        len(payload),
        0,
        0,
        1500,
        1500,
        8,
        8,
        1,
        encoded.params,
        12_000,
        known,
        BATCH_CHAINS[chain],
    )
    odd = [-(2**63), -8, -1, 1, 3, 7, 8, 1499, 1501, 2**31, 2**40, 2**62, 2**63 - 1]
    for _ in range(400):
        table = np.zeros(1, DESCRIPTOR)
        table[0] = good
        for name in rng.choice(list(DESCRIPTOR.names), rng.integers(1, 3)):
            if name != "params":
                table[0][name] = odd[rng.integers(len(odd))]
        arena = np.full(4096, 0x55, np.uint64).view(np.uint8)
        guarded = arena[: 12_000 + 8 * known]
        with suppress(BatchError):
            decode_many(table, source, guarded)
        assert (arena.view(np.uint64)[1500 + known :] == 0x55).all()


def good_table(streams: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.zeros(len(streams), DESCRIPTOR)
    parts, place, target = [], 0, 0
    for row, values in zip(table, streams, strict=True):
        payload = encode(values, BITPACK).payload
        row["source"], row["stored"], row["target"] = place, len(payload), target
        row["end"] = row["count"] = len(values)
        row["kind"] = BATCH_CHAINS[BITPACK]
        row["itemsize"] = row["stored_itemsize"] = 8
        parts.append(np.pad(payload, (0, -len(payload) % 64)))
        place += len(parts[-1])
        target += 8 * len(values)
    source = np.zeros(place // 8, np.uint64).view(np.uint8)
    source[:] = np.concatenate(parts)
    return table, source, np.zeros(target // 8, np.uint64).view(np.uint8)


def test_the_first_bad_stream_is_named() -> None:
    table, source, arena = good_table([sample(9), sample(1300), sample(7), sample(20)])
    source[int(table["source"][2]) + 2] = 200
    with pytest.raises(BatchError, match="header") as caught:
        decode_many(table, source, arena)
    assert (caught.value.index, caught.value.reason) == (2, Reason.ENCODING)
    assert arena[: 8 * 9].view("<i8").tolist() == sample(9).tolist()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.index, str(again)) == (2, str(caught.value))


@pytest.mark.parametrize(
    ("field", "value", "reason", "rule"),
    [
        ("source", 4, Reason.RANGE, "stored bytes are outside"),
        ("source", 1 << 20, Reason.RANGE, "stored bytes are outside"),
        ("stored", 1 << 20, Reason.RANGE, "stored bytes are outside"),
        ("stored", 7, Reason.ENCODING, "stored size"),
        ("target", 4, Reason.RANGE, "decoded values are outside"),
        ("target", 1 << 20, Reason.RANGE, "decoded values are outside"),
        ("begin", -1, Reason.RANGE, "value range"),
        ("begin", 1301, Reason.RANGE, "value range"),
        ("end", 1301, Reason.RANGE, "value range"),
        ("count", 1 << 41, Reason.RANGE, "value range"),
        ("count", 2400, Reason.ENCODING, "header"),
        ("itemsize", 3, Reason.RECORD, "item size"),
        ("kind", -1, Reason.CHAIN, "no such batch chain"),
    ],
)
def test_each_field_of_a_descriptor_is_checked(
    field: str, value: int, reason: Reason, rule: str
) -> None:
    table, source, arena = good_table([sample(9), sample(1300)])
    table[1][field] = value
    with pytest.raises(BatchError, match=rule) as caught:
        decode_many(table, source, arena)
    assert (caught.value.index, caught.value.reason) == (1, reason)


def test_entries_may_be_decoded_by_an_earlier_row_of_the_call() -> None:
    values = np.resize(np.array([7, -3, 7, 90], "<i4"), 1500)
    codes = encode(values, DICTIONARY_BITPACK)
    entries = encode(codes.dictionary, PLAIN)
    source = np.zeros(len(codes.payload) // 8 + 8, np.uint64).view(np.uint8)
    source[: len(entries.payload)] = entries.payload
    source[64 : 64 + len(codes.payload)] = codes.payload
    arena = np.zeros(16 + 1500, np.uint64).view(np.uint8)
    table = np.zeros(3, DESCRIPTOR)
    table[0] = (0, 12, 0, 0, 3, 3, 8, 4, 1, 0, 0, 0, BATCH_CHAINS[PLAIN])
    table[1] = (
        64, len(codes.payload), 24, 0, 1500, 1500, 8, 4, 1, 3, 0, 3,
        BATCH_CHAINS[DICTIONARY_BITPACK],
    )  # fmt: skip
    table[2] = (0, 0, 24 + 8 * 1500, 2, 5, 9, 8, 4, 1, 2**64 - 6, 0, 0, BATCH_CHAINS[CONSTANT])
    decode_many(table, source, arena)
    decoded = arena.view("<i8").tolist()
    assert decoded[:3] == codes.dictionary.tolist() == [7, -3, 90]
    assert decoded[3:1503] == values.tolist()
    assert decoded[1503:] == [-6, -6, -6, *[0] * 10]


def test_no_streams_are_no_work() -> None:
    arena = np.full(4, 7, np.uint64).view(np.uint8)
    decode_many(np.zeros(0, DESCRIPTOR), np.zeros(0, np.uint64).view(np.uint8), arena)
    assert arena.view(np.uint64).tolist() == [7] * 4


def test_misuse_is_an_input_error() -> None:
    table, source, arena = good_table([sample(9)])
    table["kind"] = 77
    with pytest.raises(BatchError, match="no such batch chain"):
        decode_many(table, source, arena)
    with pytest.raises(RecdInputError, match="aligned"):
        decode_many(table, source[1:], arena)
    with pytest.raises(RecdInputError, match="aligned"):
        decode_many(table, source, arena[1:])
    with pytest.raises(RecdInputError, match="DESCRIPTOR"):
        decode_many(np.zeros(1, "<i8"), source, arena)
