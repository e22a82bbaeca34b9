"""Where an iteration stands, and the states that are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recd_format.errors import RecdInputError
from recd_format.loader.cursor import (
    STATE_VERSION,
    Cursor,
    Intervals,
    check_state,
    worker_block,
)
from recd_format.torch.sharding import Share

__all__ = ["Progress", "is_worker_state"]


@dataclass(slots=True)
class Progress:
    """Where an iteration stands in one process.

    Attributes
    ----------
    fingerprint : str
    epoch, seed : int
    share : Share
    begun : tuple of (int, int)
        What the rank, all of its workers together, had to give when the iteration began.
    given : int
        Batches this process has given of it.
    last : Cursor or None
        Of the batch given last.
    exhausted : bool
        All is given.
    active : bool
        The iterator is in use.
    """

    fingerprint: str
    epoch: int
    seed: int
    share: Share
    begun: Intervals
    given: int = 0
    last: Cursor | None = None
    exhausted: bool = False
    active: bool = False

    def left(self) -> Intervals:
        """Batch numbers this process has still to give."""
        left = []
        skip = self.given
        for low, high in worker_block(self.begun, self.share.worker, self.share.workers):
            first = min(low + skip, high)
            skip -= first - low
            if first < high:
                left.append((first, high))
        return tuple(left)

    def cursor(self, batch: int, ordinal: int) -> Cursor:
        """Cursor of a batch, by its number and by how many this process has given with it."""
        share = self.share
        return Cursor(
            self.fingerprint, self.epoch, self.seed, share.rank, share.world, share.worker,
            share.workers, self.begun, batch, ordinal,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """State of the rank after the batch given last."""
        if self.last is not None:
            return self.last.state_after()
        remaining = [] if self.exhausted else [list(pair) for pair in self.begun]
        return {**self._base(), "remaining": remaining}

    def worker_state(self) -> dict[str, Any]:
        """State of this DataLoader worker alone."""
        return {
            **self._base(),
            "begun": [list(pair) for pair in self.begun],
            "worker": self.share.worker,
            "workers": self.share.workers,
            "given": self.given,
        }

    def _base(self) -> dict[str, Any]:
        return {
            "version": STATE_VERSION,
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "seed": self.seed,
            "rank": self.share.rank,
            "world": self.share.world,
        }

    @classmethod
    def of_worker(
        cls, state: Mapping[str, Any], *, fingerprint: str, seed: int, share: Share
    ) -> Progress:
        """Take up the state of a DataLoader worker.

        Raises
        ------
        RecdInputError
            It is another reader's, rank's or worker's.
        """
        worker, workers, given = (state.get(name) for name in ("worker", "workers", "given"))
        if (worker, workers) != (share.worker, share.workers):
            raise RecdInputError(
                f"the state is of DataLoader worker {worker} of {workers}, this is worker "
                f"{share.worker} of {share.workers}: a StatefulDataLoader resumes with as many "
                "workers as it had; state_after(batch) resumes with any number"
            )
        check_state(
            {**state, "remaining": state.get("begun")},
            fingerprint=fingerprint,
            rank=share.rank,
            world=share.world,
            seed=seed,
        )
        if not isinstance(given, int) or given < 0:
            raise RecdInputError(f"the state's 'given' is {given!r}: expected an integer from 0")
        begun = tuple((int(low), int(high)) for low, high in state["begun"])
        return cls(fingerprint, int(state["epoch"]), seed, share, begun, given)


def is_worker_state(state: Any) -> bool:
    """True for what `Progress.worker_state` returns."""
    return isinstance(state, Mapping) and "given" in state
