"""Transforms in a reader: batches are what the rows, written out and changed one by one, are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.torch.transforms import (
    Bucketize,
    Clip,
    CrossHash,
    Fill,
    HashBuckets,
    LastN,
    Log1p,
    Modulo,
    Normalize,
    Subtract,
    Transforms,
)
from tests.torch_plugin.transforms.plain_hash import plain_bucket, plain_cross

torch = pytest.importorskip("torch")

ROWS = 150
TRANSFORMS = Transforms(
    unique={
        "hist": [LastN(3), HashBuckets(1000, 1)],
        ("user", "item"): [Modulo(13)],
        "times": [Normalize(1, 2)],
        "price": [Fill(0), Clip(0, 20), Log1p()],
        "hour": [Bucketize([6, 12])],
        "age": [Clip(high=50)],
    },
    rows=[Subtract("now", "t", "age"), CrossHash(["user", "item"], 97, "cross")],
    aligned=[("hist", "times")],
)


def log() -> pa.Table:
    hist = [None if i % 31 == 5 else list(range(i // 2, i // 2 + 8)) for i in range(ROWS)]
    return pa.table(
        {
            "s": [i // 20 for i in range(ROWS)],
            "t": [10**15 + i for i in range(ROWS)],
            "now": [10**15 + 2 * i for i in range(ROWS)],
            "hist": pa.array(hist, pa.list_(pa.int64())),
            "times": pa.array(
                [None if h is None else [x / 2 for x in h] for h in hist], pa.list_(pa.float32())
            ),
            "user": [None if i % 7 == 0 else i // 20 for i in range(ROWS)],
            "item": [i * i % 50 for i in range(ROWS)],
            "price": pa.array([None if i % 9 == 0 else i / 3 for i in range(ROWS)], pa.float32()),
            "hour": pa.array([None if i % 40 == 3 else i % 24 for i in range(ROWS)], pa.float64()),
            "label": pa.array([i % 2 for i in range(ROWS)], pa.int8()),
        }
    )


def expected(row: dict) -> dict[str, list[float]]:
    user, item, price, hour = (row[name] for name in ("user", "item", "price", "hour"))
    return {
        "hist": [plain_bucket(x, 1000, 1) for x in (row["hist"] or [])[-3:]],
        "times": [(x - 1) / 2 for x in (row["times"] or [])[-3:]],
        "user": [] if user is None else [user % 13],
        "item": [item % 13],
        "cross": [] if user is None else [plain_cross([user, item], 97, 0)],
        "hour": [3 if hour is None else int(np.digitize(hour, [6, 12]))],
        "dense": [np.log1p(min(price or 0, 20)), min(row["now"] - row["t"], 50)],
    }


@pytest.mark.parametrize("dedup", ["none", "auto", {"hist": "window", "times": "window"}])
def test_batches_are_the_changed_rows(dedup: object, tmp_path: Path) -> None:
    from recd_format.torch import RecdIterableDataset

    path = tmp_path / "log.recd"
    recd.write(log(), path, session_key="s", order_key="t", labels=["label"], dedup=dedup)
    columns = ["hist", "times", "user", "item", "price", "hour", "label"]
    found: dict[str, list] = {}
    for batch in RecdIterableDataset(
        str(path), batch_size=32, transforms=TRANSFORMS, columns=columns
    ):
        for jagged in (batch.sparse_features.expand(), batch.float_lists.expand()):
            for name in jagged.keys():  # noqa: SIM118 (a method of TorchRec's)
                values, lengths = jagged[name].values(), jagged[name].lengths()
                rows = torch.split(values, lengths.tolist())
                found.setdefault(name, []).extend(row.tolist() for row in rows)
        found.setdefault("dense", []).extend(batch.dense_features.tolist())
    rows = [expected(row) for row in recd.open(path).read().to_pylist()]
    assert set(found) == set(rows[0])
    for name, lists in found.items():
        for have, row in zip(lists, rows, strict=True):
            assert have == pytest.approx(row[name], rel=1e-6), name
