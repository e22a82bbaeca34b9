"""Rows in, all at once: `write`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from recd_format.api.report import WriteReport
from recd_format.api.writer import RecdWriter
from recd_format.arrow import batches
from recd_format.dedup.cluster import SessionOrder
from recd_format.dedup.plan import Plan
from recd_format.writer.options import Profile

__all__ = ["write"]


def write(
    data: Any,
    where: Any,
    *,
    session_key: str,
    order_key: str | None = None,
    labels: Sequence[str] = (),
    dedup: Literal["auto", "none", "adjacent", "full", "session", "stripe"]
    | Mapping[str, str] = "auto",
    profile: Profile = "balanced",
    kinds: Mapping[str, str] | None = None,
    sample_weight: str | None = None,
    session_gap: str | timedelta | int | None = None,
    session_max_span: str | timedelta | int | None = None,
    session_order: SessionOrder = "first_seen",
    clustered: bool = False,
    plan: Plan | None = None,
    stripe_rows: int | None = None,
    progress: bool = False,
    filesystem: Any = None,
) -> WriteReport:
    """Write a session log as one file.

    Parameters
    ----------
    data
        Parquet paths and globs, pa.Table, RecordBatchReader, pandas or polars frame, a
        pyarrow.dataset.Dataset, or anything with ``__arrow_c_stream__``.
    where
        Path, URI, or a binary file object.
    session_key : str
        Column whose equal values make a session.
    order_key, labels, dedup, profile, kinds, sample_weight, session_gap, session_max_span, \
    session_order, clustered, plan, stripe_rows, progress, filesystem
        As `RecdWriter` says.

    Returns
    -------
    WriteReport
        Prints as a table; ``.plan`` can be passed to the next write.

    Raises
    ------
    RecdInputError
        Bad data or arguments; nothing is left at `where` then.

    Examples
    --------
    >>> import pyarrow as pa, recd_format as recd
    >>> log = pa.table({"session": [1, 2, 1], "ids": [[7, 8], [9], [7, 8]]})
    >>> report = recd.write(log, getfixture("tmp_path") / "log.recd", session_key="session")
    >>> report.rows, report.sessions
    (3, 2)
    """
    rows = batches(data)
    with RecdWriter(
        where,
        rows.schema,
        session_key=session_key,
        order_key=order_key,
        labels=labels,
        dedup=dedup,
        profile=profile,
        kinds=kinds,
        sample_weight=sample_weight,
        session_gap=session_gap,
        session_max_span=session_max_span,
        session_order=session_order,
        clustered=clustered,
        plan=plan,
        stripe_rows=stripe_rows,
        progress=progress,
        filesystem=filesystem,
    ) as writer:
        for batch in rows.batches:
            writer.write(batch)
        return writer._finish(rows.bytes_in)
