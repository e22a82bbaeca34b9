"""`recd demo`: one log as Parquet and as .recd, side by side."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recd_format as recd
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    factor_text,
    key,
    print_json,
    table,
)
from recd_format.cli._tables import modes_table
from recd_format.cli.warmup import warm_up
from recd_format.errors import RecdError
from recd_format.writer.options import Profile

__all__ = ["Measured", "configure", "measure", "run"]

HELP = "write a log as Parquet and as .recd, and compare size and speed"
EPILOG = """Without --log the log is made up: 24 lists of a user's ids that seldom change,
6 histories that slide, 8 item lists, 16 floats. With it, your own:
  recd demo --log log.parquet --session-key session_id --order-key timestamp --label label
"""
PROFILES: tuple[Profile, ...] = ("balanced", "small")
# A read is repeated for a while, and the fastest counts: the first one touches new memory, and
# the machine may have other work.
READS = range(3, 12)
READ_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to keep the log.

    Attributes
    ----------
    name : str
        What it is.
    bytes : int
        Size of the file.
    write_seconds : float
        From the table in memory, in arrival order, to the file.
    read_seconds : float
        All columns, to a table with every row written out.
    shared_read_seconds : float or None
        All columns, duplicates kept shared; None for Parquet, which cannot.
    """

    name: str
    bytes: int
    write_seconds: float
    read_seconds: float
    shared_read_seconds: float | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--log", metavar="PARQUET", help="a log of your own")
    parser.add_argument("--session-key", metavar="COLUMN", help="of --log; needed with it")
    parser.add_argument("--order-key", metavar="COLUMN", help="of --log")
    parser.add_argument("--label", action="append", default=[], metavar="COLUMN")
    parser.add_argument("--sessions", type=int, default=600, help="of the made-up log; default 600")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up log")
    parser.add_argument(
        "--keep", metavar="FOLDER", nargs="?", const="recd-demo", help="keep the files here"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write, read, compare; leave nothing behind unless told to."""
    if arguments.log and not arguments.session_key:
        arguments.usage_error("argument --log: needs --session-key")
    if not arguments.log and (arguments.session_key or arguments.order_key or arguments.label):
        arguments.usage_error("--session-key, --order-key and --label describe a --log")
    if arguments.sessions < 1:
        arguments.usage_error(f"argument --sessions: expected at least 1, got {arguments.sessions}")
    with contextlib.ExitStack() as stack:
        if arguments.keep:
            folder = Path(arguments.keep)
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recd-demo-")))
        _demo(arguments, folder)
    return 0


def _demo(arguments: argparse.Namespace, folder: Path) -> None:
    import pyarrow.parquet as pq

    from recd_format.cli._demo_log import session_log

    if arguments.log:
        log = pq.read_table(arguments.log)
        keys = (arguments.session_key, arguments.order_key, arguments.label)
        origin = arguments.log
        for name in (arguments.session_key, arguments.order_key, *arguments.label):
            if name is not None and name not in log.schema.names:
                raise recd.RecdInputError(
                    f"{origin}: no column {name!r}; there are {', '.join(log.schema.names)}"
                )
    else:
        log = session_log(arguments.sessions, arguments.seed)
        keys = ("session_id", "timestamp", ["label"])
        origin = f"made up, seed {arguments.seed}"
    if not arguments.json:
        console().print(
            f"log: {log.num_rows:,} rows, {log.num_columns} columns, "
            f"{bytes_text(log.nbytes)} in memory ({key(origin)})"
        )
    warm_up()
    measured, stats = measure(log, folder, *keys)
    if arguments.json:
        print_json({"rows": log.num_rows, "memory_bytes": log.nbytes, "files": measured})
        return
    _print(log.num_rows, measured, stats)
    if arguments.keep:
        console().print(f"The files are in {key(str(folder))}.")


def measure(
    log: Any, folder: Path, session_key: str, order_key: str | None, labels: list[str]
) -> tuple[list[Measured], recd.FileStats]:
    """Write `log` in every way, read each back, and check what comes back.

    Parameters
    ----------
    log : pa.Table
        The log, in arrival order.
    folder
        Where the files go.

    Raises
    ------
    RecdError
        Where a file does not give back the log's rows, bit for bit, in session order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recd_format.cli._compare import first_difference, session_order

    measured: list[Measured] = []
    arrival, clustered = folder / "arrival.parquet", folder / "by_session.parquet"
    with _one_thread():
        write = _seconds(lambda: _write_parquet(log, arrival))
        read = _fastest(lambda: pq.read_table(arrival))
        measured.append(Measured("Parquet, as it arrived", arrival.stat().st_size, write, read))

        def cluster_and_write() -> None:
            order = session_order(log, session_key, order_key)
            _write_parquet(log.take(pa.array(order)), clustered)

        write = _seconds(cluster_and_write)
        read = _fastest(lambda: pq.read_table(clustered))
        measured.append(Measured("Parquet, by session", clustered.stat().st_size, write, read))
        expected = log.take(pa.array(session_order(log, session_key, order_key)))
        for profile in PROFILES:
            path = folder / f"{profile}.recd"
            report = recd.write(
                log,
                str(path),
                session_key=session_key,
                order_key=order_key,
                labels=labels,
                profile=profile,
            )
            with recd.open(str(path)) as file:
                different = first_difference(expected, file.read())
                if different:
                    raise RecdError(f"{path}: {different!r} came back changed; please report this")
                read = _fastest(file.read)
                shared = _fastest(lambda: file.read(dedup=True))
                stats = file.stats()
            name = f"recd, {profile}"
            measured.append(Measured(name, path.stat().st_size, report.seconds, read, shared))
    return measured, stats


def _print(rows: int, measured: list[Measured], stats: recd.FileStats) -> None:
    screen = console()
    shown = table("file", ">size", ">smaller", ">write", ">read, rows/s", ">shared, rows/s")
    first = measured[0]
    for way in measured:
        shared = way.shared_read_seconds
        shown.add_row(
            way.name,
            bytes_text(way.bytes),
            factor_text(first.bytes / way.bytes),
            f"{way.write_seconds:.2f} s",
            _rate(rows, way.read_seconds),
            "-" if shared is None else _rate(rows, shared),
        )
    screen.print(shown)
    screen.print(
        "Every row came back bit for bit, in session order. Parquet is zstd-3. Reads: all "
        "columns into Arrow on one thread, the fastest of several; shared: duplicates stay so."
    )
    screen.print()
    screen.print(f"What is in the {PROFILES[-1]} file, by how it is deduplicated:")
    screen.print(modes_table(stats))


def _rate(rows: int, seconds: float) -> str:
    rate = rows / seconds
    return f"{rate / 1e6:,.2f} M" if rate >= 1e6 else f"{rate / 1e3:,.0f} k"


def _write_parquet(log: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(log, path, compression="zstd", compression_level=3, row_group_size=65_536)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Arrow on one thread, so that both sides have the same."""
    import pyarrow as pa

    compute, io = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(compute)
        pa.set_io_thread_count(io)


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _fastest(act: Callable[[], object]) -> float:
    found = [_seconds(act) for _ in range(READS.start)]
    while len(found) < READS.stop and sum(found) < READ_SECONDS:
        found.append(_seconds(act))
    return min(found)
