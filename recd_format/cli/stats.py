"""`recd stats`: what every column costs, and why."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import recd_format as recd
from recd_format.cli._open import add_file_argument
from recd_format.cli._show import add_json_option, console, print_json
from recd_format.cli._tables import fields_table, groups_table

if TYPE_CHECKING:
    from recd_format import FieldStats

__all__ = ["configure", "run"]

HELP = "show dedup factor, chains and bytes of every column"
ORDERS = ("file", "bytes", "factor", "name")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser)
    parser.add_argument("--sort", choices=ORDERS, default="bytes", help="default: bytes")
    parser.add_argument("--top", type=int, metavar="N", help="the first N columns only")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the tables of columns and groups."""
    if arguments.top is not None and arguments.top < 1:
        arguments.usage_error(f"argument --top: expected at least 1, got {arguments.top}")
    with recd.open(arguments.file) as file:
        stats = file.stats()
    if arguments.json:
        print_json(stats)
        return 0
    fields = list(stats.fields)
    if arguments.sort != "file":
        fields.sort(key=lambda field: _rank(field, arguments.sort))
    screen = console()
    screen.print(fields_table(stats, fields[: arguments.top], screen.width))
    screen.print(groups_table(stats, screen.width, limit=arguments.top))
    return 0


def _rank(field: FieldStats, order: str) -> Any:
    if order == "name":
        return field.name
    return -field.bytes if order == "bytes" else -field.dedup_factor
