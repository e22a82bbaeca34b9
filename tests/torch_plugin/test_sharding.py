"""Rank and world come from one source, and every row is read once."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, _utils

from recd_format.errors import RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.torch import sharding
from recd_format.torch.datapipe import RecdDataPipe
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.sharding import Sharding, Share
from tests.torch_plugin.reading import ROWS, in_children, row_numbers

OPTIONS = {"batch_size": 16, "shuffle": True, "window": 2, "meta": ["row"]}
WORLD = 2


@pytest.fixture
def in_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Make this process look like a DataLoader worker."""

    def be(number: int, workers: int) -> None:
        info = SimpleNamespace(id=number, num_workers=workers, seed=number)
        monkeypatch.setattr(_utils.worker, "_worker_info", info)

    return be


@pytest.fixture
def distributed(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Make this process look like a rank."""

    def be(rank: int, world: int) -> None:
        monkeypatch.setattr(sharding, "_distributed", lambda: (rank, world))

    return be


def test_sources_in_order(distributed: Any, in_worker: Any) -> None:
    plain = Sharding(LoaderOptions())
    explicit = Sharding(LoaderOptions(rank=2, world=5))
    assert plain.rank() is None
    assert plain.share() == Share(0, 1, 0, 1)
    distributed(1, 3)
    assert plain.share() == Share(1, 3, 0, 1)
    plain.apply(4, 2)
    explicit.apply(4, 2)
    assert plain.share() == Share(2, 4, 0, 1)
    assert explicit.share() == Share(2, 5, 0, 1)
    in_worker(1, 2)
    assert plain.share() == Share(2, 4, 1, 2)
    assert explicit.share() == Share(2, 5, 1, 2)


def test_what_a_dataloader_says_in_a_worker(in_worker: Any) -> None:
    # worker * ranks + rank, of workers * ranks
    for worker in range(3):
        in_worker(worker, 3)
        for rank in range(2):
            found = Sharding(LoaderOptions())
            found.apply(6, worker * 2 + rank)
            assert found.share() == Share(rank, 2, worker, 3)


def test_what_two_readers_of_ranks_and_workers_say() -> None:
    found = Sharding(LoaderOptions())
    found.apply(2, 1, "DISTRIBUTED")
    found.apply(3, 2, "MULTIPROCESSING")
    assert found.share() == Share(1, 2, 2, 3)


@pytest.mark.parametrize(("count", "instance"), [(2, 2), (2, -1), (0, 0)])
def test_instances_that_are_none(count: int, instance: int) -> None:
    with pytest.raises(RecdInputError, match="apply_sharding"):
        Sharding(LoaderOptions()).apply(count, instance)


def test_instances_that_are_not_of_this_worker(in_worker: Any) -> None:
    in_worker(1, 2)
    for count, instance in ((3, 2), (4, 1)):
        with pytest.raises(RecdInputError, match="a multiple of the workers"):
            Sharding(LoaderOptions()).apply(count, instance)


def test_a_spawned_worker_inherits_the_rank(
    distributed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed(1, 2)
    found = Sharding(LoaderOptions())
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing.context, "get_spawning_popen", object)
        spawned = pickle.dumps(found)
    copied = pickle.dumps(found)
    monkeypatch.undo()
    assert pickle.loads(spawned).share() == Share(1, 2, 0, 1)
    # What is pickled for anything else may be read by another job.
    assert pickle.loads(copied).share() == Share(0, 1, 0, 1)


def test_ranks_share_out_the_rows_and_give_as_many_batches(small_log: Path) -> None:
    for uneven in ("drop", "wrap", "allow"):
        readers = [
            RecdIterableDataset(small_log, **OPTIONS, rank=rank, world=4, uneven=uneven)
            for rank in range(4)
        ]
        found = [[row_numbers(batch) for batch in reader] for reader in readers]
        assert [len(batches) for batches in found] == [
            reader._loader.rank_plan(0, rank, 4).num_batches for rank, reader in enumerate(readers)
        ]
        rows = [row for batches in found for batch in batches for row in batch]
        if uneven != "allow":
            assert len({len(batches) for batches in found}) == 1
        if uneven != "wrap":
            assert len(rows) == len(set(rows))
        if uneven != "drop":
            assert set(rows) == set(range(ROWS))
        for reader in readers:
            reader.set_epoch(0)
        dropped = sum(reader.dropped_rows for reader in readers)
        assert len(set(rows)) + dropped == ROWS


def test_a_state_is_of_one_rank(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, **OPTIONS, rank=1, world=2)
    state = reader.state_after(next(iter(reader)))
    reader.load_state_dict(state)
    assert len(list(reader)) == len(reader) - 1
    with pytest.raises(RecdInputError, match="rank 1 of 2, this is rank 0 of 2"):
        RecdIterableDataset(small_log, **OPTIONS, rank=0, world=2).load_state_dict(state)
    # Here nobody has told a rank yet: it is compared when iterating.
    late = RecdIterableDataset(small_log, **OPTIONS)
    late.load_state_dict(state)
    for _ in range(2):
        with pytest.raises(RecdInputError, match="rank 1 of 2, this is rank 0 of 1"):
            next(iter(late))


def readers(path: Path) -> dict[str, Any]:
    from torchdata.nodes import Loader, Prefetcher

    from recd_format.torch.node import RecdNode

    def loader(reader: Any, workers: int = 2, **options: Any) -> DataLoader:
        return DataLoader(reader, batch_size=None, num_workers=workers, **options)

    return {
        "dataset": RecdIterableDataset(path, **OPTIONS),
        "dataset in a loader": loader(RecdIterableDataset(path, **OPTIONS), 0),
        "dataset in workers": loader(RecdIterableDataset(path, **OPTIONS)),
        "dataset in workers that stay": loader(
            RecdIterableDataset(path, **OPTIONS), persistent_workers=True
        ),
        "pipe": RecdDataPipe(path, **OPTIONS),
        "pipe in a loader": loader(RecdDataPipe(path, **OPTIONS), 0),
        "pipe in workers": loader(RecdDataPipe(path, **OPTIONS)),
        "pipe in workers that stay": loader(RecdDataPipe(path, **OPTIONS), persistent_workers=True),
        "node": Loader(Prefetcher(RecdNode(path, **OPTIONS), 2)),
    }


def read_as_rank(rank: int, path: Path, folder: Path, spawned: bool) -> dict[str, Any]:
    """Two epochs of each reader, as rows by batch, in a process group."""
    if spawned:
        made = {
            "spawned": DataLoader(
                RecdIterableDataset(path, **OPTIONS),
                batch_size=None,
                num_workers=1,
                multiprocessing_context="spawn",
                persistent_workers=True,
            )
        }
    else:
        # Made before there is a process group: ranks are asked for when iterating.
        made = readers(path)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'group'}", rank=rank, world_size=WORLD
    )
    try:
        return {
            name: [[row_numbers(batch) for batch in reader] for _ in range(2)]
            for name, reader in made.items()
        }
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("spawned", [False, True])
def test_two_ranks_and_their_workers_lose_nothing_and_share_nothing(
    small_log: Path, tmp_path: Path, spawned: bool
) -> None:
    pytest.importorskip("torchdata.nodes")
    alone = [
        RecdIterableDataset(small_log, **OPTIONS, rank=rank, world=WORLD) for rank in range(WORLD)
    ]
    expected = [[sorted(map(row_numbers, reader)) for _ in range(2)] for reader in alone]
    for epoch in range(2):
        assert len({len(found[epoch]) for found in expected}) == 1
        rows = [row for found in expected for batch in found[epoch] for row in batch]
        assert sorted(rows) == list(range(ROWS))
    found = in_children(
        *(partial(read_as_rank, rank, small_log, tmp_path, spawned) for rank in range(WORLD))
    )
    for rank in range(WORLD):
        for name, epochs in found[rank].items():
            assert [sorted(batches) for batches in epochs] == expected[rank], (name, rank)
