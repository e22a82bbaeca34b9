"""`recd info`: one file at a glance."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import recd_format as recd
from recd_format.cli._open import add_file_argument
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    factor_text,
    facts,
    key,
    plain,
    plural,
    print_json,
    table,
)
from recd_format.cli._tables import groups_table
from recd_format.filesystem import Place, list_files

__all__ = ["configure", "run"]

HELP = "show rows, sessions, sizes and groups of a file"
GROUPS_SHOWN = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser, several=True)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the summary."""
    places = list_files(arguments.file)
    if len(places) > 1:
        return _run_several(places, arguments)
    with recd.open(places[0]) as file:
        stats, metadata = file.stats(), file.metadata
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
    screen.print(groups_table(stats, screen.width, limit=GROUPS_SHOWN))
    return 0


def _run_several(places: Sequence[Place], arguments: argparse.Namespace) -> int:
    """A line per file, and their sum."""
    with recd.dataset(places) as files:
        stats = files.stats()
    total = [
        sum(part)
        for part in zip(
            *((each.rows, each.sessions, each.stripes, each.file_bytes) for each in stats),
            strict=True,
        )
    ]
    if arguments.json:
        names = ("rows", "sessions", "stripes", "file_bytes")
        found = dict(zip(names, total, strict=True))
        each_file = [{"file": str(p), **plain(s)} for p, s in zip(places, stats, strict=True)]
        print_json({"file": arguments.file, **found, "files": each_file})
        return 0
    shown = table("file", ">rows", ">sessions", ">stripes", ">size")
    for place, each in zip(places, stats, strict=True):
        counts = (f"{count:,}" for count in (each.rows, each.sessions, each.stripes))
        shown.add_row(key(str(place)), *counts, bytes_text(each.file_bytes))
    shown.add_section()
    sums = (f"{count:,}" for count in total[:3])
    shown.add_row(plural(len(places), "file"), *sums, bytes_text(total[3]))
    console().print(shown)
    return 0


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
