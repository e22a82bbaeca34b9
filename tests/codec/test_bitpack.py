"""BITPACK: the layout of `spec/codecs/bitpack.md`, its sums, and what a reader rejects."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import Chain, CodecId, block_sums, check_sums, decode, encode
from recd_format.errors import RecdFormatError
from tests.codec.checks import (
    COUNTS,
    batch_cases_of,
    cases_of,
    check_bit_flips,
    check_round_trip,
    check_stream,
    check_truncations,
    check_widening,
    sample,
)

BITPACK = (int(CodecId.BITPACK),)
BASE_BYTES, SUM_BYTES, WIDTH, SUMS = range(4)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.BITPACK))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


@pytest.mark.parametrize(("chain", "dtype"), batch_cases_of(CodecId.BITPACK))
def test_widening(chain: Chain, dtype: np.dtype) -> None:
    check_widening(chain, dtype)


def test_truncations() -> None:
    check_truncations(BITPACK)


def test_bit_flips() -> None:
    check_bit_flips(BITPACK)


# --- layout -------------------------------------------------------------------------------------


def pack(values: object, dtype: str = "<u8") -> np.ndarray:
    return encode(np.array(values, dtype), BITPACK).payload


@pytest.mark.parametrize(
    ("values", "size", "base_bytes", "width"),
    [
        ([], 8, 0, 0),
        ([0], 8, 0, 0),
        ([0] * 5000, 8, 0, 0),
        ([7] * 50, 8 + 8, 1, 0),
        ([2**64 - 1], 8 + 8, 8, 0),
        ([10, 13, 11, 17], 8 + 128, 0, 5),
        ([0, 2**64 - 1], 8 + 128, 0, 64),
        ([0, 2**64 - 1] * 8, 8 + 128, 0, 64),
        ([0, 2**64 - 1] * 8 + [0], 8 + 256, 0, 64),
        ([*range(50)], 8 + 128, 0, 6),
        ([*range(1024)], 8 + 1280, 0, 10),
        ([*range(1024), 0, 1023], 8 + 1280 + 128, 0, 10),
        ([*range(1024), 0], 8 + 8 + 8 + 1280, 0, 255),
        ([*range(70_000, 71_024)], 8 + 8 + 1280, 4, 10),
        ([*range(300, 1324)], 8 + 8 + 1280, 2, 10),
    ],
)
def test_sizes_of_streams(values: list[int], size: int, base_bytes: int, width: int) -> None:
    payload = pack(values)
    assert (len(payload), payload[BASE_BYTES], payload[WIDTH]) == (size, base_bytes, width)
    assert int(payload[4:8].view("<u4")[0]) == (len(values) + 1023) // 1024


def test_negative_values_take_bases_of_eight_bytes_or_64_bits() -> None:
    assert pack([-1, 2], "<i8")[:3].tolist() == [0, 0, 64]
    below_zero = pack(np.arange(-1030, -6), "<i8")
    assert (below_zero[:3].tolist(), len(below_zero)) == ([8, 0, 10], 8 + 8 + 1280)
    assert below_zero[8:16].view("<i8").tolist() == [-1030]


def test_every_width_has_its_bits() -> None:
    for width in range(65):
        values = np.resize(np.array([0, 2**width - 1], "<u8"), 1100)
        payload = pack(values)
        assert payload[WIDTH] == width
        last_words = 16 * -(-5 * width // 64)  # 76 values in five slots
        assert len(payload) == 8 + 8 * (16 * width + last_words)
        check_stream(values, BITPACK)


def test_blocks_with_widths_of_their_own_have_offsets() -> None:
    values = np.zeros(9000, "<i8")
    values[4000], values[8999] = 2**50, 3
    payload = pack(values, "<i8")
    assert payload[:4].tolist() == [0, 0, 255, 0]
    offsets, widths = payload[8 : 8 + 36].view("<u4"), payload[8 + 40 : 8 + 49]
    assert offsets.tolist() == [0, 0, 0, 0, *[816] * 5]
    assert widths.tolist() == [0, 0, 0, 51, 0, 0, 0, 0, 2]
    assert len(payload) == 8 + 40 + 16 + 8 * (16 * 51 + 16 * 2)


def test_one_width_for_all_wins_a_tie() -> None:
    # 50 blocks: the tables take 256 bytes, the words that one block of zeros saves at width 2.
    values = np.resize(np.arange(4), 50 * 1024)
    values[1024:2048] = 0
    assert (pack(values)[WIDTH], len(pack(values))) == (2, 8 + 50 * 256)
    values[2048:3072] = 0
    assert (pack(values)[WIDTH], len(pack(values))) == (255, 8 + 256 + 48 * 256)


def by_the_page(payload: np.ndarray, count: int) -> list[int]:
    """The values, decoded one by one as the page says."""
    base_bytes, sum_bytes, uniform, _ = (int(x) for x in payload[:4])
    blocks = -(-count // 1024)
    at = 8
    bases = [0] * blocks
    if base_bytes:
        bases = payload[at : at + blocks * base_bytes].view(f"<u{base_bytes}").tolist()
        at += -(-blocks * base_bytes // 8) * 8
    at += -(-(blocks - 1) * sum_bytes // 8) * 8
    widths = [uniform] * blocks
    offsets = [16 * uniform * block for block in range(blocks)]
    if uniform == 255:
        offsets = payload[at : at + 4 * blocks].view("<u4").tolist()
        at += -(-4 * blocks // 8) * 8
        widths = payload[at : at + blocks].tolist()
        at += -(-blocks // 8) * 8
    words = payload[at:].view("<u8").tolist()
    values = []
    for index in range(count):
        block, j = divmod(index, 1024)
        w, first = widths[block], offsets[block]
        k, shift = divmod(j // 16 * w, 64)
        x = words[first + 16 * k + j % 16] >> shift if w else 0
        if shift + w > 64:
            x |= words[first + 16 * (k + 1) + j % 16] << (64 - shift)
        values.append((x % 2**w + bases[block]) % 2**64)
    return values


@pytest.mark.parametrize("bits", [1, 7, 31, 33, 63, 64])
@pytest.mark.parametrize("sums", [None, "values"])
def test_payload_decodes_by_the_page(bits: int, sums: str | None) -> None:
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 2**bits - 1, 2100, dtype=np.uint64, endpoint=True)
    assert by_the_page(encode(values, BITPACK, sums=sums).payload, 2100) == values.tolist()
    values[1024:2048] >>= np.uint64(bits // 2 + 1)  # widths vary
    assert by_the_page(encode(values, BITPACK, sums=sums).payload, 2100) == values.tolist()
    if bits < 64:  # bases
        values += np.uint64(2**63)
        assert by_the_page(encode(values, BITPACK, sums=sums).payload, 2100) == values.tolist()


# --- sums ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["values", "ones"])
def test_sums_before_blocks_are_stored(count: int, kind: str) -> None:
    values = np.random.default_rng(count).integers(0, 3, count).astype("<u4")
    encoded = encode(values, BITPACK, sums=kind)
    sums = block_sums(encoded.payload, encoded.chain, count, encoded.params)
    each = values == 1 if kind == "ones" else values
    assert sums.tolist() == [int(each[:at].sum()) for at in range(0, count, 1024)]
    check_sums(values, sums, ones=kind == "ones")
    if count > 1024:
        sums[1] += 1
        with pytest.raises(RecdFormatError, match="block 1"):
            check_sums(values, sums, ones=kind == "ones")


@pytest.mark.parametrize(("kind", "code"), [("values", 1), ("ones", 2)])
def test_sums_are_a_table_between_bases_and_words(kind: str, code: int) -> None:
    values = np.resize(np.array([1, 0, 3], "<u4"), 2100)
    payload = encode(values, BITPACK, sums=kind).payload
    assert payload[:4].tolist() == [0, 4, 2, code]
    each = values == 1 if kind == "ones" else values
    assert payload[8:16].view("<u4").tolist() == [int(each[:1024].sum()), int(each[:2048].sum())]
    assert len(payload) == len(pack(values)) + 8


def test_sums_over_four_billion_take_eight_bytes() -> None:
    values = np.full(3000, 2**33, "<u8")
    values[0] = 1
    encoded = encode(values, BITPACK, sums="values")
    assert encoded.payload[SUM_BYTES] == 8
    assert block_sums(encoded.payload, encoded.chain, 3000, 0).tolist() == [
        0, 1 + 1023 * 2**33, 1 + 2047 * 2**33,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [(4, 9, "blocks"), (SUMS, 3, "sums field"), (SUM_BYTES, 3, "sums field"),
     (BASE_BYTES, 9, "sums field")],
)  # fmt: skip
def test_headers_that_lie_about_sums_are_errors(at: int, value: int, message: str) -> None:
    payload = encode(np.arange(2100, dtype="<u4"), BITPACK, sums="values").payload.copy()
    payload[at] = value
    with pytest.raises(RecdFormatError, match=message):
        block_sums(payload, BITPACK, 2100, 0)


def test_sums_past_the_stream_are_errors() -> None:
    payload = encode(np.zeros(2100, "<u4"), BITPACK, sums="values").payload
    with pytest.raises(RecdFormatError, match="no header"):
        block_sums(payload[:7], BITPACK, 2100, 0)
    with pytest.raises(RecdFormatError, match="past the stream"):
        block_sums(payload[:15], BITPACK, 2100, 0)


# --- what a reader rejects ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 3), (0, 16), (1, 4), (1, 2), (2, 65), (2, 254), (3, 3), (4, 9), (7, 1)],
)
def test_header_fields_are_checked(at: int, value: int) -> None:
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


@pytest.mark.parametrize("count", [0, 3, 2100])
@pytest.mark.parametrize("more", [1, 8, 128])
def test_bytes_after_the_last_word_are_an_error(count: int, more: int) -> None:
    payload = np.pad(encode(np.arange(count), BITPACK).payload, (0, more))
    with pytest.raises(RecdFormatError, match="stored size"):
        decode(BITPACK, payload, count, 0, np.dtype("<i8"))
