"""The command line of the README on a real log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recd_format.cli import main


def test_trivago_becomes_a_quarter_of_its_parquet_file(
    log: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = log("trivago_val100k"), tmp_path / "t.recd"
    keys = ["--session-key", "session_id", "--order-key", "timestamp", "--label", "label"]
    assert main(["convert", str(source), "-o", str(target), *keys, "--profile", "small"]) == 0
    assert target.stat().st_size < source.stat().st_size / 4
    assert "smaller" in capsys.readouterr().out
    assert main(["info", str(target), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["sessions"]) == (312_539, 7_215)
    assert main(["verify", str(target)]) == 0
