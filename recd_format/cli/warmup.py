"""`recd warmup`: compile every kernel now, so that no later run has to."""

from __future__ import annotations

import argparse
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from recd_format import _jit
from recd_format.cli._first_use import hush_first_use
from recd_format.cli._show import add_json_option, console, key, print_json

__all__ = ["configure", "kernel_modules", "run", "warm_up"]

HELP = "compile all kernels for this machine, once"
_PACKAGE = Path(__file__).parents[1]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile, and say how many kernels were not in the cache yet."""
    start = time.perf_counter()
    compiled = warm_up()
    seconds = time.perf_counter() - start
    kernels = len([made for made in _jit.registered_kernels() if made.signatures])
    folder = _jit.cache_directory()
    if arguments.json:
        print_json({"kernels": kernels, "compiled": compiled, "seconds": seconds, "cache": folder})
        return 0
    where = f"kept in {key(str(folder))}" if folder else "not kept: no writable cache folder"
    console().print(f"{kernels} kernels ready in {seconds:.1f} s, {compiled} compiled; {where}")
    return 0


def warm_up() -> int:
    """Compile or load every kernel of the package; show a bar where anybody is looking.

    Returns
    -------
    int
        How many kernels were compiled, not loaded from the cache.
    """
    names: list[str] = []
    listening = True

    def listener(name: str) -> None:
        if listening:
            names.append(name)
            progress.update(task, description=f"compiling {name.rpartition('.')[2]}")

    for module in kernel_modules():
        import_module(module)
    kernels = _jit.registered_kernels()
    columns = (
        TextColumn("recd_format: kernels"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.description}[/dim]"),
    )
    screen = console(stderr=True)
    progress = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    if screen.is_terminal:
        hush_first_use()
    with progress:
        task = progress.add_task("loading", total=len(kernels))
        _jit.on_compile(listener)
        for made in kernels:
            made.compile()
            progress.advance(task)
    listening = False
    return len(names)


def kernel_modules() -> list[str]:
    """Names of the package's modules that define kernels; the plugin's where torch is there."""
    modules = []
    has_torch = find_spec("torch") is not None
    for path in sorted(_PACKAGE.rglob("*.py")):
        parts = path.relative_to(_PACKAGE).with_suffix("").parts
        # At the start of a line: the wrapper's own docstring and this file name it too.
        if parts[0] == "torch" and not has_torch:
            continue
        if "\n@kernel(" in path.read_text(encoding="utf-8"):
            modules.append(".".join(("recd_format", *parts)).removesuffix(".__init__"))
    return modules
