"""A synthetic session log, in the shape that ranking models of the RecD paper train on.

Sessions interleave in time. Most of a user's id lists stay from row to row and change now and
then, each on its own; histories are windows that slide; item features are those of the item
shown, drawn from a catalogue; floats are noise. No real log is needed, and none is imitated.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["session_log"]

Ints = NDArray[np.int64]

MEAN_SESSION_ROWS = 16.5
MEAN_PAUSE_MS = 60_000
LOG_SPAN_MS = 3_600_000
USER_LISTS = 24
HISTORIES = 6
HISTORY_LENGTH = 100
ITEM_LISTS = 8
CATALOGUE_ITEMS = 50_000
FLOATS = 16
CLICK_RATE = 0.03


def session_log(num_sessions: int, seed: int = 0) -> pa.Table:
    """Make a log in arrival order.

    Parameters
    ----------
    num_sessions
        Sessions; their lengths are geometric, 16.5 rows on average.
    seed
        The same seed gives the same log.

    Returns
    -------
    pa.Table
        ``session_id``, ``timestamp`` (ms), ``label``, 24 user id lists, 6 sliding histories of
        100 ids, 8 item id lists, 16 floats.
    """
    rng = np.random.default_rng(seed)
    session_rows = rng.geometric(1 / MEAN_SESSION_ROWS, num_sessions)
    session = np.repeat(np.arange(num_sessions), session_rows)
    rows = len(session)
    is_first = np.ones(rows, bool)
    is_first[1:] = session[1:] != session[:-1]
    timestamp = _times(rng, session, is_first)

    columns: dict[str, pa.Array] = {
        "session_id": pa.array(rng.permutation(1 << 20)[:num_sessions][session] + (1 << 40)),
        "timestamp": pa.array(timestamp),
        "label": pa.array((rng.random(rows) < CLICK_RATE).astype(np.int8)),
    }
    for index in range(USER_LISTS):
        stay = rng.uniform(0.9, 0.995)
        version = np.cumsum(is_first | (rng.random(rows) > stay)) - 1
        lengths = rng.poisson(rng.choice([1, 5, 20, 50]), version[-1] + 1)
        values = _ids(rng, int(lengths.sum()), 1 << int(rng.integers(14, 27)))
        columns[f"user_{index:02d}"] = _gather(values, lengths, version)
    for index in range(HISTORIES):
        columns[f"history_{index}"] = _history(rng, is_first)
    for index in range(ITEM_LISTS):
        lengths = rng.poisson(rng.choice([1, 3]), CATALOGUE_ITEMS)
        values = _ids(rng, int(lengths.sum()), 1 << int(rng.integers(14, 24)))
        columns[f"item_{index}"] = _gather(values, lengths, rng.integers(0, CATALOGUE_ITEMS, rows))
    for index in range(FLOATS):
        columns[f"dense_{index:02d}"] = pa.array(rng.standard_normal(rows, np.float32))
    arrival = np.argsort(timestamp, kind="stable")
    return pa.table(columns).take(pa.array(arrival))


def _times(rng: np.random.Generator, session: Ints, is_first: NDArray[np.bool_]) -> Ints:
    """A start within the hour for each session, pauses of a minute on average after it."""
    pauses = rng.exponential(MEAN_PAUSE_MS, len(session))
    elapsed = np.cumsum(np.where(is_first, 0.0, pauses))
    start = rng.uniform(0, LOG_SPAN_MS, session[-1] + 1) - elapsed[is_first]
    times: Ints = (elapsed + start[session]).astype(np.int64)
    return times


def _ids(rng: np.random.Generator, count: int, space: int) -> Ints:
    """Ids with a heavy tail: few are frequent, and the frequent ones are spread over `space`."""
    rank = np.minimum(rng.pareto(1.05, count) * 50, 1e15).astype(np.int64)
    ids: Ints = rank % space * 0x9E3779B1 % space
    return ids


def _gather(values: Ints, lengths: Ints, rows: Ints) -> pa.Array:
    """Lists `rows` of a jagged array, as list<int64>."""
    starts = np.cumsum(lengths) - lengths
    taken = lengths[rows]
    ends = np.cumsum(taken)
    index = np.arange(ends[-1]) + np.repeat(starts[rows] - (ends - taken), taken)
    offsets = np.concatenate([np.zeros(1, np.int32), ends.astype(np.int32)])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[index]))


def _history(rng: np.random.Generator, is_first: NDArray[np.bool_]) -> pa.Array:
    """The last 100 ids of a stream that grows by 1 to 3 ids at 15 % of the rows."""
    rows = len(is_first)
    grows = np.where(rng.random(rows) < 0.15, rng.integers(1, 4, rows), 0)
    ends = np.cumsum(np.where(is_first, HISTORY_LENGTH, grows))
    values = _ids(rng, int(ends[-1]), 1 << 22)
    index = (ends - HISTORY_LENGTH)[:, None] + np.arange(HISTORY_LENGTH)
    offsets = np.arange(rows + 1, dtype=np.int32) * HISTORY_LENGTH
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[index.ravel()]))
