"""The reader as a torchdata node; torchdata is needed by this module alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recd_format.errors import RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.torch.batch import RecdBatch
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.text_errors import errors_as_text

try:
    from torchdata.nodes import BaseNode
except ImportError as error:
    raise RecdInputError(
        "RecdNode needs torchdata 0.10 or later, with torchdata.nodes: pip install torchdata"
    ) from error

__all__ = ["RecdNode"]


class RecdNode(BaseNode):  # type: ignore[misc]
    """Batches of ``.recd`` files, as a source of a torchdata graph.

    ``Loader(RecdNode(...))`` is what to iterate, each time the next epoch, and what saves and
    loads states; `Prefetcher` and `PinMemory` nodes may stand between.

    Parameters
    ----------
    where, options, filesystem, **changes
        As of `RecdIterableDataset`, which is the node's `dataset`.
    """

    def __init__(
        self,
        where: Any,
        *,
        options: LoaderOptions | None = None,
        filesystem: Any = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        self.dataset = RecdIterableDataset(where, options=options, filesystem=filesystem, **changes)
        self._batches: Iterator[RecdBatch] | None = None

    def __len__(self) -> int:
        """As of the dataset."""
        return len(self.dataset)

    def reset(self, initial_state: Mapping[str, Any] | None = None) -> None:
        """Begin the next epoch, or go on where `initial_state` was taken."""
        super().reset(initial_state)
        if self._batches is not None:
            # Its threads end before others begin.
            self._batches.close()  # type: ignore[attr-defined]
        if initial_state is not None:
            self.dataset.load_state_dict(initial_state)
        self._batches = iter(self.dataset)

    def next(self) -> RecdBatch:
        """Return the next batch; StopIteration ends the epoch."""
        assert self._batches is not None
        # This may be a thread of a Prefetcher.
        with errors_as_text():
            return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """Return the state after the batch given last."""
        return self.dataset.state_dict()

    def set_epoch(self, epoch: int) -> None:
        """As of the dataset."""
        self.dataset.set_epoch(epoch)

    def state_after(self, batch: Any) -> dict[str, Any]:
        """As of the dataset: for a loop that keeps no state of a Loader."""
        return self.dataset.state_after(batch)
