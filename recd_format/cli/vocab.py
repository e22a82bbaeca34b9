"""`recd vocab`: the ids of a column, most frequent first, as a vocabulary for transforms."""

from __future__ import annotations

import argparse
from pathlib import Path

import recd_format as recd
from recd_format.cli._open import add_file_argument, open_data
from recd_format.cli._show import add_json_option, console, facts, key, plural, print_json
from recd_format.errors import RecdInputError
from recd_format.filesystem import list_files
from recd_format.format.schema import Kind
from recd_format.torch.transforms.counting import IdCounter
from recd_format.torch.transforms.vocabulary import save_vocabulary

__all__ = ["configure", "run"]

HELP = "count the ids of a column and write those that are frequent"
EPILOG = """example:
  recd vocab train.recd --column clicks --min-count 10 -o clicks.npz

An id counts as often as it stands in rows, however few times those rows are stored. In Python:
  Transforms(unique={"clicks": [Vocabulary("clicks.npz")]})
"""
IDS = (Kind.ID_LIST, Kind.ID_SCORE_LIST)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_file_argument(parser, several=True)
    parser.add_argument("--column", required=True, metavar="NAME", help="an id_list or scored ids")
    parser.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="only ids that occur N times or more"
    )
    parser.add_argument("--max-size", type=int, metavar="N", help="only the N most frequent ids")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write, .npz")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Count, write, and say how much of the column the vocabulary covers."""
    for option in ("min_count", "max_size"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            name = option.replace("_", "-")
            arguments.usage_error(f"argument --{name}: expected at least 1, got {value}")
    _check_output(arguments)
    with open_data(arguments.file) as data:
        rows = data.num_rows
        counter = _count(data, arguments.column)
    ids, counts = counter.most_frequent(arguments.min_count, arguments.max_size)
    with open(arguments.output, "wb") as file:
        save_vocabulary(file, ids, counts)
    covered, total = int(counts.sum()), counter.total
    if arguments.json:
        print_json(
            {
                "column": arguments.column,
                "rows": rows,
                "ids": counter.num_ids,
                "kept": len(ids),
                "occurrences": total,
                "covered": covered,
            }
        )
        return 0
    share = f"{covered / total:.1%}" if total else "-"
    lines = [
        ("column", f"{key(arguments.column)}, {plural(rows, 'row')}"),
        ("ids", f"{counter.num_ids:,}, {total:,} occurrences in rows"),
        ("kept", f"{len(ids):,}: {share} of all occurrences"),
    ]
    screen = console()
    screen.print(f"[bold]{key(arguments.output)}[/bold]")
    screen.print(facts(lines))
    return 0


def _count(data: recd.RecdFile | recd.RecdDataset, column: str) -> IdCounter:
    first = data.files[0] if isinstance(data, recd.RecdDataset) else data
    field = first.fields.fields[first.reader.field_index(column)]
    if field.kind not in IDS:
        raise RecdInputError(
            f"{first.reader.name}: column {column!r} is {field.kind.name.lower()}, "
            f"expected {' or '.join(kind.name.lower() for kind in IDS)}"
        )
    counter = IdCounter()
    for places, stripe in data.read_arrays([column]):
        stored = stripe.fields[places[column]]
        counter.add(stored, stripe.groups[stored.group])
    return counter


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse to write over an input."""
    output = Path(arguments.output)
    if not output.exists():
        return
    for place in list_files(arguments.file):
        path = Path(place.path)
        if place.filesystem is None and path.exists() and output.samefile(path):
            arguments.usage_error(f"argument -o/--output: {output} is also an input")
