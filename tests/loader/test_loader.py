"""Epochs of a loader are the rows of its files, whatever the files, the options and the threads."""

from __future__ import annotations

import io
import itertools
import pickle
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from recd_format.errors import RecdFormatError, RecdInputError
from recd_format.filesystem.local import MappedSource
from recd_format.jagged import Column, session_ids
from recd_format.loader import loader as loader_module
from recd_format.loader import sessions as sessions_module
from recd_format.loader.cursor import resume_point
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.loader import Loader
from recd_format.loader.options import Downsample, LoaderOptions
from recd_format.loader.preparation import Role
from recd_format.reader.options import ReadOptions
from tests.helpers import column_bits
from tests.loader.expansion import (
    arrow_rows,
    assert_rows,
    check_batch,
    expand_batch,
    expected_rows,
)
from tests.loader.logs import File, files, session_files, write


class Opened:
    """Files on disk, a loader of them, and their rows as reading gives them."""

    def __init__(self, logs: Sequence[File], folder: str, **options: Any) -> None:
        paths = []
        for number, log in enumerate(logs):
            paths.append(Path(folder) / f"{number}.recd")
            paths[-1].write_bytes(log.data())
        self.tables = [recd.open(path).read() for path in paths]
        self.num_rows = sum(table.num_rows for table in self.tables)
        self.loader = Loader(paths, LoaderOptions(**options))
        self.rows = expected_rows(self.tables, self.loader.schema)
        # Of each row: the part of its session in its stripe, its session, and the session's id;
        # and the number of each row in `rows`.
        self.parts: list[Any] = []
        self.sessions: list[Any] = []
        self.session_ids: list[int] = []
        for number, path in enumerate(paths):
            with recd.open(path) as file:
                for stripe, (fields, data) in enumerate(file.read_arrays(["session"])):
                    key = data.fields[fields["session"]]
                    column = _key_column(key.values, key.lengths)
                    ids = session_ids(column).tolist()
                    for session, rows in enumerate(np.diff(data.session_offsets).tolist()):
                        part = (number, stripe, session)
                        goes_on = session == 0 and file.reader.continues(stripe)
                        self.sessions += [self.sessions[-1] if goes_on else part] * rows
                        self.parts += [part] * rows
                        self.session_ids += [ids[session]] * rows
        row = np.concatenate([table["row"].to_numpy() for table in self.tables])
        self.number = {int(r): i for i, r in enumerate(row)}

    def check(self, batch: BatchBuffer, *, aligned: bool = True) -> list[int]:
        """Fail unless the batch is some rows of the files; returns which."""
        check_batch(batch, aligned=aligned)
        found = expand_batch(batch)
        given_rows = batch.meta["row"].to_pylist() if "row" in batch.meta else None
        if "row" in found:
            numbers = found["row"].values.tolist()
            assert given_rows in (None, numbers)
        else:
            assert given_rows is not None
            numbers = given_rows
        index = [self.number[number] for number in numbers]
        assert len(index) == batch.num_rows
        assert list(found) == [feature.name for feature in self.loader.schema.features]
        for name, rows in found.items():
            assert_rows(self.rows[name].take(index), rows, name)
        runs = [
            (key, len(list(run))) for key, run in itertools.groupby(self.parts[i] for i in index)
        ]
        layout = batch.layout()
        assert layout.session_rows.of(batch.data).tolist() == [rows for _, rows in runs]
        assert (
            np.repeat(
                layout.session_ids.of(batch.data), layout.session_rows.of(batch.data)
            ).tolist()
            == [self.session_ids[i] for i in index]
        )  # fmt: skip
        for name, array in batch.meta.items():
            column = pa.concat_arrays(
                [chunk for table in self.tables for chunk in table[name].chunks]
            )
            assert isinstance(array, pa.Array)
            assert array.type.equals(column.type)
            assert column_bits(array) == column_bits(column.take(pa.array(index, pa.int64()))), name
        return index


def _key_column(values: Any, lengths: Any) -> Column:
    if lengths is None:
        return Column(values)
    return Column(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


@st.composite
def opened(draw: st.DrawFn, folder: str, **fixed: Any) -> Opened:
    """Files, and options that fit them."""
    logs = draw(files(max_rows=24))
    names = [name for name in logs[0].table.column_names if name not in ("session", "ts")]
    options: dict[str, Any] = {
        "batch_size": draw(st.sampled_from([1, 3, 7, 20, 1000])),
        "shuffle": draw(st.booleans()),
        "seed": draw(st.integers(0, 3)),
        "window": draw(st.integers(1, 3)),
        "shuffle_run": draw(st.sampled_from([1, 2, 8])),
        "mix": draw(st.sampled_from(["session", "session", "rows"])),
        "threads": draw(st.integers(0, 2)),
        "prefetch": draw(st.integers(0, 2)),
        **fixed,
    }
    if draw(st.booleans()):
        some = draw(st.lists(st.sampled_from(names), unique=True))
        options["columns"] = some if "row" in some else [*some, "row"]
    if draw(st.booleans()):
        # Meta columns that are features too, and keys.
        everywhere = set(names).intersection(*(log.table.column_names for log in logs))
        alike = [
            name
            for name in [*sorted(everywhere), "ts", "session"]
            if len({log.table.schema.field(name).type for log in logs}) == 1
        ]
        options["meta"] = draw(st.lists(st.sampled_from(alike), max_size=3, unique=True))
    if "row" in options.get("meta", ()) and draw(st.booleans()):
        options["columns"] = [name for name in options.get("columns", names) if name != "row"]
    return Opened(logs, folder, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that examples write into, one after the other."""
    return str(tmp_path_factory.mktemp("files"))


def fresh(folder: str) -> str:
    """A new folder: a file that is written again in the place of an open one is refused."""
    return tempfile.mkdtemp(dir=folder)


def sizes_of(batches: Sequence[BatchBuffer]) -> list[int]:
    return [batch.num_rows for batch in batches]


def check_epoch(files: Opened, batches: Sequence[BatchBuffer]) -> list[int]:
    """Every row once, in batches of the right size; returns the rows in the order given."""
    index = [number for batch in batches for number in files.check(batch)]
    size = files.loader.options.batch_size
    assert sorted(index) == list(range(files.num_rows))
    assert all(rows == size for rows in sizes_of(batches)[:-1])
    assert sizes_of(batches)[-1] <= size
    return index


@settings(max_examples=120)
@given(data=st.data())
def test_an_epoch_is_the_rows_of_the_files(data: st.DataObject, folder: str) -> None:
    files = data.draw(opened(fresh(folder)))
    index = check_epoch(files, list(files.loader.run(0)))
    if not files.loader.options.shuffle:
        assert index == list(range(files.num_rows))
    assert [b.cursor.batch for b in files.loader.run(1)] == list(
        range(files.loader.rank_plan(1, 0, 1).num_batches)
    )


@settings(max_examples=30)
@given(data=st.data())
def test_threads_do_not_change_batches(data: st.DataObject, folder: str) -> None:
    files = data.draw(opened(fresh(folder), threads=0))
    first = [files.check(batch) for batch in files.loader.run(2)]
    for threads, prefetch in ((1, 0), (2, 1), (2, 3)):
        options = files.loader.options.changed({"threads": threads, "prefetch": prefetch})
        other = Loader(list(files.loader.names), options)
        assert other.fingerprint == files.loader.fingerprint
        assert [files.check(batch) for batch in other.run(2)] == first


@settings(max_examples=30)
@given(data=st.data())
def test_whole_sessions(data: st.DataObject, folder: str) -> None:
    files = data.draw(opened(fresh(folder), cut_sessions=False, batch_size=18, mix="session"))
    index = [files.check(batch) for batch in files.loader.run(0)]
    assert sorted(row for batch in index for row in batch) == list(range(files.num_rows))
    where: dict[Any, set[int]] = {}
    for number, batch in enumerate(index):
        assert len(batch) <= 18
        for row in batch:
            where.setdefault(files.sessions[row], set()).add(number)
    assert all(len(batches) == 1 for batches in where.values())


@settings(max_examples=40)
@given(data=st.data(), world=st.integers(1, 3), workers=st.integers(1, 3))
def test_ranks_and_workers_share_the_rows(
    data: st.DataObject, folder: str, world: int, workers: int
) -> None:
    uneven = data.draw(st.sampled_from(["allow", "drop"]))
    files = data.draw(opened(fresh(folder), uneven=uneven, threads=0))
    counts: Counter[int] = Counter()
    for rank in range(world):
        plan = files.loader.rank_plan(0, rank, world)
        whole = [files.check(b) for b in files.loader.run(0, rank=rank, world=world)]
        assert len(whole) == plan.num_batches
        assert sum(map(len, whole)) == plan.num_rows
        parts = {}
        for worker in range(workers):
            for batch in files.loader.run(
                0, rank=rank, world=world, worker=worker, workers=workers
            ):
                assert batch.cursor.worker == worker
                parts[batch.cursor.batch] = files.check(batch)
        assert [parts[number] for number in range(plan.num_batches)] == whole
        counts.update(row for batch in whole for row in batch)
    assert set(counts.values()) <= {1}
    if uneven == "allow" or world == 1:
        assert len(counts) == files.num_rows


@settings(max_examples=30)
@given(data=st.data(), world=st.integers(2, 4))
def test_short_ranks_begin_again(data: st.DataObject, folder: str, world: int) -> None:
    files = data.draw(opened(fresh(folder), uneven="wrap", threads=data.draw(st.integers(0, 1))))
    given_rows: Counter[int] = Counter()
    lengths = set()
    for rank in range(world):
        try:
            plan = files.loader.rank_plan(0, rank, world)
        except RecdInputError as error:
            assert "uneven='wrap'" in str(error)  # noqa: PT017 - only this one may be raised
            return
        own = [files.check(batch) for batch in files.loader.run(0, rank=rank, world=world)]
        lengths.add(len(own))
        assert len(own) == plan.num_batches
        turn = next((n for n in range(1, len(own)) if own[n] == own[0]), len(own))
        assert own == [own[n % turn] for n in range(len(own))]
        given_rows.update(row for batch in own for row in batch)
    assert len(lengths) == 1
    assert set(given_rows) == set(range(files.num_rows))


@settings(max_examples=60)
@given(data=st.data())
def test_resuming_gives_what_was_left(data: st.DataObject, folder: str) -> None:
    # Stripes are decoded in part where the rest of them was given before.
    files = data.draw(opened(fresh(folder), batch_size=data.draw(st.sampled_from([1, 2, 5]))))
    whole = [files.check(batch) for batch in files.loader.run(0)]
    workers = data.draw(st.integers(1, 2))
    last = data.draw(st.integers(0, len(whole) - 1))
    runs = [files.loader.run(0, worker=worker, workers=workers) for worker in range(workers)]
    seen: list[int] = []
    cursor = None
    for turn in range(last + 1):
        batch = next(runs[turn % workers], None)
        if batch is None:
            break
        cursor = batch.cursor
        seen += files.check(batch)
    for run in runs:
        run.close()
    assert cursor is not None
    epoch, remaining = resume_point(cursor.state_after())
    if remaining is None:
        assert epoch == 1
        assert sorted(seen) == list(range(files.num_rows))
        return
    assert epoch == 0
    rest = [files.check(batch) for batch in files.loader.run(0, remaining=remaining)]
    assert rest == [whole[n] for low, high in remaining for n in range(low, high)]
    assert sorted(seen + [row for batch in rest for row in batch]) == list(range(files.num_rows))


@settings(max_examples=30)
@given(data=st.data())
def test_any_batches_alone(data: st.DataObject, folder: str) -> None:
    files = data.draw(opened(fresh(folder), batch_size=2, threads=0))
    whole = [files.check(batch) for batch in files.loader.run(0)]
    picks = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4, unique=True))
    remaining = [(pick, pick + 1) for pick in picks]
    alone = [files.check(batch) for batch in files.loader.run(0, remaining=remaining)]
    assert alone == [whole[pick] for pick in picks]


@settings(max_examples=40)
@given(data=st.data(), by=st.sampled_from(["row", "session"]), keep=st.sampled_from([0.2, 0.7, 1]))
def test_downsampling(data: st.DataObject, folder: str, by: str, keep: float) -> None:
    logs = data.draw(files(most=2, max_rows=24))
    for number, log in enumerate(logs):
        random = np.random.default_rng(number)
        label = pa.array(random.random(log.table.num_rows) < 0.3).cast(pa.int8())
        if number == 0:
            label = pc.if_else(pa.array(random.random(len(label)) < 0.2), None, label)
        plan = {k: v for k, v in log.options.items() if k != "plan"}
        plan["labels"] = [*log.options["labels"], "click"]
        logs[number] = File(log.table.append_column("click", label), plan)
    options: dict[str, Any] = {
        "batch_size": data.draw(st.sampled_from([1, 4, 9])),
        "shuffle": data.draw(st.booleans()),
        "mix": data.draw(st.sampled_from(["session", "rows"])),
        "shuffle_run": data.draw(st.sampled_from([1, 8])),
        "threads": data.draw(st.integers(0, 1)),
    }
    downsample = Downsample("click", keep, by, seed=data.draw(st.integers(0, 2)))
    opened_ = Opened(logs, fresh(folder), downsample=downsample, **options)
    assert opened_.loader.schema.has_factor
    click = np.nan_to_num(opened_.rows["click"].values) > 0
    positive = click
    if by == "session":
        with_one = {s for s, c in zip(opened_.sessions, click, strict=True) if c}
        positive = np.array([session in with_one for session in opened_.sessions])
    factors: dict[int, float] = {}
    for batch in opened_.loader.run(0):
        index = opened_.check(batch)
        factor = batch.layout().factor.of(batch.data)
        assert not set(index) & set(factors)
        factors.update(zip(index, factor.tolist(), strict=True))
    assert set(np.flatnonzero(positive).tolist()) <= set(factors)
    for row, factor in factors.items():
        assert factor == np.float32(1 if positive[row] else 1 / keep)
    if by == "session":
        kept = {opened_.sessions[row] for row in factors}
        assert len(factors) == sum(session in kept for session in opened_.sessions)
    if keep == 1:
        assert len(factors) == opened_.num_rows
    again = [opened_.check(batch) for batch in opened_.loader.run(3)]
    assert {row for batch in again for row in batch} == set(factors)


@settings(max_examples=20)
@given(log=session_files(), threads=st.integers(0, 1))
def test_buffers_that_are_given(log: File, threads: int, folder: str) -> None:
    asked = []

    def allocate(nbytes: int) -> np.ndarray:
        asked.append(nbytes)
        raw = np.full(nbytes + 64, 0xAB, np.uint8)
        start = -raw.ctypes.data % 64
        return raw[start : start + nbytes]

    files = Opened([log], fresh(folder), batch_size=5, threads=threads)
    batches = list(files.loader.run(0, allocate=allocate))
    check_epoch(files, batches)
    assert asked == [batch.layout().nbytes for batch in batches]


@settings(max_examples=20)
@given(log=session_files())
def test_batches_and_loaders_pickle(log: File, folder: str) -> None:
    files = Opened([log], fresh(folder), batch_size=5, meta=["row"])
    other = pickle.loads(pickle.dumps(files.loader))
    assert other.fingerprint == files.loader.fingerprint
    assert other.schema == files.loader.schema
    assert other.options == files.loader.options
    batches = [pickle.loads(pickle.dumps(batch)) for batch in other.run(0)]
    index = [files.check(batch, aligned=False) for batch in batches]
    assert [row for batch in index for row in batch] == list(range(files.num_rows))
    in_memory = Loader(log.data(), files.loader.options)
    again = pickle.loads(pickle.dumps(in_memory))
    assert [files.check(batch) for batch in again.run(0)] == index


def small_log(rows: int = 60, **columns: Any) -> pa.Table:
    return pa.table(
        {
            "session": np.arange(rows) // 4,
            "ts": np.arange(rows),
            "row": np.arange(rows),
            "ids": pa.array([[i // 4, i // 2] for i in range(rows)], pa.list_(pa.int64())),
            "label": np.arange(rows) % 3 == 0,
            **columns,
        }
    )


def small_file(path: Path, rows: int = 60, **options: Any) -> str:
    path.write_bytes(write(small_log(rows), labels=["label"], **{"stripe_rows": 8, **options}))
    return str(path)


def rows_of(batches: Iterator[BatchBuffer]) -> list[int]:
    return [row for batch in batches for row in expand_batch(batch)["row"].values.tolist()]


def test_unique_rows_are_not_repeated(tmp_path: Path) -> None:
    # Codes of stripe scope come back long after: one unique row each, wherever the rows are.
    rows = 200
    table = small_log(rows, city=pa.array([[7, i * 7 % 5] for i in range(rows)]))
    path = tmp_path / "a.recd"
    path.write_bytes(write(table, dedup="stripe", stripe_rows=1000))
    for options in ({}, {"shuffle": True, "shuffle_run": 1}, {"shuffle": True, "mix": "rows"}):
        loader = Loader(path, LoaderOptions(columns=["row", "city"], batch_size=50, **options))
        for batch in loader.run(0):
            check_batch(batch)
            city = loader.schema.features[1].group
            assert batch.unique[city] == 5


def test_windows_stay_windows(tmp_path: Path) -> None:
    # Values of a batch are timelines, not the lists that slide over them.
    rows = 96
    lists = pa.array(
        [list(range(100 * (i // 32) + i, 100 * (i // 32) + i + 20)) for i in range(rows)]
    )
    table = small_log(rows, hist=lists, session=np.arange(rows) // 32)
    path = tmp_path / "a.recd"
    path.write_bytes(write(table, dedup={"hist": "window"}, stripe_rows=32))
    for options in ({}, {"shuffle": True}):
        loader = Loader(path, LoaderOptions(columns=["hist"], batch_size=32, **options))
        assert loader.schema.features[0].windowed
        for batch in loader.run(0):
            assert batch.values.tolist() == [51]
            assert batch.unique.tolist() == [32]


def test_a_stripe_is_decoded_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_file(tmp_path / "a.recd", 4000, stripe_rows=4000)
    loader = Loader(path, LoaderOptions(batch_size=100, threads=0))
    staged = []
    read = loader.read_stripe

    def read_stripe(*arguments: int) -> Any:
        stripe = read(*arguments)
        staged.append((stripe.first_row, stripe.num_rows))
        return stripe

    monkeypatch.setattr(loader, "read_stripe", read_stripe)
    assert rows_of(loader.run(0, remaining=[(20, 22)])) == list(range(2000, 2200))
    assert staged == [(2000, 200)]
    staged.clear()
    assert rows_of(loader.run(0, remaining=[(38, 40), (3, 4)])) == [
        *range(3800, 4000), *range(300, 400),
    ]  # fmt: skip
    assert staged == [(3800, 200), (300, 100)]


def test_files_beyond_the_open_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each file is closed after its turn, while other threads may read it.
    monkeypatch.setattr(loader_module, "OPEN_FILES", 1)
    monkeypatch.setattr(sessions_module, "OPEN_FILES", 1)
    rows = []
    for number in range(5):
        table = small_log(40).set_column(2, "row", pa.array(np.arange(40) + 40 * number))
        (tmp_path / f"{number}.recd").write_bytes(write(table, stripe_rows=8))
        rows += (np.arange(40) + 40 * number).tolist()
    loader = Loader(tmp_path, LoaderOptions(batch_size=7, shuffle=True, threads=2, window=3))
    assert len(loader.names) == 5
    loader.rank_plan(0, 1, 2).window(0)
    whole = Loader(tmp_path, LoaderOptions(batch_size=7, shuffle=True, cut_sessions=False))
    assert whole.rank_plan(0, 0, 1).num_batches > 1
    for reader in (*loader._readers, *whole._readers):
        assert reader.source._handle is None  # type: ignore[attr-defined]
    assert sorted(rows_of(loader.run(0))) == rows
    loader.close()
    assert sorted(rows_of(loader.run(1))) == rows


def test_files_of_any_kind(tmp_path: Path) -> None:
    path = small_file(tmp_path / "a.recd")
    data = Path(path).read_bytes()
    mapped = LoaderOptions(read=ReadOptions(mmap=True))
    for where, times in (
        (path, 1), (Path(path), 1), (str(tmp_path), 1), (f"{tmp_path}/*.recd", 1), (data, 1),
        (memoryview(data), 1), (io.BytesIO(data), 1), ([path, data], 2), ((data, data, path), 3),
        ([tmp_path, f"file://{path}"], 2),
    ):  # fmt: skip
        for options in (LoaderOptions(), mapped):
            loader = Loader(where, options)
            assert rows_of(loader.run(0)) == list(range(60)) * times
            assert len(loader.names) == times
    assert isinstance(Loader(path, mapped)._readers[0].source, MappedSource)
    for nothing, message in (([], "list of paths is empty"), (5, "found int"), ([5], "found int")):
        with pytest.raises(RecdInputError, match=message):
            Loader(nothing, LoaderOptions())


def test_two_epochs_at_a_time(tmp_path: Path) -> None:
    loader = Loader(small_file(tmp_path / "a.recd"), LoaderOptions(batch_size=7, shuffle=True))
    one, other = loader.run(0), loader.run(1)
    first = [expand_batch(next(one))["row"].values.tolist() for _ in range(3)]
    second = rows_of(other)
    rest = rows_of(one)
    assert sorted(second) == sorted([row for rows in first for row in rows] + rest)
    assert second != [row for rows in first for row in rows] + rest


def test_no_rows() -> None:
    for threads in (0, 1):
        loader = Loader(write(small_log(0)), LoaderOptions(threads=threads))
        assert list(loader.run(0)) == []
        assert loader.rank_plan(0, 0, 1).num_batches == 0
    loader = Loader(write(small_log(8)), LoaderOptions(time_range=(100, None)))
    assert list(loader.run(0)) == []


def test_no_columns() -> None:
    loader = Loader(write(small_log(10)), LoaderOptions(columns=[], meta=["ts"], batch_size=4))
    batches = list(loader.run(0))
    assert sizes_of(batches) == [4, 4, 2]
    assert [t for batch in batches for t in batch.meta["ts"].to_pylist()] == list(range(10))
    for batch in batches:
        check_batch(batch)


def test_no_thread_is_left(tmp_path: Path) -> None:
    path = small_file(tmp_path / "a.recd", 200)
    before = set(threading.enumerate())
    for threads in (1, 2):
        loader = Loader(path, LoaderOptions(batch_size=3, threads=threads, prefetch=2))
        for number, _ in enumerate(loader.run(0)):
            if number == 3:
                break
        del _
        run = loader.run(0)
        next(run)
        run.close()
        list(loader.run(0))
        loader.run(0).close()
    assert set(threading.enumerate()) == before


def test_damage_is_raised_where_it_is_and_ends_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.recd"
    small_file(path, 80)
    with recd.open(path) as file:
        offset = int(file.reader.metadata.tables.stripes["byte_offset"][6])
        end = int(file.reader.metadata.tables.stripes["byte_offset"][7])
    data = bytearray(path.read_bytes())
    data[offset:end] = bytes(byte ^ 0x55 for byte in data[offset:end])
    path.write_bytes(bytes(data))
    before = set(threading.enumerate())
    for threads in (0, 1, 2):
        loader = Loader(path, LoaderOptions(batch_size=8, threads=threads))
        run = loader.run(0)
        assert rows_of(itertools.islice(run, 6)) == list(range(48))
        with pytest.raises(RecdFormatError, match="stripe 6"):
            next(run)
        assert list(run) == []
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("threads", [0, 1])
def test_ids_that_int32_does_not_hold(threads: int) -> None:
    wide = pa.array([[1 << 31]] + [[5]] * 11)
    table = small_log(12, wide=wide)
    fits = LoaderOptions(id_dtype="int32", columns=["row", "ids"], batch_size=5)
    loader = Loader(write(table), fits)
    assert loader.schema.id_bytes == 4
    batches = list(loader.run(0))
    for batch in batches:
        check_batch(batch)
        assert expand_batch(batch)["ids"].values.dtype == np.int32
    assert rows_of(iter(batches)) == list(range(12))
    options = LoaderOptions(id_dtype="int32", columns=["wide"], threads=threads)
    with pytest.raises(RecdInputError, match="stripe 0.*'wide'.*2147483648.*int32"):
        list(Loader(write(table), options).run(0))


def test_what_there_is_not(tmp_path: Path) -> None:
    path = small_file(tmp_path / "a.recd")
    for options, message in (
        ({"columns": ["idz"]}, "a.recd.*no column 'idz'.*did you mean 'ids'"),
        ({"columns": ["session"]}, "'session' is a session_key.*meta=\\['session'\\]"),
        ({"meta": ["nothing"]}, "no column 'nothing'"),
        ({"downsample": Downsample("ids", 0.5)}, "Downsample looks at 'ids', a id_list"),
        ({"downsample": Downsample("clicks", 0.5)}, "no column 'clicks'"),
    ):
        with pytest.raises(RecdInputError, match=message):
            Loader(path, LoaderOptions(**options)).rank_plan(0, 0, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecdInputError, match="no file ending in .recd"):
        Loader(tmp_path / "empty", LoaderOptions())
    with pytest.raises(RecdInputError, match="missing.recd"):
        Loader(tmp_path / "missing.recd", LoaderOptions())
    (tmp_path / "not.recd").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(RecdFormatError, match="not.recd"):
        Loader(tmp_path / "not.recd", LoaderOptions())


def test_a_time_range_needs_an_order_key(tmp_path: Path) -> None:
    path = tmp_path / "a.recd"
    recd.write(small_log(8), path, session_key="session")
    loader = Loader(path, LoaderOptions(time_range=(1, 5)))
    with pytest.raises(RecdInputError, match="a.recd has no order_key.*time_range"):
        list(loader.run(0))


def test_a_session_longer_than_a_batch(tmp_path: Path) -> None:
    path = small_file(tmp_path / "a.recd", session_gap=None)
    loader = Loader(path, LoaderOptions(batch_size=3, cut_sessions=False))
    with pytest.raises(RecdInputError, match="a.recd, stripe 0, session 0 has 4 rows.*size=3"):
        list(loader.run(0))


def test_a_session_over_several_stripes(tmp_path: Path) -> None:
    table = small_log(40, session=np.array([1] * 3 + [2] * 30 + [3] * 7))
    path = tmp_path / "a.recd"
    path.write_bytes(write(table, stripe_rows=5))
    with recd.open(path) as file:
        assert len(file.stripes) == 4
    for options in ({}, {"shuffle": True, "shuffle_run": 1}):
        loader = Loader(path, LoaderOptions(batch_size=30, cut_sessions=False, **options))
        batches = [expand_batch(batch)["row"].values.tolist() for batch in loader.run(0)]
        assert sorted(row for batch in batches for row in batch) == list(range(40))
        assert list(range(3, 33)) in batches


def test_fingerprints(tmp_path: Path) -> None:
    path = small_file(tmp_path / "a.recd")
    base = Loader(path, LoaderOptions())
    assert Loader(path, LoaderOptions(threads=0, prefetch=0)).fingerprint == base.fingerprint
    for changes in (
        {"batch_size": 7}, {"shuffle": True}, {"window": 9}, {"columns": ["ids"]},
        {"time_range": (1, 2)}, {"session_hash": (0, 1, 2)}, {"uneven": "wrap"},
        {"downsample": Downsample("label", 0.5)}, {"cut_sessions": False}, {"drop_last": True},
    ):  # fmt: skip
        other = Loader(path, LoaderOptions(**changes))
        assert other.fingerprint != base.fingerprint, changes
    other_file = small_file(tmp_path / "b.recd", 61)
    assert Loader(other_file, LoaderOptions()).fingerprint != base.fingerprint
    assert (
        Loader([path, other_file], LoaderOptions()).fingerprint
        != Loader([other_file, path], LoaderOptions()).fingerprint
    )


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 4096},
        {"batch_size": 1000, "shuffle": True, "shuffle_run": 1, "threads": 2},
        {"batch_size": 4096, "shuffle": True, "mix": "rows"},
    ],
)
@pytest.mark.parametrize("name", ["trivago_val100k", "yoochoose100k", "ml100k"])
def test_real_logs(
    log: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, name: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / f"{name}.recd"
    if not path.exists():
        recd.write(
            str(log(name)), path, session_key="session_id", order_key="timestamp",
            labels=["label"], stripe_rows=16_384,
        )  # fmt: skip
    with recd.open(path) as file:
        table = file.read()
    # With a number for each row: the one thing that these logs have not.
    loader = Loader(path, LoaderOptions(meta=["session_id", "timestamp"], **options))
    expected = {
        feature.name: arrow_rows(table[feature.name], feature) for feature in loader.schema.features
    }
    assert {Role.SPARSE, Role.LABEL} <= {feature.role for feature in loader.schema.features}
    order = planned_rows(loader, 1)
    assert sorted(order) == list(range(table.num_rows))
    at = 0
    session, timestamp = (table[key].combine_chunks() for key in ("session_id", "timestamp"))
    for batch in loader.run(1):
        check_batch(batch)
        index = order[at : at + batch.num_rows]
        at += batch.num_rows
        for feature, rows in expand_batch(batch).items():
            assert_rows(expected[feature].take(index), rows, feature)
        assert batch.meta["session_id"].equals(session.take(pa.array(index)))
        assert batch.meta["timestamp"].equals(timestamp.take(pa.array(index)))
    assert at == table.num_rows


def planned_rows(loader: Loader, epoch: int) -> list[int]:
    """Rows of a loader of one file, in the order that its plan gives them."""
    with recd.open(loader.names[0]) as file:
        begin = [stripe.begin for stripe in file.stripes]
    plan = loader.rank_plan(epoch, 0, 1)
    rows: list[int] = []
    for number in range(plan.num_windows):
        window = plan.window(number)
        for place, first, end in zip(window.place, window.begin, window.end, strict=True):
            start = begin[window.stripes[place]]
            rows += range(start + int(first), start + int(end))
    return rows
