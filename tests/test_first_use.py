"""First uses: nothing writable, an empty cache and many at once, workers that fork or spawn."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from tests.damage import small_file

# One kernel and the helpers it calls: a use that is cheap to compile.
ONE_KERNEL = textwrap.dedent(
    """
    import warnings
    warnings.simplefilter("always")
    compiled = []
    from recd_format._jit import cache_directory, on_compile
    on_compile(compiled.append)
    import numpy as np
    from recd_format.dedup.codes import decode_codes
    for _ in range(2):
        out = np.empty(4, np.int32)
        assert decode_codes(np.array([1, 0, 1, 2], np.uint32), 0, out) == -1
        assert out.tolist() == [0, 0, 1, 0]
    print(len(compiled), cache_directory())
    """
)


def environment(**changes: str) -> dict[str, str]:
    names = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TMPDIR", "HOME")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, **changes}


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment whose every folder for files lies below a file: root may write elsewhere."""
    (tmp_path / "file").write_bytes(b"")
    below = str(tmp_path / "file" / "folder")
    return environment(NUMBA_CACHE_DIR=below, XDG_CACHE_HOME=below, HOME=below, TMPDIR=below)


# tempfile tries /tmp and the working folder after TMPDIR; on this machine they are writable.
NO_TEMPORARY = "import tempfile; tempfile.tempdir = {!r}\n"


def test_a_read_only_install_works_and_warns_once(nowhere: dict[str, str], tmp_path: Path) -> None:
    below = nowhere["HOME"]
    code = NO_TEMPORARY.format(below) + ONE_KERNEL
    done = subprocess.run(
        [sys.executable, "-c", code], env=nowhere, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 None\n"
    assert done.stderr.count("RuntimeWarning: recd_format: no writable folder for compiled") == 1
    assert done.stderr.count("Warning") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_next_writable_folder_is_taken_without_a_word(
    nowhere: dict[str, str], tmp_path: Path
) -> None:
    spare = tmp_path / "spare"
    spare.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ONE_KERNEL],
        env={**nowhere, "TMPDIR": str(spare)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"1 {spare}{os.sep}recd_format\n"
    assert [each.name[:8] for each in (spare / "recd_format").iterdir()] == ["kernels-"]
    assert done.stderr == ""


def test_the_first_use_says_what_it_does_and_later_ones_are_silent(tmp_path: Path) -> None:
    code = ONE_KERNEL.replace("on_compile(compiled.append)", "")
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment(NUMBA_CACHE_DIR=str(tmp_path)),
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert said[0].count("compiling kernels for the first use on this machine") == 1
    assert said[1] == ""


def test_eight_first_uses_at_once(tmp_path: Path) -> None:
    """Each compiles, or loads what another has just compiled; none sees half a cache entry."""
    env = environment(NUMBA_CACHE_DIR=str(tmp_path), HOME=str(tmp_path))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_KERNEL], env=env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [result[1:] for result in results] == [("", 0)] * 8
    # All use one folder, and a ninth compiles nothing.
    assert len({out.split()[1] for out, _, _ in results}) == 1
    again = subprocess.run(
        [sys.executable, "-c", ONE_KERNEL], env=env, capture_output=True, text=True, check=True
    )
    assert again.stdout.startswith("0 ")


def test_threads_that_meet_at_a_first_use_compile_once(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import threading
        compiled = []
        from recd_format._jit import on_compile
        on_compile(compiled.append)
        import numpy as np
        from recd_format.dedup.codes import decode_codes
        def use():
            assert decode_codes(np.array([1, 0], np.uint32), 0, np.empty(2, np.int32)) == -1
        threads = [threading.Thread(target=use) for _ in range(6)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(compiled)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(NUMBA_CACHE_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['recd_format.dedup.codes._decode_codes']\n"


def _rows(file: recd.RecdFile, begin: int, end: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = file.read(rows=slice(begin, end)).to_pylist()
    return rows


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_one_file(method: str, tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    path.write_bytes(small_file())
    file = recd.open(path)
    expected = file.read().to_pylist()
    with multiprocessing.get_context(method).Pool(2) as pool:
        ranges = [(file, begin, begin + 6) for begin in range(0, 24, 6)]
        parts = pool.starmap(_rows, ranges)
    assert [row for part in parts for row in part] == expected
    # Ours is as it was.
    assert file.read().to_pylist() == expected


def _child(file: recd.RecdFile, count: int) -> None:
    for _ in range(count):
        assert file.read().num_rows == 24


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_may_fork_while_its_threads_read(tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    path.write_bytes(small_file())
    file = recd.open(path)
    file.read()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            file.read()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=_child, args=(file, 3)) for _ in range(6)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
        assert [child.exitcode for child in children] == [0] * 6
    finally:
        stop.set()
        reader.join()


def test_files_and_datasets_pickle_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "log.recd"
    path.write_bytes(small_file())
    file = recd.open(path, options=recd.ReadOptions(request_bytes=4096))
    file.read()
    data = pickle.dumps(file)
    assert len(data) < 2_000
    again = pickle.loads(data)
    assert again.read().equals(file.read())
    assert again.reader.options == file.reader.options
    dataset = pickle.loads(pickle.dumps(recd.dataset(tmp_path)))
    assert dataset.read().equals(file.read())
    assert pickle.loads(pickle.dumps(recd.open(small_file()))).read().equals(file.read())


def test_what_cannot_be_opened_elsewhere_says_so() -> None:
    file = recd.open(io.BytesIO(small_file()))
    with pytest.raises(recd.RecdInputError, match="an open file object cannot go to another proc"):
        pickle.dumps(file)
    writer = recd.RecdWriter(io.BytesIO(), pa.schema([("s", pa.int64())]), session_key="s")
    with pytest.raises(TypeError):
        pickle.dumps(writer)
    writer.abort()


def test_errors_pickle_with_what_they_say() -> None:
    with pytest.raises(recd.RecdFormatError) as caught:
        recd.open(small_file()[:-1])
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.reason) == (str(caught.value), caught.value.reason)


def test_threads_share_one_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.integers(0, 50, 400) for i in range(200)}
    table = pa.table({"session": np.arange(400) // 10, **columns})
    path = tmp_path / "wide.recd"
    recd.write(table, path, session_key="session", stripe_rows=50)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            file = recd.open(path)
            barrier = threading.Barrier(4)

            def read(number: int, file: Any = file, barrier: Any = barrier) -> bool:
                barrier.wait()
                names = [f"c{i}" for i in range(number, 200, 4)]
                return bool(file.read(names).equals(table.select(names)))

            with ThreadPoolExecutor(4) as pool:
                assert all(pool.map(read, range(4)))
    finally:
        sys.setswitchinterval(switch)
