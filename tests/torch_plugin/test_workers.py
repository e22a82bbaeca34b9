"""The reader in DataLoader workers: epochs, errors, and nothing left behind."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.torch.datapipe import RecdDataPipe
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.text_errors import TextFormatError
from tests.torch_plugin.reading import contents, in_children, no_leaks, row_numbers

SHUFFLED = {"batch_size": 32, "shuffle": True, "window": 2, "shuffle_run": 1, "meta": ["row"]}
READERS = [RecdIterableDataset, RecdDataPipe]
# Three workers are more than some machines have cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def loader(reader: Any, workers: int = 2, **options: Any) -> DataLoader:
    return DataLoader(reader, batch_size=None, num_workers=workers, **options)


def rows(batches: Any) -> list[list[int]]:
    """Row numbers by batch, batches in the order of the rank."""
    found = [(batch.cursor.batch, row_numbers(batch)) for batch in batches]
    return [numbers for _, numbers in sorted(found)]


@pytest.fixture(scope="module")
def epochs(small_log: Path) -> list[list[list[int]]]:
    """Row numbers of the batches of six epochs."""
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    return [rows(reader) for _ in range(6)]


@pytest.mark.parametrize("make", READERS)
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_share_out_each_epoch(
    small_log: Path,
    epochs: list[Any],
    make: Callable[..., Any],
    workers: int,
    persistent: bool,
) -> None:
    with no_leaks():
        reader = make(small_log, **SHUFFLED)
        batches = loader(reader, workers, persistent_workers=persistent)
        assert len(batches) == len(epochs[0])
        assert [rows(batches) for _ in range(3)] == epochs[:3]
        del batches, reader


def test_spawned_workers_that_stay(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    batches = loader(reader, 2, multiprocessing_context="spawn", persistent_workers=True)
    assert rows(batches) == epochs[0]
    # They began before this, and hear of it.
    reader.set_epoch(4)
    found = list(batches)
    assert rows(found) == epochs[4]
    assert {batch.cursor.worker for batch in found} == {0, 1}
    # The process itself goes on where its workers stopped.
    assert rows(reader) == epochs[5]


def test_workers_that_are_spawned_for_each_epoch(small_log: Path, epochs: list[Any]) -> None:
    # A DataPipe is the harder case: DataLoader pickles it in a way of its own.
    batches = loader(RecdDataPipe(small_log, **SHUFFLED), 1, multiprocessing_context="spawn")
    assert [rows(batches), rows(batches)] == epochs[:2]


def test_batches_from_workers_are_whole(small_log: Path) -> None:
    plain = list(RecdIterableDataset(small_log, batch_size=32))
    found = list(loader(RecdIterableDataset(small_log, batch_size=32)))
    found.sort(key=lambda batch: batch.cursor.batch)
    assert [contents(batch) for batch in found] == [contents(batch) for batch in plain]
    assert all(batch._form is found[0]._form for batch in found)


def test_torchrec_and_kjt_come_from_workers_too(small_log: Path) -> None:
    pytest.importorskip("torchrec")
    reader = RecdIterableDataset(small_log, batch_size=32, output="torchrec", meta=["row"])
    plain = [batch.sparse_features.values() for batch in reader]
    found = sorted(loader(reader), key=lambda batch: batch.cursor.batch)
    assert all(
        torch.equal(batch.sparse_features.values(), values)
        for batch, values in zip(found, plain, strict=True)
    )
    assert found[0].session_ids.shape == (32,)
    expanded = loader(RecdIterableDataset(small_log, batch_size=32, output="kjt"), 1)
    assert next(iter(expanded)).sparse_features.stride() == 32


def fail_at_once(batches: Any) -> None:
    for _ in batches:
        1 / 0  # noqa: B018


@pytest.mark.parametrize("make", READERS)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_broken_off_epoch_is_over(
    small_log: Path, epochs: list[Any], make: Callable[..., Any], persistent: bool
) -> None:
    with no_leaks():
        batches = loader(make(small_log, **SHUFFLED), persistent_workers=persistent)
        assert len(list(islice(batches, 3))) == 3
        assert rows(batches) == epochs[1]
        with pytest.raises(ZeroDivisionError):
            fail_at_once(batches)
        assert rows(batches) == epochs[3]
        del batches


def test_other_numbers_of_workers_go_on(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    assert rows(loader(reader, 1)) == epochs[0]
    assert rows(loader(reader, 3)) == epochs[1]
    assert rows(reader) == epochs[2]
    assert rows(loader(reader, 2)) == epochs[3]


def test_a_generator_that_is_seeded_the_same_for_each_epoch(
    small_log: Path, epochs: list[Any]
) -> None:
    generator = torch.Generator()
    batches = loader(RecdIterableDataset(small_log, **SHUFFLED), generator=generator)
    for expected in epochs[:3]:
        generator.manual_seed(5)
        assert rows(batches) == expected


@pytest.mark.parametrize("persistent", [False, True])
def test_what_is_loaded_reaches_workers(
    small_log: Path, epochs: list[Any], persistent: bool
) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    batches = loader(reader, persistent_workers=persistent)
    list(batches)
    reader.set_epoch(3)
    first, second = list(islice(batches, 2))
    assert first.cursor.epoch == 3
    reader.load_state_dict(reader.state_after(second))
    assert sorted([*rows([first, second]), *rows(batches)]) == sorted(epochs[3])
    assert rows(batches) == epochs[4]


def test_states_of_a_process_whose_workers_read(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)
    before = reader.state_dict()
    next(iter(reader))
    reader.set_epoch(0)
    next(iter(reader))
    last = list(loader(reader))[-1]
    with pytest.raises(RecdInputError, match=r"expected state_after\(batch\)"):
        reader.state_dict()
    reader.load_state_dict(reader.state_after(last))
    assert reader.state_dict()["epoch"] == before["epoch"] + 2


def test_while_threads_decode_here_workers_are_forked(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED, threads=2, prefetch=1)
    for _ in range(3):
        begun = iter(reader)
        next(begun)
        assert len(list(loader(reader))) == len(epochs[0])
        begun.close()  # type: ignore[attr-defined]


def test_ranks_that_got_their_reader_from_their_parent(small_log: Path, epochs: list[Any]) -> None:
    reader = RecdIterableDataset(small_log, **SHUFFLED)

    def rank() -> Any:
        torch.manual_seed(0)
        return [rows(loader(reader)) for _ in range(2)]

    for _ in range(2):
        assert in_children(rank)[0] == epochs[:2]
    assert rows(reader) == epochs[0]


@pytest.fixture
def damaged(small_log: Path, tmp_path: Path) -> Path:
    """A file whose stripes are zeros, but not what is read at first."""
    path = tmp_path / "damaged.recd"
    shutil.copy(small_log, path)
    data = bytearray(path.read_bytes())
    data[4096 : 3 * len(data) // 4] = bytes(3 * len(data) // 4 - 4096)
    path.write_bytes(data)
    return path


def raised_by(batches: DataLoader) -> Exception:
    """What iterating raises. Its workers are gone: frames that hold them are cleared."""
    try:
        list(batches)
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        return error.with_traceback(None)
    pytest.fail("nothing was raised")


@pytest.mark.parametrize("make", READERS)
@pytest.mark.parametrize("persistent", [False, True])
def test_damage_is_told_in_the_main_process(
    damaged: Path, make: Callable[..., Any], persistent: bool
) -> None:
    with no_leaks():
        batches = loader(make(damaged, **SHUFFLED), persistent_workers=persistent)
        error = raised_by(batches)
        assert isinstance(error, RecdFormatError)
        assert error.reason is Reason.CHECKSUM
        assert "damaged.recd" in str(error)
        del batches


def test_a_file_that_is_gone_is_told_in_the_main_process(small_log: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a.recd", tmp_path / "b.recd"]
    for path in paths:
        shutil.copy(small_log, path)
    with no_leaks():
        batches = loader(RecdIterableDataset(paths, **SHUFFLED))
        paths[1].unlink()
        error = raised_by(batches)
        assert isinstance(error, RecdInputError)
        assert "b.recd" in str(error)
        del batches


def test_an_error_as_text_keeps_its_reason() -> None:
    error = RecdFormatError(Reason.CODES, "expected 3, found 4 [of 5]")
    found = TextFormatError(f"Traceback [checksum] ...\n{error}")
    assert found.reason is Reason.CODES
    assert str(error) in str(found)


def test_a_cuda_reader_in_a_worker_says_what_to_do(
    small_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    reader = RecdIterableDataset(small_log, device="cuda")
    error = raised_by(loader(reader, 1))
    assert isinstance(error, RecdInputError)
    assert "expected num_workers=0 (threads=... decode in this process)" in str(error)
