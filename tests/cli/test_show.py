"""How values are put for people and for programs."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass

import numpy as np
import pytest

from recd_format.cli._show import bytes_text, factor_text, key, plural, print_json


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_999, "1.00 MB"),
        (9_996_000, "10.0 MB"),
        (1_234_567_890, "1.23 GB"),
        (5e15, "5,000 TB"),
    ],
)
def test_sizes_have_three_digits(count: float, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(("factor", "text"), [(1, "1.0x"), (9.96, "10x"), (float("nan"), "-")])
def test_factors_are_short(factor: float, text: str) -> None:
    assert factor_text(factor) == text


def test_one_is_singular() -> None:
    assert (plural(0, "row"), plural(1, "row"), plural(2, "row")) == ("0 rows", "1 row", "2 rows")


def test_names_cannot_carry_markup_or_terminal_codes() -> None:
    assert key("[red]x\x1b[2J\n") == "\\[red]x\\x1b[2J\\n"


def test_everything_becomes_json(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Thing:
        count: np.int64
        values: tuple[float, ...]

    value = {
        "thing": Thing(np.int64(3), (1.5, float("inf"), float("nan"))),
        "bytes": b"\xff",
        "day": datetime.date(2020, 1, 2),
        "array": np.arange(2),
        7: None,
    }
    print_json(value)
    assert json.loads(capsys.readouterr().out) == {
        "thing": {"count": 3, "values": [1.5, "Infinity", "NaN"]},
        "bytes": "base64:/w==",
        "day": "2020-01-02",
        "array": [0, 1],
        "7": None,
    }
