"""`recd tree`: groups, their columns, and how each is stored."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.tree import Tree

import recd_format as recd
from recd_format.cli._open import add_file_argument
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    factor_text,
    key,
    plain,
    plural,
    print_json,
)
from recd_format.cli._tables import group_factor

if TYPE_CHECKING:
    from recd_format import FieldStats

__all__ = ["configure", "run"]

HELP = "show groups, their columns and streams as a tree"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the tree."""
    with recd.open(arguments.file) as file:
        stats = file.stats()
    fields = {field.name: field for field in stats.fields}
    grouped = {name for group in stats.groups for name in group.fields}
    alone = [field for field in stats.fields if field.name not in grouped]
    if arguments.json:
        groups = [
            plain(group) | {"fields": [plain(fields[name]) for name in group.fields]}
            for group in stats.groups
        ]
        print_json({"file": arguments.file, "groups": groups, "ungrouped": alone})
        return 0
    counts = ((stats.rows, "row"), (stats.sessions, "session"), (stats.stripes, "stripe"))
    size = ", ".join([*(plural(*count) for count in counts), bytes_text(stats.file_bytes)])
    root = Tree(f"[bold]{key(arguments.file)}[/bold]  {size}")
    for field in alone:
        _add(root, field)
    for group in stats.groups:
        factor = factor_text(group_factor(stats, group))
        unique = plural(group.unique_rows, "unique row")
        branch = root.add(
            f"[cyan]group {group.index}[/cyan]  {group.mode}, {unique} ({factor}), "
            f"{bytes_text(group.bytes)} to share them"
        )
        for name in group.fields:
            _add(branch, fields[name])
    root.add(f"[dim]metadata[/dim]  {bytes_text(stats.metadata_bytes)}")
    console().print(root)
    return 0


def _add(branch: Tree, field: FieldStats) -> None:
    leaf = branch.add(
        f"[bold]{key(field.name)}[/bold]  {field.kind} [dim]{key(field.type)}[/dim], "
        f"{plural(field.values, 'value')}, {bytes_text(field.bytes)}"
    )
    for stream, chain in field.chains.items():
        leaf.add(f"{stream}  [dim]{key(chain)}[/dim]")
