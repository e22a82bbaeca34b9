"""What a file saved, feature by feature, from its directory alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recd_format.codec.base import chain_name
from recd_format.format.record import CODES_STRIPE_SCOPE, Records, StreamKind, sort_records
from recd_format.format.schema import Field, Kind, Schema, Shape
from recd_format.format.validate import record_chain
from recd_format.reader.file import FileReader

__all__ = ["FieldStats", "FileStats", "GroupStats", "file_stats", "stats_of"]


@dataclass(frozen=True, slots=True)
class FieldStats:
    """One field.

    Attributes
    ----------
    name, kind, type : str
    mode : str
        "none", "session", "stripe", "window", or "key" for the session key; several, joined by
        "+", where stripes differ.
    group : int
        Its group; -1 for the session key.
    rows, unique_rows : int
    dedup_factor : float
        rows / unique_rows.
    values : int
        Values stored.
    chains : dict of str to str
        Chains by stream; several, joined by ", ", where stripes differ.
    bytes : int
        Stored bytes of all its streams.
    """

    name: str
    kind: str
    type: str
    mode: str
    group: int
    rows: int
    unique_rows: int
    dedup_factor: float
    values: int
    chains: dict[str, str]
    bytes: int


@dataclass(frozen=True, slots=True)
class GroupStats:
    """One dedup group; `bytes` are those of its codes, starts and lengths."""

    index: int
    fields: tuple[str, ...]
    mode: str
    unique_rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FileStats:
    """A whole file; `metadata_bytes` is everything that is not a stream."""

    rows: int
    sessions: int
    stripes: int
    file_bytes: int
    metadata_bytes: int
    fields: tuple[FieldStats, ...]
    groups: tuple[GroupStats, ...]


def file_stats(reader: FileReader) -> FileStats:
    """Return what an open file saved; reads the directory, no stripe."""
    return stats_of(
        reader.schema,
        sort_records(reader.project(range(len(reader.schema.fields))).records),
        reader.stripe_rows,
        reader.num_sessions,
        reader.metadata.postscript.file_bytes,
    )


def stats_of(
    schema: Schema,
    records: Records,
    stripe_rows: NDArray[np.int64],
    sessions: int,
    file_bytes: int,
) -> FileStats:
    """Return what a file saved.

    Parameters
    ----------
    records
        The directory: all records by (owner, stripe, kind).
    stripe_rows
        Rows of each stripe, int64 [stripes].
    """
    rows = int(stripe_rows.sum())
    owners = records["owner"].astype(np.int64)
    bounds = np.searchsorted(owners, np.arange(len(schema.fields) + len(schema.groups) + 1))
    groups = []
    for index, group in enumerate(schema.groups):
        place = len(schema.fields) + index
        own = records[bounds[place] : bounds[place + 1]]
        codes = own[own["kind"] == StreamKind.CODES]
        rest = rows - int(stripe_rows[codes["stripe"]].sum())
        groups.append(
            GroupStats(
                index,
                tuple(schema.fields[i].name for i in group.fields),
                _mode(own, codes, group.window, len(stripe_rows)),
                int(codes["params"].sum()) + rest,
                _stored(own),
            )
        )
    fields = tuple(
        _field(field, records[bounds[i] : bounds[i + 1]], groups, rows, sessions)
        for i, field in enumerate(schema.fields)
    )
    streams = sum(field.bytes for field in fields) + sum(group.bytes for group in groups)
    streams += _stored(records[bounds[-1] :])
    return FileStats(
        rows, sessions, len(stripe_rows), file_bytes, file_bytes - streams, fields, tuple(groups)
    )


def _stored(records: Records) -> int:
    return int(records["stored"].sum())


def _mode(records: Records, codes: Records, window: bool, stripes: int) -> str:
    if window and not stripes:
        return "window"
    windowed = records["stripe"][records["kind"] == StreamKind.STARTS]
    modes = {"window"} if len(windowed) else set()
    if len(codes) < stripes or not stripes:
        modes.add("none")
    for flags in codes["flags"][~np.isin(codes["stripe"], windowed)].tolist():
        modes.add("stripe" if flags & CODES_STRIPE_SCOPE else "session")
    return "+".join(sorted(modes))


def _field(
    field: Field, records: Records, groups: list[GroupStats], rows: int, sessions: int
) -> FieldStats:
    values = records[np.isin(records["kind"], (StreamKind.VALUES, StreamKind.SESSION_KEY))]
    is_key = field.kind is Kind.SESSION_KEY
    unique = sessions if is_key else groups[field.group].unique_rows
    return FieldStats(
        name=field.name,
        kind=field.kind.name.lower(),
        type=_type_name(field),
        mode="key" if is_key else groups[field.group].mode,
        group=field.group,
        rows=rows,
        unique_rows=unique,
        dedup_factor=rows / unique if unique else 1.0,
        values=int(values["count"].sum()),
        chains=_chains(records),
        bytes=_stored(records),
    )


def _type_name(field: Field) -> str:
    name = field.value_type.name.lower()
    if field.shape is Shape.SCALAR or name == "bytes":
        return name
    if field.shape is Shape.FIXED:
        return f"{name}[{field.width}]"
    if field.weight_type is not None:
        return f"list<{name}, {field.weight_type.name.lower()}>"
    return f"list<{name}>"


def _chains(records: Records) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for kind, codecs in zip(records["kind"].tolist(), records["chain"].tolist(), strict=True):
        chains = found.setdefault(StreamKind(kind).name.lower(), [])
        name = chain_name(record_chain(codecs) or ())
        if name not in chains:
            chains.append(name)
    return {kind: _join(chains) for kind, chains in found.items()}


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
