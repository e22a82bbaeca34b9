from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.loader.cursor import worker_block
from recd_format.loader.options import LoaderOptions
from recd_format.loader.plan import plan_rank
from recd_format.loader.segments import Segments, StripeInfo
from tests.loader.plan_stripes import Log, logs, whole_log


@st.composite
def options_for(draw, log: Log) -> LoaderOptions:
    mix = draw(st.sampled_from(["session", "rows"]))
    cut_sessions = mix == "rows" or draw(st.booleans())
    longest = log.longest()
    return LoaderOptions(
        batch_size=draw(st.integers(1 if cut_sessions else max(longest, 1), longest + 20)),
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(0, 5)),
        window=draw(st.integers(1, 4)),
        shuffle_run=draw(st.integers(1, 4)),
        mix=mix,
        drop_last=draw(st.booleans()),
        cut_sessions=cut_sessions,
        uneven=draw(st.sampled_from(["drop", "wrap", "allow"])),
    )


def plans_or_none(log, options, epoch, world):
    """Plans of all ranks; None where a rank cannot begin again."""
    try:
        return [log.plan(options, epoch=epoch, rank=rank, world=world) for rank in range(world)]
    except RecdInputError as error:
        assert "uneven='wrap': rank" in str(error)  # noqa: PT017 - only this one may be raised
        assert options.uneven == "wrap"
        assert world > 1
        return None


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 5))
@settings(max_examples=300)
def test_every_wanted_row_is_given_once_over_all_ranks(data, log, epoch, world):
    options = data.draw(options_for(log))
    plans = plans_or_none(log, options, epoch, world)
    if plans is None:
        return
    shares = [log.share(plan) for plan in plans]
    assert Counter(row for share in shares for row in share) == Counter(log.wanted)

    batches = [log.batches(plan) for plan in plans]
    for plan, share, given_rows in zip(plans, shares, batches, strict=True):
        rows = Counter(row for batch in given_rows for row in batch)
        assert plan.num_rows == rows.total()
        assert plan.dropped_rows == len(share) - len(rows)
        assert plan.repeated_rows == rows.total() - len(rows)
        assert set(rows) <= set(share)
        if options.uneven != "wrap" or world == 1:
            assert plan.repeated_rows == 0
        if options.uneven != "drop" or world == 1:
            # Only a last, shorter batch may be left out.
            assert plan.dropped_rows < options.batch_size
            assert options.drop_last or not plan.dropped_rows
    if world > 1 and options.uneven != "allow":
        assert len({plan.num_batches for plan in plans}) == 1


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 5))
@settings(max_examples=200)
def test_ranks_are_cut_at_sessions_and_within_a_session_of_equal(data, log, epoch, world):
    options = data.draw(options_for(log))
    plans = plans_or_none(log, options, epoch, world)
    if plans is None:
        return
    ranks_of: dict[int, set[int]] = {}
    for rank, plan in enumerate(plans):
        share = log.share(plan)
        assert abs(len(share) - len(log.wanted) / world) <= log.longest()
        for row in share:
            ranks_of.setdefault(row.session, set()).add(rank)
    assert all(len(ranks) == 1 for ranks in ranks_of.values())


def own_batches(share, options):
    """Batches of a share alone, one row or one session after the other."""
    parts = [[row] for row in share]
    if not options.cut_sessions:
        parts = [list(rows) for _, rows in groupby(share, key=lambda row: row.session)]
    batches = []
    for part in parts:
        if not batches or len(batches[-1]) + len(part) > options.batch_size:
            batches.append([])
        batches[-1] += part
    if options.drop_last and batches and len(batches[-1]) < options.batch_size:
        batches.pop()
    return batches


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 5))
@settings(max_examples=300)
def test_batches_have_the_rows_that_were_promised(data, log, epoch, world):
    options = data.draw(options_for(log))
    plans = plans_or_none(log, options, epoch, world)
    if plans is None:
        return
    own = [own_batches(log.share(plan), options) for plan in plans]
    agree = {"drop": min, "wrap": max}.get(options.uneven)
    whole = log.session_rows()
    for plan, expected in zip(plans, own, strict=True):
        count = len(expected)
        if world > 1 and agree:
            count = agree(len(batches) for batches in own)
        batches = log.batches(plan)
        assert batches == [expected[k % len(expected)] for k in range(count)]
        if not options.cut_sessions:
            for batch in batches:
                for session, rows in groupby(batch, key=lambda row: row.session):
                    assert list(rows) == whole[session]


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 3))
@settings(max_examples=200)
def test_windows_are_consistent(data, log, epoch, world):
    options = data.draw(options_for(log))
    plans = plans_or_none(log, options, epoch, world)
    for plan in plans or []:
        assert plan.window_rows.dtype == np.int64
        assert len(plan.window_rows) == plan.num_windows + 1
        seen = []
        for number in range(plan.num_windows):
            window = plan.window(number)
            seen += window.stripes
            rows = log.window_rows(plan, number)
            assert window.num_rows == len(rows) == np.diff(plan.window_rows)[number] > 0
            assert window.row_offsets.tolist() == [0, *np.cumsum(window.end - window.begin)]
            assert {row.stripe for row in rows} == set(window.stripes)
            if options.cut_sessions or not options.shuffle:
                assert len(window.stripes) <= (options.window if options.shuffle else 1)
            begin = data.draw(st.integers(0, window.num_rows))
            end = data.draw(st.integers(begin, window.num_rows))
            assert log.as_rows(window.stripes, window.rows(begin, end)) == rows[begin:end]
            for array in (window.place, window.begin, window.end, window.session):
                assert array.dtype == np.int64
                assert len(array) == len(window.row_offsets) - 1
            assert window.factor is None or window.factor.dtype == np.float32
        assert len(seen) == len(set(seen))


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 3))
def test_without_shuffling_rows_come_as_in_the_files(data, log, epoch, world):
    options = data.draw(options_for(log)).changed({"shuffle": False, "uneven": "allow"})
    shares = [log.share(log.plan(options, epoch=epoch, rank=r, world=world)) for r in range(world)]
    assert [row for share in shares for row in share] == log.wanted


@given(st.data(), logs(), st.integers(0, 3))
def test_shuffling_sessions_keeps_their_rows_in_order(data, log, epoch):
    options = data.draw(options_for(log)).changed({"shuffle": True, "mix": "session"})
    share = log.share(log.plan(options, epoch=epoch))
    parts = [
        [(row.stripe, row.row) for row in rows]
        for _, rows in groupby(share, key=lambda row: (row.session, row.stripe))
    ]
    assert all(part == sorted(part) for part in parts)
    assert len(parts) == len({(row.session, row.stripe) for row in log.wanted})


@given(st.data(), logs(), st.integers(0, 3), st.integers(1, 3), st.integers(1, 4))
def test_blocks_of_workers_are_the_whole_rank(data, log, epoch, world, workers):
    options = data.draw(options_for(log))
    for plan in plans_or_none(log, options, epoch, world) or []:
        blocks = [worker_block([(0, plan.num_batches)], w, workers) for w in range(workers)]
        numbers = [[k for low, high in block for k in range(low, high)] for block in blocks]
        assert [k for block in numbers for k in block] == list(range(plan.num_batches))
        sizes = [len(block) for block in numbers]
        assert max(sizes) - min(sizes) <= 1


def order_of(log, epoch, **options):
    plan = log.plan(LoaderOptions(shuffle=True, **options), epoch=epoch)
    return [(row.stripe, row.row) for row in log.share(plan)]


@pytest.mark.parametrize("mix", ["session", "rows"])
def test_order_depends_on_seed_and_epoch_alone(mix):
    log = whole_log(*[[3, 1, 4, 1, 5, 9, 2, 6]] * 6)
    options = {"mix": mix, "shuffle_run": 2, "window": 2}
    orders = [order_of(log, epoch, seed=seed, **options) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    assert orders[4] == order_of(log, 1, seed=1, **options)
    assert orders[4] == order_of(log, 1, seed=1, batch_size=3, **options)


def test_runs_of_neighbouring_sessions_stay_together():
    log = whole_log([2] * 50, [2] * 21)
    plan = log.plan(LoaderOptions(shuffle=True, shuffle_run=8, window=2))
    assert plan.num_windows == 1
    given_sessions = [s for s, _ in groupby(row.session for row in log.share(plan))]
    runs = [[*range(at, min(at + 8, 50))] for at in range(0, 50, 8)]
    runs += [[*range(at, min(at + 8, 71))] for at in range(50, 71, 8)]
    by_first = {run[0]: run for run in runs}
    at, order = 0, []
    while at < len(given_sessions):
        run = by_first[given_sessions[at]]
        assert given_sessions[at : at + len(run)] == run
        order.append(run[0])
        at += len(run)
    assert sorted(order) == sorted(by_first)
    assert order != sorted(order)
    # A run is one range: rows are taken in as few pieces as the order allows.
    assert len(plan.window(0).place) <= len(runs)


def test_each_window_has_an_order_of_its_own():
    log = whole_log(*[[2] * 40] * 6)
    plan = log.plan(LoaderOptions(shuffle=True, shuffle_run=2, window=1))
    orders = [tuple(plan.window(j).begin.tolist()) for j in range(plan.num_windows)]
    assert len(set(orders)) == len(orders) == 6


def test_windows_have_as_many_stripes_as_asked_for():
    log = whole_log(*[[2, 1]] * 10, continues=(4,))
    for cut_sessions, expected in [(True, [3, 3, 3, 1]), (False, [3, 3, 3, 1])]:
        options = LoaderOptions(window=3, shuffle=True, cut_sessions=cut_sessions, batch_size=8)
        for epoch in range(10):
            plan = log.plan(options, epoch=epoch)
            sizes = [len(plan.window(j).stripes) for j in range(plan.num_windows)]
            assert sum(sizes) == 10
            if sizes != expected:
                # The window with stripes 3 and 4 is longer by one.
                assert not cut_sessions
                assert sorted(set(sizes) - {1, 2}) == [3, 4]


def test_an_unshuffled_window_is_one_range():
    window = whole_log([3, 4, 5], [2]).plan(LoaderOptions()).window(0)
    assert window.stripes == (0,)
    assert (window.begin.tolist(), window.end.tolist()) == ([0], [12])
    assert window.factor is None


def test_ranges_of_other_factors_are_told_apart():
    log = Log([(0, False, [[1.0, 1.0, 4.0], [4.0, 0.0, 4.0]])])
    window = log.plan(LoaderOptions()).window(0)
    assert window.begin.tolist() == [0, 2, 5]
    assert window.end.tolist() == [2, 4, 6]
    assert window.factor.tolist() == [1, 4, 4]
    assert window.session.tolist() == [0, 0, 1]


def test_shuffled_rows_mix_all_stripes_of_a_window():
    log = whole_log([100], [100])
    share = log.share(log.plan(LoaderOptions(shuffle=True, mix="rows", window=2)))
    assert {row.stripe for row in share[:20]} == {0, 1}
    steps = [b.row - a.row for a, b in pairwise(share)]
    assert steps.count(1) < 20


def test_stripes_of_one_session_stay_together_in_order():
    log = whole_log([5], [5], [5], [1], [1], [1], [1], continues=(1, 2))
    for epoch in range(20):
        plan = log.plan(LoaderOptions(shuffle=True, window=1), epoch=epoch)
        stripes = [plan.window(j).stripes[0] for j in range(plan.num_windows)]
        at = stripes.index(0)
        assert stripes[at : at + 3] == [0, 1, 2]


def test_a_session_that_stays_whole_is_not_parted_by_windows():
    log = whole_log([1, 5], [5], [5, 1], [1], [1], continues=(1, 2))
    options = LoaderOptions(
        shuffle=True, window=1, shuffle_run=1, cut_sessions=False, batch_size=15
    )
    for epoch in range(20):
        plan = log.plan(options, epoch=epoch)
        assert sorted(plan.window(j).stripes for j in range(plan.num_windows)) == [
            (0, 1, 2),
            (3,),
            (4,),
        ]
        share = [row.session for row in log.share(plan)]
        assert share[share.index(1) :][:15] == [1] * 15


def test_a_session_without_rows_in_its_last_stripe_is_not_joined():
    # Of session 1, over stripes 0 to 2, only stripe 2 has wanted rows; session 0 ends before.
    rows = [(0, False, [[1.0], [0.0]]), (0, True, [[0.0]]), (0, True, [[1.0, 1.0]])]
    plan = Log(rows).plan(LoaderOptions(cut_sessions=False, batch_size=2))
    assert [plan.batch_rows(k) for k in range(plan.num_batches)] == [[(0, 1)], [(1, 3)]]
    # A stripe without wanted rows between two parts of a session does not part them.
    rows = [(0, False, [[1.0]]), (0, True, [[0.0]]), (0, True, [[1.0, 1.0]])]
    plan = Log(rows).plan(LoaderOptions(cut_sessions=False, batch_size=3))
    assert plan.num_batches == 1
    # Unless the session ends in it.
    rows = [(0, False, [[1.0]]), (0, True, [[0.0], [0.0]]), (0, True, [[1.0, 1.0]])]
    plan = Log(rows).plan(LoaderOptions(cut_sessions=False, batch_size=2))
    assert plan.num_batches == 2
    # Session 1 goes on in stripe 1 with unwanted rows only: what is wanted there is session 2.
    rows = [(0, False, [[1.0], [1.0]]), (0, True, [[0.0], [1.0, 1.0]])]
    plan = Log(rows).plan(LoaderOptions(cut_sessions=False, batch_size=2))
    assert [plan.batch_rows(k) for k in range(plan.num_batches)] == [[(0, 2)], [(2, 4)]]


def asked_by(log, world, rank=0, **options):
    log.asked.clear()
    plan = log.plan(LoaderOptions(**options), rank=rank, world=world)
    return plan, set(log.asked)


def test_sessions_are_read_only_where_a_plan_needs_them():
    log = whole_log(*[[2, 2]] * 8)
    for shuffle in (False, True):
        plan, asked = asked_by(log, 1, shuffle=shuffle)
        assert asked == set()
        plan.window(1)
        assert set(log.asked) == set(plan.window(1).stripes)
        count = len(log.asked)
        plan.window(1)
        assert len(log.asked) == count
        # Four ranks of eight equal stripes begin with a stripe; three do not.
        assert asked_by(log, 4, shuffle=shuffle)[1] == set()
        assert len(asked_by(log, 3, shuffle=shuffle)[1]) == 2
    assert asked_by(log, 3, uneven="allow")[1] == {2}
    assert asked_by(log, 3, uneven="allow", rank=1)[1] == {2, 5}
    # Whole sessions: all stripes, as other ranks' batches count too; its own where they do not.
    assert asked_by(log, 2, cut_sessions=False)[1] == set(range(8))
    assert asked_by(log, 2, cut_sessions=False, uneven="allow")[1] == {0, 1, 2, 3}


def test_boundaries_look_into_neighbours_only_for_a_session_that_goes_on():
    log = whole_log([2, 2], [4, 2], [2, 2], [2], continues=(1,))
    # Rows 0-1, 2-7 (over the stripes), 8-9, ...; the middle is row 8: a boundary within stripe 1.
    assert asked_by(log, 2)[1] == {0, 1}
    plans = [log.plan(LoaderOptions(), rank=rank, world=2) for rank in (0, 1)]
    assert [int(plan.window_rows[-1]) for plan in plans] == [8, 8]


def test_a_rank_boundary_within_a_session_goes_to_the_nearer_end():
    # Five rows: the middle, 2.5, is in a session of rows 0-3, or 1-4, or as near to both ends.
    for sessions, expected in [([4, 1], 4), ([1, 4], 1), ([5], 0), ([1, 3, 1], 1)]:
        log = whole_log(sessions)
        plan = log.plan(LoaderOptions(uneven="allow"), rank=0, world=2)
        assert int(plan.window_rows[-1]) == expected, sessions


def test_uneven_ranks_drop_wrap_or_differ():
    log = whole_log([4, 4, 4, 1], [4, 4])

    def counts(uneven, batch_size, **more):
        options = LoaderOptions(batch_size=batch_size, uneven=uneven, **more)
        plans = [log.plan(options, rank=rank, world=2) for rank in (0, 1)]
        return [(p.num_batches, p.num_rows, p.dropped_rows, p.repeated_rows) for p in plans]

    # 21 rows: 12 and 9.
    assert counts("allow", 4) == [(3, 12, 0, 0), (3, 9, 0, 0)]
    assert counts("allow", 3) == [(4, 12, 0, 0), (3, 9, 0, 0)]
    assert counts("drop", 3) == [(3, 9, 3, 0), (3, 9, 0, 0)]
    assert counts("wrap", 3) == [(4, 12, 0, 0), (4, 12, 0, 3)]
    assert counts("drop", 4, drop_last=True) == [(2, 8, 4, 0), (2, 8, 1, 0)]
    assert counts("wrap", 4, drop_last=True) == [(3, 12, 0, 0), (3, 12, 1, 4)]


def test_a_short_rank_begins_again_more_than_once():
    log = whole_log([9, 1])
    plan = log.plan(LoaderOptions(batch_size=1, uneven="wrap"), rank=1, world=2)
    assert [plan.batch_rows(k) for k in range(plan.num_batches)] == [[(0, 1)]] * 9
    assert plan.num_rows == 9
    assert plan.repeated_rows == 8


def test_a_log_without_rows_has_no_batches():
    for log in (whole_log(), Log([(0, False, [[0.0, 0.0]]), (0, True, [[0.0]])])):
        for world in (1, 3):
            for uneven in ("drop", "wrap", "allow"):
                for cut_sessions in (True, False):
                    options = LoaderOptions(uneven=uneven, cut_sessions=cut_sessions)
                    plan = log.plan(options, rank=world - 1, world=world)
                    assert (plan.num_batches, plan.num_rows, plan.num_windows) == (0, 0, 0)
                    assert plan.window_rows.tolist() == [0]


def test_a_rank_that_has_nothing_to_begin_again_with_raises_on_every_rank():
    log = whole_log([9])
    for rank in range(3):
        with pytest.raises(RecdInputError) as error:
            log.plan(LoaderOptions(uneven="wrap"), rank=rank, world=3)
        assert "uneven='wrap': rank 0 of 3 has 0 rows, too few for a batch" in str(error.value)
        plan = log.plan(LoaderOptions(uneven="drop"), rank=rank, world=3)
        assert plan.num_batches == 0


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_session_longer_than_a_batch_is_named(shuffle):
    options = LoaderOptions(batch_size=5, cut_sessions=False, shuffle=shuffle)
    log = whole_log([1, 2], [3, 6, 1])
    with pytest.raises(RecdInputError) as error:
        plan_rank(
            log.infos, log.segments, options, epoch=0, rank=0, world=1, file_names=["log.recd"]
        )
    expected = "log.recd, stripe 1, session 1 has 6 rows: cut_sessions=False expects at most"
    assert f"{expected} batch_size=5" in str(error.value)
    # Its rows in several stripes count together.
    log = whole_log([1, 3], [3, 1], continues=(1,))
    with pytest.raises(RecdInputError) as error:
        log.plan(options)
    assert "file 0, stripe 0, session 1 has 6 rows" in str(error.value)


def test_a_stripe_that_has_other_rows_than_planned_raises():
    infos = [StripeInfo(0, 0, 5), StripeInfo(0, 1, 4)]
    plan = plan_rank(
        infos, lambda _: Segments.whole(np.array([0, 2, 5])), LoaderOptions(), epoch=0, rank=0,
        world=1, file_names=["log.recd"],
    )  # fmt: skip
    assert plan.window(0).num_rows == 5
    with pytest.raises(RecdInputError) as error:
        plan.window(1)
    assert "log.recd, stripe 1: 5 rows are wanted, 4 were when" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 2, "world": 2}, "rank=2 of world=2: expected 0 <= rank < world"),
        ({"rank": -1}, "rank=-1 of world=1"),
        ({"epoch": -1}, "epoch=-1: expected 0 to 2**63 - 1"),
        (
            {"options": LoaderOptions(shuffle=True, mix="rows", cut_sessions=False)},
            "mix='rows' with cut_sessions=False: shuffling rows cuts sessions",
        ),
    ],
)
def test_bad_arguments_are_named(changes, message):
    log = whole_log([3])
    arguments = {"options": LoaderOptions(), "epoch": 0, "rank": 0, "world": 1, **changes}
    with pytest.raises(RecdInputError) as error:
        plan_rank(log.infos, log.segments, **arguments)
    assert message in str(error.value)


def test_a_batch_or_window_that_is_not_there_raises():
    plan = whole_log([3]).plan(LoaderOptions())
    for number in (-1, 1):
        with pytest.raises(RecdInputError) as error:
            plan.batch_rows(number)
        assert f"batch {number}: this rank has 1 batches" in str(error.value)
        with pytest.raises(RecdInputError) as error:
            plan.window(number)
        assert f"window {number}: this rank has 1 windows" in str(error.value)
