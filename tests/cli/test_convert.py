"""`recd convert`: what comes out is what went in, and is said."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import recd_format as recd
from recd_format.cli import main
from recd_format.cli._compare import first_difference, session_order
from tests.cli.small_log import KEYS, ROWS, SESSIONS

Capture = pytest.CaptureFixture[str]


def test_what_is_written_reads_back_in_session_order(log_file: Path, recd_file: Path) -> None:
    log = pq.read_table(log_file)
    expected = log.take(session_order(log, "session_id", "timestamp"))
    with recd.open(str(recd_file)) as file:
        assert first_difference(expected, file.read()) is None


@pytest.mark.parametrize("profile", ["gpu", "balanced", "small"])
def test_every_profile_prints_what_it_saved(
    profile: str, log_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "t.recd"
    code = main(["convert", str(log_file), "-o", str(target), *KEYS, "--profile", profile])
    printed = capsys.readouterr().out
    assert code == 0
    assert f"{ROWS} in {SESSIONS} sessions" in printed
    assert "smaller" in printed
    assert "clicks" in printed


def test_json_is_one_document(log_file: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "t.recd"
    assert main(["convert", str(log_file), "-o", str(target), *KEYS, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["sessions"]) == (ROWS, SESSIONS)
    assert report["bytes_out"] == target.stat().st_size
    assert report["bytes_in"] == log_file.stat().st_size
    assert {field["name"] for field in report["stats"]["fields"]} >= {"clicks", "session_id"}


def test_quiet_prints_nothing(log_file: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["convert", str(log_file), "-o", str(tmp_path / "t.recd"), *KEYS, "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_several_inputs_are_one_log(log_file: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "t.recd"
    inputs = [str(log_file), str(log_file)]
    assert main(["convert", *inputs, "-o", str(target), *KEYS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2 * ROWS


def test_kinds_and_dedup_can_be_chosen_per_column(
    log_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "t.recd"
    chosen = ["--kind", "item=meta", "--dedup", "clicks=none", "--dedup", "price=session"]
    assert main(["convert", str(log_file), "-o", str(target), *KEYS, *chosen, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    fields = {field["name"]: field for field in report["stats"]["fields"]}
    assert fields["item"]["kind"] == "meta"
    assert fields["clicks"]["mode"] == "none"
    assert fields["label"]["kind"] == "label"


def test_a_plan_can_be_kept_and_used_again(log_file: Path, tmp_path: Path) -> None:
    first, second, plan = tmp_path / "a.recd", tmp_path / "b.recd", tmp_path / "plan.json"
    start = ["convert", str(log_file), *KEYS, "-q", "-o"]
    assert main([*start, str(first), "--save-plan", str(plan)]) == 0
    assert main([*start, str(second), "--plan", str(plan)]) == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--session-key", "nobody"], "nobody"),
        (["--session-key", "session_id", "--order-key", "never"], "never"),
        (["--session-key", "session_id", "--label", "nothing"], "nothing"),
        (["--session-key", "price"], "price"),
    ],
)
def test_bad_columns_are_one_line(
    arguments: list[str], words: str, log_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "t.recd"
    assert main(["convert", str(log_file), "-o", str(target), *arguments]) == 1
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_is_not_there_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    code = main(["convert", str(tmp_path / "no.parquet"), "-o", str(tmp_path / "t.recd"), *KEYS])
    assert code == 1
    assert "no.parquet" in capsys.readouterr().err


def test_an_input_is_never_overwritten(log_file: Path, capsys: Capture) -> None:
    before = log_file.read_bytes()
    assert main(["convert", str(log_file), "-o", str(log_file), *KEYS]) == 2
    assert "also an input" in capsys.readouterr().err
    assert log_file.read_bytes() == before
