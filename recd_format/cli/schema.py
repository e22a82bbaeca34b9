"""`recd schema`: the columns of a file."""

from __future__ import annotations

import argparse

import recd_format as recd
from recd_format.cli._open import add_file_argument
from recd_format.cli._show import add_json_option, console, key, print_json, table

__all__ = ["configure", "run"]

HELP = "show names, types, kinds and groups of the columns"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per column, in file order."""
    with recd.open(arguments.file) as file:
        schema = file.schema
        fields = {field.name: field for field in file.stats().fields}
    if arguments.json:
        columns = [
            {
                "name": column.name,
                "type": str(column.type),
                "nullable": column.nullable,
                "kind": fields[column.name].kind,
                "group": fields[column.name].group,
                "mode": fields[column.name].mode,
            }
            for column in schema
        ]
        print_json({"file": arguments.file, "columns": columns})
        return 0
    shown = table(">#", "column", "type", "null", "kind", ">group", "mode")
    for index, column in enumerate(schema):
        field = fields[column.name]
        shown.add_row(
            str(index),
            key(column.name),
            key(str(column.type)),
            "yes" if column.nullable else "no",
            field.kind,
            str(field.group) if field.group >= 0 else "-",
            field.mode,
        )
    console().print(shown)
    return 0
