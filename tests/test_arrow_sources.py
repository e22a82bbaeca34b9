"""Rows from Parquet files, tables, frames and streams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from recd_format import RecdInputError
from recd_format.arrow import batches

TABLE = pa.table({"s": [1, 1, 2], "h": [[1], None, [2, 3]], "t": ["a", "b", "c"]})


def rows(data: Any, **arguments: Any) -> pa.Table:
    found = batches(data, **arguments)
    return pa.Table.from_batches(list(found.batches), found.schema)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "b.parquet")
    pq.write_table(TABLE.slice(1), tmp_path / "a.parquet")
    pq.write_table(TABLE, tmp_path / ".hidden.parquet")
    (tmp_path / "note.txt").write_text("no table")
    return tmp_path


class Stream:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


class Struct:
    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return TABLE.to_batches()[0].__arrow_c_array__(requested_schema)


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        pads.dataset(TABLE),
        TABLE.to_batches(),
        iter([TABLE.slice(0, 1), *TABLE.slice(1).to_batches()]),
        Stream(),
        Struct(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_arrow_rows_come_as_they_are(data: Any) -> None:
    assert rows(data).equals(TABLE)


def test_frames_come_as_rows() -> None:
    frame = pl.DataFrame({"s": [1, 1, 2], "h": [[1], None, [2, 3]], "t": ["a", "b", "c"]})
    for data in (frame, frame.lazy()):
        assert rows(data).to_pylist() == TABLE.to_pylist()
    assert rows(TABLE.to_pandas()).column("s").to_pylist() == [1, 1, 2]


def test_a_pandas_index_is_a_column_only_where_it_has_a_name() -> None:
    frame = pd.DataFrame({"a": [3, 4]}, index=[7, 9])
    assert rows(frame).column_names == ["a"]
    frame.index.name = "session"
    assert rows(frame).select(["a", "session"]).to_pydict() == {"a": [3, 4], "session": [7, 9]}


def test_paths_globs_folders_and_lists_of_parquet(folder: Path) -> None:
    two = pa.concat_tables([TABLE.slice(1), TABLE])
    assert rows(str(folder / "b.parquet")).equals(TABLE)
    assert rows(folder / "*.parquet").equals(two)
    assert rows(str(folder)).equals(two)
    assert rows([folder / "b.parquet", str(folder / "a.parquet")]).equals(
        pa.concat_tables([TABLE, TABLE.slice(1)])
    )
    sizes = sum((folder / name).stat().st_size for name in ("a.parquet", "b.parquet"))
    assert batches(folder).bytes_in == sizes


def test_parquet_by_uri_and_filesystem(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/rows/a.parquet", (folder / "a.parquet").read_bytes())
    memory.pipe_file("/rows/b.parquet", (folder / "b.parquet").read_bytes())
    two = pa.concat_tables([TABLE.slice(1), TABLE])
    assert rows("memory://rows/*.parquet").equals(two)
    assert rows("/rows", filesystem=memory).equals(two)
    assert rows(f"file://{folder}/*.parquet").equals(two)
    local = pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())
    assert rows("?.parquet", filesystem=local).equals(two)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-*.parquet", "no file matches"),
        ("missing.parquet", "cannot be read"),
        ("note.txt", "not a Parquet file"),
        ("empty", r"no file ending in \.parquet"),
    ],
)
def test_bad_paths_are_one_clear_error(folder: Path, name: str, message: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(RecdInputError, match=f"{re.escape(str(folder / name))}.*{message}"):
        batches(folder / name)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (TABLE.drop_columns(["t"]), "'t'.*only in the first"),
        (TABLE.append_column("u", [[1, 2, 3]]), "'u'.*only in the second"),
        (TABLE.set_column(0, "s", [["1", "2", "3"]]), "'s' is int64.*string in the second"),
        (TABLE.select(["s", "t", "h"]), "column 1 is 'h' in the first, 't' in the second"),
        (
            TABLE.cast(TABLE.schema.set(0, pa.field("s", pa.int64(), nullable=False))),
            "'s' is not nullable in the second",
        ),
    ],
)
def test_files_and_batches_that_differ_name_the_first_column(
    tmp_path: Path, other: pa.Table, message: str
) -> None:
    pq.write_table(TABLE, tmp_path / "one.parquet")
    pq.write_table(other, tmp_path / "two.parquet")
    with pytest.raises(RecdInputError, match=message) as caught:
        batches(tmp_path)
    assert "one.parquet" in str(caught.value)
    assert "two.parquet" in str(caught.value)
    with pytest.raises(RecdInputError, match=f"batches 0 and 1 differ.*{message}"):
        rows([TABLE, other])


def test_files_that_differ_only_in_metadata_are_read(tmp_path: Path) -> None:
    pq.write_table(TABLE.replace_schema_metadata({"x": "1"}), tmp_path / "one.parquet")
    pq.write_table(TABLE.replace_schema_metadata({"x": "2"}), tmp_path / "two.parquet")
    assert rows(tmp_path).schema.metadata == {b"x": b"1"}


@pytest.mark.parametrize(
    "data",
    [{"a": [1]}, b"bytes", 7, [], [1, 2], None, pa.array([1, 2]), pa.chunked_array([[1]])],
    ids=lambda data: type(data).__name__,
)
def test_anything_else_is_an_input_error(data: Any) -> None:
    with pytest.raises(RecdInputError):
        rows(data)


def test_a_stream_that_breaks_is_an_input_error() -> None:
    def broken() -> Any:
        yield TABLE.to_batches()[0]
        raise OSError("line dropped")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, broken())
    with pytest.raises(RecdInputError, match="line dropped"):
        rows(reader)
