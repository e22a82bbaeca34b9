"""recd_format as the benchmarks call it: the public API only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

__all__ = [
    "PROFILES",
    "Variant",
    "ablation_variants",
    "batch_bytes",
    "batches",
    "groups",
    "iterate",
    "read_arrays",
    "read_rows",
    "write",
]

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


def batches(path: str, **options: Any) -> Iterator[Any]:
    """Batches of an epoch, as a training loop gets them; `options`: those of the loader."""
    from recd_format.torch import RecdIterableDataset

    return iter(RecdIterableDataset(path, **options))


def iterate(path: str, *, written_out: bool = False, **options: Any) -> int:
    """Take all batches of an epoch, opening included; return their rows.

    With `written_out` every tensor of a batch is asked for: windows, which come as places in the
    sessions' timelines, become plain values; dense features and labels get all their rows, and
    session ids too where there are any of these.
    """
    from recd_format.torch import RecdIterableDataset

    dataset = RecdIterableDataset(path, **options)
    by_row = dataset.dense_names or dataset.label_names
    rows = 0
    for batch in dataset:
        rows += batch.num_rows
        if not written_out:
            continue
        for jagged in (batch.sparse_features, batch.idscore_features, batch.float_lists):
            if jagged is not None:
                jagged.values(), jagged.lengths()
        if by_row:
            _ = batch.dense_features, batch.labels, batch.session_ids
    return rows


def batch_bytes(path: str, **options: Any) -> list[tuple[int, int]]:
    """Bytes of each batch of an epoch: as it comes, and with its windows written out.

    As it comes it is one buffer, which goes to a device in one copy.
    """
    from recd_format.loader.loader import Loader
    from recd_format.loader.options import LoaderOptions

    loader = Loader(path, LoaderOptions(**options))
    sizes = []
    for batch in loader.run(0):
        written = len(batch.data)
        for part in batch.layout().jagged.values():
            plain = int(part.lengths.of(batch.data).sum(dtype="int64"))
            width = sum(_width(s) for s in (part.values, part.weights) if s is not None)
            written += width * (plain - part.values.count) - _width(part.starts) * part.starts.count
        sizes.append((len(batch.data), written))
    return sizes


def _width(section: Any) -> int:
    return int(section.dtype.removeprefix("int").removeprefix("float")) // 8


def groups(path: str, columns: Sequence[str]) -> list[list[str]]:
    """`columns` by the dedup groups of the file."""
    import recd_format as recd

    with recd.open(path) as file:
        found: dict[int, list[str]] = {}
        for field in file.fields.fields:
            if field.name in columns:
                found.setdefault(field.group, []).append(field.name)
    return list(found.values())


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
