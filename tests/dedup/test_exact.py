from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.dedup.exact import (
    combine,
    decode_codes,
    decode_codes_many,
    encode_codes,
    first_equal,
)
from recd_format.dedup.gather import take_ranges, take_rows, take_values
from recd_format.errors import RecdInputError
from recd_format.jagged import Column
from tests.dedup.dedup_columns import clustered, columns, jagged, row_bits

SCOPES = ["adjacent", "session", "stripe"]


def expected_first(bits, offsets, scope):
    first, seen = [], {}
    for begin, end in pairwise(offsets):
        if scope != "stripe":
            seen = {}
        for i in range(begin, end):
            if scope == "adjacent":
                first.append(first[i - 1] if i > begin and bits[i] == bits[i - 1] else i)
            else:
                first.append(seen.setdefault(bits[i], i))
    return first


@given(st.data(), clustered(), st.sampled_from(SCOPES))
def test_first_equal_agrees_with_comparing_rows(data, order, scope):
    permutation, offsets = order
    column = data.draw(columns(len(permutation)))
    bits = [row_bits(column, row) for row in permutation]
    first = first_equal(column, permutation, offsets, scope)
    assert first.dtype == np.int32
    assert first.tolist() == expected_first(bits, offsets.tolist(), scope)


@given(st.data(), clustered(), st.sampled_from(SCOPES))
def test_combine_is_equality_of_the_tuple(data, order, scope):
    permutation, offsets = order
    group = [data.draw(columns(len(permutation))) for _ in range(3)]
    bits = [tuple(row_bits(column, row) for column in group) for row in permutation]
    firsts = [first_equal(column, permutation, offsets, scope) for column in group]
    assert combine(firsts, offsets, scope).tolist() == expected_first(bits, offsets.tolist(), scope)


@given(st.data(), clustered(), st.sampled_from(SCOPES))
def test_codes_lead_back_to_the_rows(data, order, scope):
    permutation, offsets = order
    column = data.draw(columns(len(permutation)))
    first = first_equal(column, permutation, offsets, scope)
    codes = encode_codes(first, offsets, scope)
    if scope != "stripe":
        assert (codes.codes[offsets[:-1]] == 1).all()
    if scope == "adjacent":
        assert codes.codes.max() <= 1
    inverse = np.empty(len(first), np.int32)
    assert decode_codes(codes.codes, 0, inverse, len(codes.unique_rows)) == -1
    assert codes.unique_rows[inverse].tolist() == first.tolist()
    # Any part decodes alone, given the ones before it; also in place.
    at = data.draw(st.integers(0, len(first)))
    part = codes.codes[at:].copy()
    ones = int((codes.codes[:at] == 1).sum())
    assert decode_codes(part, ones, part.view(np.int32), len(codes.unique_rows)) == -1
    assert part.tolist() == inverse[at:].tolist()


def test_codes_count_back_from_the_newest():
    first = np.array([0, 0, 2, 0, 4, 2, 0, 4], np.int32)
    codes = encode_codes(first, np.array([0, 8]), "session")
    assert codes.codes.tolist() == [1, 0, 1, 2, 1, 2, 3, 0]
    assert codes.unique_rows.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("codes", "ones", "unique", "bad"),
    [
        ([0], 0, 9, 0),
        ([1, 2], 0, 9, 1),
        ([1, 1, 3], 0, 9, 2),
        ([1, 1], 0, 1, 1),
        ([0], 5, 4, 0),
        ([1, 0xFFFFFFFF], 0, 9, 1),
        ([3, 1], 2, 9, 0),
    ],
)
def test_codes_that_point_outside_are_refused(codes, ones, unique, bad):
    out = np.empty(len(codes), np.int32)
    assert decode_codes(np.array(codes, np.uint32), ones, out, unique) == bad


def test_groups_decode_in_one_call():
    arena = np.zeros(40, np.uint8)
    arena[8:20] = np.array([1, 0, 1], "<u4").view("u1")
    arena[24:36] = np.array([0, 2, 1], "<u4").view("u1")
    table = np.array([[8, 3, 0, 2], [24, 3, 5, 6]], np.int64)
    bad, highest = decode_codes_many(table, arena)
    assert bad == -1
    assert len(highest) == len(table)
    assert arena[8:20].view("<i4").tolist() == [0, 0, 1]
    assert arena[24:36].view("<i4").tolist() == [4, 3, 5]


@pytest.mark.parametrize(
    "row",
    [[-4, 1, 0, 1], [2, 1, 0, 1], [0, 11, 0, 1], [44, 1, 0, 1], [2**62, 1, 0, 1],
     [0, -1, 0, 1], [0, 2**62, 0, 1], [0, 1, -1, 1], [0, 1, 0, -1]],
)  # fmt: skip
def test_group_ranges_outside_of_the_arena_are_refused(row):
    arena = np.zeros(40, np.uint8)
    arena[0] = 1
    good = [4, 0, 0, 0]
    assert decode_codes_many(np.array([good, row], np.int64), arena)[0] == 1


def test_null_differs_from_empty_and_sign_of_zero_counts():
    column = jagged([[], [], []], nulls=[False, True, False])
    rows, offsets = np.arange(3), np.array([0, 3])
    assert first_equal(column, rows, offsets, "session").tolist() == [0, 1, 0]
    zeros = Column(np.array([0.0, -0.0, 0.0], "<f4"))
    assert first_equal(zeros, rows, offsets, "session").tolist() == [0, 1, 0]
    nan = Column(np.array([0x7FC00000, 0x7FC00001, 0x7FC00000], "<u4").view("<f4"))
    assert first_equal(nan, rows, offsets, "session").tolist() == [0, 1, 0]


def test_read_only_input_is_taken():
    values = np.arange(6)
    values.flags.writeable = False
    assert first_equal(Column(values), np.arange(6), np.array([0, 6])).tolist() == list(range(6))


def test_wrong_scope_is_an_error():
    with pytest.raises(RecdInputError, match="scope"):
        first_equal(Column(np.arange(2)), np.arange(2), np.array([0, 2]), "file")
    with pytest.raises(RecdInputError, match="scope"):
        encode_codes(np.array([0, 0], np.int32), np.array([0, 1, 2]), "session")


@given(st.data(), st.integers(1, 30))
def test_taken_rows_are_the_rows(data, rows):
    column = data.draw(columns(rows))
    picks = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=40)), np.int64)
    taken = take_rows(column, picks)
    assert taken.num_rows == len(picks)
    assert [row_bits(taken, i) for i in range(len(picks))] == [row_bits(column, r) for r in picks]


def test_timeline_values_count_from_the_first_offset():
    column = jagged([[5, 6], [7]], weights=[[1, 2], [3]], skip=2)
    taken = take_values(column, np.array([2, 0]))
    assert taken.values.tolist() == [7, 5]
    assert taken.weights.tolist() == [3, 1]


@pytest.mark.parametrize("dtype", ["u1", "<f2", "<i4", "<f8"])
def test_ranges_of_every_item_size(dtype):
    values = np.arange(50).astype(dtype)
    out = take_ranges(values, np.array([40, 0, 3]), np.array([0, 10, 10, 45]))
    assert out.tolist() == [*range(40, 50), *range(3, 38)]
