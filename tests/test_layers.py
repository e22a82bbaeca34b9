"""What imports what: the contracts of pyproject.toml, and what an import loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_layer_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    if not linter.exists():
        pytest.skip("import-linter is not installed beside this Python")
    result = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "numba", "pyarrow", "pandas", "polars", "duckdb", "rich")
    code = (
        "import sys, time; start = time.perf_counter(); import recd_format; "
        "print(time.perf_counter() - start); "
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    seconds, loaded = run_python(code).split("\n")[:2]
    print(f"import recd_format: {float(seconds) * 1000:.0f} ms")
    assert loaded == ""


def test_importing_the_command_line_loads_neither_numba_nor_torch() -> None:
    code = "import sys, recd_format.cli as c; c.build_parser(); print('numba' in sys.modules)"
    assert run_python(code).strip() == "False"
