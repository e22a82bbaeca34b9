"""ZSTD: one frame with its content size, checked before decompression (`zstd.md`)."""

from __future__ import annotations

import numpy as np
import zstandard
from numpy.typing import NDArray

from recd_format.codec.base import corrupt
from recd_format.errors import RecdInputError

__all__ = ["MAX_LEVEL", "compress", "decompress"]

MAX_LEVEL = 9
"""Higher levels win a few percent and take many times as long."""


def compress(data: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """Return one frame with the content size and without a checksum (records have their own)."""
    if not 1 <= level <= MAX_LEVEL:
        raise RecdInputError(f"ZSTD level must be 1..{MAX_LEVEL}; got {level}")
    compressor = zstandard.ZstdCompressor(
        level=level, write_content_size=True, write_checksum=False, write_dict_id=False
    )
    return np.frombuffer(compressor.compress(np.ascontiguousarray(data).data), np.uint8)


def decompress(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the `size` bytes of the frame.

    Raises
    ------
    RecdFormatError
        If the frame does not state exactly that size, or does not decompress to it.
    """
    data = np.ascontiguousarray(frame).data
    try:
        header = zstandard.get_frame_parameters(data)
        if header.content_size != size:
            stated = header.content_size
            raise corrupt(f"ZSTD frame must state {size} bytes of content; it states {stated}")
        # A window larger than the content is a request for memory that nothing needs.
        if header.window_size > max(size, 1 << 10) << 1:
            raise corrupt(f"ZSTD frame wants a window of {header.window_size} bytes for {size}")
        content = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise corrupt(f"ZSTD frame does not decompress: {error}") from error
    if len(content) != size:
        raise corrupt(f"ZSTD frame holds {len(content)} bytes; expected {size}")
    return np.frombuffer(content, np.uint8)
