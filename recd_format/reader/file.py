"""One open file: projections and stripes, without Arrow."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.format.metadata import decode_metadata
from recd_format.format.schema import Schema
from recd_format.format.statistics import STATISTIC, decode_statistics
from recd_format.format.stripe import STRIPE_CONTINUES
from recd_format.format.tables import SectionId
from recd_format.io import BufferPool, Source
from recd_format.reader.data import StripeData
from recd_format.reader.metadata import FileMetadata
from recd_format.reader.options import ReadOptions
from recd_format.reader.projection import Projection, project
from recd_format.reader.streams import StoredStreams, fetch
from recd_format.reader.stripe import decode_stripe

__all__ = ["FileReader"]

# One for all files of the process: they are read one after the other.
_BUFFERS = BufferPool()


class FileReader:
    """Reads one file as deduplicated NumPy columns.

    Parameters
    ----------
    source
        The file; the reader closes it.
    options
        How to read.

    Raises
    ------
    RecdFormatError
        The file is not one, is cut short, or is damaged.
    """

    def __init__(self, source: Source, options: ReadOptions | None = None) -> None:
        self.options = options or ReadOptions()
        self.source = source
        try:
            self.metadata = FileMetadata(source, self.options)
        except BaseException:
            source.close()
            raise
        self._projections: dict[tuple[int, ...], Projection] = {}
        self._schema: Schema | None = None
        self._statistics: NDArray[np.void] | None = None

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[FileReader], tuple[Source, ReadOptions]]:
        # Opened again where it arrives: small to send, and no torn view of a replaced file.
        return (FileReader, (self.source, self.options))

    def close(self) -> None:
        """Let go of the file."""
        self.source.close()

    @property
    def name(self) -> str:
        """Path or URI of the file."""
        return self.source.name

    @property
    def schema(self) -> Schema:
        """Fields and groups; built at first use."""
        if self._schema is None:
            self._schema = self.metadata.tables.schema.schema()
        return self._schema

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return self.metadata.postscript.rows

    @property
    def num_sessions(self) -> int:
        """Sessions of the file."""
        return self.metadata.postscript.sessions

    @property
    def num_stripes(self) -> int:
        """Stripes of the file."""
        return len(self.metadata.tables.stripes)

    @property
    def stripe_rows(self) -> NDArray[np.int64]:
        """Rows of each stripe, int64 [stripes]."""
        return self.metadata.tables.stripes["rows"].astype(np.int64)

    def continues(self, stripe: int) -> bool:
        """True where the stripe's first session began in the stripe before."""
        return bool(self.metadata.tables.stripes["flags"][stripe] & STRIPE_CONTINUES)

    def field_index(self, name: str) -> int:
        """Index of a field by name; RecdInputError where there is none."""
        index = self.metadata.tables.find(name) if isinstance(name, str) else -1
        if index < 0:
            names = self.schema.names
            if name in names:
                raise RecdFormatError(
                    Reason.DIRECTORY,
                    f"the index of names does not find {name!r}",
                    self.metadata.location("tables"),
                )
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the columns are {names[:20]}"
            raise RecdInputError(f"{self.name}: there is no column {name!r}; {hint}")
        return index

    def project(self, fields: Sequence[int]) -> Projection:
        """Return what must be read for some fields; planned once and kept."""
        key = tuple(fields)
        if key not in self._projections:
            self._projections[key] = project(self.metadata, key)
        return self._projections[key]

    def read_stripe(
        self,
        stripe: int,
        projection: Projection,
        begin: int = 0,
        end: int | None = None,
        wide_fields: NDArray[np.bool_] | None = None,
    ) -> StripeData:
        """Read and decode rows ``begin:end`` of a stripe.

        Parameters
        ----------
        stripe
            Number of the stripe.
        projection
            From `project`.
        begin, end
            Rows of the stripe; all by default.
        wide_fields : ndarray of bool, shape [fields], or None
            Fields whose integers, of any width, come as 8 bytes each.

        Raises
        ------
        RecdFormatError
            A stream is damaged or breaks a rule.
        """
        streams = self.fetch_stripe(stripe, projection)
        rows = int(self.metadata.tables.stripes["rows"][stripe])
        return decode_stripe(streams, self.metadata.tables.schema, rows, begin, end, wide_fields)

    def fetch_stripe(self, stripe: int, projection: Projection) -> StoredStreams:
        """Read the stored bytes of a stripe, not yet decoded."""
        metadata = self.metadata
        row = metadata.tables.stripes[stripe]
        records = projection.of_stripe(stripe)
        gap = self.options.gap_bytes
        return fetch(
            self.source,
            records,
            projection.types_of(stripe),
            int(row["byte_offset"]),
            metadata.location("stripe", stripe),
            verify=self.options.verify_checksums,
            gap=self.source.gap_bytes if gap is None else gap,
            max_bytes=self.options.request_bytes,
            allocate=_BUFFERS.take,
            limits=self.options.limits,
        )

    def user_metadata(self) -> dict[bytes, bytes]:
        """Key-value pairs given at writing."""
        data = self.metadata.section(SectionId.METADATA)
        where = self.metadata.location("metadata")
        return {} if data is None else decode_metadata(data, where)

    def statistics(self) -> NDArray[np.void]:
        """Entries of the statistics section, sorted by (field, stripe); read once."""
        if self._statistics is None:
            self._statistics = self._read_statistics()
        return self._statistics

    def _read_statistics(self) -> NDArray[np.void]:
        data = self.metadata.section(SectionId.STATISTICS)
        if data is None:
            return np.zeros(0, STATISTIC)
        where = self.metadata.location("statistics")
        entries = decode_statistics(data, where)
        if (entries["field"] >= self.metadata.tables.schema.num_fields).any() or (
            entries["stripe"] >= self.num_stripes
        ).any():
            raise RecdFormatError(Reason.SECTION, "statistics of no field or no stripe", where)
        return entries
