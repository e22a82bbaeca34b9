"""Time to read every column, one core, warm cache: ours as deduplicated NumPy, others as Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import ours
from benchmarks.parquet import ParquetConfig, clustered
from benchmarks.report import Report
from benchmarks.rivals import ARRIVAL, Rival, rivals
from benchmarks.timing import compare, one_core
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse

__all__ = ["arguments", "run"]

_LOGS = ("rm1_like", "trivago")
# The tuning that is smallest on every log, and the one a reader likes best.
_BEST = ParquetConfig(9, False, 8 << 20, None)
_NO_DICTIONARY = ParquetConfig(3, False)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", action="append", help=f"default: {' '.join(_LOGS)}")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--lists", action="store_true", help="only the id lists")
    parser.add_argument(
        "--profile", action="append", choices=ours.PROFILES, help="default: balanced"
    )


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print. Ratios are to the fastest Parquet as well as to the arrival-order one."""
    one_core()
    report = Report("read")
    for name in args.log or _LOGS:
        log = load(name)
        columns = log.id_lists() if args.lists else None
        rows, megabytes = log.table.num_rows, log.table.nbytes / 1e6
        jobs, sizes = {}, {}

        def add(rival: Rival, table, columns=columns, jobs=jobs, sizes=sizes, log=log) -> None:
            path = rival.path(folder, log.name)
            rival.write(table, path)
            sizes[rival.name] = Path(path).stat().st_size
            jobs[rival.name] = lambda: rival.read(path, columns)

        add(ARRIVAL, log.table)
        table = clustered(log)
        for rival in rivals(_BEST):
            add(rival, table)
        add(Rival("parquet no dictionary", ".parquet", _NO_DICTIONARY.write, ARRIVAL.read), table)
        del table
        for profile in args.profile or ("balanced",):
            path = str(folder / f"{log.name}.{profile}.recd")
            ours.write(log, path, profile)
            sizes[f"recd {profile}"] = Path(path).stat().st_size
            jobs[f"recd {profile}"] = lambda p=path, columns=columns: ours.read_arrays(p, columns)
            written_out = f"recd {profile}, every row written out"
            sizes[written_out] = sizes[f"recd {profile}"]
            jobs[written_out] = lambda p=path, columns=columns: ours.read_rows(p, columns)
        del log
        times = compare(jobs, args.repeats)
        arrival = times[ARRIVAL.name]
        fastest = min((t for n, t in times.items() if n.startswith("parquet")), key=lambda t: t.cpu)
        report.add(
            f"{name} ({rows:,} rows, {megabytes:.0f} MB of Arrow"
            f"{', id lists only' if columns else ''})",
            [
                {
                    "what": job,
                    "bytes": sizes[job],
                    "ms": round(t.wall * 1e3, 2),
                    "cpu ms": round(t.cpu * 1e3, 2),
                    "rows/s": int(rows / t.wall),
                    "times parquet arrival": round(arrival.wall / t.wall, 2),
                    "by cpu": round(arrival.cpu / t.cpu, 2),
                    "times fastest parquet, by cpu": round(fastest.cpu / t.cpu, 2),
                }
                for job, t in times.items()
            ],
        )
    return report
