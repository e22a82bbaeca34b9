"""`recd convert`: Parquet in, one deduplicated file out."""

from __future__ import annotations

import argparse
import glob
import sys
from pathlib import Path
from typing import Any

import recd_format as recd
from recd_format.cli._show import (
    add_json_option,
    bytes_text,
    console,
    factor_text,
    facts,
    key,
    plural,
    print_json,
)
from recd_format.cli._tables import fields_table, groups_table

__all__ = ["configure", "run"]

HELP = "write a session log as a .recd file"
EPILOG = """example:
  recd convert log/*.parquet -o train.recd --session-key session_id --order-key timestamp \\
      --label label --profile small
"""
GROUPS_SHOWN = 12
DEDUP_MODES = ("auto", "none", "adjacent", "full", "stripe")
FEATURE_MODES = ("none", "adjacent", "session", "stripe", "window")
KINDS = (
    "id_list",
    "id_score_list",
    "float_list",
    "dense",
    "label",
    "meta",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="Parquet files or globs")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write")
    keys = parser.add_argument_group("what the columns are")
    keys.add_argument("--session-key", required=True, metavar="COLUMN")
    keys.add_argument("--order-key", metavar="COLUMN", help="time within a session")
    keys.add_argument("--label", action="append", default=[], metavar="COLUMN", help="repeatable")
    keys.add_argument("--sample-weight", metavar="COLUMN")
    keys.add_argument(
        "--kind",
        action="append",
        default=[],
        type=_assignment(KINDS),
        metavar="COLUMN=KIND",
        help=f"repeatable; KIND is one of {', '.join(KINDS)}",
    )
    how = parser.add_argument_group("how it is written")
    how.add_argument("--profile", choices=("gpu", "balanced", "small"), default="balanced")
    how.add_argument(
        "--dedup",
        action="append",
        default=[],
        type=_dedup,
        metavar="MODE|COLUMN=MODE",
        help=f"one of {', '.join(DEDUP_MODES)} for all features (default auto), or, repeatable, "
        f"one of {', '.join(FEATURE_MODES)} for one",
    )
    how.add_argument("--session-gap", metavar="TIME", help="cut sessions at pauses, e.g. 30m")
    how.add_argument("--session-max-span", metavar="TIME", help="cut longer sessions, e.g. 1d")
    how.add_argument("--session-order", choices=("first_seen", "key", "input"))
    how.add_argument(
        "--clustered", action="store_true", help="sessions are contiguous already: stream"
    )
    how.add_argument("--stripe-rows", type=int, metavar="N")
    how.add_argument("--plan", metavar="JSON", help="dedup plan of an earlier --save-plan")
    how.add_argument("--save-plan", metavar="JSON", help="write the dedup plan to this file")
    parser.add_argument("-q", "--quiet", action="store_true", help="print warnings and errors only")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say what it saved."""
    _check_output(arguments)
    inputs: list[str] = arguments.inputs
    report = recd.write(
        inputs if len(inputs) > 1 else inputs[0], arguments.output, **_options(arguments)
    )
    if arguments.save_plan:
        Path(arguments.save_plan).write_text(report.plan.to_json(), encoding="utf-8")
    if arguments.json:
        print_json(report)
        return 0
    if not arguments.quiet:
        _print(report, arguments)
    for warning in report.warnings:
        print(f"recd: warning: {warning}", file=sys.stderr)
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `recd_format.write` that the command line gives."""
    options: dict[str, Any] = {
        "session_key": arguments.session_key,
        "order_key": arguments.order_key,
        "labels": arguments.label,
        "dedup": _merge_dedup(arguments),
        "profile": arguments.profile,
        "kinds": dict(arguments.kind) or None,
        "sample_weight": arguments.sample_weight,
        "session_gap": arguments.session_gap,
        "session_max_span": arguments.session_max_span,
        "clustered": arguments.clustered,
        "stripe_rows": arguments.stripe_rows,
        "progress": not (arguments.quiet or arguments.json) and sys.stderr.isatty(),
    }
    if arguments.session_order:
        options["session_order"] = arguments.session_order
    if arguments.plan:
        text = Path(arguments.plan).read_text(encoding="utf-8")
        options["plan"] = recd.Plan.from_json(text)
    return options


def _assignment(values: tuple[str, ...]) -> Any:
    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.rpartition("=")
        if not equals or not name or value not in values:
            raise argparse.ArgumentTypeError(
                f"expected COLUMN=VALUE with VALUE one of {', '.join(values)}; got {text!r}"
            )
        return name, value

    return parse


def _dedup(text: str) -> str | tuple[str, str]:
    if text in DEDUP_MODES:
        return text
    name, equals, mode = text.rpartition("=")
    if not equals or not name or mode not in FEATURE_MODES:
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(DEDUP_MODES)}, or COLUMN=MODE with MODE one of "
            f"{', '.join(FEATURE_MODES)}; got {text!r}"
        )
    return name, mode


def _merge_dedup(arguments: argparse.Namespace) -> str | dict[str, str]:
    """One mode for all features, or a mode for each of the named ones."""
    general = [choice for choice in arguments.dedup if isinstance(choice, str)]
    named = dict(choice for choice in arguments.dedup if not isinstance(choice, str))
    if len(general) > 1 or (general and named and general != ["auto"]):
        arguments.usage_error(
            "argument --dedup: give one mode for all features, or COLUMN=MODE for some of them"
        )
    return named or (general[0] if general else "auto")


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse to write over an input: a mistyped -o would cost the log."""
    output = Path(arguments.output)
    if not output.exists():
        return
    for name in arguments.inputs:
        for path in glob.glob(name) or [name]:
            if Path(path).exists() and output.samefile(path):
                arguments.usage_error(f"argument -o/--output: {path} is also an input")


def _print(report: recd.WriteReport, arguments: argparse.Namespace) -> None:
    screen = console()
    stats = report.stats
    fields = sorted(stats.fields, key=lambda field: -field.bytes)
    screen.print(f"[bold]{key(arguments.output)}[/bold]")
    lines = [
        ("rows", f"{report.rows:,} in {plural(report.sessions, 'session')}"),
        ("size", f"{bytes_text(report.bytes_out)}{_saving(report)}"),
        ("written in", f"{report.seconds:.2f} s, profile {arguments.profile}"),
    ]
    screen.print(facts(lines))
    screen.print(fields_table(stats, fields, screen.width, chains=False))
    screen.print(groups_table(stats, screen.width, limit=GROUPS_SHOWN))


def _saving(report: recd.WriteReport) -> str:
    if not report.bytes_in:
        return ""
    factor = factor_text(report.bytes_in / report.bytes_out)
    return f", from {bytes_text(report.bytes_in)} of input files: {factor} smaller"
