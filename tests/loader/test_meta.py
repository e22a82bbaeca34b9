"""Columns that batches carry as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recd_format as recd
from recd_format.constants import Limits
from recd_format.errors import RecdFormatError, RecdInputError
from recd_format.loader.loader import Loader
from recd_format.loader.options import LoaderOptions
from recd_format.reader.options import ReadOptions
from tests.loader.expansion import expand_batch
from tests.loader.logs import write

ROWS = 40
COLUMNS: dict[str, Any] = {
    "string": [f"s{i % 7}" for i in range(ROWS - 1)] + [None],
    "large string": pa.array([f"s{i}" for i in range(ROWS)], pa.large_string()),
    "binary": [bytes([i % 3]) * (i % 4) for i in range(ROWS)],
    "categories": pa.array([f"c{i % 5}" for i in range(ROWS)]).dictionary_encode(),
    "time": pa.array(np.arange(ROWS), pa.timestamp("ms", "UTC")),
    "date": pa.array(np.arange(ROWS), pa.int32()).cast(pa.date32()),
    "bool": [i % 3 == 0 for i in range(ROWS - 1)] + [None],
    "small": pa.array([i % 9 for i in range(ROWS)], pa.int8()),
    "half": pa.array(np.arange(ROWS, dtype=np.float16)),
    "list": [[i, i + 1][: i % 3] for i in range(ROWS - 1)] + [None],
    "large list": pa.array([[i] for i in range(ROWS)], pa.large_list(pa.int16())),
    "vector": pa.array([[i, 1] for i in range(ROWS)], pa.list_(pa.float32(), 2)),
    "map": pa.array([[(i, 0.5)] for i in range(ROWS)], pa.map_(pa.int32(), pa.float64())),
    "windows": [list(range(i, i + 9)) for i in range(ROWS)],
    "label": [i % 2 for i in range(ROWS)],
}


def log(**changes: Any) -> pa.Table:
    keys = {"session": np.arange(ROWS) // 4, "ts": np.arange(ROWS), "row": np.arange(ROWS)}
    return pa.table({**keys, **COLUMNS, **changes})


def options(**changes: Any) -> LoaderOptions:
    every = {"columns": ["row"], "meta": [*COLUMNS, "session", "ts", "row"], "batch_size": 7}
    return LoaderOptions(**{**every, **changes})


@pytest.mark.parametrize("dedup", ["auto", "none", "full", "stripe"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_type(dedup: str, shuffle: bool) -> None:
    data = write(log(), dedup=dedup, stripe_rows=8, labels=["label"])
    expected = recd.open(data).read()
    loader = Loader(data, options(shuffle=shuffle, shuffle_run=1, threads=0))
    rows = 0
    for batch in loader.run(0):
        index = pa.array(expand_batch(batch)["row"].values)
        assert list(batch.meta) == [*COLUMNS, "session", "ts", "row"]
        for name, array in batch.meta.items():
            column = expected[name].combine_chunks().take(index)
            column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            assert array.type.equals(column.type), name
            assert array.to_pylist() == column.to_pylist(), name
        rows += len(index)
    assert rows == ROWS


def test_part_of_a_stripe() -> None:
    data = write(log(), stripe_rows=1000, labels=["label"])
    expected = recd.open(data).read()
    (batch,) = Loader(data, options()).run(0, remaining=[(3, 4)])
    for name, array in batch.meta.items():
        assert array.to_pylist() == expected[name].to_pylist()[21:28], name


def two_files(folder: Path, **changes: Any) -> list[str]:
    paths = []
    for number, table in enumerate((log(), log(**changes))):
        paths.append(str(folder / f"{number}.recd"))
        Path(paths[-1]).write_bytes(write(table, stripe_rows=8, labels=["label"]))
    return paths


def test_columns_of_two_files(tmp_path: Path) -> None:
    other = pa.array([f"d{i % 4}" for i in range(ROWS)]).dictionary_encode()
    paths = two_files(tmp_path, categories=other, string=["other"] * ROWS)
    loader = Loader(paths, options(shuffle=True, window=10, shuffle_run=1, batch_size=16))
    tables = [recd.open(path).read() for path in paths]
    expected = {name: [x for table in tables for x in table[name].to_pylist()] for name in COLUMNS}
    both = 0
    for batch in loader.run(0):
        first = batch.meta["string"].to_pylist()
        both += {"other"} < set(first)
        rows = batch.meta["row"].to_pylist()
        index = [row + ROWS * (s == "other") for row, s in zip(rows, first, strict=True)]
        for name in COLUMNS:
            assert batch.meta[name].to_pylist() == [expected[name][i] for i in index], name
    assert both


def test_a_type_that_differs(tmp_path: Path) -> None:
    paths = two_files(tmp_path, small=pa.array([1] * ROWS, pa.int16()))
    message = "meta column 'small' is int8 in .*0.recd and int16 in .*1.recd"
    with pytest.raises(RecdInputError, match=message):
        Loader(paths, options())
    # As a feature it may.
    loader = Loader(paths, LoaderOptions(columns=["small"], batch_size=100))
    assert [batch.num_rows for batch in loader.run(0)] == [80]


def test_a_column_that_one_file_lacks(tmp_path: Path) -> None:
    paths = two_files(tmp_path)
    lacking = str(tmp_path / "2.recd")
    Path(lacking).write_bytes(write(log().drop_columns(["small"]), labels=["label"]))
    with pytest.raises(RecdInputError, match="2.recd: meta column 'small' is not there"):
        Loader([*paths, lacking], options())


def test_no_meta() -> None:
    (batch,) = Loader(write(log(), labels=["label"]), LoaderOptions(batch_size=40)).run(0)
    assert batch.meta == {}


def test_written_out_rows_are_capped() -> None:
    read = ReadOptions(limits=Limits(expanded_values=50))
    data = write(log(), labels=["label"], dedup="full")
    loader = Loader(data, options(meta=["windows"], read=read, threads=0))
    with pytest.raises(RecdFormatError, match="63 values, limit 50"):
        list(loader.run(0))
