"""Numbers of the file format and the caps that guard a reader. One home for each.

Layer: the lowest; imports nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BLOCK_VALUES",
    "DIRECTORY_PAGE_BYTES",
    "FORMAT_MAJOR",
    "FORMAT_MINOR",
    "HEAD_MAGIC",
    "LANES",
    "MAX_CHAIN_DEPTH",
    "POSTSCRIPT_BYTES",
    "POSTSCRIPT_MAGIC",
    "ROWS_OWNER",
    "STREAM_ALIGNMENT",
    "STRIPE_ALIGNMENT",
    "STRIPE_MAGIC",
    "Limits",
]

# The high bit and the line ends catch transfers that strip bits or translate text (as PNG does).
HEAD_MAGIC = b"\x89RECD\r\n\x1a"
STRIPE_MAGIC = b"RECDSTRP"
POSTSCRIPT_MAGIC = b"\nRECDEND"
FORMAT_MAJOR = 1
FORMAT_MINOR = 0

STRIPE_ALIGNMENT = 4096
STREAM_ALIGNMENT = 64
# Small pages: 100 fields of 5,000 are spread over the whole directory. Reading them took 2.6 MB of
# the file in all, against 9.0 MB with pages of 64 KiB (measured).
DIRECTORY_PAGE_BYTES = 4_096
POSTSCRIPT_BYTES = 128

BLOCK_VALUES = 1024
LANES = 16
MAX_CHAIN_DEPTH = 3

# Owner of a stripe's own streams (session_rows). Fields are owners 0..F-1, groups F..F+G-1.
ROWS_OWNER = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps a reader holds a file to, checked before anything is allocated.

    Attributes
    ----------
    stripe_rows
        Rows of one stripe.
    stream_values
        Values of one stream, decoded.
    metadata_bytes
        Bytes of one metadata part (schema block, directory page set, one section).
    fields
        Fields and groups of a file.
    stripe_bytes
        Bytes that the streams of one stripe which are read together decode to: a few bytes may
        declare billions of constants.
    expanded_values
        Values of one column that an expanding read may produce at once: a small file may
        declare billions of rows that share one list.
    """

    stripe_rows: int = 1 << 24
    stream_values: int = (1 << 31) - 1
    metadata_bytes: int = 1 << 30
    fields: int = 1 << 20
    stripe_bytes: int = 1 << 34
    expanded_values: int = 1 << 34
