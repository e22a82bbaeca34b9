"""Postscript: the fixed last bytes of a file, where a reader begins."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from xxhash import xxh3_64_intdigest

from recd_format.constants import FORMAT_MAJOR, FORMAT_MINOR, POSTSCRIPT_BYTES, POSTSCRIPT_MAGIC
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.head import check_version

__all__ = ["Postscript", "decode_postscript", "encode_postscript"]

LAYOUT: np.dtype[np.void] = np.dtype(
    [
        ("major", "<u2"),
        ("minor", "<u2"),
        ("reserved", "<u4"),
        ("required", "<u8"),
        ("file_bytes", "<u8"),
        ("rows", "<u8"),
        ("sessions", "<u8"),
        ("directory_offset", "<u8"),
        ("directory_bytes", "<u8"),
        ("tables_offset", "<u8"),
        ("tables_bytes", "<u8"),
        ("tables_xxh3", "<u8"),
        ("head_bytes", "<u8"),
        ("reserved_2", "<u8", (3,)),
        ("xxh3", "<u8"),
        ("magic", "S8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Postscript:
    """Places and sizes of the file's parts; byte offsets are from the start of the file.

    Version and required features are those of the head.
    """

    file_bytes: int
    rows: int
    sessions: int
    directory_offset: int
    directory_bytes: int
    tables_offset: int
    tables_bytes: int
    tables_xxh3: int
    head_bytes: int
    major: int = FORMAT_MAJOR
    minor: int = FORMAT_MINOR
    required: int = 0


def encode_postscript(postscript: Postscript) -> bytes:
    """Return the 128 bytes of a postscript."""
    row = np.zeros((), LAYOUT)
    for field in fields(postscript):
        row[field.name] = getattr(postscript, field.name)
    row["magic"] = POSTSCRIPT_MAGIC
    row["xxh3"] = xxh3_64_intdigest(row.tobytes()[:-16])
    return row.tobytes()


def decode_postscript(data: bytes | memoryview, file_bytes: int, location: Location) -> Postscript:
    """Parse the last 128 bytes of a file of `file_bytes` bytes.

    Raises
    ------
    RecdFormatError
        NOT_RECD, TRUNCATED, CHECKSUM, VERSION, FEATURE, POSTSCRIPT.
    """
    if len(data) != POSTSCRIPT_BYTES or bytes(data[-8:]) != POSTSCRIPT_MAGIC:
        raise RecdFormatError(
            Reason.TRUNCATED,
            f"ends with {bytes(data[-8:])!r}, not {POSTSCRIPT_MAGIC!r}: the file is cut short, "
            "was never finished, or is not a recd file",
            location,
        )
    computed = xxh3_64_intdigest(data[:-16])
    row = np.frombuffer(data, LAYOUT, 1)[0]
    stored = int(row["xxh3"])
    if stored != computed:
        raise RecdFormatError(
            Reason.CHECKSUM, f"postscript: stored {stored:016x}, computed {computed:016x}", location
        )
    check_version(int(row["major"]), int(row["minor"]), int(row["required"]), location)
    result = Postscript(**{field.name: int(row[field.name]) for field in fields(Postscript)})
    if result.file_bytes != file_bytes:
        raise RecdFormatError(
            Reason.TRUNCATED,
            f"the file says it has {result.file_bytes} bytes, {file_bytes} are there",
            location,
        )
    # Directory, tables and postscript stand end to end after the stripes and sections.
    directory_end = result.directory_offset + result.directory_bytes
    tables_end = result.tables_offset + result.tables_bytes
    if (
        result.head_bytes > result.directory_offset
        or directory_end > result.tables_offset
        or tables_end + POSTSCRIPT_BYTES != file_bytes
    ):
        raise RecdFormatError(
            Reason.POSTSCRIPT, "places of directory and tables do not fit the file", location
        )
    return result
