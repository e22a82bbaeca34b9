"""The reader as a DataPipe."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, IterDataPipe, graph
from torch.utils.data.datapipes.iter import FileLister, IterableWrapper

from recd_format.errors import RecdInputError
from recd_format.torch import datapipe
from recd_format.torch.datapipe import RecdDataPipe
from recd_format.torch.dataset import RecdIterableDataset
from tests.torch_plugin.reading import ROWS, no_leaks, row_numbers, write_small_log

OPTIONS = {"batch_size": 32, "meta": ["row"]}


def rows(batches: Any) -> list[list[int]]:
    return [row_numbers(batch) for batch in batches]


def loader(pipe: Any, **options: Any) -> DataLoader:
    return DataLoader(pipe, batch_size=None, **options)


def test_it_is_a_datapipe(small_log: Path) -> None:
    pipe = RecdDataPipe(small_log, **OPTIONS)
    assert isinstance(pipe, IterDataPipe)
    assert repr(pipe) == str(pipe) == f"RecdDataPipe({small_log}, batch_size=32)"
    assert len(pipe) == 8
    assert rows(pipe) == rows(RecdIterableDataset(small_log, **OPTIONS))


def test_other_pipes_may_follow(small_log: Path) -> None:
    pipe = RecdDataPipe(small_log, **OPTIONS).map(row_numbers)
    for workers in (0, 2):
        found = list(loader(pipe, num_workers=workers))
        assert sorted(row for numbers in found for row in numbers) == list(range(ROWS))


def test_a_pipe_of_paths_is_decoded(tmp_path: Path) -> None:
    for number in range(2):
        write_small_log(tmp_path / f"{number}.recd", rows=60, seed=number, first_row=60 * number)
    paths = [str(tmp_path / f"{number}.recd") for number in range(2)]
    for pipe in (
        IterableWrapper(paths).decode_recd(**OPTIONS),
        IterableWrapper([Path(path) for path in paths]).decode_recd(**OPTIONS),
        RecdDataPipe(FileLister(str(tmp_path), "*.recd"), **OPTIONS),
        # Rows are shared out, not files: a filter of files is not applied.
        IterableWrapper(paths).sharding_filter().decode_recd(**OPTIONS),
    ):
        assert isinstance(pipe, RecdDataPipe)
        for workers in (0, 2):
            found = rows(loader(pipe, num_workers=workers))
            assert sorted(row for numbers in found for row in numbers) == list(range(120))


def test_a_pipe_of_something_else() -> None:
    with pytest.raises(RecdInputError, match="expected a DataPipe of paths, found tuple"):
        IterableWrapper([("a", "b")]).decode_recd()


def test_graphs_do_not_look_into_it(small_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each time a DataLoader begins, it pickles what of a pipe might hold other pipes.
    pipe = RecdDataPipe(small_log, **OPTIONS)

    def refuse(self: Any) -> Any:
        raise AssertionError("the reader was pickled")

    monkeypatch.setattr(RecdIterableDataset, "__getstate__", refuse)
    found = graph.traverse_dps(pipe)
    assert [entry[0] for entry in found.values()] == [pipe]
    assert len(list(loader(pipe))) == 8


def test_a_dataloader_may_shuffle(small_log: Path) -> None:
    shuffled = RecdIterableDataset(small_log, **OPTIONS, shuffle=True)
    expected = [rows(shuffled) for _ in range(2)]
    for workers in (0, 2):
        batches = loader(RecdDataPipe(small_log, **OPTIONS), shuffle=True, num_workers=workers)
        # The order is that of the options and the epoch, whatever seed the loader drew.
        assert [sorted(rows(batches)) for _ in range(2)] == [sorted(epoch) for epoch in expected]
    batches = loader(RecdDataPipe(small_log, **OPTIONS, shuffle=True), shuffle=False)
    assert rows(batches) == rows(RecdIterableDataset(small_log, **OPTIONS))


def test_one_iterator_at_a_time(small_log: Path) -> None:
    with no_leaks():
        pipe = RecdDataPipe(small_log, **OPTIONS)
        first = iter(pipe)
        next(first)
        second = iter(pipe)
        next(second)
        with pytest.raises(RuntimeError, match="invalidated"):
            next(first)
        del first, second, pipe


def test_states_are_those_of_its_reader(small_log: Path) -> None:
    pipe = RecdDataPipe(small_log, **OPTIONS)
    third = list(pipe)[2]
    pipe.load_state_dict(pipe.state_after(third))
    assert pipe.state_dict() == pipe.state_after(third)
    assert rows(pipe) == rows(RecdIterableDataset(small_log, **OPTIONS))[3:]
    pipe.set_epoch(7)
    assert next(iter(pipe)).cursor.epoch == 7


def test_ranks_of_the_options_stay(small_log: Path) -> None:
    pipe = RecdDataPipe(small_log, **OPTIONS, rank=1, world=2)
    expected = rows(pipe)
    assert rows(loader(pipe)) == expected
    assert sorted(rows(loader(pipe, num_workers=2))) == expected


def test_the_function_is_registered_once() -> None:
    again = importlib.reload(datapipe)
    try:
        assert "decode_recd" in IterDataPipe.functions
        assert again.RecdDataPipe is not RecdDataPipe
    finally:
        again.RecdDataPipe = RecdDataPipe


def test_without_datapipes_it_is_a_dataset(small_log: Path) -> None:
    code = f"""
import torch.utils.data as data
pipe = data.IterDataPipe
del data.IterDataPipe
from recd_format.torch import RecdDataPipe
data.IterDataPipe = pipe  # DataLoader itself still asks for it
pipe = RecdDataPipe({str(small_log)!r}, batch_size=32)
assert type(pipe).__mro__[1] is data.IterableDataset
for workers in (0, 2):
    assert len(list(data.DataLoader(pipe, batch_size=None, num_workers=workers))) == 8
"""
    subprocess.run([sys.executable, "-c", code], check=True)
