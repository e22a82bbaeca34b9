"""Time from opening a file to having all its training batches, beside other formats."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import ours
from benchmarks.parquet import clustered
from benchmarks.report import Report
from benchmarks.routes import routes
from benchmarks.timing import compare, use_cores
from benchmarks.to_kjt import Batch, Wanted
from benchmarks.totals import of_batches, of_log
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from benchmarks.timing import Timing
    from benchmarks.workloads import Workload

__all__ = ["arguments", "run"]

_LOGS = ("rm1_like", "trivago")
_LIMIT, _WRITTEN_LIMIT = "memcpy of our batches", "memcpy of our batches, written out"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", action="append", help=f"default: {' '.join(_LOGS)}")
    parser.add_argument("--batch", type=int, default=4096, help="rows of a batch")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--columns", choices=("lists", "all", "both"), default="both")
    parser.add_argument(
        "--profile", action="append", choices=ours.PROFILES, help="default: all three"
    )
    parser.add_argument(
        "--threads",
        type=int,
        action="append",
        help="of ours; default: 0 1, of others than the first profile 0",
    )


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print: times, ratios, bytes of the batches."""
    report = Report("loader")
    for name in args.log or _LOGS:
        log = load(name)
        table = clustered(log)
        for route in routes():
            if not Path(path := route.path(folder, name)).exists():
                route.write(table, path)
        del table
        for profile in _profiles(args):
            ours.write(log, _ours(folder, name, profile), profile)
        for lists_only in (True, False):
            if args.columns in (("lists" if lists_only else "all"), "both"):
                _measure(args, folder, report, log, lists_only)
    return report


def _profiles(args: argparse.Namespace) -> tuple[str, ...]:
    return tuple(args.profile or ("balanced", "small", "gpu"))


def _ours(folder: Path, log: str, profile: str) -> str:
    return str(folder / f"{log}.{profile}.recd")


def _measure(
    args: argparse.Namespace, folder: Path, report: Report, log: Workload, lists_only: bool
) -> None:
    wanted = Wanted.of(log, lists_only=lists_only)
    torch.set_num_threads(args.cores)
    use_cores(args.cores)
    files: dict[str, str] = {}
    jobs: dict[str, Callable[[], Any]] = {}
    checked: dict[str, Callable[[], Any]] = {}
    first = _ours(folder, log.name, _profiles(args)[0])
    by_hashing = partial(_hashed, groups=ours.groups(first, wanted.ids))
    for route in routes():
        path = route.path(folder, log.name)
        tuned = route.tuned(path, wanted, args.batch, args.cores)
        giving = partial(tuned.batches, path, wanted, args.batch, cores=args.cores)
        ways = {route.name: partial(giving, hashes=by_hashing)}
        if route.to == "hashed":
            alone = partial(_hashed, groups=None)
            ways[f"{route.name}, each key alone"] = partial(giving, hashes=alone)
        for what, way in ways.items():
            files[what], checked[what] = path, way
            jobs[what] = lambda way=way: _exhaust(way())
    variants = _our_jobs(args, folder, log, wanted)
    for what, (path, options) in variants.items():
        files[what] = path
        jobs[what] = partial(ours.iterate, path, **options)
        options = {k: v for k, v in options.items() if k != "written_out"}
        checked[what] = partial(ours.batches, path, **options)
    expected = of_log(log, wanted)
    for what, giving in checked.items():
        if (found := of_batches(giving())) != expected:
            raise RuntimeError(f"{what}: {found}, expected {expected}")
    jobs |= _limits(args, first, wanted)
    times = compare(jobs, args.repeats, args.cores, twice=True)
    title = (
        f"{log.name} ({log.table.num_rows:,} rows, batches of {args.batch:,}, "
        f"{'id lists only' if lists_only else 'all columns'}, cores: {args.cores})"
    )
    rows = log.table.num_rows
    report.add(title, [_row(n, t, rows, files, times) for n, t in times.items()])
    for clock in ("wall", "cpu"):
        ratios = _ratios({n: getattr(t, clock) for n, t in times.items()}, list(variants))
        report.add(f"{title}: times faster than, by {clock} time", ratios)
    report.add(f"{title}: bytes over the bus", _bus(args, folder, log, wanted))


def _exhaust(batches: Any) -> int:
    return sum(1 for _ in batches)


def _hashed(batch: Batch, groups: list[list[str]] | None) -> Batch:
    """Deduplicate the ids of a batch, as the paper's reader does."""
    from recd_format.torch import InverseKeyedJaggedTensor

    kjt = batch.sparse
    keys = kjt.keys() if callable(kjt.keys) else kjt.keys
    values, lengths = (x() if callable(x) else x for x in (kjt.values, kjt.lengths))
    ikjt = InverseKeyedJaggedTensor.from_jagged(keys, values, lengths, groups=groups)
    return batch._replace(sparse=ikjt)


def _our_jobs(
    args: argparse.Namespace, folder: Path, log: Workload, wanted: Wanted
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name of each of our variants: its file and its options."""
    made = {}
    every = args.threads or [0, 1]
    for number, profile in enumerate(_profiles(args)):
        choices = product((False, True), every[:1] if number else every, (False, True))
        for shuffle, threads, written_out in choices:
            name = (
                f"recd {profile}{', shuffled' if shuffle else ''}, threads={threads}"
                f"{', written out' if written_out else ''}"
            )
            options = {
                "batch_size": args.batch,
                "columns": wanted.features,
                "shuffle": shuffle,
                "threads": threads,
                "written_out": written_out,
            }
            made[name] = (_ours(folder, log.name, profile), options)
    return made


def _limits(args: argparse.Namespace, path: str, wanted: Wanted) -> dict[str, Callable[[], Any]]:
    """Copies of as many bytes as our batches hold, a batch at a time, into one memory."""
    options = {"batch_size": args.batch, "columns": wanted.features, "threads": 0}
    sizes = np.array(ours.batch_bytes(path, **options))
    return {_LIMIT: _memcpy(sizes[:, 0]), _WRITTEN_LIMIT: _memcpy(sizes[:, 1])}


def _memcpy(sizes: Any) -> Callable[[], Any]:
    source = np.ones(int(sizes.sum()), np.uint8)
    target = np.ones(int(sizes.max()), np.uint8)
    ends = np.cumsum(sizes)

    def copy() -> None:
        for begin, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True):
            target[: end - begin] = source[begin:end]

    return copy


def _row(
    name: str, time: Timing, rows: int, files: dict[str, str], times: dict[str, Timing]
) -> dict[str, Any]:
    limit = times[_WRITTEN_LIMIT if "written out" in name else _LIMIT]
    return {
        "what": name,
        "file bytes": Path(files[name]).stat().st_size if name in files else None,
        "ms": round(time.wall * 1e3, 2),
        "cpu ms": round(time.cpu * 1e3, 2),
        "fastest ms": round(time.fastest * 1e3, 2),
        "rows/s": int(rows / time.wall),
        "of memcpy": round(limit.wall / time.wall, 4),
    }


def _ratios(seconds: dict[str, float], variants: list[str]) -> list[dict[str, Any]]:
    """How many times faster each of ours is than each rival."""
    families = {
        "fastest parquet -> KJT": lambda n: n.startswith("parquet") and n.endswith("-> KJT"),
        "parquet zstd-3 -> KJT": lambda n: n.endswith("dictionary -> KJT"),
        "fastest parquet -> IKJT by hashing": lambda n: "hashing" in n,
        "vortex list_view -> IKJT": lambda n: n.startswith("vortex"),
        "arrow ipc -> KJT": lambda n: n.startswith("arrow ipc"),
        "lance -> KJT": lambda n: n.startswith("lance"),
    }
    table = []
    for variant in variants:
        row: dict[str, Any] = {"what": variant}
        for family, belongs in families.items():
            members = [taken for name, taken in seconds.items() if belongs(name)]
            if members:
                row[family] = round(min(members) / seconds[variant], 2)
        table.append(row)
    return table


def _bus(
    args: argparse.Namespace, folder: Path, log: Workload, wanted: Wanted
) -> list[dict[str, Any]]:
    """Bytes of our buffers over an epoch, beside int64 values, int32 lengths, float32 the rest."""
    rows = log.table.num_rows
    total = of_log(log, wanted)
    keys = len(wanted.ids) + len(wanted.floats)
    floats = total.floats + (len(wanted.dense) + len(wanted.labels)) * rows
    baseline = 8 * total.ids + 4 * keys * rows + 4 * floats
    table = [{"what": "KJT", "bytes": baseline, "KJT / this": 1.0}]
    for profile in _profiles(args):
        for shuffle in (False, True):
            path = _ours(folder, log.name, profile)
            options = {"batch_size": args.batch, "columns": wanted.features, "threads": 0}
            sizes = ours.batch_bytes(path, shuffle=shuffle, **options)
            held = sum(size for size, _ in sizes)
            name = f"recd {profile}{', shuffled' if shuffle else ''}"
            table.append({"what": name, "bytes": held, "KJT / this": round(baseline / held, 2)})
    return table
