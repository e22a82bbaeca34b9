"""The reader as torch's IterDataPipe: the one module that knows DataPipes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch.utils import data

from recd_format.errors import RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.torch.batch import RecdBatch
from recd_format.torch.dataset import RecdIterableDataset

__all__ = ["RecdDataPipe"]

# torchdata has dropped DataPipes; should torch do so too, this is a plain IterableDataset.
_BASE = getattr(data, "IterDataPipe", data.IterableDataset)
_HAS_PIPES = _BASE is not data.IterableDataset
_FUNCTION = "decode_recd"


class RecdDataPipe(_BASE):  # type: ignore[misc, valid-type]
    """Batches of ``.recd`` files, as a DataPipe.

    A thin cover of `RecdIterableDataset`, which is its `dataset`. A DataLoader shards it by
    itself, over ranks and workers: rows are shared out, not files. ``DataLoader(shuffle=...)``
    sets the option of that name; the order comes from the option `seed` and the epoch alone, so
    that it can be resumed.

    Parameters
    ----------
    where
        As of `RecdIterableDataset`, or a DataPipe of paths: it is read here, once.
    options, filesystem, **changes
        As of `RecdIterableDataset`.

    Examples
    --------
    >>> pipe = RecdDataPipe("train/*.recd", batch_size=4096)  # doctest: +SKIP
    >>> pipe = FileLister("train", "*.recd").decode_recd(batch_size=4096)  # doctest: +SKIP
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
        if _HAS_PIPES and isinstance(where, _BASE):
            where = _paths(where)
        self.dataset = RecdIterableDataset(where, options=options, filesystem=filesystem, **changes)

    def __iter__(self) -> Iterator[RecdBatch]:
        return iter(self.dataset)

    def __len__(self) -> int:
        """As of the dataset."""
        return len(self.dataset)

    def __repr__(self) -> str:
        return repr(self.dataset).replace("RecdIterableDataset", "RecdDataPipe", 1)

    __str__ = __repr__

    def apply_sharding(
        self, num_of_instances: int, instance_id: int, sharding_group: Any = None
    ) -> None:
        """Take a share of the rows; a DataLoader calls this. Ranks given as options stay."""
        group = getattr(sharding_group, "name", "DEFAULT")
        self.dataset._sharding.apply(num_of_instances, instance_id, group)

    def set_shuffle(self, shuffle: bool = True) -> RecdDataPipe:
        """Set the option `shuffle`; a DataLoader that is given its own calls this."""
        self.dataset._set_shuffle(shuffle)
        return self

    def set_seed(self, seed: int) -> RecdDataPipe:
        """Do nothing: a DataLoader's random seed of each epoch could not be resumed."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """As of the dataset."""
        self.dataset.set_epoch(epoch)

    def state_after(self, batch: Any) -> dict[str, Any]:
        """As of the dataset."""
        return self.dataset.state_after(batch)

    def state_dict(self) -> dict[str, Any]:
        """As of the dataset. A StatefulDataLoader does not see it: give it the `dataset`."""
        return self.dataset.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As of the dataset."""
        self.dataset.load_state_dict(state)


def _paths(pipe: Iterable[Any]) -> list[str]:
    paths = list(pipe)
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise RecdInputError(
                f"{_FUNCTION}: expected a DataPipe of paths, found {type(path).__name__}"
            )
    return [os.fspath(path) for path in paths]


# A name is taken for good: importing this module a second time must not raise.
if _HAS_PIPES and _FUNCTION not in _BASE.functions:
    data.functional_datapipe(_FUNCTION)(RecdDataPipe)
