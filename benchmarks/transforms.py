"""Preprocessing of id lists, one core: on unique rows, as the loader does it, and on every row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import ours
from benchmarks.report import Report
from benchmarks.timing import compare, one_core
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from recd_format.torch.transforms import Transforms

    Stripes = Sequence[Mapping[str, Any]]

__all__ = ["arguments", "run"]

_LOGS = ("rm1_like",)
_VOCABULARY = 100_000
_EVERY_ROW = "every row"
_TIMELINES = "unique rows, timelines"
_EXACT = "unique rows, exact duplicates only"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--log", action="append", help=f"default: {' '.join(_LOGS)}")
    parser.add_argument("--sessions", type=int, help="of a made log; default: as it is defined")
    parser.add_argument("--repeats", type=int, default=7)


def _chains(columns: Sequence[str]) -> dict[str, tuple[Transforms | None, Transforms]]:
    """By name: what makes the ids such that a second run is like the first, and what is timed.

    Every repeat works in place on what the one before left. Hashing costs the same whatever the
    ids are; the vocabulary knows all ids but 0, and maps each to itself.
    """
    from recd_format.torch.transforms import (
        HashBuckets,
        LastN,
        Transforms,
        Vocabulary,
    )

    def every(*operations: Any) -> Transforms:
        return Transforms({tuple(columns): list(operations)})

    vocabulary = Vocabulary(np.arange(1, _VOCABULARY))
    return {
        "HashBuckets": (None, every(HashBuckets(1 << 20))),
        "Vocabulary": (every(HashBuckets(_VOCABULARY)), every(vocabulary)),
        "HashBuckets, LastN(50)": (None, every(HashBuckets(1 << 20), LastN(50))),
    }


def _unique(path: str, columns: list[str]) -> Stripes:
    """Unique rows of each stripe, with values of their own."""
    from recd_format.loader.rows import UniqueRows

    found = []
    for places, data in ours.read_arrays(path, columns):
        fields = {name: data.fields[place] for name, place in places.items()}
        found.append(
            {
                name: UniqueRows(field.values.astype(np.int64), field.lengths, field.starts)
                for name, field in fields.items()
            }
        )
    return found


def _written_out(path: str, columns: list[str]) -> Stripes:
    """All rows of all stripes, written out, as a reader of Parquet has them."""
    from recd_format.loader.rows import UniqueRows

    table = ours.read_rows(path, columns)
    found = {}
    for name in columns:
        lists = table[name].combine_chunks()
        lengths = np.diff(lists.offsets.to_numpy()).astype(np.int32)
        found[name] = UniqueRows(np.array(lists.flatten(), np.int64), lengths)
    return [found]


def _apply(transforms: Transforms, stripes: Stripes) -> list[Any]:
    return [transforms.apply(stripe) for stripe in stripes]


def _values(stripes: Stripes) -> int:
    return sum(len(rows.values) for stripe in stripes for rows in stripe.values())


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print; the kernels are the same on all sides."""
    one_core()
    report = Report("transforms")
    for name in args.log or _LOGS:
        log = load(name, **({"sessions": args.sessions} if args.sessions else {}))
        columns = log.id_lists()
        paths = {what: str(folder / f"{log.name}.{i}.recd") for i, what in enumerate("te")}
        plan = ours.write(log, paths["t"]).plan
        (variant,) = (v for v in ours.ablation_variants(log, plan) if v.name == "windows off")
        ours.write(log, paths["e"], **variant.options)
        rows = log.table.num_rows
        del log
        sides = {
            _EVERY_ROW: _written_out(paths["t"], columns),
            _TIMELINES: _unique(paths["t"], columns),
            _EXACT: _unique(paths["e"], columns),
        }
        for what, (before, timed) in _chains(columns).items():
            if before is not None:
                for stripes in sides.values():
                    _apply(before, stripes)
            jobs = {
                side: lambda timed=timed, stripes=stripes: _apply(timed, stripes)
                for side, stripes in sides.items()
            }
            times = compare(jobs, args.repeats)
            base = times[_EVERY_ROW]
            report.add(
                f"{name} ({rows:,} rows, {len(columns)} id lists): {what}",
                [
                    {
                        "what": side,
                        "values": _values(sides[side]),
                        "ms": round(t.wall * 1e3, 2),
                        "cpu ms": round(t.cpu * 1e3, 2),
                        "times faster": round(base.wall / t.wall, 2),
                        "by cpu": round(base.cpu / t.cpu, 2),
                    }
                    for side, t in times.items()
                ],
            )
    return report
