from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets
from recd_format.loader.options import Downsample
from recd_format.loader.segments import offsets_of
from recd_format.loader.selection import (
    carry_first_keys,
    positive_sessions,
    select,
    share_positive,
)


def rows_of(segments):
    """(row, session, factor) of each wanted row."""
    factor = [1.0] * len(segments.begin) if segments.factor is None else segments.factor.tolist()
    return [
        (row, session, weight)
        for begin, end, session, weight in zip(
            segments.begin.tolist(),
            segments.end.tolist(),
            segments.session.tolist(),
            factor,
            strict=True,
        )
        for row in range(begin, end)
    ]


def check_form(segments, sessions):
    """Segments are not empty, in row order, each of one session, and as long as they can be."""
    assert segments.num_sessions == sessions
    for array in (segments.begin, segments.end, segments.session):
        assert array.dtype == np.int64
    assert segments.factor is None or segments.factor.dtype == np.float32
    assert (segments.begin < segments.end).all()
    follows = segments.begin[1:] == segments.end[:-1]
    assert (segments.begin[1:] >= segments.end[:-1]).all()
    alike = segments.session[1:] == segments.session[:-1]
    if segments.factor is not None:
        alike &= segments.factor[1:] == segments.factor[:-1]
    assert not (follows & alike).any()


@st.composite
def stripes(draw):
    lengths = draw(st.lists(st.integers(1, 6), max_size=8))
    rows = sum(lengths)
    labels = draw(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.5, np.nan]), min_size=rows, max_size=rows)
    )
    ids = draw(
        st.lists(
            st.integers(-(1 << 63), (1 << 63) - 1), min_size=len(lengths), max_size=len(lengths)
        )
    )
    keys = draw(st.lists(st.integers(0, 9), min_size=len(lengths), max_size=len(lengths)))
    return {
        "session_offsets": offsets_of(np.array(lengths, np.int64)),
        "session_ids": np.array(ids, np.int64),
        "first_keys": np.array(keys, np.int64),
        "labels": np.array(labels, np.float32),
    }


@given(stripes(), st.data())
def test_splits_choose_whole_sessions(stripe, data):
    offsets = stripe["session_offsets"]
    modulus = data.draw(st.integers(1, 6))
    low = data.draw(st.integers(0, modulus - 1))
    high = data.draw(st.integers(low + 1, modulus))
    begin = data.draw(st.none() | st.integers(0, 9))
    end = data.draw(st.none() | st.integers(0, 9))
    segments = select(**stripe, session_hash=(low, high, modulus), time_range=(begin, end))
    check_form(segments, len(offsets) - 1)
    expected = []
    for session, (bucket, key) in enumerate(
        zip(
            hash_buckets(stripe["session_ids"], modulus).tolist(), stripe["first_keys"], strict=True
        )
    ):
        late = begin is None or key >= begin
        early = end is None or key < end
        if low <= bucket < high and late and early:
            expected += [
                (row, session, 1.0) for row in range(offsets[session], offsets[session + 1])
            ]
    assert rows_of(segments) == expected
    assert segments.factor is None


def test_without_conditions_all_rows_are_wanted():
    segments = select(np.array([0, 2, 3, 7]))
    assert rows_of(segments) == [(0, 0, 1), (1, 0, 1), (2, 1, 1)] + [(i, 2, 1) for i in range(3, 7)]


@given(st.integers(2, 8), st.integers(-(1 << 63), (1 << 63) - 1))
def test_hash_ranges_are_a_partition(modulus, number):
    given_splits = [
        select(np.array([0, 1]), session_hash=(k, k + 1, modulus), session_ids=np.array([number]))
        for k in range(modulus)
    ]
    assert sum(split.num_rows for split in given_splits) == 1


@given(stripes(), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(0, 3))
def test_sampling_sessions_keeps_those_with_a_positive_row(stripe, keep, seed):
    segments = select(**stripe, downsample=Downsample("label", keep, "session", seed))
    offsets = stripe["session_offsets"]
    check_form(segments, len(offsets) - 1)
    kept = {session: factor for _, session, factor in rows_of(segments)}
    assert len(rows_of(segments)) == sum(offsets[s + 1] - offsets[s] for s in kept)
    for session in range(len(offsets) - 1):
        if (stripe["labels"][offsets[session] : offsets[session + 1]] > 0).any():
            assert kept[session] == 1
        else:
            assert kept.get(session, np.float32(1 / keep)) == np.float32(1 / keep)
            assert keep < 1 or session in kept


@given(stripes(), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(0, 3), st.integers(0, 1000))
def test_sampling_rows_keeps_the_positive_ones(stripe, keep, seed, first_row):
    downsample = Downsample("label", keep, "row", seed)
    segments = select(**stripe, downsample=downsample, first_row=first_row)
    offsets = stripe["session_offsets"]
    check_form(segments, len(offsets) - 1)
    kept = {row: (session, factor) for row, session, factor in rows_of(segments)}
    for row, label in enumerate(stripe["labels"]):
        session = int(np.searchsorted(offsets, row, side="right")) - 1
        factor = np.float32(1 if label > 0 else 1 / keep)
        if label > 0 or keep == 1:
            assert row in kept
        assert kept.get(row, (session, factor)) == (session, factor)


@given(stripes(), st.data())
def test_a_row_is_chosen_by_its_number_wherever_stripes_begin(stripe, data):
    offsets = stripe["session_offsets"]
    downsample = Downsample("label", 0.5, "row")
    whole = select(**stripe, downsample=downsample, first_row=100)
    at = data.draw(st.integers(0, len(offsets) - 1))
    row = int(offsets[at])
    parts = [
        select(
            offsets[: at + 1], labels=stripe["labels"][:row], downsample=downsample, first_row=100
        ),
        select(
            offsets[at:] - row,
            labels=stripe["labels"][row:],
            downsample=downsample,
            first_row=100 + row,
        ),
    ]
    found = rows_of(parts[0]) + [(r + row, s + at, f) for r, s, f in rows_of(parts[1])]
    assert found == rows_of(whole)


def test_sampling_rows_within_a_split():
    offsets = np.arange(0, 2001, 4)
    arguments = {"session_ids": np.arange(500), "labels": np.zeros(2000)}
    split = select(offsets, session_hash=(0, 1, 2), **arguments)
    sample = select(
        offsets, session_hash=(0, 1, 2), downsample=Downsample("label", 0.5, "row"), **arguments
    )
    check_form(sample, 500)
    assert set(sample.session.tolist()) <= set(split.session.tolist())
    assert 0.4 < sample.num_rows / split.num_rows < 0.6


@pytest.mark.parametrize("by", ["session", "row"])
@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_sums_over_rows_keep_their_expectation(by, keep):
    lengths = np.random.default_rng(0).integers(1, 10, 20_000)
    labels = (np.random.default_rng(1).random(int(lengths.sum())) < 0.02).astype(np.float32)
    ids = np.random.default_rng(2).integers(0, 1 << 40, 20_000)
    totals, kept_rows = [], []
    for seed in range(3):
        downsample = Downsample("label", keep, by, seed)
        segments = select(
            offsets_of(lengths), session_ids=ids, labels=labels, downsample=downsample
        )
        totals.append(float(((segments.end - segments.begin) * segments.factor).sum()))
        kept_rows.append([row for row, _, _ in rows_of(segments)])
        assert segments.num_rows < len(labels) * (keep + 0.2)
    # Sessions vary by 6 %, rows by 1 %.
    assert abs(np.mean(totals) / len(labels) - 1) < 0.04
    assert len({tuple(rows) for rows in kept_rows}) == 3


def test_a_sample_of_a_split_is_a_fair_one():
    # Were both to look at the same bits, all of a split of half the sessions would be kept.
    ids = np.arange(20_000)
    arguments = {"session_offsets": np.arange(20_001), "session_ids": ids}
    sample = select(
        **arguments,
        session_hash=(0, 1, 2),
        downsample=Downsample("label", 0.5),
        labels=np.zeros(20_000),
    )
    assert abs(sample.num_rows - 5000) < 5 * 61


def test_no_key_is_in_no_range():
    offsets = np.arange(4)
    keys = np.array([1.0, np.nan, 3.0])
    for time_range in [(None, None), (0, 9), (None, 9), (0, None)]:
        segments = select(offsets, time_range=time_range, first_keys=keys)
        assert segments.session.tolist() == [0, 2]
    times = np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[us]")
    begin = np.datetime64("2020-01-02")
    segments = select(offsets, time_range=(begin, None), first_keys=times)
    assert segments.session.tolist() == [2]


def test_sessions_over_stripes_share_what_is_known_of_them():
    positive = [np.array(each) for each in ([True, False], [False], [False, True], [True], [False])]
    continues = [True, True, True, False, True]
    shared = share_positive(positive, continues)
    assert [each.tolist() for each in shared] == [
        [True, False], [False], [False, True], [True], [True],
    ]  # fmt: skip
    positive[2][0] = True
    shared = share_positive(positive, continues)
    assert [each.tolist() for each in shared] == [
        [True, True], [True], [True, True], [True], [True],
    ]  # fmt: skip
    assert positive[1].tolist() == [False]
    keys = [np.array(each) for each in ([5, 1], [2], [3, 4], [9])]
    carried = carry_first_keys(keys, [True, True, True, False])
    assert [each.tolist() for each in carried] == [[5, 1], [1], [1, 4], [9]]
    assert keys[1].tolist() == [2]


def test_positive_sessions_have_a_row_above_zero():
    labels = np.array([0, 1, -1, np.nan, 0.5], np.float32)
    assert positive_sessions(np.array([0, 2, 4, 5]), labels).tolist() == [True, False, True]
    assert positive_sessions(np.array([0]), labels[:0]).tolist() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"session_hash": (0, 1, 2)}, "session_ids of a stripe: expected shape [2], found None"),
        (
            {"session_hash": (0, 1, 2), "session_ids": np.zeros(3, np.int64)},
            "session_ids of a stripe: expected shape [2], found [3]",
        ),
        ({"time_range": (0, 1)}, "first_keys of a stripe: expected shape [2], found None"),
        ({"downsample": Downsample("y", 0.5)}, "labels of a stripe: expected shape [5]"),
        ({"downsample": Downsample("y", 0.5, "row")}, "labels of a stripe: expected shape [5]"),
    ],
)
def test_what_a_choice_needs_must_be_there(arguments, message):
    with pytest.raises(RecdInputError) as error:
        select(np.array([0, 2, 5]), **arguments)
    assert message in str(error.value)
