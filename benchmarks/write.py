"""Time to write an arrival-order table in memory, clustering and dedup included, one core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from benchmarks import ours
from benchmarks.parquet import clustered
from benchmarks.report import Report
from benchmarks.timing import compare, one_core
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

__all__ = ["arguments", "run"]

_LOGS = ("rm1_like", "trivago")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", action="append", help=f"default: {' '.join(_LOGS)}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--profile", action="append", choices=ours.PROFILES, help="default: balanced"
    )


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print."""
    one_core()
    report = Report("write")
    target, parquet = str(folder / "write.recd"), str(folder / "write.parquet")
    for name in args.log or _LOGS:
        log = load(name)

        def sort_take_write(log=log):
            pq.write_table(
                clustered(log),
                parquet,
                compression="zstd",
                compression_level=3,
                row_group_size=65_536,
            )

        def only_write(log=log):
            pq.write_table(
                log.table, parquet, compression="zstd", compression_level=3, row_group_size=65_536
            )

        jobs = {"sort + take + parquet": sort_take_write, "parquet, arrival order": only_write}
        for profile in args.profile or ("balanced",):
            jobs[f"recd {profile}"] = lambda p=profile, log=log: ours.write(log, target, p)
        times = compare(jobs, args.repeats)
        base = times["sort + take + parquet"]
        report.add(
            f"{log.name} ({log.table.num_rows:,} rows, {log.table.nbytes / 1e6:.0f} MB of Arrow)",
            [
                {
                    "what": job,
                    "seconds": round(t.wall, 4),
                    "cpu seconds": round(t.cpu, 4),
                    "MB/s": round(log.table.nbytes / 1e6 / t.wall, 1),
                    "times sort + take + parquet": round(base.wall / t.wall, 3),
                    "the same by cpu": round(base.cpu / t.cpu, 3),
                }
                for job, t in times.items()
            ],
        )
    return report
