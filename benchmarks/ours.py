"""recd_format as the benchmarks call it: the public API only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

__all__ = ["PROFILES", "Variant", "ablation_variants", "read_arrays", "read_rows", "write"]

PROFILES = ("gpu", "balanced", "small")


@dataclass(frozen=True)
class Variant:
    """One mechanism switched off: a name and what `recd_format.write` is given besides.

    Attributes
    ----------
    name, options
        Name, and arguments of `recd_format.write`.
    without
        Context manager that takes away what no argument does.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    without: Callable[[], AbstractContextManager[Any]] = nullcontext


def write(log: Workload, path: str, profile: str = "balanced", **options: Any) -> Any:
    """Write `log` as `path`; the report of `recd_format.write`."""
    import recd_format as recd

    Path(path).unlink(missing_ok=True)
    return recd.write(
        log.table,
        path,
        session_key=log.session_key,
        order_key=log.order_key,
        labels=list(log.labels),
        profile=profile,
        **options,
    )


def read_arrays(path: str, columns: list[str] | None = None) -> Any:
    """All columns, or `columns`, as deduplicated NumPy columns; opening included."""
    import recd_format as recd

    with recd.open(path) as file:
        # The list keeps every stripe in memory at once, as Arrow keeps the table it is beside.
        return list(file.read_arrays(columns))


def read_rows(path: str, columns: list[str] | None = None) -> Any:
    """The same as an Arrow table in which every row is written out, as Parquet gives it."""
    import recd_format as recd

    with recd.open(path) as file:
        return file.read(columns)


def ablation_variants(log: Workload, plan: Any) -> list[Variant]:
    """Variants of a write of `log`, each with one mechanism off; `plan`: that of the full write.

    Each is an edited copy of the plan: windows and stripe scope become session scope, references
    go, groups fall apart into their fields. Without PCO the plan is made anew.
    """
    del log  # the variants of all logs are the same so far

    def scope(was: str) -> Any:
        groups = (replace(g, mode="session") if g.mode == was else g for g in plan.groups)
        return replace(plan, groups=tuple(groups))

    split = tuple(replace(g, fields=(name,)) for g in plan.groups for name in g.fields)
    return [
        Variant("all on", {"plan": plan}),
        Variant("windows off", {"plan": scope("window")}),
        Variant("stripe scope off", {"plan": scope("stripe")}),
        Variant("LIST_AT off", {"plan": replace(plan, references=())}),
        Variant("groups off", {"plan": replace(plan, groups=split)}),
        Variant("PCO off", without=_without_pco),
    ]


@contextmanager
def _without_pco() -> Iterator[None]:
    """No chain that ends in PCO is tried."""
    from recd_format.codec import CodecId

    # The package's name for the module is taken by the function.
    choose = importlib.import_module("recd_format.codec.choose")

    chains = choose._heavy_chains

    def others(*arguments: Any) -> list[Any]:
        return [chain for chain in chains(*arguments) if chain[-1] != CodecId.PCO]

    choose._heavy_chains = others
    try:
        yield
    finally:
        choose._heavy_chains = chains
