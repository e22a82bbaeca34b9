"""Damage below right checksums is an error, or other rows: never a batch that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recd_format.errors import RecdFormatError, RecdInputError
from recd_format.loader.loader import Loader
from recd_format.loader.options import LoaderOptions
from tests.damage import SMALL_LIMITS, parts_of, reseal, small_file
from tests.loader.expansion import check_batch, expand_batch


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True, "shuffle_run": 1, "meta": ["item", "history"]},
        {"shuffle": True, "mix": "rows", "id_dtype": "int32"},
    ],
)
def test_no_damage_gets_into_a_batch(options: dict[str, Any]) -> None:
    sound = small_file()
    parts = parts_of(sound)
    places = np.concatenate([np.arange(p.start, p.stop) for p in (*parts.streams, parts.directory)])
    random = np.random.default_rng(7)
    outcomes = {"rows": 0, "error": 0}
    for _ in range(300):
        data = bytearray(sound)
        for place in random.choice(places, random.integers(1, 3)).tolist():
            data[place] = int(random.choice([0, 255, random.integers(256), data[place] ^ 1]))
        try:
            loader = Loader(
                bytes(reseal(data, sound)),
                LoaderOptions(batch_size=7, threads=0, read=SMALL_LIMITS, **options),
            )
            for batch in loader.run(0, remaining=[(1, 4)]):
                check_batch(batch)
                expand_batch(batch)
            outcomes["rows"] += 1
        except (RecdFormatError, RecdInputError):
            outcomes["error"] += 1
    assert min(outcomes.values()) > 30
