"""A small log, and the file made of it by the command line."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recd_format.cli import main
from tests.cli.small_log import KEYS, small_log


@pytest.fixture(scope="session")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(small_log(), path)
    return path


@pytest.fixture(scope="session")
def recd_file(log_file: Path) -> Path:
    path = log_file.with_name("small.recd")
    assert main(["convert", str(log_file), "-o", str(path), *KEYS, "--quiet"]) == 0
    return path
