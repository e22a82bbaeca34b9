"""Rows in, batch by batch: `RecdWriter`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from numpy.typing import NDArray

from recd_format.api.durations import duration_in, units_per_second
from recd_format.api.planning import make_plan, schema_of, split_windows
from recd_format.api.progress import Progress
from recd_format.api.report import WriteReport, group_warnings, span_warning
from recd_format.arrow import (
    SessionCodes,
    column_from_arrow,
    infer_schema,
    leak_warnings,
    order_image,
    schema_to_bytes,
    session_codes,
)
from recd_format.dedup.cluster import Clustering, cluster
from recd_format.dedup.plan import Plan
from recd_format.errors import RecdInputError
from recd_format.filesystem import open_sink
from recd_format.format.metadata import encode_metadata
from recd_format.format.tables import SectionId
from recd_format.io import Sink
from recd_format.jagged import Column, session_ids
from recd_format.reader.stats import stats_of
from recd_format.writer.contiguous import Contiguity
from recd_format.writer.cut import cut_stripes
from recd_format.writer.file import FileWriter
from recd_format.writer.options import Profile, WriteOptions
from recd_format.writer.stripe import StripeEncoder

__all__ = ["RecdWriter"]


class RecdWriter:
    """Writes one file from record batches.

    Nothing is visible at `where` before `close`; leaving the block by an exception removes what
    was written. `report` is None until then.

    Parameters
    ----------
    where
        Path, URI, or a binary file object.
    schema : pa.Schema
        Schema of every batch.
    session_key : str
        Column whose equal values make a session.
    order_key : str, optional
        Column that orders the rows of a session; input order where None.
    labels : sequence of str
        Columns that are targets, not features.
    dedup : "auto", "none", "adjacent", "session", "stripe", or dict
        How duplicates are looked for; a dict gives the mode of single features ("none",
        "adjacent", "session", "stripe", "window") and leaves the others to the planner. "full"
        is another word for "session".
    profile : "balanced", "gpu" or "small"
        Which codecs are used.
    kinds : dict of str to str, optional
        Kinds that differ from what the type says: ``{"request_id": "meta"}``.
    sample_weight : str, optional
        Column of row weights.
    session_gap, session_max_span : str, timedelta or int, optional
        Split a long-lived key where rows are farther apart than this, or a session gets longer.
    session_order : "first_seen", "key" or "input"
        Order of the sessions in the file.
    clustered : bool
        Promise that the rows of a session stand together; memory is then bounded by a few
        stripes, and sessions stay in input order. 8 bytes of each session are kept, to find one
        that comes back, and 8 more for its span where the order key is a time. The plan is made
        from the first rows, two stripes or 4,096 if that is more. The bytes written depend on
        the rows alone, not on the batches they come in.
    plan : Plan, optional
        From an earlier report; nothing is sampled then, and `dedup` cannot be given.
    stripe_rows : int, optional
        Rows at which a stripe closes.
    progress : bool
        Show a progress bar on stderr.
    filesystem
        pyarrow.fs or fsspec file system that `where` is in.

    Raises
    ------
    RecdInputError
        Unknown names, unsupported types, null keys, an unwritable place.
    """

    def __init__(
        self,
        where: Any,
        schema: pa.Schema,
        *,
        session_key: str,
        order_key: str | None = None,
        labels: Sequence[str] = (),
        dedup: str | Mapping[str, str] = "auto",
        profile: Profile = "balanced",
        kinds: Mapping[str, str] | None = None,
        sample_weight: str | None = None,
        session_gap: Any = None,
        session_max_span: Any = None,
        session_order: str = "first_seen",
        clustered: bool = False,
        plan: Plan | None = None,
        stripe_rows: int | None = None,
        progress: bool = False,
        filesystem: Any = None,
    ) -> None:
        self._started = time.perf_counter()
        _check_types(labels, dedup, kinds, plan)
        if plan is not None and dedup != "auto":
            raise RecdInputError(
                f"dedup={dedup!r}: a plan says how duplicates are looked for; give one of the two"
            )
        self._options = WriteOptions(profile=profile, stripe_rows=stripe_rows)
        self._arrow_schema = schema
        self._fields = infer_schema(
            schema,
            session_key=session_key,
            order_key=order_key,
            labels=labels,
            kinds=kinds,
            sample_weight=sample_weight,
        )
        if session_order not in ("first_seen", "key", "input"):
            raise RecdInputError(
                f"session_order={session_order!r}: expected 'first_seen', 'key' or 'input'"
            )
        if order_key is None and (session_gap is not None or session_max_span is not None):
            raise RecdInputError("session_gap and session_max_span need an order_key")
        if session_gap is not None or session_max_span is not None:
            _check_measurable(schema, order_key)
        self._session_key, self._order_key = session_key, order_key
        self._dedup = dedup
        self._plan = plan
        self._gap, self._max_span = session_gap, session_max_span
        self._session_order = "input" if clustered else session_order
        self._clustered = clustered
        self._contiguity = Contiguity()
        self._last_key: pa.ChunkedArray | None = None
        self._units: int | None = None
        self._spans: list[NDArray[np.uint64]] = []
        self._bytes_in = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        # Small stripes are planned from more than a few rows.
        self._least_flush_rows = 4096
        self._written_rows = 0
        self._progress = Progress(progress)
        self._executor = ThreadPoolExecutor(self._options.threads)
        self._sink: Sink = open_sink(where, filesystem=filesystem)
        self._open: tuple[FileWriter, StripeEncoder] | None = None
        self._closed = False
        self.report: WriteReport | None = None

    def __enter__(self) -> RecdWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self._closed:
            self.close()

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Append rows.

        Raises
        ------
        RecdInputError
            The batch has another schema; a key is null; with ``clustered=True``, a session that
            already ended comes back.
        """
        if self._closed:
            raise RecdInputError("the writer is closed")
        if not isinstance(batch, (pa.RecordBatch, pa.Table)):
            kind = type(batch).__name__
            raise RecdInputError(f"expected a record batch or a table, found {kind}")
        if not batch.schema.equals(self._arrow_schema):
            raise RecdInputError(
                f"batch after row {self._written_rows + self._pending_rows}: its schema differs "
                f"from the writer's: {batch.schema} instead of {self._arrow_schema}"
            )
        rows = batch.to_batches() if isinstance(batch, pa.Table) else [batch]
        self._pending += rows
        self._pending_rows += batch.num_rows
        self._bytes_in += batch.nbytes
        try:
            while self._clustered and self._pending_rows >= self._flush_rows():
                before = self._pending_rows
                self._flush(final=False)
                if self._pending_rows == before:
                    break
        except BaseException:
            self.abort()
            raise

    def _flush_rows(self) -> int:
        """Pending rows at which a stripe is surely complete."""
        rows = self._options.rows_per_stripe(
            0 if self._plan is None else self._plan.decoded_bytes_per_row
        )
        return max(self._least_flush_rows, 2 * rows + 1)

    def abort(self) -> None:
        """Give up: remove what was written. Does nothing after `close`."""
        if not self._closed:
            self._closed = True
            self._executor.shutdown(cancel_futures=True)
            self._progress.stop()
            self._sink.abort()

    def close(self) -> WriteReport:
        """Write what is pending, make the file appear, and report."""
        return self._finish()

    def _finish(self, bytes_in: int | None = None) -> WriteReport:
        """Close, and report `bytes_in` as the size of the input (its Arrow buffers if None)."""
        if self._closed:
            raise RecdInputError("the writer is closed")
        try:
            file, plan = self._flush(final=True)
            sections = {
                SectionId.ARROW_SCHEMA: schema_to_bytes(self._arrow_schema),
                SectionId.PLAN: plan.to_json().encode(),
            }
            if self._arrow_schema.metadata:
                sections[SectionId.METADATA] = encode_metadata(self._arrow_schema.metadata)
            if statistics := file.statistics():
                sections[SectionId.STATISTICS] = statistics
            bytes_out = file.finish(sections)
        except BaseException:
            self.abort()
            raise
        self._closed = True
        self._executor.shutdown()
        self._progress.stop()
        self.report = self._reported(file, bytes_in or self._bytes_in, bytes_out, plan)
        return self.report

    def _reported(self, file: FileWriter, bytes_in: int, bytes_out: int, plan: Plan) -> WriteReport:
        # Of what was written, not of what is there now: `where` may be write-only, or replaced.
        stats = stats_of(
            file.schema, file.records(), file.stripe_rows, file.num_sessions, bytes_out
        )
        spans = np.concatenate([np.zeros(0, np.uint64), *self._spans])
        p99 = None
        if self._units is not None and len(spans):
            p99 = float(np.percentile(spans.astype(np.float64), 99)) / self._units
        return WriteReport(
            rows=stats.rows,
            sessions=stats.sessions,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            seconds=time.perf_counter() - self._started,
            span_p99_seconds=p99,
            stats=stats,
            plan=plan,
            warnings=(*leak_warnings(self._fields), *span_warning(p99), *group_warnings(stats)),
        )

    def _flush(self, *, final: bool) -> tuple[FileWriter, Plan]:
        """Write the stripes that are complete; the file and the plan they are written by."""
        table = pa.Table.from_batches(self._pending, self._arrow_schema)
        columns = [
            column_from_arrow(field, table.column(i), first_row=self._written_rows)
            for i, field in enumerate(self._fields)
        ]
        clustering = self._cluster(table, columns)
        file, encoder = self._open or self._begin(table, columns, clustering)
        plan = encoder.plan
        stripe_rows = self._options.rows_per_stripe(plan.decoded_bytes_per_row)
        cuts = cut_stripes(clustering.session_offsets, stripe_rows, final=final)
        self._progress.start("encoding", clustering.num_rows)
        done = 0
        for cut in cuts:
            stripe = encoder.encode(
                columns,
                clustering.permutation[cut.begin : cut.end],
                cut.session_offsets,
                self._executor,
                index=file.num_stripes,
                continues=cut.continues or (cut is cuts[0] and self._contiguity.is_open),
            )
            file.write_stripe(stripe)
            done = cut.end
            self._progress.advance(cut.end - cut.begin)
        complete = int(np.searchsorted(clustering.session_offsets, done, side="right")) - 1
        if self._units is not None:
            self._spans.append(clustering.spans[:complete].copy())
        rest = table.slice(done)
        if not final:
            known = self._contiguity.wrote(clustering.session_offsets, clustering.permutation, done)
            if done and self._order_key is not None:
                last = clustering.permutation[done - 1 : done]
                self._last_key = table.column(self._order_key).take(pa.array(last))
            # Rows of a key that is cut stay in the order they were cut in; others as they came.
            left = np.arange(done, table.num_rows)
            left[:known] = clustering.permutation[done : done + known]
            if (left[1:] < left[:-1]).any() or (len(left) and int(left[0]) != done):
                rest = table.take(pa.array(left))
        self._pending = rest.to_batches()
        self._pending_rows = rest.num_rows
        self._written_rows += done
        return file, plan

    def _cluster(
        self, table: pa.Table, columns: Sequence[Column], *, sample: bool = False
    ) -> Clustering:
        names = [field.name for field in self._fields]
        key = columns[names.index(self._session_key)]
        first_row = self._written_rows
        keys = session_codes(key, name=self._session_key, first_row=first_row)
        order = None
        if self._order_key is not None:
            column = columns[names.index(self._order_key)]
            if column.offsets is not None and self._last_key is not None:
                # Ranks of texts hold among the keys given: rank the last one written with them.
                chunks = [*self._last_key.chunks, *table.column(self._order_key).chunks]
                order = order_image(
                    pa.chunked_array(chunks), name=self._order_key, first_row=first_row - 1
                )
                self._contiguity.rank_last(int(order[0]))
                order = order[1:]
            else:
                order = order_image(column, name=self._order_key, first_row=first_row)
            if self._open is None:
                # What is pending depends on the batches; the unit must not.
                first = order[: self._flush_rows()] if self._clustered else order
                arrow_type = self._arrow_schema.field(self._order_key).type
                self._units = units_per_second(arrow_type, first)
        if self._clustered and not sample:
            pieces = self._gap is not None or self._max_span is not None
            identities = _identities(keys)
            self._contiguity.check(identities, order, self._session_key, first_row, pieces=pieces)
        rank = None
        if self._session_order == "key":
            rank = order_image(key, name=self._session_key, first_row=first_row)
        return cluster(
            keys.codes,
            order,
            session_order=self._session_order,  # type: ignore[arg-type]
            key_rank=rank,
            gap=duration_in(self._gap, self._units, "session_gap"),
            max_span=duration_in(self._max_span, self._units, "session_max_span"),
            open_since=self._contiguity.open_since,
            open_last=self._contiguity.open_last,
        )

    def _begin(
        self, table: pa.Table, columns: Sequence[Column], clustering: Clustering
    ) -> tuple[FileWriter, StripeEncoder]:
        """Plan from the first rows, and begin the file."""
        self._progress.start("planning", 1)
        most = self._flush_rows()
        if self._clustered and table.num_rows >= most:
            # How many rows are pending depends on the batches; the plan must not.
            first = table.slice(0, self._contiguity.whole_keys(most))
            columns = [
                column_from_arrow(field, first.column(i)) for i, field in enumerate(self._fields)
            ]
            clustering = self._cluster(first, columns, sample=True)
        plan = self._plan
        if plan is None:
            plan = make_plan(self._fields, columns, clustering, self._dedup, self._options)
        schema_of(self._fields, plan)
        self._plan = plan = split_windows(plan, self._fields, columns)
        schema = schema_of(self._fields, plan)
        encoder = StripeEncoder(schema, plan, self._options.profile)
        self._open = FileWriter(self._sink, schema), encoder
        return self._open


def _check_types(labels: Any, dedup: Any, kinds: Any, plan: Any) -> None:
    """Raise where an argument is not of its type: what would fail late, and far from here."""
    if not isinstance(labels, (str, Sequence)):
        raise RecdInputError(f"labels={labels!r}: expected a list of column names")
    if not isinstance(dedup, (str, Mapping)):
        raise RecdInputError(f"dedup={dedup!r}: expected a word, or a mode for each column named")
    if not isinstance(kinds, (Mapping, type(None))):
        raise RecdInputError(f"kinds={kinds!r}: expected a kind for each column named")
    if not isinstance(plan, (Plan, type(None))):
        raise RecdInputError(
            f"plan: expected a Plan, such as report.plan, found {type(plan).__name__}"
        )


def _check_measurable(schema: pa.Schema, order_key: str | None) -> None:
    """Raise where differences of the order key mean nothing: texts are ranks, floats are bits."""
    arrow_type = schema.field(order_key).type
    if not (pt.is_integer(arrow_type) or pt.is_temporal(arrow_type)):
        raise RecdInputError(
            f"session_gap and session_max_span need an order_key of integers or times, "
            f"{order_key!r} is of {arrow_type}"
        )


def _identities(keys: SessionCodes) -> NDArray[np.int64]:
    """Keys as integers that mean the same in every flush: dense codes do not."""
    if keys.unique is None:
        return keys.codes
    return session_ids(keys.unique)[keys.codes]
