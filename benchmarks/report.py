"""Results: an aligned table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Report", "facts"]

_PACKAGES = (
    "recd-format",
    "numpy",
    "numba",
    "pyarrow",
    "torch",
    "torchrec",
    "vortex-data",
    "pylance",
)
_EMPTY = "–"  # noqa: RUF001 (an en dash, in a table)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def facts(command: Sequence[str]) -> dict[str, Any]:
    """What a reader needs to repeat a run: no host, no path."""
    return {
        "command": " ".join(["python -m benchmarks", *command]),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {p: v for p in _PACKAGES if (v := _version(p))},
    }


def _cell(value: object) -> str:
    if value is None:
        return _EMPTY
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"


@dataclass
class Report:
    """Rows of one benchmark, all with the same columns; printed as they come in groups."""

    benchmark: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print `rows` under `title` and keep them."""
        self.rows.extend({"log": title, **row} for row in rows)
        names = list(dict.fromkeys(key for row in rows for key in row))
        cells = [names] + [[_cell(row.get(name)) for name in names] for row in rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
        print(f"\n{self.benchmark}: {title}")
        for number, line in enumerate(cells):
            first, *others = (
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            print("  ".join([first, *others]))
            if number == 0:
                print("  ".join("-" * width for width in widths))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a line and keep it."""
        print(text, flush=True)
        self.notes.append(text)

    def save(self, path: str, command: Sequence[str]) -> None:
        """Write all rows and the facts of the run as JSON."""
        document = {
            "benchmark": self.benchmark,
            **facts(command),
            "rows": self.rows,
            "notes": self.notes,
        }
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document, indent=1) + "\n")
