"""`recd demo`: a made-up log and one's own, and nothing left behind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recd_format.cli import main
from recd_format.cli._demo_log import session_log
from tests.cli.small_log import KEYS, ROWS

Capture = pytest.CaptureFixture[str]


def test_the_log_is_the_same_for_the_same_seed() -> None:
    assert session_log(5, 1).equals(session_log(5, 1))
    assert not session_log(5, 1).equals(session_log(5, 2))


def test_the_log_has_the_shape_it_says() -> None:
    log = session_log(50)
    assert log.num_columns == 3 + 24 + 6 + 8 + 16
    assert len(log["session_id"].unique()) == 50
    assert np.all(np.diff(log["timestamp"].to_numpy()) >= 0)
    assert log["history_0"].type == pa.list_(pa.int64())
    assert set(pa.compute.list_value_length(log["history_0"]).to_pylist()) == {100}


def test_demo_prints_the_comparison_and_cleans_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["demo", "--sessions", "30"]) == 0
    printed = capsys.readouterr().out
    assert "Parquet, by session" in printed
    assert "recd, small" in printed
    assert "came back bit for bit" in printed
    assert list(tmp_path.iterdir()) == []


def test_demo_takes_a_log_of_ones_own(log_file: Path, tmp_path: Path, capsys: Capture) -> None:
    keep = tmp_path / "kept"
    arguments = ["demo", "--log", str(log_file), *KEYS, "--keep", str(keep), "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == ROWS
    assert [way["bytes"] > 0 for way in result["files"]] == [True] * 4
    assert {path.suffix for path in keep.iterdir()} == {".parquet", ".recd"}


def test_a_column_that_is_not_there_is_one_line(log_file: Path, capsys: Capture) -> None:
    assert main(["demo", "--log", str(log_file), "--session-key", "nobody"]) == 1
    assert "no column 'nobody'" in capsys.readouterr().err
