"""A file as a pyarrow dataset, queried by Arrow, DuckDB and Polars."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pytest

import recd_format as recd
from recd_format.integrations import arrow_dataset
from recd_format.integrations.arrow_dataset import RecdArrowDataset, fields_of

ROWS = 2_000
FIELD = pads.field


def make_log() -> pa.Table:
    rng = np.random.default_rng(3)
    session = np.sort(rng.integers(0, 150, ROWS))
    lists = [[int(s), int(s) + 1, i % 3] if s % 7 else None for i, s in enumerate(session)]
    return pa.table(
        {
            "session id": session,
            "time": pa.array(np.arange(ROWS), pa.timestamp("s")),
            "label": pa.array(rng.integers(0, 2, ROWS), pa.int8()),
            "item": rng.integers(0, 40, ROWS),
            "item_price": pa.array(np.round(rng.random(ROWS), 3), mask=rng.random(ROWS) < 0.1),
            "history": pa.array(lists, pa.list_(pa.int64())),
            "country": [f"c{s % 5}" for s in session],
        }
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, table = tmp_path_factory.mktemp("log"), make_log()
    cut = ROWS // 2
    found = []
    for name, part in (("a", table.slice(0, cut)), ("b", table.slice(cut))):
        path = folder / f"{name}.recd"
        recd.write(
            part, path, session_key="session id", order_key="time", labels=["label"],
            stripe_rows=300,
        )  # fmt: skip
        found.append(path)
    return found


@pytest.fixture(scope="module")
def table(paths: list[Path]) -> pa.Table:
    return recd.dataset(paths).read()


@pytest.fixture
def ds(paths: list[Path]) -> RecdArrowDataset:
    return recd.dataset(paths).to_dataset()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Number and columns of each stripe that is read."""
    calls: list[tuple[int, list[str]]] = []
    original = arrow_dataset.stripe_batches

    def spy(file: Any, number: int, names: list[str], batch_rows: int) -> Any:
        calls.append((number, names))
        return original(file, number, names, batch_rows)

    monkeypatch.setattr(arrow_dataset, "stripe_batches", spy)
    return calls


PREDICATES = [
    FIELD("label") == 1,
    (FIELD("item") > 20) & (FIELD("country") == "c1"),
    FIELD("item_price").is_null(),
    FIELD("session id").isin([1, 2, 77]),
    ~(FIELD("item_price") > 0.5) | (FIELD("label") == 0),
    FIELD("item_price") > 2.0,
    pc.field(2) == 1,
    pads.scalar(True),
    FIELD("country") == "item",
]


@pytest.mark.parametrize("predicate", PREDICATES, ids=str)
def test_filters_and_projections_give_what_arrow_gives(
    ds: RecdArrowDataset, table: pa.Table, predicate: Any
) -> None:
    # Arrow's own dataset is the oracle: Table.filter takes no references by position.
    oracle = pads.dataset(table)
    expected = oracle.to_table(filter=predicate)
    assert ds.to_table(filter=predicate).equals(expected)
    assert ds.count_rows(filter=predicate) == len(expected)
    assert pa.Table.from_batches(ds.to_batches(filter=predicate), ds.schema).equals(expected)
    assert ds.head(7, filter=predicate).equals(expected.slice(0, 7))
    for columns in (["history", "label"], ["item"], {"x": FIELD("item") * 2}):
        got = ds.to_table(columns=columns, filter=predicate)
        assert got.equals(oracle.to_table(columns=columns, filter=predicate))
    if len(expected) > 3:
        assert ds.take([3, 0, 3], filter=predicate).equals(expected.take([3, 0, 3]))


def test_rows_come_as_they_are(ds: RecdArrowDataset, table: pa.Table) -> None:
    assert isinstance(ds, pads.Dataset)
    assert ds.schema.equals(table.schema)
    assert ds.to_table().equals(table)
    assert ds.count_rows() == ROWS
    assert ds.head(5).equals(table.slice(0, 5))
    assert ds.head(0).equals(table.slice(0, 0))
    assert ds.head(ROWS * 2, columns=["item"]).equals(table.select(["item"]))
    places = [5, ROWS - 1, 0, 5]
    assert ds.take(places).equals(table.take(places))
    countries = table.select(["country"])
    assert ds.take(pa.array(places), columns=["country"]).equals(countries.take(places))
    assert max(batch.num_rows for batch in ds.to_batches(batch_size=100)) == 100


def test_scanners_are_arrows_own(ds: RecdArrowDataset, table: pa.Table) -> None:
    arguments: Any = {"columns": ["item", "label"], "batch_readahead": 4, "fragment_readahead": 2}
    expected = table.select(["item", "label"])
    assert ds.scanner(**arguments).to_table().equals(expected)
    assert ds.scanner(**arguments).to_reader().read_all().equals(expected)
    assert ds.scanner(**arguments).projected_schema.equals(expected.schema)
    assert ds.scanner(**arguments).head(3).equals(expected.slice(0, 3))
    assert ds.scanner(filter=FIELD("label") == 1).count_rows() == ds.count_rows(FIELD("label") == 1)


def test_a_filtered_dataset_filters_every_scan(ds: RecdArrowDataset, table: pa.Table) -> None:
    part = ds.filter(FIELD("label") == 1).filter(FIELD("item") < 9)
    expected = table.filter((FIELD("label") == 1) & (FIELD("item") < 9))
    assert part.to_table().equals(expected)
    assert part.count_rows() == len(expected)
    assert pickle.loads(pickle.dumps(part)).to_table().equals(expected)


def test_what_wants_a_dataset_of_arrow_gets_one(
    ds: RecdArrowDataset, table: pa.Table, tmp_path: Path
) -> None:
    assert pads.dataset([ds, ds]).count_rows() == 2 * ROWS
    assert pads.Scanner.from_dataset(ds, columns=["item"]).to_table().equals(table.select(["item"]))
    fragments = list(ds.get_fragments())
    assert len(fragments) == len(ds.files) > 4
    assert pa.concat_tables([each.to_table() for each in fragments]).equals(table)
    ordered = ds.sort_by("time").to_table()
    assert ordered.column("time").to_pylist() == sorted(table.column("time").to_pylist())
    pads.write_dataset(ds, tmp_path / "out", format="ipc")
    copied = pads.dataset(tmp_path / "out", format="ipc")
    assert copied.to_table().sort_by("time").equals(table.sort_by("time"))


def test_unknown_columns_are_named(ds: RecdArrowDataset) -> None:
    with pytest.raises(recd.RecdInputError, match="'nope'"):
        ds.to_table(columns=["nope"])
    with pytest.raises(pa.ArrowInvalid, match="nope"):
        ds.to_table(filter=FIELD("nope") == 1)


def test_stripes_without_a_match_are_not_read(
    ds: RecdArrowDataset, table: pa.Table, reads: list[tuple[int, list[str]]]
) -> None:
    late = pa.scalar(ROWS - 2, pa.timestamp("s"))
    got = ds.to_table(columns=["item"], filter=FIELD("time") >= late)
    assert got.equals(table.filter(FIELD("time") >= late).select(["item"]))
    assert 1 <= len(reads) < len(ds.files) / 2
    reads.clear()
    assert ds.count_rows(filter=FIELD("label") > 5) == 0
    assert reads == []


def test_only_what_an_expression_names_is_needed(table: pa.Table) -> None:
    names = set(table.schema.names)
    for predicate, expected in [
        (FIELD("item") > 1, {"item"}),
        (FIELD("item_price") > 1, {"item_price"}),
        (FIELD("session id") == 2, {"session id"}),
        (pads.scalar(True), set()),
        (pc.field(1) > 1, names),
        (FIELD("nope") > 1, names),
        (pc.list_value_length(FIELD("history")) > FIELD("label"), {"history", "label"}),
    ]:
        assert fields_of(predicate, table.schema) == expected


def test_duckdb_reads_only_the_columns_of_a_query(
    ds: RecdArrowDataset, table: pa.Table, reads: list[tuple[int, list[str]]]
) -> None:
    query = "select item, count(*) n, sum(label) l from {} where label = 1 and country <> 'c2' "
    query += "group by item order by item"
    rows = table  # noqa: F841 - DuckDB finds both by their names
    with duckdb.connect() as connection:
        got = connection.sql(query.format("ds")).fetchall()
        assert set(reads[0][1]) == {"item", "label", "country"}
        assert got == connection.sql(query.format("rows")).fetchall()
        assert connection.sql("select count(*) from ds").fetchall() == [(ROWS,)]
        assert len(reads[-1][1]) == 1
        longest = "select unnest(history) x, count(*) from {} group by 1 order by 2 desc, 1 limit 5"
        assert (
            connection.sql(longest.format("ds")).fetchall()
            == connection.sql(longest.format("rows")).fetchall()
        )
        assert len(connection.sql("select * from ds limit 3").fetchall()) == 3
        both = "select count(*) from ds a join ds b using (time)"
        assert connection.sql(both).fetchall() == [(ROWS,)]


def test_polars_reads_only_the_columns_of_a_query(
    ds: RecdArrowDataset, table: pa.Table, reads: list[tuple[int, list[str]]]
) -> None:
    def query(frame: pl.LazyFrame) -> pl.DataFrame:
        kept = frame.filter(pl.col("label") == 1, pl.col("item_price") > 0.25)
        sums = kept.group_by("country").agg(pl.len(), pl.col("item").sum())
        return sums.sort("country").collect()

    got = query(pl.scan_pyarrow_dataset(ds))
    assert set(reads[0][1]) == {"item", "label", "country", "item_price"}
    assert got.equals(query(pl.from_arrow(table).lazy()))
    assert pl.scan_pyarrow_dataset(ds).head(3).collect().height == 3
    assert pl.scan_pyarrow_dataset(ds).collect().equals(pl.from_arrow(table))


def test_one_file_is_a_dataset_too(paths: list[Path], table: pa.Table) -> None:
    with recd.open(paths[0]) as file:
        assert file.to_dataset().to_table().equals(table.slice(0, ROWS // 2))


def test_datasets_pickle(ds: RecdArrowDataset, table: pa.Table) -> None:
    assert pickle.loads(pickle.dumps(ds)).to_table().equals(table)
