"""Bytes on disk: our profiles beside arrival-order Parquet, tuned clustered Parquet and others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.parquet import best_clustered, clustered
from benchmarks.report import Report
from benchmarks.rivals import ARRIVAL, rivals
from benchmarks.workloads import Workload, load

if TYPE_CHECKING:
    import argparse

__all__ = ["arguments", "run"]

# Stripe scope serves item-side lists that many users share: only rm1_popular has them.
_ABLATED = ("rm1_like", "rm1_popular", "trivago", "yoochoose", "ml100k")
_LOGS = ("rm1_like", "trivago", "yoochoose", "ml100k", "no_duplicates")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", action="append", help=f"default: {' '.join(_LOGS)}")
    parser.add_argument("--sessions", type=int, help="sessions of the made logs (default 4,000)")
    parser.add_argument("--quick", action="store_true", help="three Parquet tunings, not twenty")
    parser.add_argument("--tunings", action="store_true", help="show every Parquet tuning")
    parser.add_argument("--ablation", action="store_true", help="each mechanism switched off")
    parser.add_argument(
        "--profile", action="append", choices=ours.PROFILES, help="default: all three"
    )


def _size(path: str) -> int:
    return Path(path).stat().st_size


def _ratios(name: str, size: int, arrival: int, best: int) -> dict[str, Any]:
    return {
        "what": name,
        "bytes": size,
        "arrival / this": round(arrival / size, 3),
        "best clustered / this": round(best / size, 3),
    }


def _rivals(
    log: Workload, folder: Path, report: Report, args: argparse.Namespace
) -> tuple[list[dict[str, Any]], int, int]:
    path = ARRIVAL.path(folder, log.name)
    ARRIVAL.write(log.table, path)
    arrival = _size(path)
    table = clustered(log)
    config, sizes = best_clustered(table, folder, quick=args.quick)
    best = sizes[config]
    if args.tunings:
        tried = sorted(sizes.items(), key=lambda item: item[1])
        report.add(
            f"{log.name}, clustered Parquet",
            [_ratios(str(c), size, arrival, best) for c, size in tried],
        )
    rows = [_ratios(ARRIVAL.name, arrival, arrival, best)]
    for rival in rivals(config):
        path = rival.path(folder, log.name)
        rival.write(table, path)
        rows.append(_ratios(rival.name, _size(path), arrival, best))
        Path(path).unlink()
    tuned = next(c for c in sizes if not isinstance(c.dictionary, bool))
    rows.append(_ratios("parquet best, dictionary per column", sizes[tuned], arrival, best))
    report.note(f"{log.name}: best clustered Parquet is {config}")
    return rows, arrival, best


def _ours(
    log: Workload, folder: Path, arrival: int, best: int, args: argparse.Namespace
) -> list[dict[str, Any]]:
    rows, path = [], str(folder / f"{log.name}.recd")
    for profile in args.profile or ours.PROFILES:
        ours.write(log, path, profile)
        rows.append(_ratios(f"recd {profile}", _size(path), arrival, best))
    return rows


def _ablation(log: Workload, folder: Path, report: Report, args: argparse.Namespace) -> None:
    rows, path = [], str(folder / f"{log.name}.recd")
    for profile in args.profile or ("small",):
        plan, full = ours.write(log, path, profile).plan, _size(path)
        for variant in ours.ablation_variants(log, plan):
            with variant.without():
                ours.write(log, path, profile, **variant.options)
            size = _size(path)
            rows.append(
                {
                    "what": f"{profile}, {variant.name}",
                    "bytes": size,
                    "bytes more": size - full,
                    "this / full": round(size / full, 3),
                }
            )
    report.add(f"{log.name}, ablation", rows)


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print."""
    report = Report("storage")
    for name in args.log or (_ABLATED if args.ablation else _LOGS):
        made = name.startswith("rm1_") or name == "no_duplicates"
        log = load(name, **({"sessions": args.sessions} if made and args.sessions else {}))
        if args.ablation:
            _ablation(log, folder, report, args)
            continue
        rows, arrival, best = _rivals(log, folder, report, args)
        rows += _ours(log, folder, arrival, best, args)
        report.add(f"{log.name} ({log.table.num_rows:,} rows)", rows)
    return report
