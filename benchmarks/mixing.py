"""How well shuffling mixes sessions, for windows and runs, and what it costs in reading time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from benchmarks import ours
from benchmarks.report import Report
from benchmarks.timing import compare, use_cores
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

__all__ = ["arguments", "run"]

_WINDOWS = (1, 2, 4, 8, 32)
_RUNS = (1, 8, 32)


class _Setting(NamedTuple):
    """What the loader is given."""

    name: str
    options: dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", default="rm1_like")
    parser.add_argument("--stripe-rows", type=int, default=2_048)
    parser.add_argument("--batch", type=int, default=4096, help="rows of a batch")
    parser.add_argument("--window", type=int, action="append", help=f"default: {_WINDOWS}")
    parser.add_argument("--run", type=int, action="append", help=f"default: {_RUNS}")
    parser.add_argument("--epochs", type=int, default=4, help="epochs that figures are means of")
    parser.add_argument("--repeats", type=int, default=5)


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print; a shuffle of all sessions, drawn here, is what to compare with."""
    torch.set_num_threads(1)
    use_cores(1)
    report = Report("mixing")
    log = load(args.log)
    path = str(folder / f"{args.log}.mixing.recd")
    ours.write(log, path, stripe_rows=args.stripe_rows)
    settings = [_Setting("file order", {"shuffle": False})]
    for window in args.window or _WINDOWS:
        for length in args.run or _RUNS:
            options = {"shuffle": True, "window": window, "shuffle_run": length}
            settings.append(_Setting(f"window {window}, runs of {length}", options))
    common = {"batch_size": args.batch, "threads": 0}
    jobs = {
        setting.name: partial(ours.iterate, path, **setting.options, **common)
        for setting in settings
    }
    times = compare(jobs, args.repeats, twice=True)
    in_file, rows = _sessions(path, {"shuffle": False, **common})
    place = {session: number for number, session in enumerate(in_file.tolist())}
    stripe = _stripes(path, rows)
    table = []
    for setting in settings:
        epochs = args.epochs if setting.options["shuffle"] else 1
        orders = [
            _sessions(path, {**setting.options, **common, "seed": seed}) for seed in range(epochs)
        ]
        figures = [
            _figures(np.array([place[s] for s in order.tolist()]), counts, stripe, args.batch)
            for order, counts in orders
        ]
        table.append(_row(setting.name, figures) | _time(times[setting.name]))
    drawn = [np.random.default_rng(seed).permutation(len(in_file)) for seed in range(args.epochs)]
    figures = [_figures(order, rows[order], stripe, args.batch) for order in drawn]
    table.append(_row("all sessions drawn", figures))
    report.add(
        f"{args.log} ({log.table.num_rows:,} rows, {len(in_file):,} sessions, "
        f"{int(stripe.max()) + 1} stripes, batches of {args.batch:,})",
        table,
    )
    return report


def _sessions(path: str, options: dict[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sessions in the order an epoch gives them, and the rows of each, joined across batches."""
    ids = np.concatenate([batch.session_ids.numpy() for batch in ours.batches(path, **options)])
    begins = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    rows = np.diff(np.r_[begins, len(ids)])
    order = ids[begins]
    first = np.sort(np.unique(order, return_index=True)[1])
    if len(first) != len(order):
        # A session that goes on in the next stripe may come in two parts: its first one counts.
        totals = dict(zip(*np.unique(ids, return_counts=True), strict=True))
        return order[first], np.array([totals[session] for session in order[first]])
    return order, rows


def _stripes(path: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stripe in which each session of the file order begins, from the rows of each."""
    import recd_format as recd

    with recd.open(path) as file:
        ends = np.array([stripe.end for stripe in file.stripes])
    return np.searchsorted(ends, np.cumsum(rows) - rows, side="right")


def _figures(
    order: NDArray[np.int64], rows: NDArray[np.int64], stripe: NDArray[np.int64], batch: int
) -> dict[str, float]:
    """What one epoch's order says: `order` has places in the file.

    Distances are in thirds of the number of sessions: the mean of a full shuffle is 1.
    """
    count = len(order)
    third = count / 3
    moved = np.abs(order - np.arange(count)) / third
    where = np.empty(count, np.int64)
    where[order] = np.arange(count)
    apart = np.abs(np.diff(where))
    of_batch = (np.cumsum(rows) - rows) // batch
    stripes = [len(np.unique(stripe[order[of_batch == b]])) for b in np.unique(of_batch)]
    return {
        "moved": float(moved.mean()),
        "p10": float(np.quantile(moved, 0.1)),
        "median": float(np.quantile(moved, 0.5)),
        "p90": float(np.quantile(moved, 0.9)),
        "neighbours apart": float(apart.mean() / third),
        "% neighbours kept": 100 * float((apart == 1).mean()),
        "stripes in a batch": float(np.mean(stripes)),
    }


def _row(name: str, figures: list[dict[str, float]]) -> dict[str, Any]:
    means = {key: float(np.mean([epoch[key] for epoch in figures])) for key in figures[0]}
    return {"what": name, **{key: round(value, 3) for key, value in means.items()}}


def _time(time: Any) -> dict[str, Any]:
    return {"ms": round(time.wall * 1e3, 2), "cpu ms": round(time.cpu * 1e3, 2)}
