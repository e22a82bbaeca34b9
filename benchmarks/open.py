"""A wide file: time to open it (to know its rows), to open it and read 100 columns; bytes read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import ours
from benchmarks.parquet import ParquetConfig, clustered
from benchmarks.report import Report
from benchmarks.rivals import Rival, rivals
from benchmarks.timing import bytes_read, compare, one_core
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["arguments", "run"]

_RIVALS = ("lance", "vortex list", "vortex list_view")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--features", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--read", type=int, default=100, help="columns to read")
    parser.add_argument("--stripe-rows", type=int, default=2_500, help="rows of a stripe of ours")
    parser.add_argument("--repeats", type=int, default=7)


def _open_lance(path: str) -> Any:
    from lance.file import LanceFileReader

    return LanceFileReader(path).num_rows()


def _open_vortex(path: str) -> Any:
    import vortex as vx

    return len(vx.open(path, without_segment_cache=True))


def _open_ours(path: str) -> int:
    import recd_format as recd

    with recd.open(path) as file:
        return int(file.num_rows)


def _open(rival: Rival) -> Callable[[str], Any]:
    if rival.name.startswith("parquet"):
        return lambda path: pq.ParquetFile(path).metadata.num_rows
    return _open_lance if rival.name == "lance" else _open_vortex


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print."""
    one_core()
    report = Report("open")
    log = load("wide", features=args.features, rows=args.rows)
    step = max(1, args.features // args.read)
    columns = [f"f{i * step}" for i in range(min(args.read, args.features))]
    opening: dict[str, Callable[[], Any]] = {}
    reading: dict[str, Callable[[], Any]] = {}
    sizes: dict[str, int] = {}

    def add(name: str, path: str, opens: Callable[[str], Any], reads: Callable[..., Any]) -> None:
        sizes[name] = Path(path).stat().st_size
        opening[name] = lambda: opens(path)
        reading[name] = lambda: reads(path, columns)

    path = str(folder / "wide.recd")
    ours.write(log, path, stripe_rows=args.stripe_rows)
    add("recd balanced", path, _open_ours, ours.read_arrays)
    table: pa.Table = clustered(log)
    del log
    parquet = ParquetConfig(row_group=args.stripe_rows)
    chosen = [r for r in rivals(parquet) if r.name in _RIVALS]
    base = next(r for r in rivals(parquet) if r.name == "parquet best")
    one = Rival("parquet one row group", ".parquet", ParquetConfig(row_group=None).write, base.read)
    many = Rival("parquet row groups", ".parquet", parquet.write, base.read)
    for rival in (many, one, *chosen):
        path = rival.path(folder, "wide")
        rival.write(table, path)
        add(rival.name, path, _open(rival), rival.read)
    del table
    opened, read = compare(opening, args.repeats), compare(reading, args.repeats)
    first = "vortex list"
    report.add(
        f"wide ({args.features:,} features, {args.rows:,} rows; {len(columns)} columns read)",
        [
            {
                "what": name,
                "bytes": sizes[name],
                "open ms": round(opened[name].wall * 1e3, 2),
                "open cpu ms": round(opened[name].cpu * 1e3, 2),
                "bytes to open": bytes_read(opening[name]),
                "open + read ms": round(read[name].wall * 1e3, 2),
                "open + read cpu ms": round(read[name].cpu * 1e3, 2),
                "bytes read": bytes_read(reading[name]),
                "vortex / this, open": round(opened[first].wall / opened[name].wall, 2),
                "vortex / this, read": round(read[first].wall / read[name].wall, 2),
                "read, by cpu": round(read[first].cpu / read[name].cpu, 2),
            }
            for name in sizes
        ],
    )
    return report
