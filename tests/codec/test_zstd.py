"""ZSTD: one frame that states its size, which is checked before anything is decompressed."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from recd_format.codec import Chain, CodecId, decode, encode
from recd_format.errors import RecdFormatError, RecdInputError
from tests.codec.checks import cases_of, check_bit_flips, check_round_trip, check_truncations

ZSTD = (int(CodecId.ZSTD),)


@pytest.mark.parametrize(("chain", "dtype"), cases_of(CodecId.ZSTD))
def test_round_trip(chain: Chain, dtype: np.dtype) -> None:
    check_round_trip(chain, dtype)


def test_truncations() -> None:
    check_truncations(ZSTD)


def test_bit_flips() -> None:
    check_bit_flips(ZSTD)


@pytest.mark.parametrize("count", [0, 1, 300, 70_000])
def test_the_frame_states_its_size_and_no_more(count: int) -> None:
    values = np.arange(count, dtype="<i4")
    frame = encode(values, ZSTD).payload.tobytes()
    header = zstandard.get_frame_parameters(frame)
    assert header.content_size == 4 * count
    assert (header.has_checksum, header.dict_id) == (False, 0)
    assert zstandard.ZstdDecompressor().decompress(frame) == values.tobytes()


@pytest.mark.parametrize("level", [-1, 0, 10, 19])
def test_levels_above_nine_and_below_one_are_the_callers_errors(level: int) -> None:
    with pytest.raises(RecdInputError, match="level"):
        encode(np.zeros(2), ZSTD, zstd_level=level)


def test_the_level_reaches_the_compressor() -> None:
    values = np.arange(20_000) ** 2 % 9973
    small, fast = (encode(values, ZSTD, zstd_level=level).payload for level in (9, 1))
    assert len(small) < len(fast)
    for payload in (small, fast):
        assert decode(ZSTD, payload, 20_000, 0, values.dtype).tolist() == values.tolist()


def test_frames_must_state_their_size() -> None:
    data = b"\0" * 8000
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    bomb = zstandard.ZstdCompressor().compress(b"\0" * 80_000_000)
    for frame in (silent, bomb, zstandard.ZstdCompressor().compress(data) + b"x"):
        with pytest.raises(RecdFormatError):
            decode(ZSTD, frame, 1000, 0, np.dtype("<i8"))


@pytest.mark.parametrize("stated", [0, 7999, 8001])
def test_another_size_is_an_error(stated: int) -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(stated))
    with pytest.raises(RecdFormatError, match="must state 8000 bytes"):
        decode(ZSTD, frame, 1000, 0, np.dtype("<i8"))


def test_a_size_that_is_a_lie_is_an_error() -> None:
    # Content sizes below 256 take the byte after magic and descriptor.
    frame = bytearray(zstandard.ZstdCompressor().compress(bytes(range(80))))
    assert frame[5] == 80
    for stated in (72, 88):
        frame[5] = stated
        with pytest.raises(RecdFormatError, match="does not decompress"):
            decode(ZSTD, bytes(frame), stated // 8, 0, np.dtype("<i8"))


def test_a_window_much_larger_than_the_content_is_an_error() -> None:
    # Not a single segment: content size in two bytes (less 256), then blocks that follow a window.
    content = bytes(300)
    block = bytes([1 | (len(content) << 3 & 0xFF), len(content) >> 5, 0]) + content
    for window, fits in ((0 << 3, True), (1 << 3, True), (2 << 3, False), (20 << 3, False)):
        size = (len(content) - 256).to_bytes(2, "little")
        frame = bytes.fromhex("28b52ffd") + bytes([0x40, window]) + size + block
        assert zstandard.ZstdDecompressor(max_window_size=2**31).decompress(frame) == content
        if fits:
            assert decode(ZSTD, frame, 300, 0, np.dtype("u1")).tolist() == [0] * 300
        else:
            with pytest.raises(RecdFormatError, match="window"):
                decode(ZSTD, frame, 300, 0, np.dtype("u1"))
