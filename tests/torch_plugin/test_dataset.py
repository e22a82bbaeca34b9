"""The reader in one process: epochs, states, errors, and nothing left behind."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from recd_format.errors import RecdFormatError, RecdInputError
from recd_format.loader.options import LoaderOptions
from recd_format.torch.dataset import RecdIterableDataset
from tests.torch_plugin.reading import ROWS, no_leaks, row_numbers, write_small_log

SHUFFLED = {"batch_size": 32, "shuffle": True, "window": 2, "shuffle_run": 1, "meta": ["row"]}


def rows(batches: Any) -> list[list[int]]:
    return [row_numbers(batch) for batch in batches]


def flat(batches: Any) -> list[int]:
    return [row for batch in batches for row in batch]


def fail_at_once(batches: Any) -> None:
    for _ in batches:
        1 / 0  # noqa: B018


@pytest.fixture(scope="module")
def epochs(small_log: Path) -> list[list[list[int]]]:
    """Row numbers of the batches of four epochs."""
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    return [rows(reader) for _ in range(4)]


def test_each_iteration_is_the_next_epoch(small_log: Path, epochs: list[Any]) -> None:
    assert all(sorted(flat(epoch)) == list(range(ROWS)) for epoch in epochs)
    assert len({json.dumps(epoch) for epoch in epochs}) == 4
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    assert [rows(reader) for _ in range(2)] == epochs[:2]
    reader.set_epoch(1)
    assert [rows(reader) for _ in range(2)] == epochs[1:3]


def test_a_broken_off_epoch_is_over(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    assert rows(islice(reader, 2)) == epochs[0][:2]
    assert rows(reader) == epochs[1]


def test_two_iterators_at_once(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    pairs = list(zip(reader, reader, strict=True))
    assert rows(first for first, _ in pairs) == epochs[0]
    assert rows(second for _, second in pairs) == epochs[1]


def test_iterators_that_give_nothing_are_no_epochs(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    iter(reader)
    iter(reader)
    assert rows(reader) == epochs[0]


def test_seeds_and_options(small_log: Path, epochs: list[Any]) -> None:
    options = LoaderOptions(batch_size=50, meta=["row"], seed=3)
    reader = RecdIterableDataset(small_log, options=options, batch_size=32)
    assert reader.options.batch_size == 32
    assert reader.options.seed == 3
    assert rows(reader) != epochs[0]
    assert flat(rows(RecdIterableDataset(small_log, options=options))) == list(range(ROWS))


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"cut_sessions": False}])
def test_len_is_exact(small_log: Path, options: dict[str, Any]) -> None:
    reader = RecdIterableDataset(small_log, **{**SHUFFLED, **options})
    for _ in range(3):
        expected, dropped = len(reader), reader.dropped_rows
        given = 0
        batches = 0
        for batch in reader:
            assert len(reader) == expected
            given += len(batch)
            batches += 1
        assert batches == expected
        assert given + dropped == ROWS
    assert bool(dropped) == ("drop_last" in options)


def test_what_it_says_of_itself(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, batch_size=8)
    assert repr(reader) == f"RecdIterableDataset({small_log}, batch_size=8)"
    assert reader.keys == ("user", "genre", "history", "often", "item")
    assert ("user", "genre", "age") in reader.groups
    assert reader.dense_names[:2] == ("age", "price")
    assert reader.label_names == ("label", "bought")
    assert [feature.name for feature in reader.schema.features][:2] == ["user", "genre"]


def test_several_files(tmp_path: Path) -> None:
    for number in range(3):
        write_small_log(tmp_path / f"{number}.recd", rows=60, seed=number, first_row=60 * number)
    for where in (tmp_path / "*.recd", [tmp_path / f"{n}.recd" for n in range(3)]):
        reader = RecdIterableDataset(where, batch_size=50, meta=["row"])
        assert "3 files" in repr(reader)
        assert flat(rows(reader)) == list(range(180))


@pytest.mark.parametrize("stop", range(9))
def test_state_dict_is_of_the_batch_given_last(
    small_log: Path, epochs: list[Any], stop: int
) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    batches = iter(reader)
    for _ in range(stop):
        last = next(batches)
    state = json.loads(json.dumps(reader.state_dict()))
    if stop:
        assert state == reader.state_after(last)
    if stop == 8:
        assert list(batches) == []
        assert reader.state_dict() == state
    other = RecdIterableDataset(small_log, **SHUFFLED)
    other.load_state_dict(state)
    assert other.state_dict() == state or stop == 8
    # After a finished epoch the next one begins whole.
    left = epochs[0][stop:] or epochs[1]
    assert rows(other) == left
    assert rows(other) == epochs[2 if stop == 8 else 1]


def test_a_state_is_resumed_once(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    batch = list(reader)[4]
    for _ in range(2):
        reader.load_state_dict(reader.state_after(batch))
        assert [rows(reader), rows(reader)] == [epochs[0][5:], epochs[1]]


def test_a_resumed_epoch_is_resumed_again(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    reader.load_state_dict(reader.state_after(next(iter(reader))))
    reader.load_state_dict(reader.state_after(next(iter(reader))))
    assert rows(reader) == epochs[0][2:]


def test_set_epoch_leaves_what_was_loaded_of_that_epoch(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    reader.set_epoch(2)
    state = reader.state_after(next(iter(reader)))
    reader.load_state_dict(state)
    reader.set_epoch(2)
    assert rows(reader) == epochs[2][1:]
    reader.load_state_dict(state)
    reader.set_epoch(3)
    assert rows(reader) == epochs[3]


@pytest.mark.parametrize("bad", [-1, 1.5, True, None])
def test_set_epoch_takes_integers(small_log: Path, bad: Any) -> None:
    with pytest.raises(RecdInputError, match="expected an integer from 0"):
        RecdIterableDataset(small_log).set_epoch(bad)


def change(**parts: Any) -> Any:
    return lambda state: {**state, **parts}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (change(version=2), "of version 2"),
        (change(seed=1), "of seed 1"),
        (change(fingerprint="x"), "other files, transforms or options"),
        (change(remaining=[[3, 2]]), "'remaining'"),
        (change(epoch="1"), "'epoch'"),
        (lambda state: [state], "a list"),
        (lambda state: {}, "lacks"),
        (change(given=1), "of a DataLoader worker"),
    ],
)
def test_states_that_are_none_of_its_own(small_log: Path, changed: Any, message: str) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    state = reader.state_after(next(iter(reader)))
    with pytest.raises(RecdInputError, match=message):
        reader.load_state_dict(changed(state))
    reader.load_state_dict(state)


def test_a_state_of_batches_that_are_not_there(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    reader.load_state_dict({**reader.state_dict(), "remaining": [[7, 9]]})
    with pytest.raises(RecdInputError, match="this rank has 8 batches"):
        list(reader)


def test_another_batch_size_is_another_reader(small_log: Path) -> None:
    state = RecdIterableDataset(small_log, **SHUFFLED).state_dict()
    with pytest.raises(RecdInputError, match="other files, transforms or options"):
        RecdIterableDataset(small_log, **{**SHUFFLED, "batch_size": 31}).load_state_dict(state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_copies_go_on_by_themselves(small_log: Path, epochs: list[Any], copied: Any) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    list(reader)
    other = copied(reader)
    assert rows(other) == epochs[1]
    assert rows(other) == epochs[2]
    assert rows(reader) == epochs[1]


@pytest.mark.parametrize("threads", [0, 2])
def test_nothing_is_left_behind(small_log: Path, threads: int) -> None:
    with no_leaks():
        reader = RecdIterableDataset(small_log, **SHUFFLED, threads=threads)
        list(reader)
        for _ in reader:
            break
        with pytest.raises(ZeroDivisionError):
            fail_at_once(reader)
        begun = iter(reader)
        next(begun)
        del begun, reader


def test_closing_an_iterator_ends_its_threads(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    list(reader)
    with no_leaks():
        batches = iter(reader)
        next(batches)
        batches.close()  # type: ignore[attr-defined]


def test_a_file_that_is_damaged_midway(small_log: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.recd"
    shutil.copy(small_log, path)
    reader = RecdIterableDataset(path, **SHUFFLED, prefetch=0, threads=0)
    with no_leaks():
        batches = iter(reader)
        first = next(batches)
        # Zeros over all stripes: in place, so that the open file is damaged too.
        data = bytearray(path.read_bytes())
        data[4096 : 3 * len(data) // 4] = bytes(3 * len(data) // 4 - 4096)
        path.write_bytes(data)
        with pytest.raises((RecdFormatError, RecdInputError), match="damaged.recd"):
            list(batches)
        del batches
    # What was given before is whole.
    assert first.sparse_features.expand().stride() == 32


def test_a_file_that_is_cut_short_midway(small_log: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.recd"
    shutil.copy(small_log, path)
    reader = RecdIterableDataset(path, **SHUFFLED)
    os.truncate(path, 500)
    with no_leaks(), pytest.raises((RecdFormatError, RecdInputError), match="short.recd"):
        list(reader)


def test_a_file_that_is_gone(small_log: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.recd", tmp_path / "b.recd"]
    for path in paths:
        shutil.copy(small_log, path)
    reader = RecdIterableDataset(paths, batch_size=32, meta=["row"])
    paths[1].unlink()
    with no_leaks(), pytest.raises(RecdInputError, match="b.recd"):
        list(reader)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batchsize": 5}, "batchsize: no such option"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"columns": ["nowhere"]}, "no column 'nowhere'"),
        ({"device": "nonsense"}, "device='nonsense'"),
        ({"device": "meta"}, "expected 'cpu' or 'cuda'"),
    ],
)
def test_arguments_that_do_not_fit(
    small_log: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecdInputError, match=message):
        RecdIterableDataset(small_log, **arguments)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecdInputError, match="nothing.recd"):
        RecdIterableDataset(tmp_path / "nothing.recd")


def test_devices_by_name(small_log: Path) -> None:
    for device in (None, "cpu", torch.device("cpu")):
        reader = RecdIterableDataset(small_log, batch_size=8, device=device)
        assert next(iter(reader)).device == torch.device("cpu")
