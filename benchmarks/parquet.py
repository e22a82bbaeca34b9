"""Parquet as its best: session-clustered, and tuned by trying every switch that matters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.workloads import Workload

__all__ = ["ParquetConfig", "best_clustered", "clustered", "parquet_configs"]


@dataclass(frozen=True)
class ParquetConfig:
    """One way to tune Parquet."""

    level: int = 3
    dictionary: bool | tuple[str, ...] = True
    page: int | None = None
    row_group: int | None = 65_536

    def __str__(self) -> str:
        dictionary = self.dictionary
        chosen = ("off", "on")[dictionary] if isinstance(dictionary, bool) else "per column"
        page = "default" if self.page is None else f"{self.page >> 20} MB"
        group = "one" if self.row_group is None else str(self.row_group)
        return f"zstd-{self.level}, dictionary {chosen}, pages {page}, row group {group}"

    def write(self, table: pa.Table, path: str) -> None:
        """Write `table` so."""
        pages: dict[str, Any] = {}
        if self.page is not None:
            # Else 20,000 rows close a page of short lists long before it has 8 MB.
            pages = {"data_page_size": self.page, "max_rows_per_page": 1 << 30}
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=self.level,
            use_dictionary=self.dictionary
            if isinstance(self.dictionary, bool)
            else list(self.dictionary),
            row_group_size=self.row_group or max(1, table.num_rows),
            **pages,
        )


def clustered(log: Workload) -> pa.Table:
    """The log with its sessions together, each in time order."""
    keys = [(log.session_key, "ascending"), (log.order_key, "ascending")]
    return log.table.take(pc.sort_indices(log.table, sort_keys=keys)).combine_chunks()


def parquet_configs(quick: bool = False) -> Iterator[ParquetConfig]:
    """The tunings of clustered Parquet tried first; `quick`: those that won on some log."""
    if quick:
        for level in (5, 7, 9):
            yield ParquetConfig(level, False, 8 << 20, None)
        return
    for level, dictionary, page, group in product(
        (3, 9), (True, False), (None, 8 << 20), (65_536, None)
    ):
        yield ParquetConfig(level, dictionary, page, group)


def _dictionary_columns(plain: str, coded: str) -> tuple[str, ...]:
    """Columns that are smaller with a dictionary, by the sizes in two files' footers."""

    def sizes(path: str) -> dict[str, int]:
        meta, total = pq.ParquetFile(path).metadata, {}
        for g in range(meta.num_row_groups):
            for c in range(meta.num_columns):
                column = meta.row_group(g).column(c)
                key = column.path_in_schema
                total[key] = total.get(key, 0) + column.total_compressed_size
        return total

    off, on = sizes(plain), sizes(coded)
    return tuple(name for name in off if on[name] < off[name])


def best_clustered(
    table: pa.Table, folder: Path, *, quick: bool = False
) -> tuple[ParquetConfig, dict[ParquetConfig, int]]:
    """The smallest clustered Parquet of `table`, and the size of each one tried.

    The sizes also hold one that no single switch gives: the winner with dictionaries only on the
    columns they make smaller.
    """
    trial, other, sizes = folder / "trial.parquet", folder / "other.parquet", {}
    for config in parquet_configs(quick):
        config.write(table, str(trial))
        sizes[config] = trial.stat().st_size
    best = min(sizes, key=lambda c: sizes[c])
    for level in range(3, 10):
        # More is not always smaller: levels 5 and 7 beat 9 by 2 % on rm1_like and yoochoose.
        config = replace(best, level=level)
        if config not in sizes and not quick:
            config.write(table, str(trial))
            sizes[config] = trial.stat().st_size
    best = min(sizes, key=lambda c: sizes[c])
    for dictionary, path in ((True, other), (False, trial)):
        replace(best, dictionary=dictionary).write(table, str(path))
    columns = _dictionary_columns(str(trial), str(other))
    tuned = replace(best, dictionary=columns)
    tuned.write(table, str(trial))
    sizes[tuned] = trial.stat().st_size
    for path in (trial, other):
        path.unlink()
    return best, sizes
