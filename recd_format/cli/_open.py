"""Opening what a command line names: one file, or several as one dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import recd_format as recd

if TYPE_CHECKING:
    from recd_format import RecdDataset, RecdFile

__all__ = ["add_file_argument", "open_data"]


def add_file_argument(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the positional FILE."""
    parser.add_argument("file", metavar="FILE", help="a .recd file, a folder or a glob of them")


def open_data(path: str) -> RecdFile | RecdDataset:
    """Open the file `path`, or the dataset that a folder or a glob is."""
    if Path(path).is_dir() or (not Path(path).exists() and any(c in path for c in "*?[")):
        return recd.dataset(path)
    return recd.open(path)
