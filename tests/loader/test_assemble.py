"""Any ranges of rows of any staged stripes become a batch of just those rows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recd_format.dedup.plan import GroupPlan, Plan
from recd_format.dedup.reference import Reference
from recd_format.loader.assemble import Assembler
from recd_format.loader.columns import ABSENT
from recd_format.loader.layout import BatchBuffer
from recd_format.loader.options import LoaderOptions
from recd_format.loader.rows import UniqueRows
from recd_format.loader.stage import FeatureEntry, StagedStripe
from tests.loader.expansion import assert_rows, check_batch, expand_batch, expected_rows, inverse_of
from tests.loader.logs import NARROW, files, write
from tests.loader.preparations import Functions
from tests.loader.staging import CURSOR, Stripes, piece

# (slot, begin, end) of each.
Pieces = list[tuple[int, int, int]]
UNIQUE = st.sampled_from([None, lambda slot: slot.number])


@dataclass
class Slot:
    """A staged stripe: its number in the assembler, and which rows of the files it has.

    lookups: unique row of each row, of each group of the batches; None: row i is unique row i.
    """

    number: int
    first_row: int
    rows: int
    lookups: list[NDArray[Any] | None]

    def codes(self, group: int) -> list[int]:
        lookup = self.lookups[group]
        return list(range(self.rows)) if lookup is None else lookup.tolist()


def put(stripes: Stripes, assembler: Assembler, staged: StagedStripe, first_row: int) -> Slot:
    one = np.zeros(staged.num_rows, np.int32)
    lookups = [
        one if group == ABSENT else staged.data.groups[group].inverse_lookup
        for group in stripes.columns.files[staged.file].group_of_group.tolist()
    ]
    return Slot(assembler.put(staged), first_row, staged.num_rows, lookups)


def check_sharing(batch: BatchBuffer, slots: list[Slot], pieces: Pieces, scattered: bool) -> None:
    """Rows of one unique row share it: always where that is asked for, else where they meet."""
    at = {slot.number: slot for slot in slots}
    ahead = [b[0] == a[0] and b[1] >= a[2] for a, b in itertools.pairwise(pieces)]
    in_order = all(ahead) or len({slot for slot, _, _ in pieces}) == len(pieces)
    for group, unique in enumerate(batch.unique.tolist()):
        assert batch.identity[group] == all(
            at[slot].lookups[group] is None for slot, _, _ in pieces
        )
        own = [at[slot].codes(group)[begin:end] for slot, begin, end in pieces]
        distinct = {(p[0], code) for p, part in zip(pieces, own, strict=True) for code in part}
        repeats = len({(s, r) for s, a, b in pieces for r in range(a, b)}) < batch.num_rows
        if in_order or (scattered and not repeats):
            assert unique == len(distinct)
        else:
            most = sum(len(part) if repeats else len(set(part)) for part in own)
            assert len(distinct) <= unique <= most


def put_some(draw: Any, stripes: Stripes, assembler: Assembler, scattered: bool) -> list[Slot]:
    """Stage some stripes, whole or in part, some of them twice."""
    starts, before = [], 0
    for file, reader in enumerate(stripes.readers):
        for stripe, rows in enumerate(reader.stripe_rows.tolist()):
            starts.append((file, stripe, before, rows))
            before += rows
    found = []
    for file, stripe, first, rows in draw(
        st.lists(st.sampled_from(starts), min_size=1, max_size=5)
    ):
        begin, end = 0, rows
        if draw(st.booleans()):
            begin = draw(st.integers(0, rows - 1))
            end = draw(st.integers(begin + 1, rows))
        staged = stripes.stage(file, stripe, begin, end, scattered=scattered)
        assert (staged.first_row, staged.num_rows) == (begin, end - begin)
        found.append(put(stripes, assembler, staged, first + begin))
    return found


@settings(max_examples=100)
@given(data=st.data())
def test_any_pieces(data: st.DataObject) -> None:
    draw = data.draw
    scattered, narrow = draw(st.booleans()), draw(st.booleans())
    logs = draw(files(max_rows=24, ints=NARROW) if narrow else files(max_rows=24))
    options = LoaderOptions(id_dtype="int32" if narrow else "int64")
    stripes = Stripes([log.data() for log in logs], options)
    expected = expected_rows(stripes.tables, stripes.columns.schema)
    assembler = Assembler(stripes.columns.schema)
    slots = put_some(draw, stripes, assembler, scattered)
    for turn in range(3):
        if turn == 2:
            # Slots are used again, by stripes of other sizes.
            for slot in slots[::2]:
                assembler.drop(slot.number)
            slots = slots[1::2] + put_some(draw, stripes, assembler, scattered)
        pieces: Pieces = []
        index: list[int] = []
        own = st.sampled_from(slots)
        for slot in draw(st.lists(own, min_size=1, max_size=8, unique_by=draw(UNIQUE))):
            begin = draw(st.integers(0, slot.rows - 1))
            end = draw(st.integers(begin + 1, slot.rows))
            pieces.append((slot.number, begin, end))
            index += range(slot.first_row + begin, slot.first_row + end)
        batch = assembler.assemble(piece(pieces), {}, CURSOR)
        check_batch(batch)
        check_sharing(batch, slots, pieces, scattered)
        assert batch.num_rows == len(index)
        for name, rows in expand_batch(batch).items():
            assert_rows(expected[name].take(index), rows, name)


@settings(max_examples=60)
@given(data=st.data(), logs=files(most=1, max_rows=40))
def test_single_rows_share_their_unique_rows(data: st.DataObject, logs: list[Any]) -> None:
    stripes = Stripes([logs[0].data()], LoaderOptions())
    schema = stripes.columns.schema
    assembler = Assembler(schema)
    numbers: list[tuple[int, int]] = []
    codes: list[list[Any]] = [[] for _ in schema.groups]
    for stripe, rows in enumerate(stripes.readers[0].stripe_rows.tolist()):
        slot = put(stripes, assembler, stripes.stage(0, stripe, scattered=True), 0)
        numbers += [(slot.number, row) for row in range(rows)]
        for group in range(len(schema.groups)):
            codes[group] += [(stripe, code) for code in slot.codes(group)]
    order = data.draw(st.permutations(range(len(numbers))))[: data.draw(st.integers(1, 30))]
    rows = [(*numbers[i], numbers[i][1] + 1) for i in order]
    batch = assembler.assemble(piece(rows), {}, CURSOR)
    check_batch(batch)
    for group, own in enumerate(codes):
        first: dict[Any, int] = {}
        expected = [first.setdefault(own[i], len(first)) for i in order]
        assert inverse_of(batch, group).tolist() == expected


def test_factors_are_of_rows() -> None:
    table = pa.table({"session": [1] * 6, "ts": range(6), "x": [0.5] * 6})
    stripes = Stripes([write(table)], LoaderOptions())
    schema = replace(stripes.columns.schema, has_factor=True)
    assembler = Assembler(schema)
    slot = assembler.put(stripes.stage())
    for factor, expected in (([2, 0.25], [2, 2, 2, 0.25]), (None, [1, 1, 1, 1])):
        batch = assembler.assemble(piece([(slot, 1, 4), (slot, 0, 1)], factor), {}, CURSOR)
        check_batch(batch)
        assert batch.layout().factor.of(batch.data).tolist() == expected


def test_the_rows_of_a_session_make_one_run_however_they_are_cut() -> None:
    table = pa.table({"session": [7] * 4 + [8] * 4, "ts": range(8), "x": [0.5] * 8})
    stripes = Stripes([write(table)], LoaderOptions())
    assembler = Assembler(stripes.columns.schema)
    slot = assembler.put(stripes.stage())
    for rows, ids, counts in (
        ([(0, 2), (2, 4), (4, 5)], [7, 8], [4, 1]),
        ([(0, 1), (2, 3)], [7], [2]),
        ([(0, 1), (5, 6), (1, 2)], [7, 8, 7], [1, 1, 1]),
        ([(3, 5), (5, 8)], [7, 8], [1, 4]),
        ([(0, 8)], [7, 8], [4, 4]),
    ):
        batch = assembler.assemble(piece([(slot, *each) for each in rows]), {}, CURSOR)
        assert batch.layout().session_ids.of(batch.data).tolist() == ids
        assert batch.layout().session_rows.of(batch.data).tolist() == counts
        assert batch.num_sessions == len(ids)


@pytest.mark.parametrize("scattered", [False, True])
def test_a_batch_of_many_pieces(scattered: bool) -> None:
    # More ranges, extents and rows than any batch before had room for.
    rows = 4000
    random = np.random.default_rng(0)
    lists = pa.array([list(range(i, i + 5)) for i in range(rows)])
    table = pa.table({
        "session": np.arange(rows) // 16, "ts": np.arange(rows), "row": np.arange(rows),
        "hist": lists, "city": random.integers(0, 9, rows), "label": np.zeros(rows),
    })  # fmt: skip
    dedup = {"hist": "window", "city": "stripe"}
    stripes = Stripes([write(table, dedup=dedup, stripe_rows=500)], LoaderOptions())
    expected = expected_rows(stripes.tables, stripes.columns.schema)
    assembler = Assembler(stripes.columns.schema)
    slots = [
        assembler.put(stripes.stage(0, number, scattered=scattered))
        for number in range(stripes.readers[0].num_stripes)
    ]
    begins = np.concatenate([[0], np.cumsum(stripes.readers[0].stripe_rows)])
    order = random.permutation(rows)[:3000]
    slot = np.searchsorted(begins, order, side="right") - 1
    at = order - begins[slot]
    pieces = [(slots[s], row, row + 1) for s, row in zip(slot.tolist(), at.tolist(), strict=True)]
    batch = assembler.assemble(piece(pieces), {}, CURSOR)
    check_batch(batch)
    for name, found in expand_batch(batch).items():
        assert_rows(expected[name].take(order), found, name)


def test_empty_windows_ask_for_no_values() -> None:
    # They may stand anywhere, even behind the last value.
    def emptied(rows: UniqueRows) -> UniqueRows:
        assert rows.starts is not None
        assert rows.lengths is not None
        starts, lengths = rows.starts.copy(), rows.lengths.copy()
        starts[[1, 5]], lengths[[1, 5]] = 1 << 30, 0
        return replace(rows, starts=starts, lengths=lengths)

    lists = [list(range(i, i + 4)) for i in range(6)]
    table = pa.table({"session": [0] * 6, "ts": range(6), "x": lists})
    options = LoaderOptions(transforms=Functions({"x": emptied}))
    stripes = Stripes([write(table, dedup={"x": "window"})], options)
    assembler = Assembler(stripes.columns.schema)
    slot = assembler.put(stripes.stage())
    for begin, end, values in ((0, 6, 8), (1, 2, 0), (0, 2, 4), (4, 6, 4)):
        batch = assembler.assemble(piece([(slot, begin, end)]), {}, CURSOR)
        check_batch(batch)
        assert batch.values.tolist() == [values]
        expected = [[] if row in (1, 5) else lists[row] for row in range(begin, end)]
        assert expand_batch(batch)["x"].to_list() == expected


def coded_log(rows: int) -> tuple[pa.Table, Plan]:
    """Ids of few different values, in every shape: streams of them have dictionaries."""
    random = np.random.default_rng(1)
    pool = random.integers(-(1 << 62), 1 << 62, 6)

    def lists(type_: str, seed: int) -> pa.Array:
        own = np.random.default_rng(seed)
        values = [pool[own.integers(0, 6, own.integers(1, 9))] for _ in range(rows)]
        return pa.array(
            [each.astype(type_).tolist() for each in values], pa.list_(pa.from_numpy_dtype(type_))
        )

    timeline = pool[random.integers(0, 6, rows + 12)].tolist()
    some = lists("int64", 2)
    slots = [int(random.integers(len(row))) for row in some.to_pylist()]
    table = pa.table({
        "session": np.arange(rows) // 8, "ts": np.arange(rows),
        "some": some, "other": lists("int16", 3), "unsigned": lists("uint64", 4),
        "few": lists("int32", 5).take(pa.array(np.arange(rows) // 2)),
        "id": pool[random.integers(0, 6, rows)],
        "scored": pa.array([[(x, 0.5) for x in row] for row in lists("int64", 6).to_pylist()],
                           pa.map_(pa.int64(), pa.float32())),
        "windows": [timeline[i : i + 12] for i in range(rows)],
        "slot": pa.array(slots, pa.int32()),
        "item": pa.array([row[at] for row, at in zip(some.to_pylist(), slots, strict=True)]),
        "null": pa.array([None if i % 7 == 0 else timeline[i : i + 3] for i in range(rows)]),
    })  # fmt: skip
    names = [name for name in table.column_names if name not in ("session", "windows", "few")]
    groups = (GroupPlan(tuple(names), "none"), GroupPlan(("few",), "session"))
    plan = Plan((*groups, GroupPlan(("windows",), "window")), (Reference("item", "some", "slot"),))
    return table, plan


@pytest.mark.parametrize("touched", [[], ["some", "windows", "item"]])
@pytest.mark.parametrize("scattered", [False, True])
def test_ids_that_are_codes_of_dictionaries(scattered: bool, touched: list[str]) -> None:
    table, plan = coded_log(320)
    transforms = Functions({name: lambda rows: rows for name in touched})
    options = LoaderOptions(transforms=transforms, meta=["other"])
    stripes = Stripes([write(table, plan=plan, stripe_rows=160, profile="gpu")], options)
    schema = stripes.columns.schema
    expected = expected_rows(stripes.tables, schema)
    random = np.random.default_rng(0)
    ranges = [(0, 0, 160), (1, 0, 160), (0, 30, 100), (1, 60, 61)]
    staged = [stripes.stage(0, *each, scattered=scattered) for each in ranges]
    coded = {
        schema.features[number].name
        for stripe in staged
        for number in np.flatnonzero(stripe.features[:, FeatureEntry.ENTRIES]).tolist()
    }
    assert coded == {"some", "unsigned", "few", "id", "scored", "windows"} - set(touched)
    assembler = Assembler(schema)
    slots = [assembler.put(stripe) for stripe in staged]
    for _ in range(20):
        pieces, index = [], []
        for number in random.integers(0, 4, random.integers(1, 6)).tolist():
            stripe, first, end = ranges[number]
            low, high = sorted(random.choice(end - first + 1, 2, replace=False).tolist())
            pieces.append((slots[number], low, high))
            index += range(160 * stripe + first + low, 160 * stripe + first + high)
        batch = assembler.assemble(piece(pieces), {}, CURSOR)
        check_batch(batch)
        for name, rows in expand_batch(batch).items():
            assert_rows(expected[name].take(index), rows, name)
