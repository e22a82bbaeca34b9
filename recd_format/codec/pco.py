"""PCO: a standalone pcodec file, decompressed into a buffer of exact size (`pco.md`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.base import corrupt

__all__ = ["LEVEL", "compress", "decompress"]

LEVEL = 8
"""pcodec's default; 12 is the highest."""


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Dtype handed to pcodec: 8-bit values are widened to 16."""
    return np.dtype(f"<{dtype.kind}2") if dtype.itemsize == 1 else dtype.newbyteorder("<")


def compress(values: NDArray[Any], level: int = LEVEL) -> NDArray[np.uint8]:
    """Return the standalone file of `values`."""
    from pcodec import ChunkConfig, standalone

    wide = np.ascontiguousarray(values, _wide(values.dtype))
    return np.frombuffer(
        standalone.simple_compress(wide, ChunkConfig(compression_level=level)), np.uint8
    )


def decompress(data: NDArray[np.uint8], count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the `count` values.

    Raises
    ------
    RecdFormatError
        If the file is corrupt, holds another number of values or another type.
    """
    from pcodec import standalone

    values = np.empty(count, _wide(dtype))
    try:
        progress = standalone.simple_decompress_into(data.tobytes(), values)
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise corrupt(f"PCO data do not decompress: {error}") from error
    if progress.n_processed != count or not progress.finished:
        raise corrupt(f"PCO data hold other than {count} values")
    if values.dtype.itemsize == dtype.itemsize:
        return values
    narrow = values.astype(dtype)
    if (narrow != values).any():
        raise corrupt(f"PCO data hold values out of the range of {dtype}")
    return narrow
