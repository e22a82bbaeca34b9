"""Whatever happens while a file is written or read: no torn file is seen, and no process dies."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.filesystem import sinks
from recd_format.io import BytesLike

ROWS = 20_000


def log(rows: int = ROWS, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"session": np.arange(rows) // 10, "x": rng.integers(0, 1 << 60, rows)})


def write(where: Any, table: pa.Table, **options: Any) -> recd.WriteReport:
    return recd.write(table, where, session_key="session", **options)


WRITER = textwrap.dedent(
    """
    import io, sys
    import numpy as np, pyarrow as pa, recd_format as recd
    x = np.random.default_rng(1).integers(0, 1 << 60, 20_000)
    table = pa.table({"session": np.arange(20_000) // 10, "x": x})
    # Kernels are loaded before the clock starts.
    recd.write(table, io.BytesIO(), session_key="session")
    print("ready", flush=True)
    while True:
        recd.write(table, sys.argv[1], session_key="session", stripe_rows=2_000)
    """
)


@pytest.mark.parametrize("there_before", [False, True])
def test_a_writer_that_is_killed_leaves_the_old_file_or_a_new_one(
    tmp_path: Path, there_before: bool
) -> None:
    path = tmp_path / "log.recd"
    write(path, log(), stripe_rows=2_000)
    rng = np.random.default_rng(7 + there_before)
    if not there_before:
        path.unlink()
    seen = set()
    for delay in rng.uniform(0, 0.06, 4):
        if not there_before:
            path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        seen.add(path.exists())
        if path.exists():
            file = recd.open(path)
            assert file.verify().stripes == len(file.stripes)
            assert file.num_rows == ROWS
            assert len(recd.dataset(tmp_path).files) == 1
        else:
            assert not there_before
            with pytest.raises(recd.RecdInputError, match="no file ending in .recd"):
                recd.dataset(tmp_path)
            with pytest.raises(recd.RecdInputError, match="no file matches"):
                recd.dataset(tmp_path / "*")
        # What a killed writer leaves is hidden, and in the way of nobody.
        assert all(
            each.name.startswith(".log.recd.") and each.name.endswith(".partial")
            for each in tmp_path.iterdir()
            if each != path
        )
    assert seen
    write(path, log())


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("when", ["at once", "after a batch", "after a stripe"])
def test_an_exception_in_the_block_leaves_nothing(
    tmp_path: Path, when: str, clustered: bool
) -> None:
    path = tmp_path / "log.recd"
    table = log(6_000)

    def attempt() -> None:
        with recd.RecdWriter(
            path, table.schema, session_key="session", clustered=clustered, stripe_rows=500
        ) as writer:
            writer._least_flush_rows = 1
            if when == "after a batch":
                writer.write(table.slice(0, 100))
            elif when == "after a stripe":
                writer.write(table)
            raise Interrupted

    with pytest.raises(Interrupted):
        attempt()
    assert list(tmp_path.iterdir()) == []
    write(path, log(100))
    before = path.read_bytes()
    with pytest.raises(Interrupted):
        attempt()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_input_that_breaks_midway_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Any:
        yield log(100).to_batches()[0]
        raise OSError(errno.EIO, "disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        write(tmp_path / "log.recd", rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 4096, 100_000, 160_000])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """A limit on the size of files is met by write(2) as a full disk is."""
    code = textwrap.dedent(
        """
        import resource, signal, sys
        import numpy as np, pyarrow as pa, recd_format as recd
        table = pa.table({"session": np.arange(20_000) // 10,
                          "x": np.random.default_rng(0).integers(0, 1 << 60, 20_000)})
        # Kernels are compiled, or loaded, before files may not grow.
        recd.write(table.slice(0, 2_000), sys.argv[2], session_key="session")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
        try:
            recd.write(table, sys.argv[3], session_key="session", stripe_rows=2_000)
        except recd.RecdInputError as error:
            print(error)
        """
    )
    path = tmp_path / "log.recd"
    warm = tmp_path / "warm.recd"
    done = subprocess.run(
        [sys.executable, "-c", code, str(limit), str(warm), str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{path}: cannot be written: File too large\n"
    assert list(tmp_path.iterdir()) == [warm]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


class FullSink:
    """A sink that takes so many bytes and no more."""

    name = "full"

    def __init__(self, room: int) -> None:
        self.room = room
        self.count = 0
        self.ended: list[str] = []

    def write(self, data: BytesLike) -> None:
        self.count += memoryview(data).nbytes
        if self.count > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def tell(self) -> int:
        return self.count

    def commit(self) -> None:
        self.ended.append("commit")

    def abort(self) -> None:
        self.ended.append("abort")


@pytest.mark.parametrize("clustered", [False, True])
def test_a_sink_that_fails_anywhere_is_aborted(clustered: bool) -> None:
    table = log(300)
    whole = FullSink(1 << 40)
    write(whole, table, stripe_rows=100, clustered=clustered)
    assert whole.ended == ["commit"]
    for room in (0, 4095, 4096, 5000, 9000, whole.count - 129, whole.count - 1):
        sink = FullSink(room)
        with pytest.raises(OSError, match="No space left"):
            write(sink, table, stripe_rows=100, clustered=clustered)
        assert sink.ended[:1] == ["abort"]
        assert "commit" not in sink.ended


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    for where in (tmp_path / "none" / "log.recd", tmp_path / "file" / "log.recd"):
        with pytest.raises(recd.RecdInputError, match="cannot be written"):
            write(where, log(10))

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # Root may write everywhere: the system's answer is given for it.
    monkeypatch.setattr(sinks, "open", refuse, raising=False)
    with pytest.raises(recd.RecdInputError, match="log.recd: cannot be written: Permission denied"):
        write(tmp_path / "log.recd", log(10))


def test_a_folder_that_cannot_be_synced_holds_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_open = os.open

    def refuse(path: Any, *arguments: Any, **more: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return system_open(path, *arguments, **more)

    monkeypatch.setattr(sinks.os, "open", refuse)
    write(tmp_path / "log.recd", log(10))
    assert recd.open(tmp_path / "log.recd").num_rows == 10


def test_readers_of_a_file_that_is_replaced_see_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    tables = [log(5_000, seed) for seed in range(3)]
    write(path, tables[0], stripe_rows=500)
    stop = threading.Event()
    seen: list[int] = []
    failed: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                with recd.open(path) as file:
                    found = file.read()
                seen.append([found.equals(table) for table in tables].index(True))
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(12):
        write(path, tables[turn % 3], stripe_rows=500)
    stop.set()
    for reader in readers:
        reader.join()
    assert not failed
    assert seen


def test_an_open_file_outlives_its_replacement(tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    one, two = log(1_000, 1), log(1_000, 2)
    write(path, one)
    file = recd.open(path)
    write(path, two)
    assert file.read().equals(one)
    # Opened again by a read after `close`, it is another file.
    file.close()
    with pytest.raises(recd.RecdInputError, match="was replaced since it was opened"):
        file.read()
    assert recd.open(path).read().equals(two)


@pytest.mark.parametrize("keep", [0, 100, 4096, 6000, 20_000])
def test_a_file_that_is_cut_while_it_is_open(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "log.recd"
    table = log(5_000)
    write(path, table)
    file = recd.open(path)
    os.truncate(path, keep)
    # `verify` comes last: it closes a file that it cannot open anew.
    for use in (file.read, file.stats, lambda: list(file.iter_batches()), file.verify):
        with pytest.raises(recd.RecdFormatError, match="cut off|computed|smallest file|not b"):
            use()


def test_a_file_that_is_removed_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    write(path, log(100))
    file = recd.open(path)
    path.unlink()
    assert file.read().num_rows == 100
    file.close()
    with pytest.raises(recd.RecdInputError, match="cannot be read: No such file"):
        file.read()


def test_an_object_that_cannot_be_read_back_is_written() -> None:
    class WriteOnly(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    target = WriteOnly()
    report = write(target, log(100))
    assert report.bytes_out == len(target.data)
    assert recd.open(target.data).read().equals(log(100))
