"""This process's rank and worker number, from one source.

DataLoader shards IterDataPipes by itself (`apply_sharding`) and IterableDatasets not at all. A
reader that asked torch.distributed besides would train on 1/world² of the data, so the sources
are ranked: options, else `apply_sharding`, else torch.distributed; all read when iterating.
"""

from __future__ import annotations

import multiprocessing.context
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import get_worker_info

from recd_format.errors import RecdInputError
from recd_format.loader.options import LoaderOptions

__all__ = ["Sharding", "Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the rows a process reads.

    Attributes
    ----------
    rank, world : int
        Training process, and how many there are.
    worker, workers : int
        DataLoader worker of that process, and how many it has; 0 and 1 without workers.
    """

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1


class Sharding:
    """Where a reader learns its share from.

    Parameters
    ----------
    options
        `rank` and `world` count.
    """

    def __init__(self, options: LoaderOptions) -> None:
        self._explicit = _pair(options.rank, options.world)
        self._applied: tuple[int, int] | None = None
        self._applied_worker: tuple[int, int] | None = None
        self._inherited: tuple[int, int] | None = None

    def apply(self, num_of_instances: int, instance_id: int, group: str = "DEFAULT") -> None:
        """Take what `apply_sharding` is given.

        Parameters
        ----------
        num_of_instances, instance_id : int
            How many parts, and which is this one's.
        group : {"DEFAULT", "DISTRIBUTED", "MULTIPROCESSING"}
            What is counted. DEFAULT in a DataLoader worker: workers of all ranks, a worker's
            number times the ranks plus the rank; elsewhere ranks.
        """
        if not 0 <= instance_id < num_of_instances:
            raise RecdInputError(
                f"apply_sharding({num_of_instances}, {instance_id}): expected an instance from 0 "
                f"to {num_of_instances - 1}"
            )
        info = get_worker_info()
        if group == "MULTIPROCESSING":
            self._applied_worker = (instance_id, num_of_instances)
        elif group == "DISTRIBUTED" or info is None:
            self._applied = (instance_id, num_of_instances)
        else:
            world, rest = divmod(num_of_instances, info.num_workers)
            if rest or instance_id // world != info.id:
                raise RecdInputError(
                    f"apply_sharding({num_of_instances}, {instance_id}) in worker {info.id} of "
                    f"{info.num_workers}: expected a multiple of the workers, and worker * ranks "
                    "+ rank"
                )
            self._applied = (instance_id % world, world)

    def rank(self) -> tuple[int, int] | None:
        """Rank and world; None where nobody has said so yet."""
        return self._explicit or self._applied or _distributed() or self._inherited

    def share(self) -> Share:
        """Return what this process reads."""
        rank, world = self.rank() or (0, 1)
        worker, workers = self._applied_worker or (0, 1)
        info = get_worker_info()
        if info is not None and self._applied_worker is None:
            worker, workers = info.id, info.num_workers
        return Share(rank, world, worker, workers)

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned has no process group to ask. What is pickled for anything else
        # may be read by another job.
        spawning = multiprocessing.context.get_spawning_popen() is not None
        inherited = (_distributed() if spawning else None) or self._inherited
        keep = spawning or get_worker_info() is not None
        return {**self.__dict__, "_inherited": inherited if keep else None}


def _pair(rank: int | None, world: int | None) -> tuple[int, int] | None:
    return None if rank is None or world is None else (rank, world)


def _distributed() -> tuple[int, int] | None:
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())
