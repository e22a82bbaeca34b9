from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.dedup.cluster import cluster
from recd_format.errors import RecdInputError

keys_and_times = st.lists(
    st.tuples(st.sampled_from([7, -(2**63), 2**62, 3, 4]), st.integers(-5, 12)), max_size=60
)


def expected_order(rows, session_order, gap=None, span=None):
    """Sessions as lists of input rows, by the rules of FORMAT, Order."""
    by_key = {}
    for i, (key, _) in enumerate(rows):
        by_key.setdefault(key, []).append(i)
    sessions = []
    for members in by_key.values():
        members = sorted(members, key=lambda i: (rows[i][1], i))
        piece = [members[0]]
        for i in members[1:]:
            apart = rows[i][1] - rows[piece[-1]][1]
            whole = rows[i][1] - rows[piece[0]][1]
            if (gap is not None and apart > gap) or (span is not None and whole > span):
                sessions.append(piece)
                piece = []
            piece.append(i)
        sessions.append(piece)
    rank = {
        "first_seen": lambda s: (rows[s[0]][1], s[0]),
        "input": min,
        "key": lambda s: (rows[s[0]][0], rows[s[0]][1], s[0]),
    }[session_order]
    return sorted(sessions, key=rank)


def sessions_of(clustering):
    return [
        clustering.permutation[a:b].tolist()
        for a, b in zip(clustering.session_offsets, clustering.session_offsets[1:], strict=False)
    ]


@given(
    keys_and_times,
    st.sampled_from(["first_seen", "input", "key"]),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([None, 1, 6]),
)
def test_cluster_orders_sessions_and_rows_as_specified(rows, session_order, gap, span):
    keys = np.array([key for key, _ in rows], np.int64)
    times = np.array([time for _, time in rows], np.int64)
    result = cluster(keys, times, session_order=session_order, gap=gap, max_span=span)
    expected = expected_order(rows, session_order, gap, span)
    assert sessions_of(result) == expected
    assert result.session_codes.tolist() == [rows[s[0]][0] for s in expected]
    assert result.spans.tolist() == [rows[s[-1]][1] - rows[s[0]][1] for s in expected]


@given(keys_and_times)
def test_without_an_order_the_input_order_stays(rows):
    keys = np.array([key for key, _ in rows], np.int64)
    result = cluster(keys)
    assert sessions_of(result) == expected_order([(k, 0) for k, _ in rows], "first_seen")
    assert not result.spans.any()


def test_key_rank_orders_sessions_by_rank():
    keys, rank = np.array([0, 1, 2, 0], np.int64), np.array([5, 9, 1, 5], np.int64)
    assert cluster(keys, session_order="key", key_rank=rank).session_codes.tolist() == [2, 0, 1]


def test_many_sessions_grow_the_hash_table():
    keys = np.random.default_rng(0).permutation(5000).astype(np.int64) * 2**40
    result = cluster(np.tile(keys, 2))
    assert result.session_codes.tolist() == keys.tolist()
    assert result.permutation[:4].tolist() == [0, 5000, 1, 5001]


def test_extreme_times_do_not_overflow_the_gap():
    times = np.array([-(2**63), 2**63 - 1], np.int64)
    assert cluster(np.zeros(2, np.int64), times, gap=2**62).num_sessions == 2
    assert cluster(np.zeros(2, np.int64), times).spans.tolist() == [2**64 - 1]


def test_bad_arguments_are_named():
    keys = np.zeros(3, np.int64)
    with pytest.raises(RecdInputError, match="order_key"):
        cluster(keys, gap=1)
    with pytest.raises(RecdInputError, match="2 rows"):
        cluster(keys, np.zeros(2, np.int64))
    with pytest.raises(RecdInputError, match="session_order"):
        cluster(keys, session_order="sorted")


@given(
    st.lists(st.integers(-5, 60), min_size=1, max_size=40),
    st.integers(1, 40),
    st.sampled_from([None, 0, 3]),
    st.sampled_from([None, 1, 6]),
)
def test_a_session_that_began_before_goes_on(times, cut, gap, span):
    """Pieces are the same where a session is clustered in two parts."""
    times = np.sort(np.array(times, np.int64))
    whole = cluster(np.zeros(len(times), np.int64), times, gap=gap, max_span=span)
    cut = min(cut, len(times))
    session = int(np.searchsorted(whole.session_offsets, cut)) - 1
    if cut == whole.session_offsets[session + 1]:
        return
    rest = cluster(
        np.zeros(len(times) - cut, np.int64),
        times[cut:],
        gap=gap,
        max_span=span,
        open_since=int(times[whole.session_offsets[session]]),
        open_last=int(times[cut - 1]),
    )
    assert (rest.session_offsets[1:] + cut).tolist() == whole.session_offsets[
        session + 1 :
    ].tolist()
    assert rest.spans.tolist() == whole.spans[session:].tolist()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 300))
def test_sample_is_whole_sessions(lengths, rows):
    keys = np.repeat(np.arange(len(lengths)), lengths).astype(np.int64)
    whole = cluster(keys)
    sample = whole.sample(rows)
    assert set(map(tuple, sessions_of(sample))) <= set(map(tuple, sessions_of(whole)))
    assert sample.num_sessions >= 1
    assert sample.num_rows <= max(rows, 0) + 8 * max(lengths)


def test_sessions_slices_with_offsets_from_zero():
    part = cluster(np.array([1, 1, 2, 2, 2, 3], np.int64)).sessions(1, 3)
    assert part.session_offsets.tolist() == [0, 3, 4]
    assert part.permutation.tolist() == [2, 3, 4, 5]
    assert part.session_codes.tolist() == [2, 3]
