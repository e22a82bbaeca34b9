"""`recd info`, `schema`, `tree`, `stats`, `head`, `verify` on a small file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recd_format.cli import main
from tests.cli.small_log import ROWS, SESSIONS

Capture = pytest.CaptureFixture[str]
NAMES = ["session_id", "timestamp", "clicks", "dwell", "price", "item", "label"]


def printed_json(capsys: Capture, *arguments: str) -> object:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_info_shows_rows_sessions_and_size(recd_file: Path, capsys: Capture) -> None:
    assert main(["info", str(recd_file)]) == 0
    printed = capsys.readouterr().out
    assert f"{SESSIONS}, {ROWS / SESSIONS:.1f} rows each" in printed
    assert "clicks" in printed


def test_info_json(recd_file: Path, capsys: Capture) -> None:
    found = printed_json(capsys, "info", str(recd_file))
    assert found["rows"] == ROWS
    assert found["sessions"] == SESSIONS
    assert found["file_bytes"] == recd_file.stat().st_size
    assert found["features"] == len(NAMES)


def test_schema_lists_columns_in_order(recd_file: Path, capsys: Capture) -> None:
    columns = printed_json(capsys, "schema", str(recd_file))["columns"]
    assert [column["name"] for column in columns] == NAMES
    assert [column["type"] for column in columns][:3] == [
        "string",
        "int64",
        "list<element: int64>",
    ]
    assert columns[0]["kind"] == "session_key"
    assert main(["schema", str(recd_file)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)


def test_tree_holds_every_column_once(recd_file: Path, capsys: Capture) -> None:
    found = printed_json(capsys, "tree", str(recd_file))
    names = [field["name"] for group in found["groups"] for field in group["fields"]]
    names += [field["name"] for field in found["ungrouped"]]
    assert sorted(names) == sorted(NAMES)
    assert main(["tree", str(recd_file)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)


@pytest.mark.parametrize("order", ["file", "bytes", "factor", "name"])
def test_stats_are_sorted_as_asked(order: str, recd_file: Path, capsys: Capture) -> None:
    assert main(["stats", str(recd_file), "--sort", order]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [line.split()[0] for line in lines if line.split() and line.split()[0] in NAMES]
    expected = {"file": NAMES, "name": sorted(NAMES)}.get(order)
    assert sorted(found[: len(NAMES)]) == sorted(NAMES)
    assert expected is None or found[: len(NAMES)] == expected


def test_stats_json_adds_up_to_the_file(recd_file: Path, capsys: Capture) -> None:
    stats = printed_json(capsys, "stats", str(recd_file))
    parts = sum(part["bytes"] for part in [*stats["fields"], *stats["groups"]])
    assert stats["metadata_bytes"] > 0
    assert parts + stats["metadata_bytes"] <= recd_file.stat().st_size
    clicks = next(field for field in stats["fields"] if field["name"] == "clicks")
    assert clicks["unique_rows"] == SESSIONS
    assert clicks["dedup_factor"] == ROWS / SESSIONS


def test_head_json_is_one_row_a_line(recd_file: Path, capsys: Capture) -> None:
    assert main(["head", str(recd_file), "-n", "3", "-c", "session_id,clicks", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert list(rows[0]) == ["session_id", "clicks"]
    assert len(rows[0]["clicks"]) == 8


def test_head_shows_rows_side_by_side(recd_file: Path, capsys: Capture) -> None:
    assert main(["head", str(recd_file), "-n", "6"]) == 0
    printed = capsys.readouterr().out
    assert "row 5" in printed
    assert "[8] " in printed


def test_head_of_more_rows_than_there_are_shows_all(recd_file: Path, capsys: Capture) -> None:
    assert main(["head", str(recd_file), "-n", "100000", "-c", "item", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == ROWS


def test_head_of_an_unknown_column_is_one_line(recd_file: Path, capsys: Capture) -> None:
    assert main(["head", str(recd_file), "-c", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err


def test_verify_says_what_was_checked(recd_file: Path, capsys: Capture) -> None:
    (result,) = printed_json(capsys, "verify", str(recd_file))
    assert result["ok"]
    assert result["streams"] > 0
    assert main(["verify", str(recd_file)]) == 0
    assert capsys.readouterr().out.startswith("ok ")


def test_verify_checks_all_files_though_one_is_bad(
    recd_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    data = bytearray(recd_file.read_bytes())
    data[len(data) // 2] ^= 1
    bad = tmp_path / "bad.recd"
    bad.write_bytes(data)
    assert main(["verify", str(bad), str(recd_file)]) == 1
    captured = capsys.readouterr()
    assert "bad.recd" in captured.err
    assert [line.split()[0] for line in captured.out.splitlines() if line.split()] == ["bad", "ok"]


def test_a_folder_is_one_dataset(recd_file: Path, tmp_path: Path, capsys: Capture) -> None:
    for name in ("a.recd", "b.recd"):
        (tmp_path / name).write_bytes(recd_file.read_bytes())
    assert printed_json(capsys, "info", str(tmp_path))["rows"] == 2 * ROWS
