"""Where stripes end: whole sessions, sizes within bounds, and the same cuts when rows stream in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recd_format.writer.cut import StripeCut, cut_stripes

SESSIONS = st.lists(st.integers(1, 30), max_size=40)


def offsets_of(sessions: list[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *sessions]).astype(np.int64)


@given(SESSIONS, st.integers(1, 40))
def test_stripes_cover_the_rows_and_close_in_time(sessions: list[int], stripe_rows: int) -> None:
    offsets = offsets_of(sessions)
    cuts = cut_stripes(offsets, stripe_rows)
    assert [cut.begin for cut in cuts] == [0, *(cut.end for cut in cuts)][: len(cuts)]
    assert (cuts[-1].end if cuts else 0) == offsets[-1]
    for cut in cuts:
        rows = cut.end - cut.begin
        assert rows <= 2 * stripe_rows
        if cut.end != offsets[-1]:
            assert rows >= stripe_rows
        # It closes at the first session boundary, or where it may not grow further.
        inner = offsets[(offsets >= cut.begin + stripe_rows) & (offsets < cut.end)]
        assert not len(inner)
        if cut.end not in offsets:
            assert rows == 2 * stripe_rows


@given(SESSIONS, st.integers(1, 40))
def test_a_stripes_sessions_are_those_of_its_rows(sessions: list[int], stripe_rows: int) -> None:
    offsets = offsets_of(sessions)
    number = np.repeat(np.arange(len(sessions)), sessions)
    for cut in cut_stripes(offsets, stripe_rows):
        mine = number[cut.begin : cut.end]
        assert cut.first_session == mine[0]
        assert cut.continues == (cut.begin > 0 and number[cut.begin - 1] == mine[0])
        _, counts = np.unique(mine, return_counts=True)
        assert np.diff(cut.session_offsets).tolist() == counts.tolist()
        assert cut.session_offsets[0] == 0


def plain(cuts: list[StripeCut]) -> list[tuple[int, int]]:
    return [(cut.begin, cut.end) for cut in cuts]


@given(SESSIONS, st.integers(1, 20), st.data())
def test_rows_that_stream_in_are_cut_the_same(
    sessions: list[int], stripe_rows: int, data: st.DataObject
) -> None:
    offsets = offsets_of(sessions)
    number = np.repeat(np.arange(len(sessions)), sessions)
    total = len(number)
    found: list[tuple[int, int]] = []
    done = arrived = 0
    while done < total or arrived < total:
        arrived = min(total, arrived + data.draw(st.integers(1, 40)))
        seen = number[done:arrived]
        bounds = np.flatnonzero(np.r_[True, seen[1:] != seen[:-1], True]) if len(seen) else [0]
        cuts = cut_stripes(np.asarray(bounds, np.int64), stripe_rows, final=arrived == total)
        found += [(done + begin, done + end) for begin, end in plain(cuts)]
        done = found[-1][1] if found else 0
        if arrived == total:
            break
    assert found == plain(cut_stripes(offsets, stripe_rows))


def test_no_sessions_make_no_stripes() -> None:
    assert cut_stripes(np.zeros(1, np.int64), 10) == []


@pytest.mark.parametrize("final", [True, False])
def test_a_giant_session_is_cut(final: bool) -> None:
    cuts = cut_stripes(np.array([0, 1, 100]), 10, final=final)
    assert plain(cuts)[:3] == [(0, 20), (20, 40), (40, 60)]
    assert [cut.continues for cut in cuts[:3]] == [False, True, True]
    assert plain(cuts)[-1] == ((80, 100) if final else (60, 80))
