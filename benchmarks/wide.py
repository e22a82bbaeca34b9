"""What a feature costs whatever is in it: thousands of features of one id, in batches."""

from __future__ import annotations

import cProfile
import pstats
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from benchmarks import ours
from benchmarks.report import Report
from benchmarks.routes import routes
from benchmarks.timing import Timing, compare, use_cores
from benchmarks.to_kjt import Wanted
from benchmarks.totals import of_batches, of_log
from benchmarks.workloads import Workload

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["arguments", "run"]

_FEATURES = (100, 1_000, 5_000)
_STAYS = 0.95
_MEAN_ROWS = 16.5
# Random numbers are drawn for so many values at once.
_PART = 1 << 24
_RIVAL = "parquet, no dictionary -> KJT"
_STEPS = ("open", "plan", "decode", "stage", "assemble", "tensors", "other")
# What a function belongs to, by a part of its file's path; the first that fits.
_PLACES = {
    "loader/stage": "stage",
    "loader/assemble": "assemble",
    "loader/layout": "assemble",
    "loader/_": "assemble",
    "loader/columns": "open",
    "loader/": "plan",
    "recd_format/torch": "tensors",
    "site-packages/torch": "tensors",
    "recd_format/codec": "decode",
    "recd_format/dedup": "decode",
    "recd_format/reader": "decode",
    "recd_format/": "open",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument(
        "--features", type=int, action="append", help=f"default: {' '.join(map(str, _FEATURES))}"
    )
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4096, help="rows of a batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", choices=ours.PROFILES, default="balanced")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-duplicates", action="store_true", help="no id ever comes twice")
    parser.add_argument("--no-rival", action="store_true", help="leave Parquet out")


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print."""
    torch.set_num_threads(1)
    use_cores(1)
    report = Report("wide")
    for features in args.features or _FEATURES:
        rows = [_measure(args, folder, features, lists) for lists in (True, False)]
        report.add(
            f"{features:,} features of one id, {args.batches} batches of {args.batch:,}"
            f"{', no duplicates' if args.no_duplicates else ''}, us a feature and batch",
            [row for both in rows for row in both],
        )
    return report


def _log(features: int, rows: int, *, lists: bool, repeats: bool, seed: int = 0) -> Workload:
    """Sessions in file order; a feature keeps its id within a session with probability .95."""
    r = np.random.default_rng(seed)
    lengths = np.maximum(1, r.geometric(1 / _MEAN_ROWS, rows))
    session = np.repeat(np.arange(rows), lengths)[:rows]
    first = np.r_[True, session[1:] != session[:-1]]
    columns = {
        "session_id": pa.array(session),
        "timestamp": pa.array(np.arange(rows)),
        "label": pa.array((r.random(rows) < 0.03).astype(np.int8)),
    }
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32))
    row = np.arange(rows)
    step = max(1, _PART // rows)
    for begin in range(0, features, step):
        count = min(step, features - begin)
        if repeats:
            drawn = r.integers(0, 1 << 20, (count, rows))
            new = first | (r.random((count, rows), np.float32) >= _STAYS)
            kept = np.maximum.accumulate(np.where(new, row, 0), axis=1)
            ids = np.take_along_axis(drawn, kept, 1)
        else:
            # 52 bits: of a file's values hardly two are the same.
            ids = r.integers(0, 1 << 52, (count, rows))
        for number, values in enumerate(ids, begin):
            column = pa.array(values)
            if lists:
                column = pa.ListArray.from_arrays(offsets, column)
            columns[f"f{number}"] = column
    return Workload("wide", pa.table(columns))


def _measure(
    args: argparse.Namespace, folder: Path, features: int, lists: bool
) -> list[dict[str, Any]]:
    rows = args.batches * args.batch
    log = _log(features, rows, lists=lists, repeats=not args.no_duplicates)
    kind = "lists" if lists else "scalars"
    names = [f"f{n}" for n in range(features)]
    wanted = Wanted(tuple(names))
    path = str(folder / "wide.recd")
    ours.write(log, path, args.profile, clustered=True)
    options = {"columns": names, "batch_size": args.batch, "threads": args.threads}
    jobs: dict[str, Callable[[], Any]] = {
        f"recd {args.profile}, {kind}": partial(ours.iterate, path, **options),
        f"recd {args.profile}, {kind}, written out": partial(
            ours.iterate, path, written_out=True, **options
        ),
    }
    checked = {path: partial(ours.batches, path, **options)}
    if not args.no_rival:
        route = next(route for route in routes() if route.name == _RIVAL)
        rival = route.path(folder, "wide")
        route.write(log.table, rival)
        taking = partial(route.batches, rival, wanted, args.batch, cores=1, hashes=None)
        checked[rival] = taking
        jobs[f"{_RIVAL}, {kind}"] = lambda: sum(1 for _ in taking())
    expected = of_log(log, wanted)
    del log
    for where, giving in checked.items():
        if (found := of_batches(giving())) != expected:
            raise RuntimeError(f"{where}: {found}, expected {expected}")
    times = compare(jobs, args.repeats, twice=True)
    shares = _shares(lambda: ours.iterate(path, **options))
    first = next(iter(jobs))
    unit = 1e6 / features / args.batches
    return [_row(n, t, unit, shares if n == first else {}) for n, t in times.items()]


def _row(name: str, time: Timing, unit: float, shares: dict[str, float]) -> dict[str, Any]:
    return {
        "what": name,
        "ms": round(time.wall * 1e3, 2),
        "us": round(time.wall * unit, 3),
        "us of cpu": round(time.cpu * unit, 3),
        **{f"% {step}": round(100 * shares[step], 1) if shares else None for step in _STEPS},
    }


def _shares(job: Callable[[], Any]) -> dict[str, float]:
    """Share of each step, by a profile; it makes Python's part look larger than it is.

    Kernels and what NumPy does count for the file that calls them. With threads, only what the
    caller's thread does is seen.
    """
    profile = cProfile.Profile()
    profile.runcall(job)
    entries = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    seconds = dict.fromkeys(_STEPS, 0.0)

    def place(where: tuple[str, int, str], depth: int = 0) -> dict[str, float]:
        """Where the time of a function goes: to its own file, else to its callers'."""
        path = where[0].replace("\\", "/")
        for part, step in _PLACES.items():
            if part in path and "_jit.py" not in path:
                return {step: 1.0}
        callers = entries[where][4] if where in entries else {}
        total = sum(times[2] for times in callers.values())
        if depth > 6 or not callers or total <= 0:
            return {"other": 1.0}
        found: dict[str, float] = {}
        for caller, times in callers.items():
            for step, share in place(caller, depth + 1).items():
                found[step] = found.get(step, 0.0) + share * times[2] / total
        return found

    for where, (_, _, own, _, _) in entries.items():
        for step, share in place(where).items():
            seconds[step] += own * share
    total = sum(seconds.values())
    return {step: taken / total for step, taken in seconds.items()}
