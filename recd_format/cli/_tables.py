"""Tables of a file's statistics, shared by several commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from recd_format.cli._show import bytes_text, factor_text, key, table

if TYPE_CHECKING:
    from rich.table import Table

    from recd_format import FieldStats, FileStats, GroupStats

__all__ = ["fields_table", "group_factor", "groups_table", "modes_table"]

# Names of a group that one line of a table shows.
NAMES_SHOWN = 6
# Characters a terminal needs for a column of a table to be worth its place.
WIDTH_OF_CHAINS = 130
WIDTH_OF_TYPES = 108
WIDTH_OF_INVERSE = 100


def fields_table(
    stats: FileStats, fields: Sequence[FieldStats], width: int, *, chains: bool = True
) -> Table:
    """A line per field: what it is, how it is deduplicated, what it costs.

    Parameters
    ----------
    width
        Characters of the terminal; a narrow one is shown fewer columns, not narrow ones.
    chains
        Whether the chains are wanted, where there is room.
    """
    cells: dict[str, Callable[[FieldStats], str]] = {
        "feature": lambda field: key(field.name),
        "kind": lambda field: field.kind,
        "type": lambda field: key(field.type),
        "mode": lambda field: field.mode,
        ">group": lambda field: str(field.group) if field.group >= 0 else "-",
        ">unique rows": lambda field: f"{field.unique_rows:,}",
        ">factor": lambda field: factor_text(field.dedup_factor),
        ">bytes": lambda field: bytes_text(field.bytes),
        ">share": lambda field: f"{100 * field.bytes / max(stats.file_bytes, 1):.1f} %",
        "chains": _chains_text,
    }
    if width < WIDTH_OF_TYPES:
        del cells["type"], cells[">group"]
    if width < WIDTH_OF_CHAINS or not chains:
        del cells["chains"]
    shown = table(*cells)
    for field in fields:
        shown.add_row(*(cell(field) for cell in cells.values()))
    if chains and "chains" not in cells:
        shown.caption = "chains: in a wider terminal, or `recd tree`"
    return shown


def _chains_text(field: FieldStats) -> str:
    return ", ".join(f"{stream} {chain}" for stream, chain in field.chains.items())


def group_factor(stats: FileStats, group: GroupStats) -> float:
    """Rows per unique row of a group."""
    return stats.rows / group.unique_rows if group.unique_rows else float("inf")


def groups_table(stats: FileStats, width: int, limit: int | None = None) -> Table:
    """A line per group, the ones that cost most first; `limit` of them.

    Parameters
    ----------
    width
        Characters of the terminal.
    """
    size = {field.name: field.bytes for field in stats.fields}
    costs = [
        (group.bytes + sum(size.get(name, 0) for name in group.fields), group)
        for group in stats.groups
    ]
    costs.sort(key=lambda pair: (-pair[0], pair[1].index))
    has_inverse = width >= WIDTH_OF_INVERSE
    inverse = [">inverse"] if has_inverse else []
    shown = table(">group", "mode", ">unique rows", ">factor", *inverse, ">all bytes", "features")
    for cost, group in costs[:limit]:
        names = ", ".join(key(name) for name in group.fields[:NAMES_SHOWN])
        more = len(group.fields) - NAMES_SHOWN
        shown.add_row(
            str(group.index),
            group.mode,
            f"{group.unique_rows:,}",
            factor_text(group_factor(stats, group)),
            *([bytes_text(group.bytes)] if has_inverse else []),
            bytes_text(cost),
            f"{names} and {more} more" if more > 0 else names,
        )
    if limit is not None and len(costs) > limit:
        rest = sum(cost for cost, _ in costs[limit:])
        blank = [""] * (5 if has_inverse else 4)
        shown.add_row(*blank, bytes_text(rest), f"… {len(costs) - limit} more groups")
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
