"""From a loader to batches: what is left of an iteration, placed, moved and handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from torch.utils.data import get_worker_info

from recd_format.loader.layout import BatchBuffer
from recd_format.loader.loader import Loader
from recd_format.torch.batch import RecdBatch
from recd_format.torch.device import CudaBackend, StagingRing, in_flight
from recd_format.torch.form import BatchForm
from recd_format.torch.progress import Progress
from recd_format.torch.shared import SharedBuffers

__all__ = ["batches_left", "wrapper_of"]


def batches_left(
    loader: Loader,
    form: BatchForm,
    progress: Progress,
    device: Any | None,
    wrap: Callable[[RecdBatch], Any] | None,
) -> Iterator[Any]:
    """Yield what an iteration has still to give, and keep account of it in `progress`.

    Closing the iterator ends the loader's threads.

    Parameters
    ----------
    loader, form
        Of the reader.
    progress
        Where the iteration stands: of what was yielded, not of what was read ahead.
    device : torch.device or None
        Where batches go; None: nowhere.
    wrap
        What is yielded in place of a batch; None: the batch.
    """
    share = progress.share
    backend = None if device is None else CudaBackend(device)
    ring = None if backend is None else StagingRing(backend)
    # What a worker hands over has to be in shared memory: it is made there.
    shared = SharedBuffers() if get_worker_info() is not None else None
    memory = ring or shared
    run: Any = loader.run(
        progress.epoch,
        rank=share.rank,
        world=share.world,
        remaining=progress.left(),
        allocate=None if memory is None else memory.take,
    )
    progress.active = True
    try:
        with closing(run):
            batches = _placed(run, form, progress, shared)
            if backend is not None and ring is not None:
                batches = in_flight(batches, ring, backend, RecdBatch._host_memory, RecdBatch._with)
            for batch in batches:
                progress.given += 1
                progress.last = batch.cursor
                yield batch if wrap is None else wrap(batch)
                # Else its memory were not free before the next one is made.
                del batch
            progress.exhausted = True
    finally:
        progress.active = False


def _placed(
    run: Iterator[BatchBuffer], form: BatchForm, progress: Progress, shared: SharedBuffers | None
) -> Iterator[RecdBatch]:
    # The loader is told what this worker has to give; the cursor is to tell of the whole rank.
    for number, batch in enumerate(run, progress.given + 1):
        cursor = progress.cursor(batch.cursor.batch, number)
        placed = replace(batch, cursor=cursor).with_layout(batch.layout())
        yield RecdBatch.of(form, placed, None if shared is None else shared.tensor(batch.data))
        del batch, placed


def wrapper_of(output: str) -> Callable[[RecdBatch], Any] | None:
    """Return what makes another batch of ours, for the option `output`.

    Raises
    ------
    RecdInputError
        ``output="torchrec"``, and torchrec is not installed.
    """
    if output != "torchrec":
        return None
    from recd_format.torch.torchrec import TorchRecBatch, register_pipelineable

    register_pipelineable(TorchRecBatch)
    return TorchRecBatch
