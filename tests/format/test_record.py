"""Records: their size, their order, and the small helpers around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.constants import ROWS_OWNER
from recd_format.format.record import RECORD, StreamKind, kind_mask, padded, sort_records


def test_a_record_is_one_cache_line() -> None:
    assert RECORD.itemsize == 64


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2, ROWS_OWNER]), st.integers(0, 3), st.integers(1, 11)),
        max_size=30,
    )
)
def test_records_are_sorted_by_owner_stripe_and_kind(keys: list[tuple[int, int, int]]) -> None:
    records = np.zeros(len(keys), RECORD)
    for name, column in zip(("owner", "stripe", "kind"), zip(*keys, strict=True), strict=False):
        records[name] = column
    found = sort_records(records)
    assert [tuple(row) for row in found[["owner", "stripe", "kind"]].tolist()] == sorted(keys)


@pytest.mark.parametrize(
    ("size", "alignment", "expected"), [(0, 64, 0), (1, 64, 64), (64, 64, 64), (65, 4096, 4096)]
)
def test_sizes_are_rounded_up(size: int, alignment: int, expected: int) -> None:
    assert padded(size, alignment) == expected


def test_a_mask_marks_its_kinds_and_no_others() -> None:
    mask = kind_mask(StreamKind.CODES, StreamKind.VALUES)
    assert np.flatnonzero(mask).tolist() == [StreamKind.CODES, StreamKind.VALUES]
    assert len(mask) == 256
