"""One core, warm, interleaved: how everything here is timed."""

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

__all__ = ["Timing", "bytes_read", "compare", "one_core"]


@dataclass(frozen=True)
class Timing:
    """Medians over the repeats: seconds on the clock, seconds of CPU of the whole process."""

    wall: float
    cpu: float
    fastest: float
    repeats: int


def one_core() -> None:
    """Bind the process to one core, threads that are already there too.

    Switches that say "no threads" do not reach the runtimes of Lance and Vortex; the core does.
    """
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if not hasattr(os, "sched_setaffinity"):
        return
    core = {min(os.sched_getaffinity(0))}
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # a thread that ended meanwhile
            os.sched_setaffinity(int(thread), core)


def compare(jobs: Mapping[str, Callable[[], Any]], repeats: int = 5) -> dict[str, Timing]:
    """Time every job `repeats` times, in turn, after one round that does not count.

    The first round imports and compiles and fills the page cache. Interleaving lets a busy moment
    of the machine hit all alike. What a job returns is freed outside the timed part.
    """
    for job in jobs.values():
        job()
    one_core()
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
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
