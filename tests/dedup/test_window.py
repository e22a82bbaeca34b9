from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.dedup import window
from recd_format.dedup.exact import decode_codes
from recd_format.dedup.gather import take_values
from recd_format.dedup.window import find_windows
from recd_format.errors import RecdInputError
from tests.dedup.dedup_columns import clustered, jagged, row_bits

ONE_SESSION = np.array([0, 4], np.int64)


def check(columns, permutation, offsets, found):
    """Windows read back as their rows, in their session's timeline, and cover it."""
    inverse = np.empty(len(permutation), np.int32)
    assert decode_codes(found.codes, 0, inverse, len(found.unique_rows)) == -1
    session = np.searchsorted(offsets, found.unique_rows, side="right") - 1
    ends = found.starts + found.lengths
    assert (found.starts >= found.session_timeline_offsets[session]).all()
    assert (ends <= found.session_timeline_offsets[session + 1]).all()
    assert found.session_timeline_offsets[0] == 0
    assert found.session_timeline_offsets[-1] == len(found.timeline)
    covered = np.zeros(len(found.timeline), bool)
    for start, end in zip(found.starts, ends, strict=True):
        covered[start:end] = True
    assert covered.all()
    assert len(found.timeline) <= found.lengths.sum()
    for column in columns:
        stored = take_values(column, found.timeline)
        for i, row in enumerate(permutation):
            u = inverse[i]
            window_bytes = stored.values[found.starts[u] : ends[u]].tobytes()
            first = permutation[found.unique_rows[u]]
            assert window_bytes == row_bits(column, row)[1]
            assert row_bits(column, first) == row_bits(column, row)


@st.composite
def histories(draw, rows):
    """Lists that slide, jump, repeat and shrink over a small alphabet."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    letters = draw(st.sampled_from([2, 4, 200]))
    grow_front = draw(st.booleans())
    now, result = [], []
    for _ in range(rows):
        new = random.integers(0, letters, random.integers(0, 4)).tolist()
        now = [*new, *now][:8] if grow_front else [*now, *new][-8:]
        if random.random() < 0.2:
            now = random.integers(0, letters, random.integers(0, 9)).tolist()
        cut = int(random.integers(0, 3))
        result.append(now[cut:] if random.random() < 0.3 else list(now))
    return result


@given(st.data(), clustered(), st.sampled_from(["<i8", "<f4", "u1"]), st.booleans())
def test_windows_read_back(data, order, dtype, nullable):
    permutation, offsets = order
    lists = data.draw(histories(len(permutation)))
    nulls = None
    if nullable:
        nulls = [i % 5 == 2 for i in range(len(lists))]
        lists = [[] if null else row for row, null in zip(lists, nulls, strict=True)]
    lists = [lists[i] for i in np.argsort(permutation)]
    nulls = None if nulls is None else [nulls[i] for i in np.argsort(permutation)]
    column = jagged(lists, dtype, nulls=nulls, skip=3)
    check([column], permutation, offsets, find_windows([column], permutation, offsets))


@given(st.data(), clustered())
def test_parallel_lists_share_their_windows(data, order):
    permutation, offsets = order
    lists = data.draw(histories(len(permutation)))
    scores = [[x % 3 for x in row] for row in lists]
    one = jagged(lists, weights=scores)
    two = jagged([[x // 2 for x in row] for row in lists], "<f4", skip=2)
    found = find_windows([one, two], permutation, offsets)
    check([one, two], permutation, offsets, found)
    assert found.timeline.max(initial=0) < max(1, one.offsets[-1])


@pytest.mark.parametrize("front", [False, True])
def test_sliding_history_is_stored_once(front):
    rows = [[1, 2, 3, 4], [2, 3, 4, 5], [4, 5, 6, 7], [5, 6, 7, 8]]
    if front:
        rows = [row[::-1] for row in rows]
    column = jagged(rows)
    found = find_windows([column], np.arange(4), ONE_SESSION)
    wanted = list(range(8, 0, -1)) if front else list(range(1, 9))
    assert column.values[found.timeline].tolist() == wanted
    assert found.starts.tolist() == ([4, 3, 1, 0] if front else [0, 1, 3, 4])


def test_list_within_the_recent_timeline_adds_nothing():
    column = jagged([[1, 2, 3, 4, 5], [2, 3, 4], [5, 9], [1, 2]])
    found = find_windows([column], np.arange(4), ONE_SESSION)
    assert len(found.timeline) == 6
    assert found.starts.tolist() == [0, 1, 4, 0]


def test_sessions_share_nothing():
    column = jagged([[1, 2], [1, 2]])
    found = find_windows([column], np.arange(2), np.array([0, 1, 2]))
    assert len(found.timeline) == 4
    assert found.codes.tolist() == [1, 1]


def test_elements_that_hash_alike_are_noticed(monkeypatch):
    monkeypatch.setattr(
        window, "_elements", lambda uniques: (np.zeros(len(uniques[0].values), np.uint64), False)
    )
    column = jagged([[1, 2], [3, 4], [5], []])
    found = find_windows([column], np.arange(4), ONE_SESSION)
    check([column], np.arange(4), ONE_SESSION, found)
    assert len(found.timeline) == 5


def test_unequal_lengths_are_an_error():
    with pytest.raises(RecdInputError, match="equal lengths"):
        find_windows([jagged([[1], [2]]), jagged([[1], []])], np.arange(2), np.array([0, 2]))


def test_no_rows_give_no_windows():
    found = find_windows([jagged([])], np.zeros(0, np.int64), np.zeros(1, np.int64))
    assert len(found.timeline) == 0
    assert found.session_timeline_offsets.tolist() == [0]
