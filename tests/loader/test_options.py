"""Options that cannot be are refused with what was expected; the others come out in one form."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from recd_format.errors import RecdInputError
from recd_format.loader.options import Downsample, LoaderOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: expected 1 to 2147483647"),
        ({"batch_size": 1 << 31}, "batch_size=2147483648"),
        ({"batch_size": 2.5}, "batch_size=2.5: expected an integer"),
        ({"batch_size": "8"}, "batch_size='8': expected an integer"),
        ({"seed": -1}, "seed=-1"),
        ({"window": 0}, "window=0: expected 1 to"),
        ({"shuffle_run": 0}, "shuffle_run=0"),
        ({"threads": -1}, "threads=-1: expected 0 to"),
        ({"prefetch": None}, "prefetch=None: expected an integer"),
        ({"mix": "row"}, "mix='row': expected one of 'session', 'rows'"),
        ({"uneven": True}, "uneven=True: expected one of 'drop', 'wrap', 'allow'"),
        ({"output": "pickle"}, "output='pickle': expected one of 'ikjt'"),
        ({"columns": "ids"}, "columns='ids': expected a list of names"),
        ({"columns": ["a", 1]}, "expected a list of names"),
        ({"meta": 5}, "meta=5: expected a list of names"),
        ({"meta": ["a", "b", "a"]}, "meta=\\['a', 'b', 'a'\\]: a name is there twice"),
        ({"id_dtype": "int16"}, "id_dtype='int16': expected int64 or int32"),
        ({"rank": 0}, "rank and world: expected both or neither"),
        ({"world": 2}, "rank and world"),
        ({"rank": 2, "world": 2}, "rank=2: expected 0 to 1"),
        ({"rank": -1, "world": 2}, "rank=-1"),
        ({"time_range": (1,)}, "time_range=\\(1,\\): expected \\(begin, end\\)"),
        ({"time_range": 5}, "time_range=5: expected \\(begin, end\\)"),
        ({"session_hash": (0, 1)}, "session_hash=.*expected \\(low, high, modulus\\)"),
        ({"session_hash": (1, 1, 2)}, "expected 0 <= low < high <= modulus"),
        ({"session_hash": (0, 3, 2)}, "expected 0 <= low < high <= modulus"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        LoaderOptions(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 0}, "keep=0.*expected 0 < keep <= 1"),
        ({"keep": 1.5}, "keep=1.5"),
        ({"keep": float("nan")}, "keep=nan"),
        ({"keep": 0.5, "by": "rows"}, "by='rows'.*expected 'session' or 'row'"),
    ],
)
def test_samples_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=message):
        Downsample("label", **arguments)


def test_options_in_one_form() -> None:
    found = LoaderOptions(
        batch_size=np.int32(8), columns=["b", "a"], meta=iter(["c"]), id_dtype="torch.int32",
        device=np.str_("cpu"), time_range=[1, None], session_hash=np.array([0, 1, 2]).tolist(),
    )  # fmt: skip
    assert type(found.batch_size) is int
    assert (found.columns, found.meta) == (("b", "a"), ("c",))
    assert found.id_dtype == "int32"
    assert found.device == "cpu"
    assert (found.time_range, found.session_hash) == ((1, None), (0, 1, 2))
    assert pickle.loads(pickle.dumps(found)) == found


def test_changed_options() -> None:
    found = LoaderOptions(seed=3).changed({"batch_size": 7})
    assert (found.seed, found.batch_size) == (3, 7)
    with pytest.raises(RecdInputError, match="batch_sizes: no such option; there are batch_size,"):
        found.changed({"batch_sizes": 7})
    with pytest.raises(RecdInputError, match="window=0"):
        found.changed({"window": 0})
