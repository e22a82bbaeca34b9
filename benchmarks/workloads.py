"""The logs every benchmark runs on: made ones and the real ones of ``shared/data``.

Each is a table in arrival order with the names of its session key, order key and labels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "LOGS",
    "Workload",
    "load",
    "no_duplicates",
    "real_log",
    "rm1_grouped",
    "rm1_like",
    "wide",
]

_REAL = {"trivago": "trivago_val100k", "yoochoose": "yoochoose100k", "ml100k": "ml100k"}
_MEAN_ROWS = 16.5


@dataclass(frozen=True)
class Workload:
    """A log in arrival order."""

    name: str
    table: pa.Table
    session_key: str = "session_id"
    order_key: str = "timestamp"
    labels: tuple[str, ...] = ("label",)

    def id_lists(self) -> list[str]:
        """Names of the list<int> columns."""
        return [
            f.name
            for f in self.table.schema
            if pa.types.is_list(f.type) and pa.types.is_integer(f.type.value_type)
        ]


def _ends(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.r_[0, lengths.cumsum()]


def _jagged(
    lengths: NDArray[np.int64], values: NDArray[np.int64], rows: NDArray[np.int64]
) -> pa.Array:
    """Rows of a jagged array, gathered: list<int64>."""
    begin, taken = _ends(lengths)[:-1][rows], lengths[rows]
    out = _ends(taken)
    index = np.repeat(begin - out[:-1], taken) + np.arange(out[-1])
    return pa.ListArray.from_arrays(pa.array(out.astype(np.int32)), pa.array(values[index]))


def _ids(r: np.random.Generator, count: int, space: int) -> NDArray[np.int64]:
    """Ids with a heavy tail, spread over `space`."""
    popular = (r.pareto(1.05, count) * 50).astype(np.int64) % space
    return (popular * np.int64(11400714819323)) % space


def _sessions(
    r: np.random.Generator, sessions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Session number, timestamp in ms and "first row of its session" of each row."""
    rows = np.maximum(1, r.geometric(1 / _MEAN_ROWS, sessions))
    session = np.repeat(np.arange(sessions), rows)
    start = r.uniform(0, 3_600_000, sessions)
    step = np.concatenate([r.exponential(60_000, k).cumsum() for k in rows])
    first = np.r_[True, session[1:] != session[:-1]]
    return session, (start[session] + step).astype(np.int64), first


def _keys(session: NDArray[np.int64], timestamp: NDArray[np.int64]) -> dict[str, pa.Array]:
    return {"session_id": pa.array(session * 2654435761 % 2**48), "timestamp": pa.array(timestamp)}


def _arrival(columns: dict[str, pa.Array], timestamp: NDArray[np.int64]) -> pa.Table:
    table = pa.table(columns).take(pa.array(np.argsort(timestamp, kind="stable")))
    return table.combine_chunks()


def _rm1(sessions: int, seed: int, families: int | None, *, popular: bool = False) -> pa.Table:
    # The order of the draws is that of the trial script, so that the log is bit for bit the same.
    r = np.random.default_rng(seed)
    session, timestamp, first = _sessions(r, sessions)
    n = len(session)
    columns = _keys(session, timestamp)
    columns["label"] = pa.array((r.random(n) < 0.03).astype(np.int8))
    together = [first | (r.random(n) > r.uniform(0.9, 0.995)) for _ in range(families or 0)]
    for f in range(24):
        stay, mean = r.uniform(0.9, 0.995), int(r.choice([1, 5, 20, 50]))
        space = 2 ** int(r.integers(14, 27))
        new = first | (r.random(n) > stay)
        if together:
            new = together[f * len(together) // 24]
        unique = np.cumsum(new) - 1
        lengths = r.poisson(mean, unique[-1] + 1)
        columns[f"u{f}"] = _jagged(lengths, _ids(r, int(lengths.sum()), space), unique)
    for f in range(6):
        slid = np.where(r.random(n) < 0.15, r.integers(1, 4, n), 0)
        ends = np.where(first, 100, slid).cumsum()
        values = _ids(r, int(ends[-1]), 2**22)
        index = ((ends - 100)[:, None] + np.arange(100)).ravel()
        offsets = pa.array(np.arange(n + 1, dtype=np.int32) * 100)
        columns[f"s{f}"] = pa.ListArray.from_arrays(offsets, pa.array(values[index]))
    for f in range(8):
        mean, space = int(r.choice([1, 1, 3])), 2 ** int(r.integers(14, 24))
        items = 2_000 if popular else 200_000
        lengths = r.poisson(20 if popular else mean, items)
        values = _ids(r, int(lengths.sum()), space)
        columns[f"i{f}"] = _jagged(lengths, values, r.integers(0, items, n))
    for f in range(16):
        columns[f"d{f}"] = pa.array(r.standard_normal(n).astype(np.float32))
    return _arrival(columns, timestamp)


def rm1_like(sessions: int = 4000, seed: int = 0) -> Workload:
    """The log of ``reference/trials/rm1_like.py``: the same seed gives the same log."""
    return Workload("rm1_like", _rm1(sessions, seed, None))


def rm1_grouped(sessions: int = 4000, seed: int = 0) -> Workload:
    """rm1_like with the 24 user features in 4 families that change together."""
    return Workload("rm1_grouped", _rm1(sessions, seed, 4))


def rm1_popular(sessions: int = 4000, seed: int = 0) -> Workload:
    """rm1_like with item lists of 20 ids on average, of 2,000 items that all users share."""
    return Workload("rm1_popular", _rm1(sessions, seed, None, popular=True))


def no_duplicates(sessions: int = 4000, seed: int = 0) -> Workload:
    """The control: sessions as in rm1_like, but no feature value ever comes twice."""
    r = np.random.default_rng(seed)
    session, timestamp, _ = _sessions(r, sessions)
    n = len(session)
    columns = _keys(session, timestamp)
    columns["label"] = pa.array((r.random(n) < 0.03).astype(np.int8))
    for f in range(16):
        # Never empty: empty lists would repeat. 2^52 ids: no list comes twice by chance.
        lengths = 1 + r.poisson((0, 4, 9)[f % 3], n)
        values = r.integers(0, 2**52, int(lengths.sum()))
        columns[f"u{f}"] = _jagged(lengths, values, np.arange(n))
    for f in range(16):
        columns[f"d{f}"] = pa.array(r.standard_normal(n))
    return Workload("no_duplicates", _arrival(columns, timestamp))


def wide(features: int = 5000, rows: int = 20_000, seed: int = 0) -> Workload:
    """A wide file: `features` list<int64> columns with one id a row on average."""
    r = np.random.default_rng(seed)
    session, timestamp, first = (x[:rows] for x in _sessions(r, 20 + rows * 2 // int(_MEAN_ROWS)))
    order = np.argsort(timestamp, kind="stable")
    columns = {k: v.take(pa.array(order)) for k, v in _keys(session, timestamp).items()}
    columns["label"] = pa.array((r.random(rows) < 0.03).astype(np.int8))
    for f in range(features):
        unique = np.cumsum(first | (r.random(rows) > r.uniform(0.9, 0.995))) - 1
        lengths = r.poisson(1, unique[-1] + 1)
        values = r.integers(0, 2 ** int(r.integers(10, 25)), int(lengths.sum()))
        columns[f"f{f}"] = _jagged(lengths, values, unique[order])
    return Workload("wide", pa.table(columns))


def _data_folder() -> Path:
    given = os.environ.get("RECD_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"


def real_log(name: str) -> Workload:
    """A real log, read in place: trivago, yoochoose or ml100k.

    Raises
    ------
    FileNotFoundError
        Where the logs are neither in ``../shared/data`` beside the repository nor in the folder
        named by the environment variable RECD_DATA.
    """
    path = _data_folder() / f"{_REAL.get(name, name)}.parquet"
    if not path.exists():
        raise FileNotFoundError(f"{path}: set RECD_DATA to the folder with the real logs")
    return Workload(name, pq.read_table(path).combine_chunks())


LOGS: dict[str, Callable[..., Workload]] = {
    "rm1_like": rm1_like,
    "rm1_grouped": rm1_grouped,
    "rm1_popular": rm1_popular,
    "no_duplicates": no_duplicates,
    "wide": wide,
} | {name: partial(real_log, name) for name in _REAL}


def load(name: str, **sizes: int) -> Workload:
    """The workload `name`; `sizes` (sessions, seed, features, rows) are those of its function."""
    return LOGS[name](**sizes)
