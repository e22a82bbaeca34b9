from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recd_format.dedup.reference import (
    Reference,
    find_references,
    own_index,
    verify_reference,
)
from recd_format.jagged import Column
from tests.dedup.dedup_columns import jagged


def request_log(rows=200, base=0, dtype="<i8", seed=0):
    """Rows that each pick one element of a list of their own."""
    random = np.random.default_rng(seed)
    lists = [random.permutation(900)[: random.integers(1, 9)].tolist() for _ in range(rows)]
    slot = np.array([random.integers(0, len(row)) for row in lists])
    picked = np.array([row[s] for row, s in zip(lists, slot, strict=True)], dtype)
    return Column(picked), jagged(lists, dtype, skip=2), Column(slot + base)


def test_reference_with_an_index_field_is_found():
    scalar, list_, slot = request_log(base=1)
    other = Column(np.arange(200))
    found = find_references(
        {"other": other, "item": scalar},
        {"noise": jagged([[1]] * 200), "request": list_},
        {"other": other, "item": scalar, "slot": slot},
        np.arange(0, 200, 3),
    )
    assert found == [Reference("item", "request", "slot", 1), Reference("item", "request")]


@given(st.integers(0, 999), st.sampled_from(["<i8", "<f4", "<i2"]), st.booleans())
def test_own_index_is_the_first_element_equal(seed, dtype, nullable):
    scalar, list_, _ = request_log(40, dtype=dtype, seed=seed)
    if nullable:
        nulls = np.arange(40) % 3 == 0
        scalar = Column(np.where(nulls, 0, scalar.values).astype(dtype), validity=~nulls)
    rows = np.random.default_rng(seed).permutation(40)[:30]
    for wanted in (rows, rows[:5]):
        index = own_index(scalar, list_, wanted)
        for i, row in zip(index, wanted, strict=True):
            if scalar.validity is not None and not scalar.validity[row]:
                assert i == 0
                continue
            part = list_.values[list_.offsets[row] : list_.offsets[row + 1]]
            assert i == part.tolist().index(scalar.values[row])


def test_one_wrong_row_refutes():
    scalar, list_, slot = request_log()
    rows = np.arange(200)
    assert verify_reference(scalar, list_, slot, 0, rows)
    assert verify_reference(scalar, list_, None, 0, rows)
    assert not verify_reference(scalar, list_, slot, 1, rows)
    values = scalar.values.copy()
    values[77] = -1
    assert not verify_reference(Column(values), list_, slot, 0, rows)
    assert not verify_reference(Column(values), list_, None, 0, rows)
    assert own_index(Column(values), list_, rows) is None
    assert verify_reference(Column(values), list_, slot, 0, rows[:77])


def test_null_scalars_hold_and_null_indices_do_not():
    scalar, list_, slot = request_log()
    rows, valid = np.arange(200), np.arange(200) % 2 == 0
    gaps = Column(np.where(valid, scalar.values, 0), validity=valid)
    wild = Column(np.where(valid, slot.values, 99))
    assert verify_reference(gaps, list_, wild, 0, rows)
    nulls = Column(slot.values, validity=np.arange(200) != 4)
    assert not verify_reference(gaps, list_, nulls, 0, rows)


def test_types_must_match_bit_for_bit():
    scalar, list_, slot = request_log()
    rows = np.arange(200)
    assert not verify_reference(Column(scalar.values.astype("<i4")), list_, slot, 0, rows)
    huge = Column(np.full(200, 2**64 - 1, np.uint64))
    assert not verify_reference(scalar, list_, huge, 0, rows)
    zeros, signed = Column(np.array([-0.0], "<f4")), jagged([[0.0]], "<f4")
    assert own_index(zeros, signed, np.arange(1)) is None
