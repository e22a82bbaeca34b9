"""The file around the stripes: head, directory, sections, tables, postscript."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from recd_format.constants import (
    DIRECTORY_PAGE_BYTES,
    POSTSCRIPT_BYTES,
    ROWS_OWNER,
    STRIPE_ALIGNMENT,
    Limits,
)
from recd_format.errors import Location, RecdInputError
from recd_format.format.head import encode_head
from recd_format.format.postscript import Postscript, encode_postscript
from recd_format.format.record import RECORD, Records, sort_records
from recd_format.format.schema import Schema
from recd_format.format.schema_block import SchemaBlock, encode_schema
from recd_format.format.tables import OWNER, SECTION, STRIPE, Tables, encode_tables, name_order
from recd_format.io import Sink
from recd_format.writer.stream import EncodedStripe, lay_out

__all__ = ["FileWriter"]

_JOINED_CHUNKS = 64


class FileWriter:
    """Writes encoded stripes to a sink; nothing is visible there before `finish`.

    Parameters
    ----------
    sink
        Where the bytes go. It is aborted if the block is left by an exception.
    schema
        Fields and groups of the file.
    """

    def __init__(self, sink: Sink, schema: Schema) -> None:
        self._sink = sink
        self.schema = schema
        self._records: list[Records] = []
        self._stripes: list[tuple[int, int, int, int, int, int]] = []
        self._statistics: list[np.ndarray[tuple[int], np.dtype[np.void]]] = []
        self._position = 0
        head = encode_head(schema)
        self._head_bytes = len(head)
        self._write(head)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._sink.abort()

    def _write(self, data: bytes | memoryview) -> None:
        self._sink.write(data)
        self._position += len(data)

    def _align(self, alignment: int) -> None:
        self._write(bytes(-self._position % alignment))

    @property
    def num_rows(self) -> int:
        """Rows written so far."""
        return sum(stripe[2] for stripe in self._stripes)

    @property
    def num_sessions(self) -> int:
        """Sessions written so far; one that goes on in a later stripe counts once."""
        return sum(stripe[3] - (stripe[5] & 1) for stripe in self._stripes)

    @property
    def num_stripes(self) -> int:
        """Stripes written so far."""
        return len(self._stripes)

    @property
    def stripe_rows(self) -> NDArray[np.int64]:
        """Rows of each stripe written so far, int64 [stripes]."""
        return np.array([stripe[2] for stripe in self._stripes], np.int64)

    def records(self) -> Records:
        """Return the records of the stripes written so far, as the directory has them."""
        return sort_records(np.concatenate([np.zeros(0, RECORD), *self._records]))

    def write_stripe(self, stripe: EncodedStripe) -> None:
        """Append a stripe."""
        if stripe.rows > Limits().stripe_rows:
            raise RecdInputError(
                f"a stripe of {stripe.rows} rows; at most {Limits().stripe_rows} fit"
            )
        self._align(STRIPE_ALIGNMENT)
        laid_out = lay_out(stripe, len(self._stripes))
        header = laid_out.header
        self._stripes.append(
            (
                self._position,
                header.stripe_bytes,
                header.rows,
                header.sessions,
                len(header.records),
                header.flags,
            )
        )
        # Thousands of streams are a few bytes each: one write for many of them.
        for start in range(0, len(laid_out.chunks), _JOINED_CHUNKS):
            self._write(b"".join(laid_out.chunks[start : start + _JOINED_CHUNKS]))
        self._records.append(header.records)
        self._statistics.append(stripe.statistics)

    def finish(self, sections: dict[int, bytes]) -> int:
        """Write everything after the stripes, commit the sink, return the file's bytes.

        Parameters
        ----------
        sections
            Section bytes by id (`format.tables.SectionId`); statistics are added by the writer.
        """
        self._align(STRIPE_ALIGNMENT)
        records = self.records()
        directory_offset = self._position
        directory = memoryview(records.tobytes())
        checksums = [
            xxh3_64_intdigest(directory[start : start + DIRECTORY_PAGE_BYTES])
            for start in range(0, len(directory), DIRECTORY_PAGE_BYTES)
        ]
        self._write(directory)
        section_rows = np.zeros(len(sections), SECTION)
        for row, (identifier, data) in zip(section_rows, sorted(sections.items()), strict=True):
            self._align(8)
            row["id"], row["byte_offset"] = identifier, self._position
            row["bytes"], row["xxh3"] = len(data), xxh3_64_intdigest(data)
            self._write(data)
        self._align(8)
        block = encode_schema(self.schema)
        schema = SchemaBlock(block, Location(part="schema"), Limits())
        tables = encode_tables(
            Tables(
                schema=schema,
                stripes=np.array(self._stripes, STRIPE),
                owners=self._owners(records),
                names=name_order(schema),
                page_checksums=np.array(checksums, "<u8"),
                sections=section_rows,
                num_records=len(records),
            ),
            block,
        )
        tables_offset = self._position
        self._write(tables)
        self._write(
            encode_postscript(
                Postscript(
                    file_bytes=self._position + POSTSCRIPT_BYTES,
                    rows=self.num_rows,
                    sessions=self.num_sessions,
                    directory_offset=directory_offset,
                    directory_bytes=len(directory),
                    tables_offset=tables_offset,
                    tables_bytes=len(tables),
                    tables_xxh3=xxh3_64_intdigest(tables),
                    head_bytes=self._head_bytes,
                )
            )
        )
        self._sink.commit()
        return self._position

    def statistics(self) -> bytes:
        """Return the statistics section of the stripes written so far."""
        rows = np.concatenate(self._statistics) if self._statistics else None
        if rows is None or not len(rows):
            return b""
        return rows[np.lexsort((rows["stripe"], rows["field"]))].tobytes()

    def _owners(self, records: Records) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        count = len(self.schema.fields) + len(self.schema.groups) + 1
        owner = records["owner"].astype(np.int64)
        owner[owner == ROWS_OWNER] = count - 1
        owners = np.zeros(count, OWNER)
        owners["records"] = np.bincount(owner, minlength=count)
        owners["first"] = np.concatenate([[0], owners["records"].cumsum()[:-1]])
        return owners
