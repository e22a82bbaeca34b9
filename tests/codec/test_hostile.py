"""Whatever the bytes are, decoding raises RecdFormatError or returns values: never more."""

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
    decode,
    decode_many,
    encode,
    legal_chains,
)
from recd_format.errors import Reason, RecdFormatError, RecdInputError

CHAINS = sorted(legal_chains("values", "i") - {(int(CodecId.LIST_AT),), (int(CodecId.CONSTANT),)})
BITPACK = (int(CodecId.BITPACK),)


def sample(count: int) -> np.ndarray:
    values = np.random.default_rng(count).integers(0, 300, count)
    values[count // 2] = 2**30
    return values


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
@pytest.mark.parametrize("count", [3, 2100])
def test_truncation_is_an_error(chain: tuple[int, ...], count: int) -> None:
    encoded = encode(sample(count), chain)
    whole = encoded.payload
    for size in {0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 8, len(whole) - 1} - {len(whole)}:
        if 0 <= size < len(whole):
            with pytest.raises(RecdFormatError):
                decode(
                    chain, whole[:size], count, encoded.params, np.dtype("<i8"),
                    dictionary=encoded.dictionary,
                )  # fmt: skip


@pytest.mark.parametrize("chain", CHAINS, ids=chain_name)
def test_flipped_bits_raise_only_format_errors(chain: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    for count in (40, 2100):
        encoded = encode(sample(count), chain)
        for _ in range(120):
            payload = encoded.payload.copy()
            reach = min(len(payload), 64) if rng.random() < 0.6 else len(payload)
            payload[rng.integers(reach)] ^= np.uint8(1 << rng.integers(8))
            try:
                got = decode(
                    chain, payload, count, encoded.params, np.dtype("<i8"),
                    dictionary=encoded.dictionary,
                )  # fmt: skip
            except RecdFormatError:
                continue
            assert len(got) == count


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
    ("at", "value"),
    [(0, 3), (0, 16), (1, 4), (1, 2), (2, 65), (2, 254), (3, 3), (4, 9), (7, 1)],
)
def test_bitpack_header_fields_are_checked(at: int, value: int) -> None:
    payload = encode(sample(1500), BITPACK).payload.copy()
    payload[at] = value
    with pytest.raises(RecdFormatError):
        decode(BITPACK, payload, 1500, 0, np.dtype("<i8"))


def test_word_offsets_and_widths_of_blocks_are_checked() -> None:
    values = np.zeros(9000, "<i8")
    values[4000] = 2**50
    payload = encode(values, BITPACK).payload
    assert payload[2] == 255
    for at, value in ((8 + 13, 3), (8 + 3, 1), (8 + 40, 70), (8 + 40 + 3, 64), (8 + 40 + 8, 1)):
        bad = payload.copy()
        bad[at] = value
        with pytest.raises(RecdFormatError):
            decode(BITPACK, bad, 9000, 0, np.dtype("<i8"))


@pytest.mark.parametrize("child", [(3,), (6, 8), (9,)])
def test_codes_past_the_dictionary_are_errors(child: tuple[int, ...]) -> None:
    values = np.array([5, 6, 7, 8, 5] * 300)
    encoded = encode(values, (5, *child))
    short = encoded.dictionary[:3]
    with pytest.raises(RecdFormatError) as caught:
        decode((5, *child), encoded.payload, 1500, 3, values.dtype, dictionary=short)
    assert caught.value.reason is Reason.DICTIONARY
    with pytest.raises(RecdFormatError):
        decode((5, *child), encoded.payload, 1500, 4, values.dtype, dictionary=None)


def test_zstd_frames_must_state_their_size() -> None:
    import zstandard

    data = b"\0" * 8000
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    bomb = zstandard.ZstdCompressor().compress(b"\0" * 80_000_000)
    for frame in (silent, bomb, zstandard.ZstdCompressor().compress(data) + b"x"):
        with pytest.raises(RecdFormatError):
            decode((8,), frame, 1000, 0, np.dtype("<i8"))


def test_pco_of_another_type_or_count_is_an_error() -> None:
    encoded = encode(np.arange(100, dtype="<i4"), (9,))
    for count, dtype in ((99, "<i4"), (101, "<i4"), (100, "<i8"), (100, "<f4")):
        with pytest.raises(RecdFormatError):
            decode((9,), encoded.payload, count, 0, np.dtype(dtype))
    wide = encode(np.arange(250, 260, dtype="<u2"), (9,))
    with pytest.raises(RecdFormatError, match="out of the range"):
        decode((9,), wide.payload, 10, 0, np.dtype("u1"))


def test_illegal_chains_are_format_errors() -> None:
    for chain in ((8, 1), (5, 5, 3), (200,), (4, 4, 3), ()):
        with pytest.raises(RecdFormatError) as caught:
            decode(chain, b"", 0, 0, np.dtype("<i8"))
        assert caught.value.reason is Reason.CHAIN


def test_misuse_of_the_batch_is_an_input_error() -> None:
    table, source, arena = good_table([sample(9)])
    table["kind"] = 77
    with pytest.raises(BatchError, match="no such batch chain"):
        decode_many(table, source, arena)
    with pytest.raises(RecdInputError, match="aligned"):
        decode_many(table, source[1:], arena)
    with pytest.raises(RecdInputError, match="DESCRIPTOR"):
        decode_many(np.zeros(1, "<i8"), source, arena)
