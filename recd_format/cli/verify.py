"""`recd verify`: is every byte of a file as it was written."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import recd_format as recd
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    key,
    plural,
    print_json,
)
from recd_format.errors import RecdError, RecdFormatError
from recd_format.filesystem import list_files

__all__ = ["configure", "run"]

HELP = "check every checksum and every rule of the format"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE", help=".recd files, folders or globs")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify all files; a bad one does not keep the others from being checked."""
    results = [_verify(place) for place in list_files(arguments.files)]
    if arguments.json:
        print_json(results)
    else:
        screen = console()
        for result in results:
            if result["ok"]:
                screen.print(
                    f"[green]ok[/green]   {key(result['file'])}: "
                    f"{plural(result['stripes'], 'stripe')}, "
                    f"{plural(result['streams'], 'stream')}, "
                    f"{bytes_text(result['bytes'])} in {result['seconds']:.2f} s"
                )
            else:
                screen.print(f"[red]bad[/red]  {key(result['file'])}")
    for result in results:
        if not result["ok"]:
            print(f"recd: error: {result['error']}", file=sys.stderr)
    return 0 if all(result["ok"] for result in results) else 1


def _verify(place: Any) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        with recd.open(place) as file:
            report = file.verify()
    except (RecdError, OSError) as error:
        reason = error.reason.value if isinstance(error, RecdFormatError) else None
        text = " ".join(str(error).split())
        return {"file": str(place), "ok": False, "error": text, "reason": reason}
    seconds = time.perf_counter() - start
    return {
        "file": str(place),
        "ok": True,
        "stripes": report.stripes,
        "streams": report.streams,
        "bytes": report.bytes,
        "seconds": round(seconds, 3),
    }
