from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.cursor import (
    Cursor,
    check_state,
    count_batches,
    resume_point,
    worker_block,
)

READER = {"fingerprint": "f", "rank": 1, "world": 3, "seed": 7}


def numbers(intervals):
    return [k for low, high in intervals for k in range(low, high)]


def iterate(begun, workers):
    """Cursors of an iteration in the order a DataLoader gives its workers' batches.

    It asks its workers in turn, and leaves out those that are at their end.
    """
    begun = tuple(tuple(pair) for pair in begun)
    blocks = [numbers(worker_block(begun, worker, workers)) for worker in range(workers)]
    active = list(range(workers))
    given_batches = [0] * workers
    while active:
        for worker in list(active):
            if given_batches[worker] == len(blocks[worker]):
                active.remove(worker)
                continue
            batch = blocks[worker][given_batches[worker]]
            given_batches[worker] += 1
            yield Cursor("f", 4, 7, 1, 3, worker, workers, begun, batch, given_batches[worker])


@st.composite
def intervals(draw):
    """Disjoint intervals of batch numbers, in any order."""
    found, at = [], 0
    for _ in range(draw(st.integers(0, 4))):
        low = at + draw(st.integers(0, 3))
        at = low + draw(st.integers(1, 7))
        found.append((low, at))
    return tuple(draw(st.permutations(found)))


@given(intervals(), st.integers(1, 6))
def test_blocks_are_equal_shares_in_order(begun, workers):
    blocks = [worker_block(begun, worker, workers) for worker in range(workers)]
    assert [k for block in blocks for k in numbers(block)] == numbers(begun)
    sizes = [count_batches(block) for block in blocks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


@given(intervals(), st.integers(1, 5), st.integers(1, 5))
def test_every_batch_knows_what_remains(begun, workers, others):
    order = list(iterate(begun, workers))
    assert sorted(cursor.batch for cursor in order) == sorted(numbers(begun))
    for step, cursor in enumerate(order):
        rest = [later.batch for later in order[step + 1 :]]
        # As a checkpoint has it.
        state = json.loads(json.dumps(cursor.state_after()))
        check_state(state, **READER)
        assert sorted(numbers(state["remaining"])) == sorted(rest)
        if not rest:
            assert resume_point(state) == (5, None)
            continue
        epoch, remaining = resume_point(state)
        assert epoch == 4
        # As many workers go on in the same order, others give the same batches.
        assert [each.batch for each in iterate(remaining, workers)] == rest
        assert sorted(each.batch for each in iterate(remaining, others)) == sorted(rest)


@given(st.data(), st.integers(0, 40))
def test_an_epoch_stopped_again_and_again_gives_every_batch_once(data, batches):
    remaining = ((0, batches),) if batches else None
    given_batches = []
    for stop in range(100):
        workers = data.draw(st.integers(1, 5)) if stop < 20 else 1
        order = list(iterate(remaining or (), workers))
        if not order:
            break
        steps = data.draw(st.integers(1, len(order)))
        given_batches += [cursor.batch for cursor in order[:steps]]
        state = order[steps - 1].state_after()
        assert len(state["remaining"]) <= len(remaining) + workers
        epoch, remaining = resume_point(state)
        if epoch == 5:
            break
    assert sorted(given_batches) == list(range(batches))


def test_state_is_small_and_plain():
    cursor = Cursor("abc", 2, 5, 0, 1, 1, 2, ((0, 1000),), 500, 1)
    assert cursor.state_after() == {
        "version": 1,
        "fingerprint": "abc",
        "epoch": 2,
        "seed": 5,
        "rank": 0,
        "world": 1,
        "remaining": [[1, 500], [501, 1000]],
    }
    assert pickle.loads(pickle.dumps(cursor)) == cursor
    # Workers of different progress: the one whose turn it is comes first.
    cursor = Cursor("abc", 2, 5, 0, 1, 0, 2, ((0, 1000),), 0, 1)
    assert cursor.state_after()["remaining"] == [[500, 1000], [1, 500]]


def test_without_workers_what_remains_is_what_follows():
    for cursor in iterate([(0, 5)], 1):
        rest = [[cursor.batch + 1, 5]] if cursor.batch < 4 else []
        assert cursor.state_after()["remaining"] == rest


GOOD = {**READER, "version": 1, "epoch": 4, "remaining": [[3, 5], [0, 2]]}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], "the state is a list: expected a dict"),
        ({}, "the state lacks 'version'"),
        ({k: v for k, v in GOOD.items() if k != "remaining"}, "the state lacks 'remaining'"),
        ({**GOOD, "version": 2}, "the state is of version 2: this package reads version 1"),
        ({**GOOD, "epoch": "4"}, "the state's 'epoch' is '4': expected an integer"),
        ({**GOOD, "epoch": -1}, "the state's 'epoch' is -1: expected an integer"),
        ({**GOOD, "rank": 0}, "the state is of rank 0 of 3, this is rank 1 of 3"),
        ({**GOOD, "world": 2}, "the state is of rank 1 of 2, this is rank 1 of 3"),
        ({**GOOD, "seed": 8}, "the state is of seed 8, this reader's seed is 7"),
        ({**GOOD, "fingerprint": "g"}, "the state is of other files, transforms or options"),
        ({**GOOD, "remaining": 5}, "the state's 'remaining' is 5: expected a list"),
        ({**GOOD, "remaining": [[1, 1]]}, "expected a list of [low, high) batch numbers"),
        ({**GOOD, "remaining": [[1]]}, "expected a list of [low, high) batch numbers"),
        ({**GOOD, "remaining": [[-1, 1]]}, "expected a list of [low, high) batch numbers"),
        ({**GOOD, "remaining": ["12"]}, "expected a list of [low, high) batch numbers"),
        ({**GOOD, "remaining": [[2, 4], [0, 3]]}, "the state's 'remaining' has batch 2 twice"),
        ({**GOOD, "remaining": [[2, 9]]}, "has batch 8: this rank has 5 batches"),
    ],
)
def test_a_state_of_something_else_is_refused(state, message):
    with pytest.raises(RecdInputError) as error:
        check_state(state, **READER, num_batches=5)
    assert message in str(error.value)


def test_a_good_state_is_taken():
    check_state(GOOD, **READER)
    check_state(GOOD, **READER, num_batches=5)
    check_state({**GOOD, "remaining": ()}, **READER)
