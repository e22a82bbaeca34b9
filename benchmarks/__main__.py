"""``python -m benchmarks NAME [options] [--json FILE]``; without a name: all of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

_BENCHMARKS = (
    "storage",
    "write",
    "read",
    "open",
    "loader",
    "wide",
    "mixing",
    "memory",
    "transforms",
)


def main(argv: list[str]) -> int:
    """Run one benchmark and print its tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    modules = {name: import_module(f"benchmarks.{name}") for name in _BENCHMARKS}
    for name, module in modules.items():
        command = commands.add_parser(name, help=(module.__doc__ or "").strip().splitlines()[0])
        module.arguments(command)
        command.add_argument(
            "--json", metavar="FILE", help="also save the results, for instance in results/"
        )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="recd-bench-") as folder:
        report = modules[args.benchmark].run(args, Path(folder))
    if args.json:
        # Where the file lies is nobody's business but the machine's.
        kept = [
            a for i, a in enumerate(argv) if a.split("=")[0] != "--json" and argv[i - 1] != "--json"
        ]
        report.save(args.json, kept)
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    # Without a name: all of them, as `make bench` does.
    sys.exit(main(given) if given else max(main([name]) for name in _BENCHMARKS))
