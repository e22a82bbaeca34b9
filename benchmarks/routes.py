"""The rivals' ways from a session-clustered file to training batches, opening included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet import ParquetConfig
from benchmarks.rivals import rivals
from benchmarks.to_kjt import Batch, Builder, Wanted, rebatch

__all__ = ["Route", "routes"]

# Read as Arrow in such pieces and cut into batches; the fastest is kept, log by log.
_PARQUET_READS = (4_096, 16_384, 65_536)
_LANCE_READS = (4_096, 8_192, 32_768)
_VORTEX_READS = (0, 4_096)  # 0: as Vortex likes it
# The tuning that is smallest on every log.
_BEST = ParquetConfig(9, False, 8 << 20, None)

Read = Callable[[str, list[str], int, int], Iterable[pa.RecordBatch]]
Hash = Callable[[Batch], Any]


@dataclass(frozen=True)
class Route:
    """A file format and what becomes of it.

    Attributes
    ----------
    name
    suffix
        Of the file; routes with one suffix share it.
    write
        `write(table, path)`.
    read
        `read(path, names, rows, cores)`: record batches of about so many rows.
    to
        KJTs; IKJTs by hashing each batch; IKJTs of lists that are shared in the file.
    rows
        Rows of a read: choices, then the fastest of them.
    """

    name: str
    suffix: str
    write: Callable[[pa.Table, str], None]
    read: Read
    to: Literal["kjt", "hashed", "shared"] = "kjt"
    rows: tuple[int, ...] = (0,)

    def path(self, folder: Path, log: str) -> str:
        """Where its file of `log` lies in `folder`."""
        return str(folder / f"{log}.{self.suffix}")

    def batches(
        self, path: str, wanted: Wanted, size: int, *, cores: int, hashes: Hash | None
    ) -> Iterator[Any]:
        """Open the file and yield its batches; `hashes` makes IKJTs of KJTs."""
        build = Builder(wanted, shared=self.to == "shared")
        for rows in rebatch(self.read(path, wanted.names, self.rows[0], cores), size):
            batch = build(rows)
            yield hashes(batch) if hashes is not None and self.to == "hashed" else batch

    def tuned(self, path: str, wanted: Wanted, size: int, cores: int) -> Route:
        """Return the route with the fastest of its read sizes, each tried twice."""
        if len(self.rows) == 1:
            return self
        seconds: dict[int, float] = {}
        for _ in range(2):
            for rows in self.rows:
                build = Builder(wanted, shared=self.to == "shared")
                begin = perf_counter()
                for part in rebatch(self.read(path, wanted.names, rows, cores), size):
                    build(part)
                took = perf_counter() - begin
                seconds[rows] = min(took, seconds.get(rows, took))
        return replace(self, rows=(min(seconds, key=lambda rows: seconds[rows]),))


def _read_parquet(path: str, names: list[str], rows: int, cores: int) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(path)
    yield from file.iter_batches(batch_size=rows, columns=names, use_threads=cores > 1)


def _write_plain_parquet(table: pa.Table, path: str) -> None:
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=65_536)


def _read_ipc(path: str, names: list[str], rows: int, cores: int) -> Iterator[pa.RecordBatch]:
    del rows, cores
    with pa.memory_map(path) as source:
        with pa.ipc.open_file(source) as probe:
            held = probe.schema.names
        options = pa.ipc.IpcReadOptions(
            use_threads=False, included_fields=[held.index(name) for name in names]
        )
        with pa.ipc.open_file(source, options=options) as file:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)


def _read_vortex(path: str, names: list[str], rows: int, cores: int) -> Iterable[pa.RecordBatch]:
    """Lists come as list_view, so that the sharing in the file survives."""
    import vortex as vx

    del cores
    file = vx.open(path, without_segment_cache=True)
    plain = file.dtype.to_arrow_schema()
    kept = (plain.field(name) for name in names)
    views = [
        f.with_type(pa.list_view(f.type.value_type)) if pa.types.is_list(f.type) else f
        for f in kept
    ]
    return file.to_arrow(names, schema=pa.schema(views), batch_size=rows or None)


def _read_lance(path: str, names: list[str], rows: int, cores: int) -> Iterator[pa.RecordBatch]:
    from lance.file import LanceFileReader

    del cores
    yield from LanceFileReader(path, columns=names).read_all(batch_size=rows).to_batches()


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def routes() -> list[Route]:
    """All whose packages are installed."""
    writers = {rival.name: rival.write for rival in rivals(_BEST)}
    parquet = {
        "parquet, dictionary": ("dictionary.parquet", ParquetConfig().write),
        "parquet, no dictionary": ("plain.parquet", ParquetConfig(3, False).write),
        "parquet, smallest tuning": ("best.parquet", _BEST.write),
        "parquet, uncompressed": ("uncompressed.parquet", _write_plain_parquet),
    }
    made = [
        Route(f"{name} -> KJT", suffix, write, _read_parquet, "kjt", _PARQUET_READS)
        for name, (suffix, write) in parquet.items()
    ]
    made += [
        replace(route, name=route.name.replace("KJT", "IKJT by hashing"), to="hashed")
        for route in made[:2]
    ]
    made.append(Route("arrow ipc, mapped -> KJT", "arrow", writers["arrow ipc"], _read_ipc))
    if _installed("lance"):
        made.append(
            Route("lance -> KJT", "lance", writers["lance"], _read_lance, "kjt", _LANCE_READS)
        )
    if _installed("vortex"):
        write = writers["vortex list_view"]
        made.append(
            Route(
                "vortex list_view -> IKJT", "vortex", write, _read_vortex, "shared", _VORTEX_READS
            )
        )
    return made
