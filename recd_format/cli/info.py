"""`recd info`: one file at a glance."""

from __future__ import annotations

import argparse

from recd_format.cli._open import add_file_argument, open_data
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    factor_text,
    facts,
    key,
    plural,
    print_json,
)
from recd_format.cli._tables import groups_table

__all__ = ["configure", "run"]

HELP = "show rows, sessions, sizes and groups of a file"
GROUPS_SHOWN = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the summary."""
    with open_data(arguments.file) as file:
        stats, metadata = file.stats(), dict(file.metadata or {})
    if arguments.json:
        print_json(
            {
                "file": arguments.file,
                "rows": stats.rows,
                "sessions": stats.sessions,
                "stripes": stats.stripes,
                "file_bytes": stats.file_bytes,
                "metadata_bytes": stats.metadata_bytes,
                "features": len(stats.fields),
                "groups": stats.groups,
                "metadata": metadata,
            }
        )
        return 0
    rows, sessions = max(stats.rows, 1), max(stats.sessions, 1)
    unique = sum(group.unique_rows * len(group.fields) for group in stats.groups)
    cells = sum(len(group.fields) for group in stats.groups) * stats.rows
    size = bytes_text(stats.file_bytes)
    metadata_size = bytes_text(stats.metadata_bytes)
    lines = [
        ("rows", f"{stats.rows:,}"),
        ("sessions", f"{stats.sessions:,}, {stats.rows / sessions:.1f} rows each"),
        ("size", f"{size}, {stats.file_bytes / rows:,.1f} B a row"),
        ("metadata", f"{metadata_size} of it"),
        ("stripes", f"{stats.stripes:,}"),
        ("columns", f"{len(stats.fields):,} in {plural(len(stats.groups), 'group')}"),
        ("dedup", f"{factor_text(cells / unique) if unique else '-'}: cells per stored cell"),
    ]
    lines += [(key(_text(name)), key(_text(value))[:200]) for name, value in metadata.items()]
    screen = console()
    screen.print(f"[bold]{key(arguments.file)}[/bold]")
    screen.print(facts(lines))
    screen.print(groups_table(stats, limit=GROUPS_SHOWN))
    return 0


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
