"""`recd head`: the first rows of a file."""

from __future__ import annotations

import argparse
from typing import Any

from recd_format.cli._open import add_file_argument, open_data
from recd_format.cli._show import console, key, plain, print_json, table

__all__ = ["configure", "run"]

HELP = "show the first rows"
EPILOG = "Lists are shown as their length and first values; --json prints whole rows."
# Characters of one value, and values of one list, that a cell shows.
CELL_WIDTH = 28
CELL_VALUES = 4
# Rows side by side in the table that has a line per column.
ROWS_ABREAST = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser, several=True)
    parser.add_argument("-n", "--rows", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("-c", "--columns", metavar="A,B,…", help="these columns only")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")


def run(arguments: argparse.Namespace) -> int:
    """Print rows side by side, a line per column: logs have many columns."""
    if arguments.rows < 0:
        arguments.usage_error(f"argument -n/--rows: expected at least 0, got {arguments.rows}")
    columns = arguments.columns.split(",") if arguments.columns else None
    with open_data(arguments.file) as file:
        read = file.read(columns=columns, rows=slice(0, min(arguments.rows, file.num_rows)))
    rows = read.to_pylist()
    if arguments.json:
        for row in rows:
            print_json(row, indent=None)
        return 0
    screen = console()
    for first in range(0, len(rows), ROWS_ABREAST):
        abreast = rows[first : first + ROWS_ABREAST]
        shown = table("column", "type", *(f"row {first + i}" for i in range(len(abreast))))
        for column in read.schema:
            cells = (key(_cell(row[column.name])) for row in abreast)
            shown.add_row(key(column.name), key(str(column.type)), *cells)
        screen.print(shown)
    if not rows:
        screen.print(", ".join(key(name) for name in read.schema.names))
        screen.print("(no rows)")
    return 0


def _cell(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, list):
        shown = ", ".join(_cell(item) for item in value[:CELL_VALUES])
        return f"[{len(value)}] {shown}{', …' if len(value) > CELL_VALUES else ''}"
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return ":".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return ":".join(_cell(item) for item in value.values())
    text = str(plain(value))
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"
