"""What FirstN and LastN have in common."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.errors import RecdInputError
from recd_format.loader.rows import UniqueRows
from tests.torch_plugin.transforms.unique_rows import as_lists, copied, fixed, plain, windowed


def check_cut(operation, rows, oracle):
    """Values and weights of each row are what `oracle` leaves of them; timelines stay."""
    before = copied(rows)
    found = operation.apply("f", rows)
    assert as_lists(found) == [oracle(row) for row in as_lists(before)]
    if before.weights is not None:
        expected = [oracle(row) for row in as_lists(before, "weights")]
        assert as_lists(found, "weights") == expected
    assert found.num_rows == before.num_rows
    assert found.values.flags.c_contiguous
    for name in ("lengths", "starts"):
        # They are read-only here, so nothing wrote to them; new ones are new arrays.
        given, made = getattr(rows, name), getattr(found, name)
        assert made is given or not np.shares_memory(made, given)
    if rows.starts is not None:
        assert found.values is rows.values
        assert found.values.tolist() == before.values.tolist()


def check_cut_edges(made):
    """`made(n)`: lengths of nobody, nothing to cut, damaged lengths."""
    empty = made(1).apply("f", plain([]))
    assert (len(empty.values), empty.lengths.tolist()) == (0, [])
    for rows in (plain([[1, 2], []]), windowed([1, 2, 3], [(0, 2), (1, 2)]), fixed([1, 2])):
        assert made(2).apply("f", rows) is rows
    with pytest.raises(RecdInputError, match="lengths sum up to more than the 2 values"):
        made(1).apply("f", UniqueRows(np.array([1, 2]), np.array([5], np.int32)))
    for n in (0, -1, 2.0, 1 << 31):
        with pytest.raises(RecdInputError, match=r"\(n="):
            made(n)
