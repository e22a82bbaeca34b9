from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recd_format.dedup.cluster import cluster
from recd_format.dedup.plan import FieldSample, GroupPlan, Plan, plan
from recd_format.dedup.reference import Reference
from recd_format.errors import RecdInputError
from recd_format.jagged import Column
from tests.dedup.dedup_columns import jagged


def read_log(path):
    columns = {}
    table = pq.read_table(path)
    for name in table.column_names:
        array = table[name].combine_chunks()
        if pa.types.is_list(array.type):
            columns[name] = Column(array.values.to_numpy(), array.offsets.to_numpy().astype("i8"))
        else:
            columns[name] = Column(array.to_numpy())
    order = cluster(columns["session_id"].values, columns["timestamp"].values)
    fields = [FieldSample(n, c) for n, c in columns.items() if n != "session_id"]
    return fields, order.sample(8192)


def group_of(found, name):
    return next(group for group in found.groups if name in group.fields)


def make_log(rows=6000, seed=0):
    """Users with lists that change alone or together, a history, items, and candidates."""
    random = np.random.default_rng(seed)
    session = np.sort(random.integers(0, rows // 16, rows))
    begins = np.r_[True, session[1:] != session[:-1]]

    def changing(probability):
        return np.cumsum(begins | (random.random(rows) < probability)) - 1

    def lists(which, length):
        pool = random.integers(0, 1 << 24, (which[-1] + 1, length))
        return jagged(pool[which].tolist())

    together = changing(0.1)
    step = np.cumsum(np.where(begins, 30, random.random(rows) < 0.2))
    timeline = random.integers(0, 1 << 22, step[-1] + 1)
    history = [timeline[s - 30 : s].tolist() for s in step]
    item_pool = random.integers(0, 1 << 24, (50, 20))
    item = random.integers(0, 50, rows)
    columns = {
        "alone": lists(changing(0.2), 8),
        "one": lists(together, 4),
        "two": lists(together, 6),
        "history": jagged(history),
        "history_scores": jagged([[x % 7 for x in row] for row in history], "<f4"),
        "tags": jagged(item_pool[item].tolist()),
        "noise": Column(random.standard_normal(rows).astype("<f4")),
        "label": Column((random.random(rows) < 0.03).astype("i1")),
        "constant": Column(np.zeros(rows, np.int64)),
    }
    return [FieldSample(n, c) for n, c in columns.items()], cluster(session)


def test_planner_finds_the_structure_of_a_log():
    fields, order = make_log()
    found = plan(fields, order.sample(4096))
    assert group_of(found, "alone") == GroupPlan(("alone",), group_of(found, "alone").mode)
    assert group_of(found, "alone").mode in ("session", "adjacent")
    assert set(group_of(found, "one").fields) == {"one", "two"}
    assert group_of(found, "history") == GroupPlan(("history", "history_scores"), "window")
    assert group_of(found, "tags") == GroupPlan(("tags",), "stripe")
    assert group_of(found, "noise").fields == ("noise",)
    assert group_of(found, "noise").mode == "none"
    assert found.references == ()
    names = [name for group in found.groups for name in group.fields]
    assert sorted(names) == sorted(field.name for field in fields)
    assert 0 < found.decoded_bytes_per_row < 400


def test_plan_is_deterministic_and_survives_json():
    fields, order = make_log()
    found = plan(fields, order)
    assert plan(fields, order) == found
    assert Plan.from_json(found.to_json()) == found
    assert isinstance(found.to_json(), str)


@pytest.mark.parametrize(
    ("dedup", "mode"),
    [
        ("none", "none"),
        ("adjacent", "adjacent"),
        ("full", "session"),
        ("session", "session"),
        ("stripe", "stripe"),
    ],
)
def test_one_mode_for_all(dedup, mode):
    fields, order = make_log(500)
    found = plan(fields, order, dedup=dedup)
    assert {group.mode for group in found.groups} == {mode}
    assert sum(len(group.fields) for group in found.groups) == len(fields)


def test_fields_named_keep_their_mode():
    fields, order = make_log(1000)
    dedup = {"noise": "session", "alone": "window", "history": "none", "tags": "full"}
    found = plan(fields, order, dedup=dedup)
    assert group_of(found, "noise").mode == "session"
    assert group_of(found, "alone") == GroupPlan(("alone",), "window")
    assert group_of(found, "history").mode == "none"
    assert group_of(found, "tags").mode == "session"


def test_field_without_dedup_stays_out():
    fields, order = make_log(1000)
    fields = [FieldSample(f.name, f.column, dedup=f.name != "one") for f in fields]
    found = plan(fields, order)
    assert group_of(found, "one").mode == "none"
    assert group_of(found, "two").mode in ("session", "adjacent")


def test_bad_requests_are_named():
    fields, order = make_log(100)
    with pytest.raises(RecdInputError, match="dedup='most'"):
        plan(fields, order, dedup="most")
    with pytest.raises(RecdInputError, match="'nobody'"):
        plan(fields, order, dedup={"nobody": "none"})
    with pytest.raises(RecdInputError, match="only lists"):
        plan(fields, order, dedup={"noise": "window"})
    with pytest.raises(RecdInputError, match="'best'"):
        plan(fields, order, dedup={"noise": "best"})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"groups": [{"fields": "ab", "mode": "none"}], "references": [],'
        ' "decoded_bytes_per_row": 1}',
        '{"groups": [{"fields": ["a"], "mode": "some"}], "references": [],'
        ' "decoded_bytes_per_row": 1}',
        '{"groups": [{"fields": ["a", "a"], "mode": "none"}], "references": [],'
        ' "decoded_bytes_per_row": 1}',
        '{"groups": [{"fields": ["a"], "mode": "none"}], "references":'
        ' [{"field": "a", "list_field": "b"}], "decoded_bytes_per_row": 1}',
    ],
)
def test_text_that_is_no_plan_is_an_error(text):
    with pytest.raises(RecdInputError, match="plan"):
        Plan.from_json(text)


def test_no_rows_and_one_row():
    fields, order = make_log(100)
    empty = plan(fields, order.sessions(0, 0))
    assert [group.mode for group in empty.groups] == ["none"]
    one = [FieldSample("a", Column(np.array([1]))), FieldSample("b", jagged([[1]]))]
    assert plan(one, cluster(np.zeros(1, np.int64))).groups


def test_trivago_candidates_are_references(log):
    found = plan(*read_log(log("trivago_val100k")))
    assert found.references == (
        Reference("item_id", "req_items", "slot", 0),
        Reference("price", "req_prices", "slot", 0),
    )
    request = group_of(found, "request_id")
    assert {"timestamp", "step"} <= set(request.fields)
    assert group_of(found, "req_items") == group_of(found, "req_prices")
    assert {"city", "platform", "device"} <= set(group_of(found, "user_id").fields)
    assert group_of(found, "hist_items").mode == "window"
    assert group_of(found, "item_id").mode == "none"


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("ml100k", ("hist_items", "hist_ratings")),
        ("yoochoose100k", ("hist_items", "hist_dwell_s")),
    ],
)
def test_parallel_histories_share_a_timeline(log, name, window):
    found = plan(*read_log(log(name)))
    assert GroupPlan(window, "window") in found.groups
    assert group_of(found, "item_id").mode == "none"
    assert "timestamp" in group_of(found, "request_id").fields


def test_work_grows_linearly_with_the_fields():
    rows = 1000
    random = np.random.default_rng(0)
    session = np.sort(random.integers(0, 60, rows))
    begins = np.r_[True, session[1:] != session[:-1]]

    def field(i):
        unique = np.cumsum(begins | (random.random(rows) < 0.05)) - 1
        values = random.integers(0, 1 << 20, rows)[unique]
        return FieldSample(f"f{i}", Column(values, np.arange(rows + 1)))

    fields, order = [field(i) for i in range(1200)], cluster(session)

    def seconds(count):
        begin = time.perf_counter()
        plan(fields[:count], order, size_of=lambda values: values.nbytes // 3)
        return time.perf_counter() - begin

    seconds(10)
    # Quadratic work would take 16 times as long; the margin is for a busy machine.
    assert seconds(1200) < 10 * max(seconds(300), seconds(300))
