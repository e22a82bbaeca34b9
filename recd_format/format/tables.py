"""Tables: schema, stripes, where each owner's records stand, page checksums, sections.

The postscript's checksum covers them, so they are trusted to be what the writer wrote; what they
say is still checked against the file (`spec/validity.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import DIRECTORY_PAGE_BYTES, STRIPE_ALIGNMENT, Limits
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import RECORD
from recd_format.format.schema_block import SchemaBlock, name_hash
from recd_format.format.stripe import STRIPE_CONTINUES

__all__ = ["OWNER", "SECTION", "STRIPE", "SectionId", "Tables", "decode_tables", "encode_tables"]

HEADER: np.dtype[np.void] = np.dtype(
    [
        ("stripes", "<u4"),
        ("sections", "<u4"),
        ("pages", "<u4"),
        ("reserved", "<u4"),
        ("records", "<u8"),
        ("schema_bytes", "<u8"),
    ]
)
STRIPE: np.dtype[np.void] = np.dtype(
    [
        ("byte_offset", "<u8"),
        ("bytes", "<u8"),
        ("rows", "<u8"),
        ("sessions", "<u8"),
        ("records", "<u4"),
        ("flags", "<u4"),
    ]
)
OWNER: np.dtype[np.void] = np.dtype([("first", "<u4"), ("records", "<u4")])
SECTION: np.dtype[np.void] = np.dtype(
    [
        ("id", "<u4"),
        ("flags", "<u4"),
        ("byte_offset", "<u8"),
        ("bytes", "<u8"),
        ("xxh3", "<u8"),
    ]
)


class SectionId:
    """Ids of sections. 5 (tombstones) is reserved; ids from 0x80000000 are private."""

    ARROW_SCHEMA = 1
    METADATA = 2
    STATISTICS = 3
    PLAN = 4

    KNOWN = frozenset({ARROW_SCHEMA, METADATA, STATISTICS, PLAN})
    REQUIRED_FLAG = 1


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file, as views of their bytes.

    Attributes
    ----------
    schema : SchemaBlock
    stripes : structured array of `STRIPE`, shape [stripes]
    owners : structured array of `OWNER`, shape [fields + groups + 1]
        First record in the directory and number of records of each field, group, and of the
        rows (the last).
    names : ndarray of uint32, shape [fields]
        Fields by ascending (name hash, index).
    page_checksums : ndarray of uint64, shape [pages]
    sections : structured array of `SECTION`
    num_records : int
    """

    schema: SchemaBlock
    stripes: NDArray[np.void]
    owners: NDArray[np.void]
    names: NDArray[np.uint32]
    page_checksums: NDArray[np.uint64]
    sections: NDArray[np.void]
    num_records: int

    def find(self, name: str) -> int:
        """Index of the field called `name`, or -1."""
        hashes = self.schema.fields["name_hash"]
        wanted = np.uint64(name_hash(name))
        place = int(np.searchsorted(hashes, wanted, sorter=self.names))
        while place < len(self.names) and hashes[self.names[place]] == wanted:
            if self.schema.name(int(self.names[place])) == name:
                return int(self.names[place])
            place += 1
        return -1


def name_order(schema: SchemaBlock) -> NDArray[np.uint32]:
    """Fields by ascending (name hash, index), uint32 [fields]."""
    return np.argsort(schema.fields["name_hash"], kind="stable").astype("<u4")


def encode_tables(tables: Tables, schema_block: bytes) -> bytes:
    """Return the tables' bytes; every part starts at a multiple of 8."""
    header = np.array(
        (
            len(tables.stripes),
            len(tables.sections),
            len(tables.page_checksums),
            0,
            tables.num_records,
            len(schema_block),
        ),
        HEADER,
    )
    parts = [
        header.tobytes(),
        schema_block,
        tables.stripes.tobytes(),
        tables.owners.tobytes(),
        tables.sections.tobytes(),
        tables.page_checksums.tobytes(),
        tables.names.tobytes(),
    ]
    data = b"".join(parts)
    return data + bytes(-len(data) % 8)


def decode_tables(
    data: memoryview, directory_offset: int, head_bytes: int, location: Location, limits: Limits
) -> Tables:
    """Parse the tables, checksum already verified.

    Raises
    ------
    RecdFormatError
        SCHEMA, DIRECTORY, STRIPE, SECTION, LIMIT: a count or range does not fit the bytes that
        are there.
    """
    if len(data) < HEADER.itemsize:
        raise RecdFormatError(Reason.DIRECTORY, f"tables have {len(data)} bytes", location)
    header = np.frombuffer(data, HEADER, 1)[0]
    schema_end = HEADER.itemsize + int(header["schema_bytes"])
    if schema_end > len(data):
        raise RecdFormatError(Reason.DIRECTORY, "schema block ends after the tables", location)
    schema = SchemaBlock(data[HEADER.itemsize : schema_end], location, limits)
    counts = (
        (STRIPE, int(header["stripes"])),
        (OWNER, schema.num_fields + schema.num_groups + 1),
        (SECTION, int(header["sections"])),
        (np.dtype("<u8"), int(header["pages"])),
        (np.dtype("<u4"), schema.num_fields),
    )
    size = schema_end + sum(dtype.itemsize * count for dtype, count in counts)
    if len(data) != size + -size % 8:
        raise RecdFormatError(
            Reason.DIRECTORY,
            f"tables have {len(data)} bytes, {size + -size % 8} expected",
            location,
        )
    parts: list[NDArray[Any]] = []
    position = schema_end
    for dtype, count in counts:
        parts.append(np.frombuffer(data, dtype, count, position))
        position += dtype.itemsize * count
    stripes, owners, sections, checksums, names = parts
    tables = Tables(schema, stripes, owners, names, checksums, sections, int(header["records"]))
    _check(tables, directory_offset, head_bytes, location, limits)
    return tables


def _check(
    tables: Tables, directory_offset: int, head_bytes: int, location: Location, limits: Limits
) -> None:
    pages = -(-tables.num_records * RECORD.itemsize // DIRECTORY_PAGE_BYTES)
    if pages != len(tables.page_checksums):
        raise RecdFormatError(
            Reason.DIRECTORY, f"{len(tables.page_checksums)} pages, {pages} expected", location
        )
    starts = np.concatenate([[0], tables.owners["records"].astype(np.int64).cumsum()])
    if not np.array_equal(starts[:-1], tables.owners["first"]) or starts[-1] != tables.num_records:
        raise RecdFormatError(Reason.DIRECTORY, "owners do not cover the records", location)
    order = np.sort(tables.names)
    if not np.array_equal(order, np.arange(len(order), dtype=order.dtype)):
        raise RecdFormatError(Reason.DIRECTORY, "name index is no permutation", location)
    stripes = tables.stripes
    if len(stripes):
        # Python integers: sums of hostile u8 fields must not wrap.
        end = -(-head_bytes // STRIPE_ALIGNMENT) * STRIPE_ALIGNMENT
        for index, row in enumerate(stripes.tolist()):
            byte_offset, size, rows, sessions, _records, flags = row
            where = Location(location.path, "tables", index)
            if byte_offset % STRIPE_ALIGNMENT or byte_offset < end:
                raise RecdFormatError(
                    Reason.STRIPE, f"starts at byte {byte_offset}, before byte {end}", where
                )
            end = byte_offset + size
            if end > directory_offset:
                raise RecdFormatError(
                    Reason.STRIPE, f"ends at byte {end}, after byte {directory_offset}", where
                )
            if rows > limits.stripe_rows:
                raise RecdFormatError(
                    Reason.LIMIT, f"{rows} rows, limit {limits.stripe_rows}", where
                )
            if not 0 < sessions <= rows:
                raise RecdFormatError(Reason.STRIPE, f"{sessions} sessions of {rows} rows", where)
            if flags & ~STRIPE_CONTINUES:
                raise RecdFormatError(
                    Reason.STRIPE, f"flags {flags:#x}, only bit 0 is known", where
                )
            if flags and index == 0:
                raise RecdFormatError(
                    Reason.SESSIONS, "goes on from a stripe before, but is the first", where
                )
    if len(np.unique(tables.sections["id"])) != len(tables.sections):
        raise RecdFormatError(Reason.SECTION, "two sections have the same id", location)
    for row in tables.sections.tolist():
        identifier, flags, _byte_offset, size, _checksum = row
        if size > limits.metadata_bytes:
            raise RecdFormatError(Reason.LIMIT, f"section {identifier} of {size} bytes", location)
        if flags & SectionId.REQUIRED_FLAG and identifier not in SectionId.KNOWN:
            raise RecdFormatError(
                Reason.FEATURE, f"required section {identifier} is unknown to this reader", location
            )
