"""Tables of a file's statistics, shared by several commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recd_format.cli._show import bytes_text, factor_text, key, table

if TYPE_CHECKING:
    from rich.table import Table

    from recd_format import FieldStats, FileStats, GroupStats

__all__ = ["chains_text", "fields_table", "group_factor", "groups_table", "modes_table"]

# Names of a group that one line of a table shows.
NAMES_SHOWN = 6


def chains_text(field: FieldStats) -> str:
    """The chain of each stream of a field: ``values DICTIONARY>BITPACK, lengths CONSTANT``."""
    return ", ".join(f"{stream} {chain}" for stream, chain in field.chains.items())


def fields_table(stats: FileStats, fields: Sequence[FieldStats], *, chains: bool = True) -> Table:
    """A line per field: what it is, how it is deduplicated, what it costs."""
    names = ["feature", "kind", "type", "mode", ">group", ">unique rows", ">factor", ">bytes"]
    shown = table(*names, ">share", *(["chains"] if chains else []))
    for field in fields:
        cells = [
            key(field.name),
            field.kind,
            key(field.type),
            field.mode,
            str(field.group) if field.group >= 0 else "-",
            f"{field.unique_rows:,}",
            factor_text(field.dedup_factor),
            bytes_text(field.bytes),
            f"{100 * field.bytes / max(stats.file_bytes, 1):.1f} %",
        ]
        shown.add_row(*cells, *([chains_text(field)] if chains else []))
    return shown


def group_factor(stats: FileStats, group: GroupStats) -> float:
    """Rows per unique row of a group."""
    return stats.rows / group.unique_rows if group.unique_rows else float("inf")


def groups_table(stats: FileStats, limit: int | None = None) -> Table:
    """A line per group, the ones that cost most first; `limit` of them."""
    size = {field.name: field.bytes for field in stats.fields}
    costs = [
        (group.bytes + sum(size.get(name, 0) for name in group.fields), group)
        for group in stats.groups
    ]
    costs.sort(key=lambda pair: (-pair[0], pair[1].index))
    shown = table(">group", "mode", ">unique rows", ">factor", ">inverse", ">all bytes", "features")
    for cost, group in costs[:limit]:
        names = ", ".join(key(name) for name in group.fields[:NAMES_SHOWN])
        more = len(group.fields) - NAMES_SHOWN
        shown.add_row(
            str(group.index),
            group.mode,
            f"{group.unique_rows:,}",
            factor_text(group_factor(stats, group)),
            bytes_text(group.bytes),
            bytes_text(cost),
            f"{names} and {more} more" if more > 0 else names,
        )
    if limit is not None and len(costs) > limit:
        rest = sum(cost for cost, _ in costs[limit:])
        shown.add_row("", "", "", "", "", bytes_text(rest), f"… {len(costs) - limit} more groups")
    return shown


def modes_table(stats: FileStats) -> Table:
    """A line per mode of deduplication: how many columns, and what they cost."""
    shown = table("mode", ">columns", ">groups", ">rows per stored row", ">bytes", ">share")
    for mode in sorted({field.mode for field in stats.fields}):
        groups = [group for group in stats.groups if group.mode == mode]
        fields = [field for field in stats.fields if field.mode == mode]
        unique = sum(field.unique_rows for field in fields)
        size = sum(group.bytes for group in groups) + sum(field.bytes for field in fields)
        shown.add_row(
            mode,
            str(len(fields)),
            str(len(groups)),
            factor_text(stats.rows * len(fields) / unique if unique else float("inf")),
            bytes_text(size),
            f"{100 * size / max(stats.file_bytes, 1):.0f} %",
        )
    return shown
