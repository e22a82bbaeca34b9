"""Options of a write: what is refused, and how many rows a stripe gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recd_format import RecdInputError, WriteOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "huge"}, "profile='huge': expected one of gpu, balanced, small"),
        ({"stripe_rows": 0}, "stripe_rows=0: expected an integer from 1 to 8388608"),
        ({"stripe_rows": (1 << 23) + 1}, "stripe_rows=8388609: expected an integer"),
        ({"stripe_rows": 2.0}, "stripe_rows=2.0: expected an integer"),
        ({"threads": 0}, "threads=0: expected at least 1"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        WriteOptions(**options)


def test_stripe_rows_given_win() -> None:
    assert WriteOptions(stripe_rows=np.int64(7)).rows_per_stripe(1e9) == 7


@pytest.mark.parametrize(
    ("profile", "bytes_per_row", "rows"),
    [
        ("balanced", 0.0, 65_536),
        ("balanced", 100.0, 65_536),
        ("balanced", 4096.0, 32_768),
        ("gpu", 4096.0, 32_768),
        ("small", 100.0, 1 << 20),
        ("small", 4096.0, 131_072),
        ("balanced", 1e12, 1024),
    ],
)
def test_wide_rows_make_shorter_stripes(profile: Any, bytes_per_row: float, rows: int) -> None:
    assert WriteOptions(profile=profile).rows_per_stripe(bytes_per_row) == rows
