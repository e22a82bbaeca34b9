"""Sources, sinks and paths: local, remote, in memory."""

from __future__ import annotations

import errno
import gc
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import recd_format as recd
from recd_format import RecdFormatError, RecdInputError
from recd_format.errors import Reason
from recd_format.filesystem import (
    LocalSink,
    MemorySource,
    Place,
    RemoteSource,
    list_files,
    open_sink,
    open_source,
    resolve,
)
from recd_format.io import Sink, Source
from tests.damage import small_file

DATA = bytes(np.random.default_rng(0).integers(0, 256, 10_000, np.uint8))
RANGES = [(0, 10), (64, 100), (4096, 0), (9_000, 1_000), (33, 7)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "data.recd"
    found.write_bytes(DATA)
    return found


@pytest.fixture
def memory() -> Any:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    return filesystem


def read_ranges(source: Source, ranges: list[tuple[int, int]]) -> list[bytes]:
    parts = [(byte_offset, np.zeros(length, np.uint8)) for byte_offset, length in ranges]
    source.read_many(parts)
    return [buffer.tobytes() for _, buffer in parts]


def sources(path: Path, memory: Any) -> dict[str, Source]:
    memory.pipe_file("/b/data.recd", DATA)
    subtree = pafs.SubTreeFileSystem(str(path.parent), pafs.LocalFileSystem())
    return {
        "local": open_source(path),
        "file uri": open_source(f"file://{path}"),
        "mmap": open_source(str(path), mmap=True),
        "bytes": open_source(DATA),
        "buffer": open_source(pa.py_buffer(DATA)),
        "file object": open_source(io.BytesIO(DATA)),
        "arrow": open_source("data.recd", filesystem=subtree),
        "fsspec": open_source("/b/data.recd", filesystem=memory),
        "fsspec uri": open_source("memory://b/data.recd"),
    }


NAMES = ["local", "file uri", "mmap", "bytes", "buffer", "file object", "arrow", "fsspec"]
NAMES.append("fsspec uri")


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_read_from_every_source(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]
    assert isinstance(source, Source)
    assert source.size() == len(DATA)
    assert read_ranges(source, RANGES) == [DATA[a : a + n] for a, n in RANGES]
    buffer = np.zeros(500, np.uint8)
    source.read_into(123, buffer)
    assert buffer.tobytes() == DATA[123:623]
    source.close()
    assert read_ranges(source, [(5, 5)])[0] == DATA[5:10]
    assert source.name


@pytest.mark.parametrize("name", NAMES)
def test_reading_past_the_end_is_truncation(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]
    for ranges in ([(len(DATA) - 5, 10)], [(len(DATA) + 100, 1)], [(0, 1), (1 << 40, 8)]):
        with pytest.raises(RecdFormatError) as caught:
            read_ranges(source, ranges)
        assert caught.value.reason == Reason.TRUNCATED
        assert caught.value.location.path == source.name


@pytest.mark.parametrize("name", [name for name in NAMES if name != "file object"])
def test_sources_pickle_without_their_handles(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]
    source.size()
    again = pickle.loads(pickle.dumps(source))
    assert read_ranges(again, [(100, 50)])[0] == DATA[100:150]
    assert again.name == source.name


def test_an_open_file_object_says_why_it_does_not_pickle() -> None:
    with pytest.raises(RecdInputError, match="open by path"):
        pickle.dumps(open_source(io.BytesIO(DATA)))


def read_in_child(source: Source) -> bytes:
    return read_ranges(source, [(100, 50)])[0]


@pytest.mark.parametrize("name", ["local", "mmap", "arrow"])
def test_sources_read_in_other_processes(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]
    read_ranges(source, [(0, 1)])
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply(read_in_child, (source,)) == DATA[100:150]


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_safe_to_read_from_threads(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]
    with ThreadPoolExecutor(8) as pool:
        offsets = range(0, 9_000, 90)
        parts = pool.map(lambda offset: read_ranges(source, [(offset, 50)])[0], offsets)
        assert list(parts) == [DATA[offset : offset + 50] for offset in offsets]


class Waiting(MemoryFileSystem):
    """Answers a read of a part once four are asked for."""

    protocol = "waiting"
    cachable = False
    barrier = threading.Barrier(4, timeout=20)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> Any:
        self.barrier.wait()
        return super().cat_file(path, start, end, **kwargs)


class SlowHandle:
    """An open Arrow file that answers once four reads are under way."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(4, timeout=20)

    def size(self) -> int:
        return len(DATA)

    def read_at(self, nbytes: int, offset: int) -> bytes:
        self.barrier.wait()
        return DATA[offset : offset + nbytes]


class SlowFiles:
    def open_input_file(self, _: str) -> SlowHandle:
        return SlowHandle()


@pytest.mark.parametrize("name", ["fsspec", "arrow"])
def test_remote_requests_are_in_flight_together(memory: Any, name: str) -> None:
    memory.pipe_file("/b/data.recd", DATA)
    filesystem = (
        pafs.PyFileSystem(pafs.FSSpecHandler(Waiting())) if name == "fsspec" else SlowFiles()
    )
    source = RemoteSource(Place("/b/data.recd", filesystem, "data.recd"))
    ranges = [(offset, 100) for offset in range(0, 8_000, 1_000)]
    assert read_ranges(source, ranges) == [DATA[a : a + n] for a, n in ranges]


def test_a_stripe_is_one_call_of_many_reads(tmp_path: Path) -> None:
    calls: list[int] = []

    class Counted(MemorySource):
        def read_many(self, parts: Any) -> None:
            calls.append(len(parts))
            super().read_many(parts)

    options = recd.ReadOptions(gap_bytes=0, request_bytes=64)
    with recd.open(Counted(small_file()), options=options) as file:
        file.read()
        assert len(calls) == len(file.stripes)
    assert max(calls) > 1


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_that_was_replaced_is_not_read_with_what_was_known(path: Path, mmap: bool) -> None:
    source = open_source(path, mmap=mmap)
    assert read_ranges(source, [(0, 5)]) == [DATA[:5]]
    other = path.with_suffix(".new")
    other.write_bytes(DATA[::-1])
    other.replace(path)
    # The open file is still the old one.
    assert read_ranges(source, [(0, 5)]) == [DATA[:5]]
    source.close()
    for _ in range(2):
        with pytest.raises(RecdInputError, match="was replaced since it was opened; open it again"):
            read_ranges(source, [(0, 5)])
    with pytest.raises(RecdInputError, match="was replaced"):
        source.size()
    fresh = pickle.loads(pickle.dumps(source))
    assert read_ranges(fresh, [(0, 5)]) == [DATA[:-6:-1]]


@pytest.mark.parametrize("name", ["local", "mmap", "arrow", "fsspec"])
def test_closing_leaves_reads_of_other_threads_alone(path: Path, memory: Any, name: str) -> None:
    source = sources(path, memory)[name]

    def read(offset: int) -> bytes:
        source.close()
        return read_ranges(source, [(offset, 50)])[0]

    with ThreadPoolExecutor(8) as pool:
        offsets = [*range(0, 9_000, 30)] * 4
        assert list(pool.map(read, offsets)) == [DATA[each : each + 50] for each in offsets]


def test_missing_files_are_input_errors(tmp_path: Path, memory: Any) -> None:
    cases: list[tuple[Any, Any]] = [
        (tmp_path / "no.recd", None),
        (tmp_path, None),
        ("no.recd", pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())),
        ("/no/no.recd", memory),
    ]
    for where, filesystem in cases:
        source = open_source(where, filesystem=filesystem)
        with pytest.raises(RecdInputError, match="cannot be read"):
            source.size()
        with pytest.raises(RecdInputError, match="cannot be read"):
            read_ranges(source, [(0, 1), (1, 1)])


def test_an_empty_file_can_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    source = open_source(tmp_path / "empty", mmap=True)
    assert source.size() == 0
    assert len(read_ranges(source, [(0, 0)])[0]) == 0


@pytest.mark.parametrize("where", [7, None, object(), ["a"]])
def test_what_cannot_be_opened_is_named(where: Any) -> None:
    with pytest.raises(RecdInputError, match=type(where).__name__):
        open_source(where)
    with pytest.raises(RecdInputError, match=type(where).__name__):
        open_sink(where)


def test_unknown_uris_are_named() -> None:
    with pytest.raises(RecdInputError, match=r"nope://x/y\.recd"):
        open_source("nope://x/y.recd")
    with pytest.raises(RecdInputError, match="file system"):
        open_source("x", filesystem=object())


def test_a_local_file_appears_whole_at_commit(tmp_path: Path) -> None:
    target = tmp_path / "train.recd"
    target.write_bytes(b"old")
    sink = open_sink(target)
    assert isinstance(sink, Sink)
    sink.write(b"head")
    sink.write(np.arange(3, dtype=np.int64))
    sink.write(memoryview(bytearray(5)))
    assert sink.tell() == 33
    assert target.read_bytes() == b"old"
    (partial,) = set(os.listdir(tmp_path)) - {"train.recd"}
    assert partial.startswith(f".train.recd.{os.getpid()}-")
    assert partial.endswith(".partial")
    assert [str(each) for each in list_files(tmp_path)] == [str(target)]
    sink.commit()
    assert os.listdir(tmp_path) == ["train.recd"]
    assert target.read_bytes() == b"head" + np.arange(3).tobytes() + bytes(5)
    sink.abort()
    assert target.exists()
    with pytest.raises(RecdInputError, match="already closed"):
        sink.write(b"more")


def test_an_aborted_local_file_leaves_nothing(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "train.recd")
    sink.write(bytes(5_000_000))
    sink.abort()
    sink.abort()
    assert os.listdir(tmp_path) == []


def test_a_dropped_local_file_leaves_nothing(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "train.recd")
    sink.write(bytes(5_000_000))
    assert len(os.listdir(tmp_path)) == 1
    del sink
    gc.collect()
    assert os.listdir(tmp_path) == []


def test_a_process_that_ends_without_commit_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from recd_format.filesystem import open_sink\n"
        "sink = open_sink(sys.argv[1]); sink.write(b'x')"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "train.recd"], check=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["drop", "abort", "exit"])
def test_a_forked_child_leaves_its_parents_file_alone(tmp_path: Path, how: str) -> None:
    code = """if True:
        import gc, os, sys
        from recd_format.filesystem import open_sink
        sink = open_sink(sys.argv[1])
        sink.write(b"one ")
        if (child := os.fork()) == 0:
            if sys.argv[2] == "abort":
                sink.abort()
            if sys.argv[2] == "drop":
                del sink
                gc.collect()
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        sink.write(b"two")
        sink.commit()
    """
    target = tmp_path / "train.recd"
    ran = subprocess.run([sys.executable, "-c", code, target, how], check=True, capture_output=True)
    assert ran.stderr == b""
    assert target.read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["train.recd"]


@pytest.mark.parametrize("exists", [True, False])
def test_writing_to_a_symlink_replaces_what_it_points_to(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "real.recd", tmp_path / "link.recd"
    if exists:
        target.write_bytes(b"old")
    link.symlink_to(Path("data") / "real.recd")
    sink = open_sink(link)
    assert sink.name == str(link)
    sink.write(b"new")
    sink.commit()
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["real.recd"]


def test_a_remote_place_that_may_not_be_seen_is_named() -> None:
    class Locked(MemoryFileSystem):
        protocol = "locked"
        cachable = False

        def info(self, path: str, **_: Any) -> Any:
            raise PermissionError(errno.EACCES, "Access denied")

    with pytest.raises(
        RecdInputError, match=r"t\.recd: cannot be written: Access denied"
    ) as caught:
        open_sink("/b/t.recd", filesystem=Locked())
    assert isinstance(caught.value.__cause__, PermissionError)


def test_places_that_cannot_be_written_are_named(tmp_path: Path, memory: Any) -> None:
    with pytest.raises(RecdInputError, match=r"no/train\.recd.*no such folder"):
        open_sink(tmp_path / "no" / "train.recd")
    with pytest.raises(RecdInputError, match="not a regular file"):
        open_sink(tmp_path)
    with pytest.raises(RecdInputError, match="not a regular file"):
        open_sink("/dev/null")
    with pytest.raises(RecdInputError, match="cannot be written"):
        open_sink(tmp_path / ("x" * 300))
    memory.makedirs("/folder")
    with pytest.raises(RecdInputError, match="it is a folder"):
        open_sink("/folder", filesystem=memory)


def test_a_full_disk_is_an_input_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = LocalSink(str(tmp_path / "train.recd"))
    sink.write(b"x")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecdInputError, match=r"train\.recd: cannot be written: No space left"):
        sink.commit()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_write_that_fails_is_an_input_error(tmp_path: Path) -> None:
    sink = LocalSink(str(tmp_path / "train.recd"))
    sink._opened().close()
    sink._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(RecdInputError, match="No space left"):
        sink.write(b"x")
    sink.abort()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["fsspec", "arrow", "uri"])
def test_a_remote_file_is_one_upload(tmp_path: Path, memory: Any, name: str) -> None:
    arrow = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    where, filesystem = {
        "fsspec": ("/b/t.recd", memory),
        "arrow": ("t.recd", arrow),
        "uri": ("memory://b/t.recd", None),
    }[name]
    sink = open_sink(where, filesystem=filesystem)
    sink.write(DATA)
    sink.write(np.frombuffer(DATA, np.uint16))
    assert sink.tell() == 2 * len(DATA)
    with pytest.raises(RecdInputError):
        open_source(where, filesystem=filesystem).size()
    sink.commit()
    source = open_source(where, filesystem=filesystem)
    assert read_ranges(source, [(0, source.size())])[0] == DATA * 2
    aborted = open_sink("x" + where if name == "arrow" else where + "x", filesystem=filesystem)
    aborted.write(DATA)
    aborted.abort()
    assert len(memory.find("/")) + len(os.listdir(tmp_path)) == 1


def test_an_upload_that_fails_is_removed(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink("/b/t.recd", filesystem=memory)
    sink.write(DATA)

    def fail(*_: object) -> None:
        raise OSError("connection reset")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(RecdInputError, match="connection reset"):
        sink.commit()
    assert memory.find("/") == []


def test_a_file_object_gets_all_bytes_at_commit() -> None:
    file = io.BytesIO()
    sink = open_sink(file)
    sink.write(DATA)
    assert file.getvalue() == b""
    sink.commit()
    assert file.getvalue() == DATA


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.recd", "a.recd", ".c.recd.1-2.partial", ".d.recd", "e.txt", "sub/f.recd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "g.recd").touch()
    return tmp_path


CASES = [
    ("", ["a.recd", "b.recd"]),
    ("*.recd", ["a.recd", "b.recd"]),
    ("*", ["a.recd", "b.recd", "e.txt"]),
    ("[bc].recd", ["b.recd"]),
    ("**/*.recd", ["a.recd", "b.recd", "sub/f.recd"]),
    ("*/*.recd", ["sub/f.recd"]),
    ("sub", ["sub/f.recd"]),
    ("?.recd", ["a.recd", "b.recd"]),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_folders_and_globs_list_visible_files(
    tree: Path, memory: Any, pattern: str, expected: list[str]
) -> None:
    for place in tree.rglob("*"):
        if place.is_file():
            memory.pipe_file(f"/t/{place.relative_to(tree)}", place.read_bytes())
    local = list_files(tree / pattern if pattern else tree)
    assert [str(Path(each.path).relative_to(tree)) for each in local] == expected
    remote = list_files(f"memory://t/{pattern}".rstrip("/"))
    assert [each.path.partition("t/")[2] for each in remote] == expected
    for each in remote:
        assert open_source(each).size() > 0
        assert str(each).startswith("memory://")
    arrow = pafs.SubTreeFileSystem(str(tree.parent), pafs.LocalFileSystem())
    under = list_files(f"{tree.name}/{pattern}".rstrip("/"), filesystem=arrow)
    assert [each.path.partition("/")[2] for each in under] == expected


def test_a_hidden_folder_that_is_spelled_out_is_listed(tree: Path) -> None:
    assert len(list_files(tree / ".git" / "*.recd")) == 1


def test_a_path_stands_for_itself_and_lists_keep_their_order(tree: Path) -> None:
    assert [each.path for each in list_files("missing.recd")] == ["missing.recd"]
    both = list_files([tree / "b.recd", tree / "a.recd"])
    assert [Path(each.path).name for each in both] == ["b.recd", "a.recd"]
    odd = tree / "odd[1].recd"
    odd.touch()
    assert [each.path for each in list_files(odd)] == [str(odd)]


def test_nothing_found_is_an_input_error(tree: Path) -> None:
    with pytest.raises(RecdInputError, match="no file matches"):
        list_files(tree / "z*.recd")
    with pytest.raises(RecdInputError, match=r"no file ending in \.lance"):
        list_files(tree, suffix=".lance")
    with pytest.raises(RecdInputError, match="empty"):
        list_files([])


def test_places_resolve_to_themselves() -> None:
    place = resolve("some/path.recd")
    assert resolve(place) is place
    assert place.filesystem is None
