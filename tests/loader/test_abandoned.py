"""Iterators that nobody closes: threads end, and what they held is let go."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.loader.loader import Loader
from recd_format.loader.options import LoaderOptions
from recd_format.reader.options import ReadOptions

ROWS = 4_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("abandoned") / "log.recd")
    sessions = [row // 10 for row in range(ROWS)]
    log = pa.table({
        "session_id": sessions,
        "timestamp": list(range(ROWS)),
        "history": [list(range(row % 10, row % 10 + 40)) for row in range(ROWS)],
        "label": [row % 2 for row in range(ROWS)],
    })  # fmt: skip
    recd.write(
        log, path, session_key="session_id", order_key="timestamp", labels=["label"],
        stripe_rows=200,
    )  # fmt: skip
    return path


def test_the_garbage_collector_may_close_an_iterator_in_a_thread_of_ours(file: str) -> None:
    # In a process of its own: a thread that waits for itself never ends.
    code = """
        import gc, sys
        from recd_format.loader.loader import Loader
        from recd_format.loader.options import LoaderOptions
        from recd_format.loader import loader as module

        plain = module.stage
        left = []

        def stage(*arguments, **named):
            # Decoding, in a thread of ours: drop the last reference to the iterator there.
            if left:
                left.clear()
                gc.collect()
            return plain(*arguments, **named)

        module.stage = stage

        def begin():
            class Cycle:
                pass
            cycle = Cycle()
            cycle.me = cycle
            loader = Loader(sys.argv[1], LoaderOptions(batch_size=100, threads=1, prefetch=2))
            cycle.batches = loader.run(0)
            next(cycle.batches)
            left.append(cycle)

        begin()
        other = Loader(sys.argv[1], LoaderOptions(batch_size=100, threads=1))
        print(sum(batch.num_rows for batch in other.run(0)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{ROWS}\n", done.stderr


def test_a_process_ends_with_an_iterator_left_in_a_global(file: str) -> None:
    code = """
        import sys
        from recd_format.loader.loader import Loader
        from recd_format.loader.options import LoaderOptions

        loader = Loader(sys.argv[1], LoaderOptions(batch_size=100, threads=1, prefetch=2))
        batches = loader.run(0)
        print(next(batches).num_rows)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("100\n", "")


def test_an_error_that_was_handled_holds_no_stripes(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recd_format.loader import loader as module

    plain, staged = module.stage, []

    def stage(*arguments: object, **named: object) -> object:
        if len(staged) == 6:
            raise RecdInputError("the seventh stripe")
        made = plain(*arguments, **named)  # type: ignore[arg-type]
        staged.append(weakref.ref(made.data.session_offsets))
        return made

    monkeypatch.setattr(module, "stage", stage)
    loader = Loader(file, LoaderOptions(batch_size=100))
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RecdInputError, match="the seventh stripe"):
            for _ in loader.run(0):
                pass
        assert len(staged) == 6
    finally:
        gc.enable()
    gc.collect()
    assert not any(reference() is not None for reference in staged)


@pytest.mark.parametrize("mix", ["session", "rows"])
def test_a_batch_has_at_most_the_values_that_the_limits_allow(file: str, mix: str) -> None:
    limits = recd.Limits(expanded_values=100)
    options = LoaderOptions(
        shuffle=True, mix=mix, batch_size=100, threads=0, read=ReadOptions(limits=limits)
    )
    with pytest.raises(RecdFormatError, match="'history': .*in one batch, limit 100") as caught:
        list(Loader(file, options).run(0))
    assert caught.value.reason is Reason.LIMIT


def test_a_file_of_nothing_but_keys_beside_others(file: str, tmp_path: Path) -> None:
    keys = str(tmp_path / "keys.recd")
    recd.write(pa.table({"session_id": [7, 7, 8]}), keys, session_key="session_id")
    loader = Loader([file, keys], LoaderOptions(batch_size=ROWS))
    *_, last = loader.run(0)
    assert last.num_rows == 3
    assert last.layout().session_ids.of(last.data).tolist() == [7, 8]
    assert last.values.tolist() == [0, 1]  # an empty list, and a label that is missing
