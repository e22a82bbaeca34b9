"""Opening a file: postscript, tables, directory pages, sections; nothing of the stripes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from recd_format.constants import (
    DIRECTORY_PAGE_BYTES,
    HEAD_MAGIC,
    POSTSCRIPT_BYTES,
    POSTSCRIPT_MAGIC,
    ROWS_OWNER,
    STRIPE_ALIGNMENT,
)
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.postscript import Postscript, decode_postscript
from recd_format.format.record import RECORD, Records
from recd_format.format.stripe import STRIPE_CONTINUES
from recd_format.format.tables import Tables, decode_tables
from recd_format.io import ForkSafeLock, Source, aligned_empty
from recd_format.reader.options import ReadOptions

__all__ = ["FileMetadata"]

_PAGE_RECORDS = DIRECTORY_PAGE_BYTES // RECORD.itemsize


class FileMetadata:
    """Everything around the stripes of one file, read as it is asked for.

    Parameters
    ----------
    source
        The file.
    options
        Limits and sizes of reads.

    Raises
    ------
    RecdFormatError
        The file is not one, is cut short, or its metadata breaks a rule.
    """

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.source = source
        self.options = options
        size = source.size()
        smallest = STRIPE_ALIGNMENT + POSTSCRIPT_BYTES
        if size < smallest:
            if size >= len(HEAD_MAGIC):
                self._require_magic()
            raise RecdFormatError(
                Reason.TRUNCATED,
                f"{size} bytes; the smallest file has {smallest}",
                self.location("file"),
            )
        start = max(0, size - options.tail_bytes)
        tail = self._read(start, size - start)
        where = self.location("postscript")
        postscript = memoryview(tail)[-POSTSCRIPT_BYTES:]
        if postscript[-8:] != POSTSCRIPT_MAGIC:
            self._require_magic()
        self.postscript: Postscript = decode_postscript(postscript, size, where)
        self.tables: Tables = self._tables(tail, start)
        self._check_totals()
        self._directory: NDArray[np.uint8] | None = None
        self._verified = np.zeros(len(self.tables.page_checksums), np.bool_)
        # Threads that share a file must not see a directory before its pages are there.
        self._lock = ForkSafeLock()

    def location(self, part: str, stripe: int | None = None) -> Location:
        """Return a place in this file."""
        return Location(self.source.name, part, stripe)

    def _read(self, byte_offset: int, size: int) -> NDArray[np.uint8]:
        buffer = aligned_empty(size)
        self.source.read_into(byte_offset, buffer)
        return buffer

    def _require_magic(self) -> None:
        """Raise where the file does not even begin as one: it is of another kind."""
        found = self._read(0, len(HEAD_MAGIC)).tobytes()
        if found != HEAD_MAGIC:
            raise RecdFormatError(
                Reason.NOT_RECD,
                f"not a recd file: starts with {found!r}, not {HEAD_MAGIC!r}",
                self.location("head"),
            )

    def _check_totals(self) -> None:
        """What the postscript counts is what the stripes have."""
        postscript, stripes = self.postscript, self.tables.stripes
        rows = sum(stripes["rows"].tolist())
        cut = int(np.count_nonzero(stripes["flags"] & STRIPE_CONTINUES))
        sessions = sum(stripes["sessions"].tolist()) - cut
        if (rows, sessions) != (postscript.rows, postscript.sessions):
            raise RecdFormatError(
                Reason.SESSIONS,
                f"the postscript counts {postscript.rows} rows in {postscript.sessions} sessions, "
                f"the stripes have {rows} in {sessions}",
                self.location("postscript"),
            )

    def _tables(self, tail: NDArray[np.uint8], start: int) -> Tables:
        postscript, where = self.postscript, self.location("tables")
        offset, size = postscript.tables_offset, postscript.tables_bytes
        if size > self.options.limits.metadata_bytes:
            raise RecdFormatError(
                Reason.LIMIT,
                f"tables of {size} bytes, limit {self.options.limits.metadata_bytes}",
                where,
            )
        data = tail[offset - start : offset - start + size] if offset >= start else None
        if data is None:
            missing = self._read(offset, start - offset)
            data = np.concatenate([missing, tail])[:size]
        _check_sum(data, postscript.tables_xxh3, where)
        return decode_tables(
            memoryview(data),
            postscript.directory_offset,
            postscript.head_bytes,
            where,
            self.options.limits,
        )

    def records(self, owners: NDArray[np.int64]) -> Records:
        """Return the records of `owners` in every stripe, in the order of `owners`.

        Owner numbers are those of records; only the directory pages that hold them are read, and
        each is checked when it is first touched.
        """
        table = self.tables.owners
        index = np.where(owners == ROWS_OWNER, len(table) - 1, owners)
        first = table["first"][index].astype(np.int64)
        count = table["records"][index].astype(np.int64)
        ends = count.cumsum()
        total = int(ends[-1]) if len(ends) else 0
        rows = np.arange(total) + np.repeat(first - (ends - count), count)
        with self._lock:
            directory = self._load(rows)
        records: Records = directory.view(RECORD)[rows]
        expected = np.repeat(owners, count)
        if (records["owner"] != expected).any() or (
            records["stripe"] >= len(self.tables.stripes)
        ).any():
            raise RecdFormatError(
                Reason.DIRECTORY,
                "a record stands among those of another owner, or names no stripe",
                self.location("directory"),
            )
        return records

    def _load(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        postscript, where = self.postscript, self.location("directory")
        size = self.tables.num_records * RECORD.itemsize
        if self._directory is None:
            if size != postscript.directory_bytes or size > self.options.limits.metadata_bytes:
                raise RecdFormatError(
                    Reason.DIRECTORY,
                    f"{postscript.directory_bytes} bytes for {self.tables.num_records} records",
                    where,
                )
            self._directory = aligned_empty(size)
        pages = np.unique(rows // _PAGE_RECORDS)
        for run in _runs(pages[~self._verified[pages]]):
            begin = run[0] * DIRECTORY_PAGE_BYTES
            end = min(size, (run[-1] + 1) * DIRECTORY_PAGE_BYTES)
            self.source.read_into(postscript.directory_offset + begin, self._directory[begin:end])
            for page in run:
                start = page * DIRECTORY_PAGE_BYTES
                data = self._directory[start : min(size, start + DIRECTORY_PAGE_BYTES)]
                _check_sum(data, int(self.tables.page_checksums[page]), where)
            self._verified[run[0] : run[-1] + 1] = True
        return self._directory

    def all_records(self) -> Records:
        """Return every record of the directory, in its order."""
        owners = np.arange(len(self.tables.owners), dtype=np.int64)
        owners[-1] = ROWS_OWNER
        return self.records(owners)

    def section(self, identifier: int) -> memoryview | None:
        """Return the bytes of a section, checked, or None where the file has none."""
        rows = self.tables.sections[self.tables.sections["id"] == identifier]
        if not len(rows):
            return None
        where = self.location(f"section {identifier}")
        offset, size = int(rows[0]["byte_offset"]), int(rows[0]["bytes"])
        begin = self.postscript.directory_offset + self.postscript.directory_bytes
        end = self.postscript.tables_offset
        if not begin <= offset <= offset + size <= end:
            raise RecdFormatError(
                Reason.SECTION,
                f"{size} bytes at byte {offset}, expected within bytes {begin} to {end}",
                where,
            )
        data = self._read(offset, size)
        _check_sum(data, int(rows[0]["xxh3"]), where)
        return memoryview(data)


def _check_sum(data: NDArray[np.uint8], stored: int, location: Location) -> None:
    computed = xxh3_64_intdigest(data)
    if computed != stored:
        raise RecdFormatError(
            Reason.CHECKSUM, f"stored {stored:016x}, computed {computed:016x}", location
        )


def _runs(pages: NDArray[np.int64]) -> Iterable[list[int]]:
    """Split ascending numbers into runs of neighbours."""
    breaks = np.flatnonzero(np.diff(pages) != 1) + 1
    return (run.tolist() for run in np.split(pages, breaks) if len(run))
