"""Fixtures of the tests of the torch plugin; without torch none of them is collected."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["*"]


@pytest.fixture(scope="session")
def small_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of `tests.torch_plugin.reading.write_small_log`; never written to."""
    from tests.torch_plugin.reading import write_small_log

    path = tmp_path_factory.mktemp("logs") / "small.recd"
    write_small_log(path)
    return path
