from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.loader.order import Purpose, epoch_order, permutation
from recd_format.loader.segments import Segments, StripeInfo


@given(
    st.integers(0, 70), st.integers(0, (1 << 63) - 1), st.integers(0, 5), st.integers(0, 1 << 40)
)
def test_every_number_has_one_place(count, seed, epoch, place):
    order = permutation(count, seed, epoch, Purpose.RUNS, place)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == permutation(count, seed, epoch, Purpose.RUNS, place).tolist()


def test_each_argument_changes_the_order():
    arguments = [
        (30, 0, 0, Purpose.STRIPES, 0),
        (30, 1, 0, Purpose.STRIPES, 0),
        (30, 0, 1, Purpose.STRIPES, 0),
        (30, 0, 0, Purpose.RUNS, 0),
        (30, 0, 0, Purpose.ROWS, 0),
        (30, 0, 0, Purpose.STRIPES, 1),
        (30, 1 << 32, 0, Purpose.STRIPES, 0),
        (30, 1, 1, Purpose.STRIPES, 0),
    ]
    orders = [permutation(*each).tolist() for each in arguments]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_all_orders_are_about_as_frequent():
    counts = np.zeros((4, 4), np.int64)
    for seed in range(4000):
        counts[np.arange(4), permutation(4, seed, 0, Purpose.RUNS)] += 1
    # Five standard deviations of 4,000 draws of a quarter are 137.
    assert abs(counts - 1000).max() < 140


def test_orders_are_the_same_forever():
    # Checkpoints name places in these orders: they may change with no version of anything.
    assert permutation(10, 3, 2, Purpose.STRIPES).tolist() == [8, 2, 4, 1, 3, 6, 5, 0, 7, 9]
    assert permutation(10, 3, 2, Purpose.RUNS, 1000).tolist() == [3, 2, 0, 5, 7, 9, 8, 4, 6, 1]


def infos(*stripes):
    return [StripeInfo(*each) for each in stripes]


def test_stripes_without_wanted_rows_are_left_out():
    order = epoch_order(infos((0, 0, 3), (0, 1, 0), (0, 2, 2)), shuffle=False, seed=0, epoch=0)
    assert order.stripes.tolist() == [0, 2]
    assert order.offsets.tolist() == [0, 3, 5]
    assert order.chained.tolist() == [False, False]
    assert order.num_rows == 5


def test_only_neighbours_of_one_file_are_chained():
    stripes = infos(
        (0, 0, 1, True), (0, 1, 1, True), (1, 0, 1, True), (1, 1, 0, True), (1, 2, 1, True)
    )
    order = epoch_order(stripes, shuffle=False, seed=0, epoch=0)
    assert order.stripes.tolist() == [0, 1, 2, 4]
    assert order.chained.tolist() == [False, True, False, True]
    # Nor is a stripe lost that says it goes on where there is nothing before it.
    order = epoch_order(stripes, shuffle=True, seed=0, epoch=0)
    assert sorted(order.stripes.tolist()) == [0, 1, 2, 4]
    assert order.chained.sum() == 2


def test_nothing_has_an_order():
    for shuffle in (False, True):
        order = epoch_order([], shuffle=shuffle, seed=0, epoch=0)
        assert order.num_rows == len(order.stripes) == 0


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), max_size=5), st.data())
def test_segments_are_cut_to_wanted_rows(sessions, data):
    begin, end, session, factor, rows, at = [], [], [], [], [], 0
    for number, lengths in enumerate(sessions):
        for length in filter(None, lengths):
            at += data.draw(st.integers(0, 2))
            begin.append(at)
            end.append(at + length)
            session.append(number)
            factor.append(float(at))
            rows += [(row, number, float(at)) for row in range(at, at + length)]
            at += length
    segments = Segments(
        *(np.array(each, np.int64) for each in (begin, end, session)),
        np.array(factor, np.float32),
        len(sessions),
    )
    assert segments.num_rows == len(rows)
    first = data.draw(st.integers(0, len(rows)))
    last = data.draw(st.integers(first, len(rows)))
    cut = segments.cut(first, last)
    found = [
        (row, number, weight)
        for low, high, number, weight in zip(
            cut.begin, cut.end, cut.session, cut.factor, strict=True
        )
        for row in range(low, high)
    ]
    assert found == rows[first:last]
    assert cut.num_sessions == len(sessions)
    # A cut never writes into what it is cut from.
    assert segments.begin.tolist() == begin
    assert segments.end.tolist() == end


@pytest.mark.parametrize("offsets", [[0], [0, 3], [0, 1, 4]])
def test_a_whole_stripe_is_a_segment_per_session(offsets):
    segments = Segments.whole(np.array(offsets))
    assert segments.begin.tolist() == offsets[:-1]
    assert segments.end.tolist() == offsets[1:]
    assert segments.session.tolist() == list(range(len(offsets) - 1))
    assert segments.num_sessions == len(offsets) - 1
    assert segments.factor is None
