"""The reader that all others are made of: files to batches, with epochs, resume and sharding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from recd_format.errors import RecdInputError
from recd_format.loader.columns import BatchSchema
from recd_format.loader.cursor import Intervals, check_state, resume_point
from recd_format.loader.loader import Loader
from recd_format.loader.options import LoaderOptions
from recd_format.loader.plan import RankPlan
from recd_format.loader.preparation import Role
from recd_format.torch.batch import RecdBatch
from recd_format.torch.device import device_of
from recd_format.torch.epochs import Beginning, Epochs
from recd_format.torch.form import BatchForm
from recd_format.torch.progress import Progress, is_worker_state
from recd_format.torch.reading import batches_left, wrapper_of
from recd_format.torch.sharding import Sharding, Share
from recd_format.torch.text_errors import errors_as_text

__all__ = ["RecdIterableDataset"]


class _InProcess:
    """What a reader knows in one process: neither pickled nor inherited by a fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.iterations = 0
        self.progress: Progress | None = None
        self.resumed: Progress | None = None


class RecdIterableDataset(IterableDataset):  # type: ignore[misc]
    """Batches of ``.recd`` files, for a training loop or a DataLoader.

    Each `iter` is the next epoch, in DataLoader workers too. Batches are made here:
    ``DataLoader(dataset, batch_size=None)``. Threads of this process decode ahead (``threads=``),
    so that workers are rarely of use.

    Parameters
    ----------
    where
        A path, URI, folder or glob of ``.recd`` files, or a list of them.
    options : LoaderOptions or None
        How files become batches; None: the defaults.
    filesystem
        pyarrow.fs or fsspec file system that the files are in.
    **changes
        Options by name, on top of `options`: ``batch_size=4096``, ``shuffle=True``, ...

    Raises
    ------
    RecdInputError
        Nothing is there, an option or a column does not fit, or a device is not there.
    RecdFormatError
        A file is damaged.

    Examples
    --------
    >>> dataset = RecdIterableDataset("train/*.recd", batch_size=4096)  # doctest: +SKIP
    >>> for batch in dataset:  # doctest: +SKIP
    ...     step(batch.dense_features, batch.sparse_features, batch.labels)
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
        self._place = (where, filesystem)
        self._open((options or LoaderOptions()).changed(changes))
        self._sharding = Sharding(self._options)
        self._epochs = Epochs()
        self._process = _InProcess()

    def _open(self, options: LoaderOptions) -> None:
        where, filesystem = self._place
        self._options = options
        self._device = device_of(options.device)
        self._loader = Loader(where, options, filesystem)
        self._form = BatchForm(self._loader.schema, options.output)
        self._wrap = wrapper_of(options.output)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_process"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._process = _InProcess()

    def __repr__(self) -> str:
        names = self._loader.names
        files = names[0] if len(names) == 1 else f"{len(names)} files"
        return f"RecdIterableDataset({files}, batch_size={self._options.batch_size})"

    def __len__(self) -> int:
        """Batches of this rank in the epoch under way in this process, else in the next one."""
        return self._plan().num_batches

    @property
    def options(self) -> LoaderOptions:
        """How files become batches."""
        return self._options

    @property
    def schema(self) -> BatchSchema:
        """Features of the batches, with their roles and dedup groups."""
        return self._loader.schema

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of ``batch.sparse_features``, in order."""
        return tuple(self.schema.features[n].name for n in self.schema.of_role(Role.SPARSE))

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Features of each dedup group, of all roles."""
        names = [feature.name for feature in self.schema.features]
        return tuple(tuple(names[n] for n in group) for group in self.schema.groups)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Columns of ``batch.dense_features``."""
        return self._form.dense.names

    @property
    def label_names(self) -> tuple[str, ...]:
        """Columns of ``batch.labels``."""
        return self._form.labels.names

    @property
    def dropped_rows(self) -> int:
        """Rows of this rank's share that no batch has, in the epoch that `len` is of."""
        return self._plan().dropped_rows

    def set_epoch(self, epoch: int) -> None:
        """Have the next iteration be of `epoch`; workers that already run hear of it.

        What `load_state_dict` was given of that very epoch stays to be resumed.
        """
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
            raise RecdInputError(f"set_epoch({epoch!r}): expected an integer from 0")
        waiting = self._epochs.next()
        if waiting.remaining is None or waiting.epoch != epoch:
            self._epochs.resume(epoch)
        self._here().progress = None

    def apply_sharding(self, num_of_instances: int, instance_id: int, group: str) -> None:
        """Take a share from a DataPipe graph; see `Sharding.apply`."""
        self._sharding.apply(num_of_instances, instance_id, group)

    def state_after(self, batch: Any) -> dict[str, Any]:
        """Return the state to resume from when `batch` was the last one trained.

        It does not matter what was read ahead meanwhile, nor how many workers there are, as long
        as a DataLoader gives batches in order.

        Parameters
        ----------
        batch
            As this reader, or a DataLoader of it, gave it.

        Returns
        -------
        dict
            Small and plain: numbers, strings, lists. For `load_state_dict` of the same rank.
        """
        state: dict[str, Any] = batch.cursor.state_after()
        return state

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the batch that this process was given last.

        In a DataLoader worker it is the worker's own, as StatefulDataLoader wants it.

        Raises
        ------
        RecdInputError
            Batches came from workers of a DataLoader, so this process cannot tell: there is
            `state_after`.
        """
        progress, in_worker = self._here().progress, get_worker_info() is not None
        if not in_worker and self._epochs.last_was_in_workers():
            raise RecdInputError(
                "state_dict() of a reader whose batches come from DataLoader workers: expected "
                "state_after(batch), with the batch trained last, or a StatefulDataLoader"
            )
        if progress is None:
            progress = self._begun(self._epochs.next())
        return progress.worker_state() if in_worker else progress.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have the next iteration go on where a state was taken; those after it are whole.

        Parameters
        ----------
        state
            Of `state_after` or `state_dict`, of the same files, options and rank. The number of
            DataLoader workers may be another.

        Raises
        ------
        RecdInputError
            The state is of other files, options or ranks, or is none.
        """
        here, in_worker = self._here(), get_worker_info() is not None
        fingerprint, seed = self._loader.fingerprint, self._options.seed
        if is_worker_state(state):
            if not in_worker:
                raise RecdInputError(
                    "the state is of a DataLoader worker: expected that of state_after(batch), or "
                    "load it into the StatefulDataLoader that it is from"
                )
            here.resumed = Progress.of_worker(
                state, fingerprint=fingerprint, seed=seed, share=self._sharding.share()
            )
            return
        known = isinstance(state, Mapping) and {"rank", "world"} <= state.keys()
        own = (state["rank"], state["world"]) if known else (0, 1)
        # Where nobody has told the rank yet, it is compared when iterating.
        rank, world = self._sharding.rank() or own
        check_state(state, fingerprint=fingerprint, rank=rank, world=world, seed=seed)
        epoch, remaining = resume_point(state)
        if in_worker:
            here.resumed = self._begun(Beginning(0, epoch, remaining, *own))
        else:
            self._epochs.resume(epoch, remaining, *own)
            here.progress = None

    def __iter__(self) -> Iterator[RecdBatch]:
        # The epoch is counted here in a worker, where all workers must agree on it, but with the
        # first batch elsewhere: who makes an iterator and drops it, as StatefulDataLoader does,
        # skips no epoch.
        return self._iterate() if get_worker_info() is None else self._iterate_in_worker()

    def _iterate(self) -> Iterator[RecdBatch]:
        # A state that is refused stays to be resumed: nothing is begun before.
        progress = self._begun(self._epochs.next())
        self._epochs.begin()
        self._here().progress = progress
        yield from self._batches(progress)

    def _set_shuffle(self, shuffle: bool) -> None:
        if shuffle != self._options.shuffle:
            self._open(self._options.changed({"shuffle": shuffle}))

    def _iterate_in_worker(self) -> Iterator[RecdBatch]:
        if self._device is not None:
            raise RecdInputError(
                f"device={self._options.device!r} in a DataLoader worker, which cannot use it: "
                "expected num_workers=0 (threads=... decode in this process), or device=None and "
                f"batch.to({self._options.device!r}) in the training loop"
            )
        here, info = self._here(), get_worker_info()
        tag = (info.seed - info.id, here.iterations)
        here.iterations += 1
        beginning = self._epochs.begin_in_worker(info.id, *tag)
        progress, here.resumed = here.resumed, None
        if progress is not None:
            self._epochs.note(beginning.number, progress.epoch)
        else:
            with errors_as_text():
                progress = self._begun(beginning)
        here.progress = progress
        return self._batches_of_worker(progress, beginning.number, tag)

    def _batches_of_worker(
        self, progress: Progress, number: int, tag: tuple[int, int]
    ) -> Iterator[RecdBatch]:
        with errors_as_text():
            for batch in self._batches(progress):
                self._epochs.require_same(number, progress.share.workers, *tag)
                yield batch

    def _batches(self, progress: Progress) -> Iterator[RecdBatch]:
        return batches_left(self._loader, self._form, progress, self._device, self._wrap)

    def _begun(self, beginning: Beginning) -> Progress:
        """An iteration as it begins; raises where it resumes what is another rank's."""
        share = self._sharding.share()
        fingerprint, seed = self._loader.fingerprint, self._options.seed
        count = self._loader.rank_plan(beginning.epoch, share.rank, share.world).num_batches
        begun: Intervals = ((0, count),) if count else ()
        if beginning.remaining is not None:
            begun = beginning.remaining
            state = Progress(
                fingerprint, beginning.epoch, seed, Share(beginning.rank, beginning.world), begun
            ).state()
            check_state(
                state, fingerprint=fingerprint, rank=share.rank, world=share.world, seed=seed,
                num_batches=count,
            )  # fmt: skip
        return Progress(fingerprint, beginning.epoch, seed, share, begun)

    def _plan(self) -> RankPlan:
        progress = self._here().progress
        running = progress is not None and progress.active
        epoch = progress.epoch if progress and running else self._epochs.next().epoch
        share = self._sharding.share()
        return self._loader.rank_plan(epoch, share.rank, share.world)

    def _here(self) -> _InProcess:
        if self._process.pid != os.getpid():
            self._process = _InProcess()
        return self._process
