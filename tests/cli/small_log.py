"""A small log with sessions that interleave."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

ROWS = 400
SESSIONS = 20
KEYS = ["--session-key", "session_id", "--order-key", "timestamp", "--label", "label"]


def small_log() -> pa.Table:
    rng = np.random.default_rng(5)
    session = rng.integers(0, SESSIONS, ROWS)
    clicks = [rng.integers(0, 1000, 8).tolist() for _ in range(SESSIONS)]
    return pa.table(
        {
            "session_id": [f"s{number}" for number in session],
            "timestamp": rng.integers(0, 10**6, ROWS),
            "clicks": pa.array([clicks[number] for number in session], pa.list_(pa.int64())),
            # As long as its parallel list: a file stores the lengths of both once.
            "dwell": pa.array([rng.random(8).tolist() for _ in session], pa.list_(pa.float32())),
            "price": pa.array([None if i % 50 == 0 else i / 7 for i in range(ROWS)], pa.float32()),
            "item": rng.integers(0, 10**6, ROWS),
            "label": pa.array((rng.random(ROWS) < 0.1).astype(np.int8)),
        }
    )
