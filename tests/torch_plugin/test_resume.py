"""Stopping at every batch, and comparing all that remains, value by value."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from recd_format.errors import RecdInputError
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.progress import Progress
from recd_format.torch.sharding import Share
from tests.torch_plugin.reading import contents

OPTIONS = {"batch_size": 32, "shuffle": True, "window": 2, "shuffle_run": 1, "meta": ["row"]}
BATCHES = 8
WORKERS = [(0, False), (1, False), (1, True), (2, False), (2, True)]
STOPS = range(1, BATCHES + 1)
# StatefulDataLoader of torchdata 0.11 calls what torch 2.13 deprecates, each time it is made.
pytestmark = pytest.mark.filterwarnings("ignore:.*set_vital.*:UserWarning")

Contents = dict[str, list[Any]]


@pytest.fixture(scope="module")
def epochs(small_log: Path) -> list[list[Contents]]:
    """What the batches of three epochs hold."""
    reader = RecdIterableDataset(small_log, **OPTIONS)
    found = [[contents(batch) for batch in reader] for _ in range(3)]
    assert all(len(epoch) == BATCHES for epoch in found)
    return found


def dataset(path: Path, **changes: Any) -> RecdIterableDataset:
    return RecdIterableDataset(path, **{**OPTIONS, **changes})


def loader(reader: Any, workers: int, persistent: bool, **options: Any) -> DataLoader:
    ahead = {"prefetch_factor": 3} if workers else {}
    return DataLoader(
        reader,
        batch_size=None,
        num_workers=workers,
        persistent_workers=persistent,
        **ahead,
        **options,
    )


def order(workers: int) -> list[int]:
    """Numbers of an epoch's batches in the order that workers in turns give them."""
    workers = max(workers, 1)
    share, more = divmod(BATCHES, workers)
    blocks, begin = [], 0
    for worker in range(workers):
        end = begin + share + (worker < more)
        blocks.append(list(range(begin, end)))
        begin = end
    return [block[turn] for turn in range(share + 1) for block in blocks if turn < len(block)]


def check(batches: Any, epochs: list[list[Contents]], epoch: int, expected: list[int]) -> None:
    """Compare batches with those of an epoch, by number and value by value."""
    numbers = []
    for batch in batches:
        assert batch.cursor.epoch == epoch
        assert contents(batch) == epochs[epoch][batch.cursor.batch]
        numbers.append(batch.cursor.batch)
    assert numbers == expected


def rest(epochs: list[Any], stop: int, workers: int) -> Iterator[tuple[int, list[int]]]:
    """The epochs that follow a state, as numbers of batches."""
    if stop < BATCHES:
        yield 0, order(workers)[stop:]
    yield 1, order(workers)


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_a_plain_loop(small_log: Path, epochs: list[Any], workers: int, persistent: bool) -> None:
    reader = dataset(small_log)
    # The loader has read ahead by the time each state is made.
    batches = list(loader(reader, workers, persistent))
    check(batches, epochs, 0, order(workers))
    states = [json.loads(json.dumps(reader.state_after(batch))) for batch in batches]
    again = dataset(small_log)
    resumed = loader(again, workers, persistent)
    for stop in STOPS:
        # In the one reader, time and again: also with workers that run already.
        again.load_state_dict(states[stop - 1])
        for epoch, numbers in rest(epochs, stop, workers):
            check(resumed, epochs, epoch, numbers)


@pytest.mark.parametrize("stop", STOPS)
def test_a_plain_loop_in_a_new_reader(small_log: Path, epochs: list[Any], stop: int) -> None:
    for workers in (0, 2):
        reader = dataset(small_log)
        for trained, batch in enumerate(loader(reader, workers, False), 1):
            if trained == stop:
                state = reader.state_after(batch)
                break
        again = dataset(small_log)
        again.load_state_dict(state)
        resumed = loader(again, workers, False)
        for epoch, numbers in rest(epochs, stop, workers):
            check(resumed, epochs, epoch, numbers)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (0, 2), (2, 0)])
def test_another_number_of_workers(
    small_log: Path, epochs: list[Any], before: int, after: int
) -> None:
    reader = dataset(small_log)
    states = [reader.state_after(batch) for batch in loader(reader, before, False)]
    again = dataset(small_log)
    resumed = loader(again, after, False)
    for stop, state in enumerate(states[:-1], 1):
        again.load_state_dict(state)
        found = list(resumed)
        numbers = [batch.cursor.batch for batch in found]
        assert sorted(numbers) == sorted(order(before)[stop:])
        check(found, epochs, 0, numbers)
    again.load_state_dict(states[-1])
    check(resumed, epochs, 1, order(after))


def test_an_epoch_of_one_batch_at_a_time(small_log: Path, epochs: list[Any]) -> None:
    state, numbers = None, []
    for workers in (2, 1, 0, 2, 2, 0, 1, 2):
        reader = dataset(small_log)
        if state is not None:
            reader.load_state_dict(state)
        batch = next(iter(loader(reader, workers, False)))
        check([batch], epochs, 0, [batch.cursor.batch])
        numbers.append(batch.cursor.batch)
        state = json.loads(json.dumps(reader.state_after(batch)))
    assert sorted(numbers) == list(range(BATCHES))
    assert state["remaining"] == []


def test_threads_that_read_ahead_are_not_asked(small_log: Path, epochs: list[Any]) -> None:
    reader = dataset(small_log, threads=2, prefetch=6)
    batches = iter(reader)
    for stop in STOPS:
        batch = next(batches)
        again = dataset(small_log, threads=2, prefetch=6)
        again.load_state_dict(reader.state_after(batch))
        assert reader.state_dict() == reader.state_after(batch)
        for epoch, numbers in rest(epochs, stop, 0):
            check(again, epochs, epoch, numbers)


@pytest.mark.parametrize("uneven", ["drop", "wrap"])
def test_each_rank_by_itself(small_log: Path, uneven: str) -> None:
    for rank in range(3):
        reader = dataset(small_log, rank=rank, world=3, uneven=uneven)
        expected = [contents(batch) for batch in reader]
        reader.set_epoch(0)
        states = [reader.state_after(batch) for batch in reader]
        for stop, state in enumerate(states[:-1], 1):
            reader.load_state_dict(state)
            assert [contents(batch) for batch in reader] == expected[stop:]


@pytest.mark.parametrize("options", [{"mix": "rows"}, {"cut_sessions": False}, {"shuffle": False}])
def test_other_orders(small_log: Path, options: dict[str, Any]) -> None:
    reader = dataset(small_log, **options)
    expected = [contents(batch) for batch in reader]
    reader.set_epoch(0)
    states = [reader.state_after(batch) for batch in reader]
    for stop, state in enumerate(states[:-1], 1):
        reader.load_state_dict(state)
        assert [contents(batch) for batch in reader] == expected[stop:]


def stateful(reader: Any, workers: int, persistent: bool) -> Any:
    module = pytest.importorskip("torchdata.stateful_dataloader")
    ahead = {"prefetch_factor": 3} if workers else {}
    return module.StatefulDataLoader(
        reader, batch_size=None, num_workers=workers, persistent_workers=persistent, **ahead
    )


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_a_stateful_dataloader(
    small_log: Path,
    epochs: list[Any],
    workers: int,
    persistent: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batches = stateful(dataset(small_log), workers, persistent)
    states, seen = [pickle.dumps(batches.state_dict())], []
    for batch in batches:
        seen.append(batch)
        states.append(pickle.dumps(batches.state_dict()))
    check(seen, epochs, 0, order(workers))
    states.append(pickle.dumps(batches.state_dict()))
    for stop, state in enumerate(states):
        resumed = stateful(dataset(small_log), workers, persistent)
        resumed.load_state_dict(pickle.loads(state))
        if stop < BATCHES:
            check(resumed, epochs, 0, order(workers)[stop:])
        elif stop == BATCHES and workers:
            # No worker knows that the others have given all.
            check(resumed, epochs, 0, [])
        for epoch in (1, 2) if stop in (3, BATCHES) else (1,):
            check(resumed, epochs, epoch, order(workers))
    # Nothing was decoded to be thrown away.
    assert "fast-forward" not in caplog.text


@pytest.mark.parametrize(("workers", "persistent"), WORKERS)
def test_a_stateful_dataloader_is_resumed_in_place(
    small_log: Path, epochs: list[Any], workers: int, persistent: bool
) -> None:
    batches = stateful(dataset(small_log), workers, persistent)
    for stop in (3, 7, 1):
        batches.dataset.set_epoch(0)
        for number, _ in enumerate(batches, 1):
            if number == stop:
                state = pickle.loads(pickle.dumps(batches.state_dict()))
                break
        batches.load_state_dict(state)
        check(batches, epochs, 0, order(workers)[stop:])
        check(batches, epochs, 1, order(workers))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_of_a_resumed_stateful_dataloader_know_their_rank(
    small_log: Path, epochs: list[Any], workers: int
) -> None:
    batches = stateful(dataset(small_log), workers, False)
    for number, _ in enumerate(batches, 1):
        if number == 3:
            state = batches.state_dict()
            break
    resumed = stateful(dataset(small_log), workers, False)
    resumed.load_state_dict(state)
    for stop, batch in enumerate(resumed, 4):
        again = dataset(small_log)
        again.load_state_dict(again.state_after(batch))
        left = order(workers)[stop:]
        if left:
            numbers = [batch.cursor.batch for batch in again]
            assert sorted(numbers) == sorted(left)


def test_a_state_of_a_worker_is_of_that_worker() -> None:
    share = Share(0, 1, 1, 3)
    state = Progress("f", 2, 5, share, ((0, 4), (6, 9)), 1).worker_state()
    own = {"fingerprint": "f", "seed": 5}
    assert Progress.of_worker(state, share=share, **own).left() == ((6, 7),)
    for changed, message in (
        ({**state, "worker": 0}, "worker 0 of 3, this is worker 1 of 3"),
        ({**state, "workers": 2}, "worker 1 of 2, this is worker 1 of 3"),
        ({**state, "world": 2}, "rank 0 of 2"),
        ({**state, "given": -1}, "'given'"),
        ({**state, "begun": [[4, 0]]}, "'remaining'"),
        ({**state, "fingerprint": "g"}, "other files"),
    ):
        with pytest.raises(RecdInputError, match=message):
            Progress.of_worker(changed, share=share, **own)


@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_loader_of_nodes(small_log: Path, epochs: list[Any], prefetch: int) -> None:
    nodes = pytest.importorskip("torchdata.nodes")
    from recd_format.torch.node import RecdNode

    def made() -> Any:
        node = RecdNode(small_log, **OPTIONS)
        return nodes.Loader(nodes.Prefetcher(node, prefetch) if prefetch else node)

    batches = made()
    states, seen = [], []
    for batch in batches:
        seen.append(batch)
        states.append(pickle.dumps(batches.state_dict()))
    check(seen, epochs, 0, order(0))
    for stop, state in enumerate(states, 1):
        for again in (made(), batches):
            again.load_state_dict(pickle.loads(state))
            for epoch, numbers in rest(epochs, stop, 0):
                check(again, epochs, epoch, numbers)


def test_states_are_small_and_plain(small_log: Path) -> None:
    reader = dataset(small_log)
    state = reader.state_after(list(loader(reader, 2, False))[4])
    assert len(json.dumps(state)) < 200
    assert json.loads(json.dumps(state)) == state
