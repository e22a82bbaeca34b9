"""The command line: `recd COMMAND …`, one sub-command a file.

Exit codes: 0 done; 1 bad data, a bad file or an operating system error, said in one line on
standard error; 2 wrong usage; 130 interrupted; 141 the reader of a pipe went away.

Layer: the top. Everything here goes through the public names of the package.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import TextIO

from recd_format.cli._first_use import announce_first_use
from recd_format.errors import RecdError

__all__ = ["build_parser", "main"]

COMMANDS = (
    "convert",
    "info",
    "schema",
    "tree",
    "stats",
    "head",
    "verify",
    "vocab",
    "warmup",
    "demo",
)
EXIT_BAD_DATA = 1
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def build_parser() -> argparse.ArgumentParser:
    """Parser of the whole command line; a parsed command carries its function as `run`."""
    parser = argparse.ArgumentParser(
        prog="recd",
        description="Deduplicated files of training logs: write, look into and check them.",
    )
    parser.add_argument("--version", action="version", version=f"recd {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"recd_format.cli.{name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP[0].upper() + module.HELP[1:] + ".",
            epilog=getattr(module, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.configure(command)
        command.set_defaults(run=module.run, usage_error=command.error)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            arguments = build_parser().parse_args(argv)
            announce_first_use()
            code: int = arguments.run(arguments)
            sys.stdout.flush()
        except SystemExit as exit_:
            return exit_.code if isinstance(exit_.code, int) else 0
        except BrokenPipeError:
            _discard_stdout()
            return EXIT_BROKEN_PIPE
        except KeyboardInterrupt:
            return _fail("interrupted", EXIT_INTERRUPTED)
        except (RecdError, OSError, MemoryError) as error:
            return _fail(_one_line(error), EXIT_BAD_DATA)
        except Exception as error:
            if not _is_arrow_error(error):
                raise
            return _fail(_one_line(error), EXIT_BAD_DATA)
        else:
            return code


def _version() -> str:
    try:
        return metadata.version("recd-format")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _fail(message: str, code: int) -> int:
    print(f"recd: error: {message}", file=sys.stderr)
    return code


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _is_arrow_error(error: Exception) -> bool:
    """True for errors of pyarrow, which is not imported just to ask."""
    arrow = sys.modules.get("pyarrow.lib")
    return arrow is not None and isinstance(error, arrow.ArrowException)


def _discard_stdout() -> None:
    """Let the interpreter flush its buffer at exit into nothing instead of the closed pipe."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, line
    print(f"recd: warning: {' '.join(str(message).split())}", file=file or sys.stderr)
