"""Fixtures for all tests: the real logs, and what Hypothesis may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A kernel's first call compiles it: a deadline would fail whichever example comes first.
settings.register_profile(
    "recd", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("recd")

REPOSITORY = Path(__file__).parents[1]


def data_folder() -> Path:
    """Where the real logs are: RECD_DATA, else shared/data beside the repository."""
    given = os.environ.get("RECD_DATA")
    return Path(given) if given else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def log() -> Callable[[str], Path]:
    """Path of a real log by name: trivago_val100k, yoochoose100k or ml100k.

    Skips where the log is not there, and fails if RECD_REQUIRE_DATA=1.
    """

    def find(name: str) -> Path:
        path = data_folder() / f"{name}.parquet"
        if not path.is_file():
            message = f"the real log {path} is not there (set RECD_DATA to its folder)"
            if os.environ.get("RECD_REQUIRE_DATA") == "1":
                pytest.fail(f"{message}, and RECD_REQUIRE_DATA=1")
            pytest.skip(message)
        return path

    return find
