"""Which rows of which stripes are wanted, as the files say it."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets
from recd_format.jagged import Column, session_ids
from recd_format.loader import sessions as sessions_module
from recd_format.loader.loader import Loader
from recd_format.loader.options import Downsample, LoaderOptions
from recd_format.loader.sessions import StripeSessions
from recd_format.reader.file import FileReader
from tests.loader.expansion import expand_batch
from tests.loader.logs import write


def log(lengths: list[int], first: int = 0, **columns: Any) -> pa.Table:
    rows = sum(lengths)
    numbers = first + np.arange(rows)
    return pa.table(
        {
            "session": np.repeat(np.arange(len(lengths)) + 100 + first, lengths),
            "ts": numbers,
            "row": numbers,
            **columns,
        }
    )


def readers(*files: bytes) -> list[FileReader]:
    return [recd.open(data).reader for data in files]


def wanted(found: StripeSessions) -> list[list[int]]:
    """Rows of each stripe."""
    rows = []
    for number, info in enumerate(found.stripes()):
        segments = found.segments(number)
        assert info.rows == segments.num_rows
        pairs = zip(segments.begin.tolist(), segments.end.tolist(), strict=True)
        rows.append([row for begin, end in pairs for row in range(begin, end)])
    return rows


def rows_of(where: Any, **options: Any) -> list[int]:
    """Rows that a loader gives, by their numbers."""
    loader = Loader(where, LoaderOptions(columns=["row"], threads=0, **options))
    return [row for batch in loader.run(0) for row in expand_batch(batch)["row"].values.tolist()]


def test_all_rows() -> None:
    files = write(log([3, 2, 4, 1]), stripe_rows=5), write(log([2, 2]), stripe_rows=1)
    found = StripeSessions(readers(*files), LoaderOptions())
    infos = [(info.file, info.stripe, info.rows, info.continues) for info in found.stripes()]
    assert infos == [(0, 0, 5, False), (0, 1, 5, False), (1, 0, 2, False), (1, 1, 2, False)]
    assert found.segments(0).begin.tolist() == [0, 3]
    assert found.segments(1).end.tolist() == [4, 5]
    assert found.segments(0).num_sessions == 2
    assert wanted(found) == [list(range(5)), list(range(5)), [0, 1], [0, 1]]


def test_stripes_that_go_on_with_a_session() -> None:
    found = StripeSessions(readers(write(log([2, 21, 3]), stripe_rows=4)), LoaderOptions())
    assert [info.continues for info in found.stripes()] == [False, True, True, False]
    assert [info.rows for info in found.stripes()] == [8, 8, 7, 3]


def test_sessions_are_read_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "_KEPT", 2)
    (reader,) = readers(write(log([1] * 8), stripe_rows=1))
    asked: list[int] = []
    read = reader.read_stripe

    def read_stripe(stripe: int, *arguments: Any) -> Any:
        asked.append(stripe)
        return read(stripe, *arguments)

    monkeypatch.setattr(reader, "read_stripe", read_stripe)
    found = StripeSessions([reader], LoaderOptions())
    assert len(found.stripes()) == 8
    assert asked == []
    for number in (5, 5, 6, 5, 7, 5, 6):
        assert found.segments(number).num_rows == 1
    # The one that was not asked for longest is forgotten.
    assert asked == [5, 6, 7, 6]


@st.composite
def lengths(draw: st.DrawFn) -> list[int]:
    return draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))


bound = st.one_of(st.none(), st.integers(-2, 60), st.floats(-2, 60))


@settings(max_examples=80)
@given(lengths=lengths(), stripe_rows=st.integers(1, 9), begin=bound, end=bound)
def test_time_ranges(lengths: list[int], stripe_rows: int, begin: Any, end: Any) -> None:
    data = write(log(lengths), stripe_rows=stripe_rows)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    inside = (begin is None or first >= begin) & (end is None or first < end)
    expected = np.flatnonzero(np.broadcast_to(inside, len(first))).tolist()
    assert rows_of(data, time_range=(begin, end)) == expected


@settings(max_examples=50)
@given(
    lengths=lengths(), stripe_rows=st.integers(1, 9), low=st.integers(0, 3), size=st.integers(1, 3),
    keys=st.sampled_from(["int64", "uint64", "string"]),
)  # fmt: skip
def test_session_hashes(
    lengths: list[int], stripe_rows: int, low: int, size: int, keys: str
) -> None:
    table = log(lengths)
    numbers = np.arange(len(lengths))
    if keys == "string":
        column: Any = np.array([f"user {n}" for n in numbers])
        text = "".join(column).encode()
        ends = np.cumsum([len(key) for key in column])
        ids = session_ids(Column(np.frombuffer(text, np.uint8), np.r_[0, ends].astype(np.int64)))
    else:
        column = np.array([2**64 - 1 - int(n) for n in numbers], np.uint64)
        column = column if keys == "uint64" else column.view(np.int64)
        ids = session_ids(Column(column))
    table = table.set_column(0, "session", pa.array(np.repeat(column, lengths)))
    data = write(table, stripe_rows=stripe_rows)
    buckets = np.repeat(hash_buckets(ids, 6), lengths)
    expected = np.flatnonzero((low <= buckets) & (buckets < low + size)).tolist()
    assert rows_of(data, session_hash=(low, low + size, 6)) == expected


def test_splits_share_the_rows(tmp_path: Any) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.recd")
        paths[-1].write_bytes(write(log([3, 1, 2] * 4, 24 * number), stripe_rows=4))
    parts = [rows_of(paths, session_hash=part) for part in ((0, 2, 3), (2, 3, 3))]
    assert all(parts)
    assert sorted(parts[0] + parts[1]) == list(range(72))
    parts = [rows_of(paths, time_range=pair) for pair in ((None, 31), (31, 50), (50, None))]
    assert all(parts)
    assert sorted(row for part in parts for row in part) == list(range(72))


@settings(max_examples=60)
@given(
    lengths=lengths(), stripe_rows=st.integers(1, 9), seed=st.integers(0, 99),
    by=st.sampled_from(["row", "session"]), split=st.booleans(),
)  # fmt: skip
def test_samples_keep_every_positive(
    lengths: list[int], stripe_rows: int, seed: int, by: Any, split: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = sum(lengths)
    label = np.where(random.random(rows) < 0.2, 1.0, random.choice([0.0, -1.0, np.nan], rows))
    table = log(lengths, click=pa.array(label, mask=random.random(rows) < 0.1))
    data = write(table, stripe_rows=stripe_rows, labels=["click"])
    options: dict[str, Any] = {"time_range": (None, rows // 2)} if split else {}
    inside = rows_of(data, **options)
    found = rows_of(data, downsample=Downsample("click", 0.3, by, seed), **options)
    positive = np.array([value is not None and value > 0 for value in table["click"].to_pylist()])
    session = np.repeat(np.arange(len(lengths)), lengths)
    if by == "session":
        positive = np.isin(session, session[positive])
    assert set(np.flatnonzero(positive)) & set(inside) <= set(found) <= set(inside)
    assert found == sorted(found)
    if by == "session":
        assert len(found) == int(np.isin(session[inside], session[found]).sum())
    # A split takes part of the same sample.
    everywhere = set(rows_of(data, downsample=Downsample("click", 0.3, by, seed)))
    assert set(found) == everywhere & set(inside)


def test_a_sample_is_of_the_share_that_was_asked_for() -> None:
    table = log([2] * 4000, click=np.zeros(8000))
    data = write(table, labels=["click"])
    for by in ("row", "session"):
        found = rows_of(data, downsample=Downsample("click", 0.25, by))
        assert 1800 < len(found) < 2200
        assert found != rows_of(data, downsample=Downsample("click", 0.25, by, seed=1))


DAY = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
MILLISECONDS = int(DAY.timestamp() * 1000)


@pytest.mark.parametrize(
    ("type_", "bounds"),
    [
        (pa.timestamp("ms", "UTC"), (DAY + datetime.timedelta(milliseconds=4), None)),
        (pa.timestamp("ns", "UTC"), (DAY + datetime.timedelta(milliseconds=4), None)),
        (pa.timestamp("ms"), (datetime.datetime(2024, 3, 1, 0, 0, 0, 4000), None)),
        (pa.timestamp("ms", "UTC"), (pa.scalar(MILLISECONDS + 4, pa.timestamp("ms", "UTC")), None)),
        (pa.timestamp("ms", "UTC"), (np.datetime64("2024-03-01T00:00:00.004"), None)),
        (pa.timestamp("ms", "UTC"), (MILLISECONDS + 4, None)),
        (pa.timestamp("ms", "UTC"), (None, DAY + datetime.timedelta(milliseconds=4))),
        (pa.int64(), (MILLISECONDS + 4, None)),
        (pa.uint64(), (MILLISECONDS + 4, None)),
        (pa.float64(), (MILLISECONDS + 3.5, None)),
        (pa.float64(), (np.float32(-1), MILLISECONDS + 3.5)),
    ],
)
def test_bounds_of_time(type_: pa.DataType, bounds: Any) -> None:
    millis = pa.array(MILLISECONDS + np.arange(8))
    times = millis.cast(pa.timestamp("ms", "UTC" if getattr(type_, "tz", None) else None)
                        if pa.types.is_timestamp(type_) else type_)  # fmt: skip
    table = log([2] * 4).set_column(1, "ts", times.cast(type_))
    expected = list(range(4)) if bounds[1] is not None else list(range(4, 8))
    assert rows_of(write(table), time_range=bounds) == expected


@pytest.mark.parametrize(
    ("type_", "expected"), [(pa.date32(), [2, 3, 4, 5]), (pa.timestamp("s"), [2, 3, 4, 5])]
)
def test_dates_as_bounds(type_: pa.DataType, expected: list[int]) -> None:
    days = [datetime.date(2024, 3, 1 + n) for n in range(8)]
    table = log([2] * 4).set_column(1, "ts", pa.array(days).cast(type_))
    bounds = (datetime.date(2024, 3, 2), datetime.date(2024, 3, 6))
    assert rows_of(write(table), time_range=bounds) == expected


@pytest.mark.parametrize("bound", ["soon", datetime.timedelta(days=1), [1], b"x"])
def test_bounds_that_are_no_time(bound: Any) -> None:
    times = pa.array(np.arange(8), pa.timestamp("ms"))
    data = write(log([2] * 4).set_column(1, "ts", times))
    with pytest.raises(RecdInputError, match="time_range: .* is no timestamp\\[ms\\]"):
        rows_of(data, time_range=(bound, None))


def test_order_keys_that_are_text() -> None:
    table = log([2] * 4).set_column(1, "ts", pa.array([f"2024-03-{n:02}" for n in range(8)]))
    for bound in ("2024-03-04", 50):
        with pytest.raises(RecdInputError, match="time_range looks at 'ts', an order key of text"):
            rows_of(write(table), time_range=(bound, None))


def test_labels_that_cannot_be_sampled_by() -> None:
    columns = {"x": np.zeros(4), "v": pa.array([[0.0, 1.0]] * 4, pa.list_(pa.float32(), 2))}
    data = write(log([4], **columns))
    for name, message in (
        ("x", "Downsample looks at 'x', a dense of width 1: expected a label of one value"),
        ("v", "Downsample looks at 'v', a dense of width 2"),
        ("none", "no column 'none'"),
    ):
        with pytest.raises(RecdInputError, match=message):
            rows_of(data, downsample=Downsample(name, 0.5))


def test_a_label_that_one_file_lacks(tmp_path: Any) -> None:
    table = log([4], click=np.zeros(4))
    (tmp_path / "a.recd").write_bytes(write(table, labels=["click"]))
    (tmp_path / "b.recd").write_bytes(write(log([4])))
    with pytest.raises(RecdInputError, match="b.recd: there is no column 'click'"):
        rows_of(tmp_path, downsample=Downsample("click", 0.5))
