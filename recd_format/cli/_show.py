"""How results are shown: tables for people, one JSON document for machines."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import datetime
import json
import math
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = [
    "add_json_option",
    "bytes_text",
    "console",
    "escape",
    "factor_text",
    "facts",
    "key",
    "plain",
    "plural",
    "print_json",
    "table",
]

# Columns of text where the output is no terminal: wide enough that no name is cut.
PIPE_WIDTH = 160
UNITS = ("kB", "MB", "GB", "TB")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the option ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def console(*, stderr: bool = False) -> Console:
    """A console on the present standard output, or standard error."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else PIPE_WIDTH,
        highlight=False,
        soft_wrap=False,
    )


def bytes_text(count: float) -> str:
    """A size in decimal units.

    Examples
    --------
    >>> bytes_text(1_583_000), bytes_text(12), bytes_text(25_410)
    ('1.58 MB', '12 B', '25.4 kB')
    """
    if count < 999.5:
        return f"{count:,.0f} B"
    size = float(count)
    unit = 0
    while size >= 999.5 and unit < len(UNITS):
        size /= 1000
        unit += 1
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:,.{digits}f} {UNITS[unit - 1]}"


def factor_text(factor: float) -> str:
    """How many times smaller, or fewer.

    Examples
    --------
    >>> factor_text(4.93), factor_text(43.3), factor_text(1250.2), factor_text(float("inf"))
    ('4.9x', '43x', '1,250x', '-')
    """
    if not math.isfinite(factor):
        return "-"
    return f"{factor:,.1f}x" if factor < 9.95 else f"{factor:,.0f}x"


def plural(count: int, noun: str) -> str:
    """A count and what is counted.

    Examples
    --------
    >>> plural(1, "stripe"), plural(1200, "row")
    ('1 stripe', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table; columns whose name starts with ``>`` are right-aligned."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name in columns:
        right = name.startswith(">")
        made.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    return made


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A two-column table without lines: what, and how much."""
    made = Table.grid(padding=(0, 2, 0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(name, value)
    return made


def key(value: str) -> str:
    """A name from a file, made harmless for markup and terminals."""
    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in value))


def plain(value: Any) -> Any:
    """`value` as JSON can say it: dataclasses as objects, NumPy scalars as numbers.

    Numbers that are not finite become the strings ``NaN``, ``Infinity`` and ``-Infinity``;
    bytes that are not UTF-8 become ``base64:…``.

    Examples
    --------
    >>> plain({"a": (np.int64(1), float("nan")), 2: b"x"})
    {'a': [1, 'NaN'], '2': 'x'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (bytes, bytearray)):
        return _bytes(bytes(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value) if not isinstance(value, Path) else value.as_posix()


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print `value` as one JSON document on standard output."""
    print(json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False))
