"""A small log, and what batches hold as plain Python values."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import recd_format as recd
from tests.helpers import in_file_order

__all__ = [
    "ROWS",
    "contents",
    "expected_rows",
    "in_children",
    "no_leaks",
    "row_numbers",
    "small_table",
    "write_small_log",
]

ROWS = 230


def small_table(rows: int = ROWS, sessions: int = 31, seed: int = 0) -> pa.Table:
    """A log with every kind of feature: groups, windows, nulls, empty lists, a vector."""
    rng = np.random.default_rng(seed)
    session = np.sort(rng.integers(0, sessions, rows))
    history = np.arange(rows) % 40

    def lists(make: Any, type_: pa.DataType) -> pa.Array:
        return pa.array([make(i) for i in range(rows)], type_)

    def of_session(i: int) -> int:
        return int(session[i])

    ids, floats = pa.list_(pa.int64()), pa.list_(pa.float32())
    return pa.table(
        {
            "session": pa.array(session),
            "time": pa.array(np.arange(rows)),
            "user": lists(lambda i: [of_session(i) * 3, 7][: of_session(i) % 3], ids),
            "genre": lists(lambda i: [of_session(i) % 5] * 2, ids),
            "history": lists(lambda i: list(range(history[i], history[i] + 30)), ids),
            "often": lists(lambda i: None if i % 11 == 0 else [i % 4], ids),
            "item": pa.array(rng.integers(0, 1000, rows)),
            "tags": lists(
                lambda i: [(of_session(i) + j, 0.5 * j) for j in range(i % 3)],
                pa.map_(pa.int64(), pa.float32()),
            ),
            "scores": lists(lambda i: [0.25 * of_session(i)] * (i % 4), floats),
            "age": pa.array((session * 1.5).astype(np.float32)),
            "price": pa.array(
                [None if i % 7 == 0 else float(np.float32(i / 3)) for i in range(rows)],
                pa.float32(),
            ),
            "vector": lists(lambda i: [of_session(i), i % 2, 0.5], pa.list_(pa.float32(), 3)),
            "label": pa.array([None if i % 13 == 0 else i % 3 == 0 for i in range(rows)]),
            "bought": pa.array((rng.random(rows) < 0.1).astype(np.float32)),
            "weight": pa.array((1 + history / 8).astype(np.float32)),
            "row": pa.array(np.arange(rows)),
        }
    )


def write_small_log(path: Path, rows: int = ROWS, seed: int = 0, first_row: int = 0) -> pa.Table:
    """Write such a log in several stripes, and return its rows in file order."""
    table = small_table(rows, seed=seed)
    number = pa.array(np.arange(first_row, first_row + rows))
    table = table.set_column(table.column_names.index("row"), "row", number)
    recd.write(
        table,
        path,
        session_key="session",
        order_key="time",
        labels=["label", "bought"],
        sample_weight="weight",
        kinds={"row": "meta"},
        stripe_rows=40,
    )
    return in_file_order(table, "session", "time")


def contents(batch: Any) -> dict[str, list[Any]]:
    """Every row of every feature of a batch, with NaN as None."""
    found: dict[str, list[Any]] = {}
    for features in (batch.sparse_features, batch.idscore_features, batch.float_lists):
        if features is None:
            continue
        expanded = features.expand() if hasattr(features, "expand") else features
        for key, jagged in expanded.to_dict().items():
            ends = np.cumsum(jagged.lengths().numpy())
            values = np.split(jagged.values().numpy(), ends[:-1])
            weights = jagged.weights_or_none()
            if weights is None:
                found[key] = [row.tolist() for row in values]
            else:
                parts = np.split(weights.numpy(), ends[:-1])
                found[key] = [
                    list(zip(row.tolist(), part.tolist(), strict=True))
                    for row, part in zip(values, parts, strict=True)
                ]
    for names, columns in (
        (batch.dense_names, batch.dense_features),
        (batch.label_names, batch.labels),
    ):
        for name, column in zip(names, columns.t().tolist(), strict=True):
            found[name] = [None if value != value else value for value in column]
    found["weights"] = None if batch.weights is None else batch.weights.tolist()
    found["session_ids"] = batch.session_ids.tolist()
    for name, array in batch.meta.items():
        found[name] = array.to_pylist()
    return found


def expected_rows(table: pa.Table) -> dict[str, list[Any]]:
    """The same of a table in the order of its file."""
    found: dict[str, list[Any]] = {}
    for name in ("user", "genre", "history", "often", "tags", "scores"):
        found[name] = [row or [] for row in table[name].to_pylist()]
    found["item"] = [[value] for value in table["item"].to_pylist()]
    for name in ("age", "price"):
        found[name] = table[name].to_pylist()
    for place in range(3):
        found[f"vector[{place}]"] = [row[place] for row in table["vector"].to_pylist()]
    for name in ("label", "bought"):
        found[name] = [None if v is None else float(v) for v in table[name].to_pylist()]
    found["weights"] = table["weight"].to_pylist()
    found["row"] = table["row"].to_pylist()
    return found


def row_numbers(batch: Any) -> list[int]:
    """Numbers of a batch's rows in the log, for readers with ``meta=["row"]``."""
    numbers: list[int] = batch.meta["row"].to_pylist()
    return numbers


def in_children(*functions: Callable[[], Any]) -> list[Any]:
    """What functions return, each in a forked process, side by side."""
    context = multiprocessing.get_context("fork")
    started = []
    for function in functions:
        receiver, sender = context.Pipe(duplex=False)

        def send(function: Callable[[], Any] = function, sender: Any = sender) -> None:
            sender.send(function())

        child = context.Process(target=send)
        child.start()
        sender.close()
        started.append((child, receiver))
    found = []
    for child, receiver in started:
        with receiver:
            found.append(receiver.recv())  # EOFError where the child failed
        child.join()
    return found


@contextmanager
def no_leaks() -> Iterator[None]:
    """Fail where there are threads, child processes or descriptors after that were not before."""
    gc.collect()
    threads, children, descriptors = _threads(), _children(), _descriptors()
    yield
    gc.collect()
    for thread in _threads() - threads:
        # Those of queues that are closed are about to end, and close descriptors as they do.
        if thread.name.startswith("QueueFeederThread"):
            thread.join()
    assert _threads() <= threads, f"threads: {_threads() - threads}"
    assert _children() <= children, f"processes: {_children() - children}"
    assert _descriptors() <= descriptors, f"descriptors: {descriptors} -> {_descriptors()}"


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _children() -> set[int | None]:
    return {child.pid for child in multiprocessing.active_children()}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
