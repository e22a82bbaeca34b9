"""Peak memory of an epoch: a file and one ten times its size, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours
from benchmarks.report import Report
from benchmarks.workloads import load

if TYPE_CHECKING:
    import argparse

__all__ = ["arguments", "run"]

_SESSIONS = (1_000, 3_000, 10_000)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument(
        "--sessions", type=int, action="append", help=f"default: {' '.join(map(str, _SESSIONS))}"
    )
    parser.add_argument("--stripe-rows", type=int, default=1_024)
    parser.add_argument("--batch", type=int, default=4096, help="rows of a batch")
    parser.add_argument("--threads", type=int, action="append", help="default: 0 1 2")


def run(args: argparse.Namespace, folder: Path) -> Report:
    """Measure and print."""
    report = Report("memory")
    table = []
    for sessions in args.sessions or _SESSIONS:
        log = load("rm1_like", sessions=sessions)
        path = str(folder / f"memory.{sessions}.recd")
        ours.write(log, path, stripe_rows=args.stripe_rows)
        rows, arrow = log.table.num_rows, log.table.nbytes
        del log
        for shuffle in (False, True):
            for threads in args.threads or (0, 1, 2):
                options = {"batch_size": args.batch, "shuffle": shuffle, "threads": threads}
                found = _in_a_process(path, options)
                table.append(
                    {
                        "what": f"{'shuffled, ' if shuffle else ''}threads={threads}",
                        "sessions": sessions,
                        "rows": rows,
                        "file MB": round(Path(path).stat().st_size / 1e6, 1),
                        "MB as Arrow": round(arrow / 1e6, 1),
                        "MB of batches": round(found["batches"] / 1e6, 1),
                        "MB before": round(found["before"] / 1e6, 1),
                        "MB peak": round(found["peak"] / 1e6, 1),
                        "MB more": round((found["peak"] - found["before"]) / 1e6, 1),
                    }
                )
    report.add(f"rm1_like, stripes of {args.stripe_rows:,} rows, batches of {args.batch:,}", table)
    return report


def _in_a_process(path: str, options: dict[str, Any]) -> dict[str, int]:
    """Memory of a new process before and while it takes an epoch, in bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", path, json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peak() -> int:
    """Largest resident memory since the last reset, in bytes."""
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def _epoch(path: str, options: dict[str, Any]) -> None:
    """Take an epoch and print the peak; run by a process that does nothing else."""
    # Kernels are loaded before the count begins: one batch, of the same file.
    for _ in ours.batches(path, **options):
        break
    # Not ru_maxrss: a child begins with its parent's.
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before = _peak()
    total = 0
    for batch in ours.batches(path, **options):
        for jagged in (batch.sparse_features, batch.float_lists):
            if jagged is not None:
                total += sum(t.numel() * t.element_size() for t in _tensors(jagged))
    print(json.dumps({"before": before, "peak": _peak(), "batches": total}))


def _tensors(jagged: Any) -> tuple[Any, Any]:
    return jagged.values(), jagged.lengths()


if __name__ == "__main__":
    _epoch(sys.argv[1], json.loads(sys.argv[2]))
