"""Exit codes, errors in one line, pipes that close."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from recd_format import RecdFormatError
from recd_format.cli import COMMANDS, main
from recd_format.errors import Location, Reason

Capture = pytest.CaptureFixture[str]


def one_error_line(captured: str) -> str:
    lines = [line for line in captured.splitlines() if not line.startswith("recd_format: ")]
    assert len(lines) == 1
    assert lines[0].startswith("recd: error: ")
    return lines[0]


def test_help_names_every_command(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n    {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str, capsys: Capture) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: recd {name}")


def test_version_is_printed(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("recd ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["info"],
        ["convert", "log.parquet", "-o", "x.recd"],
        ["convert", "a", "-o", "b", "--session-key", "s", "--profile", "tiny"],
        ["convert", "a", "-o", "b", "--session-key", "s", "--kind", "x=wrong"],
        ["convert", "a", "-o", "b", "--session-key", "s", "--dedup", "x=wrong"],
        ["convert", "a", "-o", "b", "--session-key", "s", "--dedup", "none", "--dedup", "full"],
        ["stats", "x.recd", "--top", "0"],
        ["head", "x.recd", "-n", "-1"],
        ["demo", "--log", "x.parquet"],
        ["demo", "--session-key", "s"],
        ["demo", "--sessions", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 2
    assert "usage: recd" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "schema", "tree", "stats", "head", "verify"])
def test_a_missing_file_is_one_line(command: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "no.recd"
    assert main([command, str(path)]) == 1
    assert "no.recd" in one_error_line(capsys.readouterr().err)


@pytest.mark.parametrize("command", ["info", "schema", "tree", "stats", "head", "verify"])
def test_a_foreign_file_is_one_line(command: str, log_file: Path, capsys: Capture) -> None:
    assert main([command, str(log_file)]) == 1
    assert "log.parquet" in one_error_line(capsys.readouterr().err)


def test_format_errors_say_where(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def refuse(path: str) -> None:
        raise RecdFormatError(Reason.CHECKSUM, "expected 1,\nfound 2", Location(path, stripe=3))

    monkeypatch.setattr("recd_format.cli.head.open_data", refuse)
    assert main(["head", "x.recd"]) == 1
    line = one_error_line(capsys.readouterr().err)
    assert line == "recd: error: x.recd, stripe 3: expected 1, found 2 [checksum]"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("recd_format.cli.head.open_data", fail)
    with pytest.raises(ZeroDivisionError):
        main(["head", "x.recd"])


def test_interruption_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recd_format.cli.head.open_data", interrupt)
    assert main(["head", "x.recd"]) == 130
    assert one_error_line(capsys.readouterr().err) == "recd: error: interrupted"


def test_warnings_are_one_line_each(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def warn(path: str) -> None:
        warnings.simplefilter("default")
        warnings.warn("mind\nthis", RuntimeWarning, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr("recd_format.cli.head.open_data", warn)
    main(["head", "x.recd"])
    assert "recd: warning: mind this\n" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error(recd_file: Path) -> None:
    command = f"{sys.executable} -m recd_format.cli head --json -n 400 {recd_file}"
    piped = f"set -o pipefail; {command} | head -n 1"
    result = subprocess.run(["bash", "-c", piped], capture_output=True, text=True)
    assert json.loads(result.stdout)
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr
    assert result.returncode in (0, 141)
