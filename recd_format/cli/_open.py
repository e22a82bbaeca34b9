"""Opening what a command line names: one file, or several as one dataset."""

from __future__ import annotations

import argparse

import recd_format as recd
from recd_format.filesystem import list_files

__all__ = ["add_file_argument", "open_data"]


def add_file_argument(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Give `parser` the positional FILE."""
    text = "a .recd file, or a folder or glob of them" if several else "a .recd file"
    parser.add_argument("file", metavar="FILE", help=text)


def open_data(name: str) -> recd.RecdFile | recd.RecdDataset:
    """Open the file that `name` is, or the dataset that a folder or a glob is."""
    places = list_files(name)
    return recd.dataset(places) if len(places) > 1 else recd.open(places[0])
