"""`recd warmup`, and the line that says why a first use takes seconds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from recd_format import _jit
from recd_format.cli import main
from recd_format.cli._first_use import announce_first_use
from recd_format.cli.warmup import kernel_modules


def test_every_module_with_kernels_is_found() -> None:
    modules = kernel_modules()
    assert {name.split(".")[1] for name in modules} >= {"codec", "dedup", "loader", "reader"}
    assert "cli" not in {name.split(".")[1] for name in modules}
    # The plugin's kernels where it can be used.
    has_torch = importlib.util.find_spec("torch") is not None
    assert any(name.startswith("recd_format.torch.") for name in modules) is has_torch


def test_warmup_readies_every_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    kernels = _jit.registered_kernels()
    assert all(kernel.is_compiled for kernel in kernels)
    assert result["kernels"] == sum(bool(kernel.signatures) for kernel in kernels)
    assert Path(result["cache"]).is_dir()


def test_a_second_warmup_compiles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["warmup"])
    assert main(["warmup", "--json"]) == 0
    assert '"compiled": 0' in capsys.readouterr().out


def test_the_first_compilation_is_announced_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("recd_format.cli._first_use._NOTICE.hushed", False)
    announce_first_use()
    announce_first_use()
    for listener in list(_jit._LISTENERS):
        listener("some.kernel")
        listener("some.other")
    assert capsys.readouterr().err.count("compiling kernels for the first use") == 1
