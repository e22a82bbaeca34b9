"""Numbers of iterations, agreed between processes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from torch.utils.data import _utils

from recd_format.errors import RecdInputError
from recd_format.torch.epochs import Beginning, Epochs
from tests.torch_plugin.reading import in_children


def claim(epochs: Epochs, worker: int, seed: int = 5, iteration: int = 0) -> tuple[int, int]:
    begun = epochs.begin_in_worker(worker, seed, iteration)
    return begun.number, begun.epoch


def test_iterations_of_a_process_are_epochs() -> None:
    epochs = Epochs()
    assert [epochs.begin().epoch for _ in range(3)] == [0, 1, 2]
    assert epochs.next() == Beginning(4, 3)


def test_workers_of_one_set_take_the_same_number() -> None:
    epochs = Epochs()
    assert [claim(epochs, worker) for worker in (1, 0, 2)] == [(1, 0)] * 3
    # Workers that go on have begun one iteration before.
    assert [claim(epochs, worker, iteration=1) for worker in (0, 2, 1)] == [(2, 1)] * 3
    # Others come, fewer or more of them, and the process itself.
    assert [claim(epochs, worker, seed=6) for worker in (0,)] == [(3, 2)]
    assert epochs.begin() == Beginning(4, 3)
    assert [claim(epochs, worker, seed=7) for worker in (3, 1, 0, 2)] == [(5, 4)] * 4


def test_a_worker_that_never_came_is_not_waited_for() -> None:
    epochs = Epochs()
    assert claim(epochs, 0, seed=1) == (1, 0)
    assert claim(epochs, 0, seed=2) == (2, 1)
    assert claim(epochs, 1, seed=2) == (2, 1)


def test_a_generator_that_is_seeded_the_same_again() -> None:
    epochs = Epochs()
    for number in (1, 2, 3):
        assert [claim(epochs, worker) for worker in (0, 1)] == [(number, number - 1)] * 2
        epochs.require_same(number, 2, 5, 0)


def test_two_sets_of_workers_in_turns() -> None:
    epochs = Epochs()
    assert claim(epochs, 0, seed=1) == (1, 0)
    assert claim(epochs, 1, seed=2) == (2, 1)
    assert claim(epochs, 1, seed=1) == (1, 0)


def test_workers_that_disagree_are_told() -> None:
    epochs = Epochs()
    claim(epochs, 0, seed=1)
    # As if another set had taken a number between this worker's look and its answer.
    epochs._array[-1] = 9
    epochs._array[epochs._array.size - 4095 + 1] = (int(epochs._array[-4095]) >> 24) << 24 | 2
    with pytest.raises(RecdInputError, match="a dataset of its own"):
        epochs.require_same(1, 2, 1, 0)
    epochs.require_same(2, 2, 1, 0)


def test_resume_is_for_one_iteration() -> None:
    epochs = Epochs()
    epochs.begin()
    epochs.resume(7, [(3, 5), (8, 9)], 1, 2)
    for _ in range(2):
        assert epochs.next() == Beginning(2, 7, ((3, 5), (8, 9)), 1, 2)
    assert epochs.begin() == Beginning(2, 7, ((3, 5), (8, 9)), 1, 2)
    assert epochs.begin() == Beginning(3, 8)
    epochs.resume(2)
    assert [epochs.begin().epoch for _ in range(2)] == [2, 3]


def test_resume_with_nothing_left_gives_nothing_once() -> None:
    epochs = Epochs()
    epochs.resume(4, [], 0, 1)
    assert epochs.begin().remaining == ()
    assert epochs.begin() == Beginning(2, 5)


def test_what_is_set_reaches_workers_that_run() -> None:
    epochs = Epochs()
    assert [claim(epochs, worker) for worker in (0, 1)] == [(1, 0)] * 2
    epochs.resume(9, [(0, 4)], 0, 1)
    assert epochs.begin_in_worker(1, 5, 1) == Beginning(2, 9, ((0, 4),), 0, 1)
    assert epochs.begin_in_worker(0, 5, 1) == Beginning(2, 9, ((0, 4),), 0, 1)
    assert [claim(epochs, worker, iteration=2) for worker in (0, 1)] == [(3, 10)] * 2


def test_a_worker_says_what_its_own_state_told_it() -> None:
    epochs = Epochs()
    for worker in (0, 1):
        number, _ = claim(epochs, worker)
        epochs.note(number, 6)
    assert [claim(epochs, worker, seed=8) for worker in (0, 1)] == [(2, 7)] * 2


def test_who_iterated_last() -> None:
    epochs = Epochs()
    assert not epochs.last_was_in_workers()
    claim(epochs, 0)
    assert epochs.last_was_in_workers()
    epochs.begin()
    assert not epochs.last_was_in_workers()
    claim(epochs, 0, seed=9)
    assert epochs.last_was_in_workers()
    epochs.resume(3)
    assert not epochs.last_was_in_workers()


def test_too_many_intervals_or_workers() -> None:
    with pytest.raises(RecdInputError, match="16385 intervals"):
        Epochs().resume(0, [(2 * n, 2 * n + 1) for n in range(16385)], 0, 1)
    with pytest.raises(RecdInputError, match="at most 4095 workers"):
        claim(Epochs(), 4095)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_goes_on_by_itself(copied: Callable[[Epochs], Epochs]) -> None:
    epochs = Epochs()
    epochs.begin()
    epochs.resume(5, [(1, 2)], 0, 1)
    other = copied(epochs)
    assert other.begin() == Beginning(1, 5, ((1, 2),), 0, 1)
    assert other.begin().epoch == 6
    assert epochs.next() == Beginning(2, 5, ((1, 2),), 0, 1)


def test_a_forked_rank_has_its_own_numbers() -> None:
    epochs = Epochs()
    epochs.begin()
    assert in_children(lambda: epochs.begin().number)[0] == 2
    assert in_children(lambda: epochs.begin().number)[0] == 2
    assert epochs.begin().number == 2


def test_a_forked_rank_and_its_workers_share_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = Epochs()

    def worker(number: int) -> tuple[int, int]:
        _utils.worker._worker_info = object()  # this process is a DataLoader worker
        return claim(epochs, number)

    def rank() -> Any:
        # The rank itself does not touch them before its workers are there.
        found = [in_children(lambda number=number: worker(number))[0] for number in (0, 1)]
        return [*found, epochs.begin().number]

    for _ in range(2):
        assert in_children(rank)[0] == [(1, 0), (1, 0), 2]
    assert epochs.begin().number == 1
