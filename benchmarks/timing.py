"""One core (or as many as asked for), warm, interleaved: how everything here is timed."""

from __future__ import annotations

import gc
import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Timing", "bytes_read", "compare", "one_core", "use_cores"]

# Before anything is bound: a process that was bound to one core can be given more again.
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@dataclass(frozen=True)
class Timing:
    """Medians over the repeats: seconds on the clock, seconds of CPU of the whole process."""

    wall: float
    cpu: float
    fastest: float
    repeats: int


def use_cores(count: int) -> None:
    """Bind the process to `count` cores, threads that are already there too.

    Switches that say "no threads" do not reach the runtimes of Lance and Vortex; the core does.
    """
    pa.set_cpu_count(count)
    pa.set_io_thread_count(count)
    if not _CORES:
        return
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # a thread that ended meanwhile
            os.sched_setaffinity(int(thread), _CORES[:count])


def one_core() -> None:
    """Bind the process to one core, threads that are already there too."""
    use_cores(1)


def compare(
    jobs: Mapping[str, Callable[[], Any]], repeats: int = 5, cores: int = 1, *, twice: bool = False
) -> dict[str, Timing]:
    """Time every job `repeats` times, in turn, after one round that does not count.

    The first round imports and compiles and fills the page cache. Interleaving lets a busy moment
    of the machine hit all alike. What a job returns is freed outside the timed part.

    With `twice` every job runs twice and the second is timed, so that no job pays for the memory
    that the one before left behind: rm1_like as Arrow IPC took 180 to 510 ms to batches after
    Parquet, and 140 ms after itself.
    """
    for job in jobs.values():
        job()
    use_cores(cores)
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            if twice:
                job()
            gc.collect()
            begin, busy = time.perf_counter(), time.process_time()
            result = job()
            wall[name].append(time.perf_counter() - begin)
            cpu[name].append(time.process_time() - busy)
            del result
    return {
        name: Timing(
            statistics.median(wall[name]), statistics.median(cpu[name]), min(wall[name]), repeats
        )
        for name in jobs
    }


def bytes_read(job: Callable[[], Any]) -> int | None:
    """Bytes the process reads by system calls while `job` runs; None where nobody counts them."""

    def so_far() -> int | None:
        try:
            with open("/proc/self/io") as lines:
                return int(next(line for line in lines if line.startswith("rchar")).split()[1])
        except OSError:
            return None

    begin = so_far()
    result = job()
    end = so_far()
    del result
    # The count includes the reading of the counter itself, some hundred bytes.
    return None if begin is None or end is None else end - begin
