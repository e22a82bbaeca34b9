"""What `recd_format.torch` offers, and what importing it loads. Needs no torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import recd_format.torch as plugin

REPOSITORY = Path(__file__).parents[2]


def test_every_name_has_a_module() -> None:
    assert set(plugin.__all__) == {*plugin._LAZY, "transforms"}
    assert set(plugin.__all__) <= set(dir(plugin))
    for module in plugin._LAZY.values():
        assert find_spec(module) is not None, module


def test_a_name_that_is_none_raises() -> None:
    with pytest.raises(AttributeError, match="'recd_format.torch' has no attribute 'nothing'"):
        _ = plugin.nothing


def test_importing_the_plugin_loads_no_torch() -> None:
    # Kernels and options are of use without it: `recd warmup` compiles them.
    code = (
        "import sys, recd_format.torch as t, recd_format.torch._kernels; t.LoaderOptions; "
        "print([name for name in ('torch', 'torchdata', 'torchrec', 'numba') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.strip() == "[]"
