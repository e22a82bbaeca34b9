"""Many files as one: batches over the ends of files, NumPy columns, few descriptors."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd

ROWS = (100, 7, 250, 0, 64)


def part(first: int, rows: int) -> pa.Table:
    numbers = np.arange(first, first + rows)
    lists = pa.array([[int(n)] * (n % 4) for n in numbers], pa.list_(pa.int64()))
    names = pa.array([f"name {n % 5}" for n in numbers], pa.string())
    return pa.table({"session": numbers // 10, "n": numbers, "list": lists, "name": names})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("many")
    first = 0
    for number, rows in enumerate(ROWS):
        recd.write(
            part(first, rows), found / f"{number}.recd", session_key="session", stripe_rows=60
        )
        first += rows
    return found


@pytest.mark.parametrize("batch_size", [1, 7, 60, 64, 100, 107, 300, 421, 5_000])
def test_all_batches_but_the_last_are_full(folder: Path, batch_size: int) -> None:
    with recd.dataset(folder) as files:
        batches = list(files.iter_batches(batch_size))
        *full, last = [batch.num_rows for batch in batches]
        assert set(full) <= {batch_size}
        assert 0 < last <= batch_size
        assert pa.Table.from_batches(batches).equals(files.read())
        assert files.read().equals(part(0, sum(ROWS)))
        picked = list(files.iter_batches(batch_size, ["name", "n"]))
        assert pa.Table.from_batches(picked).equals(files.read(["name", "n"]))
        counted = [batch.num_rows for batch in files.iter_batches(batch_size, [])]
        assert counted == [*full, last]
        assert files.read([]).num_rows == sum(ROWS)
        assert files.read([], [5, 5, 300]).num_rows == 3


def test_a_batch_size_of_nothing_is_refused(folder: Path) -> None:
    with recd.dataset(folder) as files, pytest.raises(recd.RecdInputError, match="batch_size=0"):
        next(files.iter_batches(0))


def test_arrays_come_file_by_file_and_stripe_by_stripe(folder: Path) -> None:
    with recd.dataset(folder) as files:
        found = list(files.read_arrays(["n"]))
        singly = [data.num_rows for file in files.files for _, data in file.read_arrays(["n"])]
        assert [data.num_rows for _, data in found] == singly
        assert sum(singly) == sum(ROWS)
        assert all(list(fields) == ["n"] for fields, _ in found)


def test_a_read_that_is_given_up_closes_its_file(folder: Path) -> None:
    files = recd.dataset(folder)
    batches = files.iter_batches(10)
    next(batches)
    del batches
    gc.collect()
    assert all(file.reader.source._handle is None for file in files.files)  # type: ignore[attr-defined]


CHILD = """if True:
    import os, pickle, resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    import pyarrow.compute as pc
    import recd_format as recd
    options = recd.ReadOptions(mmap=sys.argv[2] == "mmap")
    files = recd.dataset(sys.argv[1], options=options)
    assert len(files.files) == 100
    files = pickle.loads(pickle.dumps(files))
    rows = files.read()
    assert rows.num_rows == 300
    assert files.take([299, 0])["n"].to_pylist() == [2, 0]
    assert sum(batch.num_rows for batch in files.iter_batches(7)) == 300
    assert sum(data.num_rows for _, data in files.read_arrays()) == 300
    assert len(files.stats()) == len(files.groups) == len(files.verify()) == 100
    scan = pickle.loads(pickle.dumps(files.to_dataset()))
    assert scan.to_table().equals(rows)
    assert scan.count_rows(pc.field("n") == 1) == 100
    assert len(os.listdir("/proc/self/fd")) < 40
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
@pytest.mark.parametrize("how", ["pread", "mmap"])
def test_more_files_than_descriptors(tmp_path: Path, how: str) -> None:
    recd.write(part(0, 3), tmp_path / "000.recd", session_key="session")
    data = (tmp_path / "000.recd").read_bytes()
    for number in range(1, 100):
        (tmp_path / f"{number:03}.recd").write_bytes(data)
    subprocess.run([sys.executable, "-c", CHILD, tmp_path, how], check=True, timeout=120)


def test_a_dataset_pickles_by_its_places(folder: Path) -> None:
    files = recd.dataset(folder)
    again = pickle.loads(pickle.dumps(files))
    assert again.read().equals(files.read())
