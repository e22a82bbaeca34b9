"""Ids are counted in rows, though only unique rows are looked at."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.reader.data import FieldData, GroupData
from recd_format.torch.transforms import counting
from recd_format.torch.transforms.counting import IdCounter
from tests.torch_plugin.transforms.unique_rows import any_rows, as_lists

SMALL = st.integers(0, 5)


@st.composite
def stored(draw):
    """A field of a stripe, and the lists of its rows."""
    rows = draw(any_rows(st.one_of(SMALL, st.integers(-(2**63), 2**63 - 1))))
    lists = as_lists(rows)
    inverse = None
    if draw(st.booleans()):
        picks = st.lists(st.integers(0, len(lists) - 1), max_size=12) if lists else st.just([])
        inverse = np.array(draw(picks), np.int32)
    validity = None
    if draw(st.booleans()):
        chosen = draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists)))
        validity = np.array(chosen, bool)
        lists = [row if ok else [] for row, ok in zip(lists, chosen, strict=True)]
    field = FieldData(0, rows.values, rows.lengths, rows.starts, rows.width, None, validity)
    group = GroupData(len(lists), inverse, monotone=False)
    return field, group, lists if inverse is None else [lists[u] for u in inverse]


@pytest.mark.parametrize("pending", [0, 1 << 22])
@given(parts=st.lists(stored(), max_size=3), least=st.integers(1, 3), most=st.integers(1, 9))
def test_counts_are_those_of_the_rows(pending, parts, least, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_MOST_PENDING", pending)
        counter = IdCounter()
        for field, group, _ in parts:
            counter.add(field, group)
        ids, counts = counter.most_frequent(least, most)
    expected = Counter(id_ for *_, rows in parts for row in rows for id_ in row)
    ranked = sorted(((-n, id_) for id_, n in expected.items() if n >= least))[:most]
    assert ids.tolist() == [id_ for _, id_ in ranked]
    assert counts.tolist() == [-n for n, _ in ranked]
    assert ids.dtype == counts.dtype == np.int64
    assert counter.num_ids == len(expected)
    assert counter.total == sum(expected.values())


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.uint32, np.int64])
def test_ids_of_any_width(dtype):
    counter = IdCounter()
    field = FieldData(0, np.array([3, 4, 3], dtype), None, None, 1, None, None)
    counter.add(field, GroupData(3, None, monotone=True))
    ids, counts = counter.most_frequent()
    assert (ids.tolist(), counts.tolist()) == ([3, 4], [2, 1])


def test_no_rows():
    ids, counts = IdCounter().most_frequent()
    assert (len(ids), len(counts)) == (0, 0)
    assert IdCounter().total == 0
