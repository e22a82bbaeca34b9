"""Writers and readers of the formats we stand beside, each with one call to write and one to read.

All but `ARRIVAL` are given the session-clustered table: sorting is free for them here, so that a
difference in size is the format's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.parquet import ParquetConfig

__all__ = ["ARRIVAL", "Rival", "rivals", "share_lists"]

Columns = Sequence[str] | None
_LANCE_BATCH = 8192


@dataclass(frozen=True)
class Rival:
    """A format: `write(table, path)` and `read(path, columns)` into Arrow."""

    name: str
    suffix: str
    write: Callable[[pa.Table, str], None]
    read: Callable[[str, Columns], Any]

    def path(self, folder: Path, log: str) -> str:
        """Where its file of `log` lies in `folder`."""
        return str(folder / f"{log}.{self.name.replace(' ', '_').replace(',', '')}{self.suffix}")


def _read_parquet(path: str, columns: Columns = None) -> pa.Table:
    return pq.read_table(path, columns=columns, use_threads=False)


def _write_orc(table: pa.Table, path: str) -> None:
    from pyarrow import orc

    orc.write_table(table, path, compression="zstd")


def _read_orc(path: str, columns: Columns = None) -> pa.Table:
    from pyarrow import orc

    return orc.ORCFile(path).read(columns=None if columns is None else list(columns))


def _ipc_writer(codec: str | None) -> Callable[[pa.Table, str], None]:
    def write(table: pa.Table, path: str) -> None:
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        with pa.ipc.new_file(path, table.schema, options=options) as sink:
            sink.write_table(table, max_chunksize=65_536)

    return write


def _read_ipc(path: str, columns: Columns = None) -> pa.Table:
    # Read, not mapped: a mapped file reads nothing until somebody looks.
    with pa.OSFile(path) as source:
        with pa.ipc.open_file(source) as probe:
            names = probe.schema.names
        wanted = None if columns is None else [names.index(c) for c in columns]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=wanted)
        with pa.ipc.open_file(source, options=options) as reader:
            return reader.read_all()


def _write_lance(table: pa.Table, path: str) -> None:
    from lance.file import LanceFileWriter

    Path(path).unlink(missing_ok=True)
    with LanceFileWriter(path, table.schema) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)


def _read_lance(path: str, columns: Columns = None) -> pa.Table:
    from lance.file import LanceFileReader

    reader = LanceFileReader(path, columns=None if columns is None else list(columns))
    return reader.read_all(batch_size=_LANCE_BATCH).to_table()


def _vortex_writer(compact: bool, shared: bool) -> Callable[[pa.Table, str], None]:
    def write(table: pa.Table, path: str) -> None:
        import vortex as vx

        options = vx.io.VortexWriteOptions
        chosen = options.compact() if compact else options.default()
        chosen.write(share_lists(table) if shared else table, path)

    return write


def _read_vortex(path: str, columns: Columns = None) -> pa.Table:
    import vortex as vx

    wanted = None if columns is None else list(columns)
    return vx.open(path, without_segment_cache=True).to_arrow(wanted).read_all()


def _read_vortex_shared(path: str, columns: Columns = None) -> pa.Table:
    """Lists come as list_view, so that the sharing in the file survives."""
    import vortex as vx

    file = vx.open(path, without_segment_cache=True)
    plain = file.dtype.to_arrow_schema()
    kept = plain if columns is None else pa.schema([plain.field(c) for c in columns])
    views = [
        f.with_type(pa.list_view(f.type.value_type)) if pa.types.is_list(f.type) else f
        for f in kept
    ]
    wanted = None if columns is None else list(columns)
    return file.to_arrow(wanted, schema=pa.schema(views)).read_all()


def share_lists(table: pa.Table) -> pa.Table:
    """Lists of primitive values as list_view, equal neighbours stored once (Vortex finds none)."""

    def shared(column: pa.ChunkedArray) -> pa.Array:
        array = column.combine_chunks()
        if not pa.types.is_list(array.type) or array.null_count:
            return array
        offsets, values = array.offsets.to_numpy(), array.values.to_numpy(zero_copy_only=False)
        bits = values.view(f"u{values.dtype.itemsize}")
        lengths = np.diff(offsets)
        new = np.r_[True, lengths[1:] != lengths[:-1]][: len(lengths)]
        # Same length as the row before: equal unless one of the values differs.
        row = np.repeat(np.arange(len(lengths)), lengths)
        index = np.arange(offsets[0], offsets[-1])
        compare = ~new[row]
        row, index = row[compare], index[compare]
        new[row[bits[index] != bits[index - lengths[row]]]] = True
        kept = np.repeat(new, lengths)
        begin = np.r_[0, (lengths * new).cumsum()][:-1]
        begin = begin[np.flatnonzero(new)[np.cumsum(new) - 1]]
        pool = pa.array(values[offsets[0] : offsets[-1]][kept])
        return pa.ListViewArray.from_arrays(
            pa.array(begin.astype(np.int32)), pa.array(lengths.astype(np.int32)), pool
        )

    return pa.table({name: shared(table[name]) for name in table.column_names})


ARRIVAL = Rival("parquet arrival", ".parquet", ParquetConfig().write, _read_parquet)


def rivals(best: ParquetConfig | None = None) -> list[Rival]:
    """All that are given the clustered table; `best`: the Parquet tuning of `best_clustered`."""
    return [
        Rival("parquet clustered", ".parquet", ParquetConfig().write, _read_parquet),
        *([Rival("parquet best", ".parquet", best.write, _read_parquet)] if best else []),
        Rival("orc zstd", ".orc", _write_orc, _read_orc),
        Rival("arrow ipc", ".arrow", _ipc_writer(None), _read_ipc),
        Rival("arrow ipc zstd", ".arrow", _ipc_writer("zstd"), _read_ipc),
        Rival("lance", ".lance", _write_lance, _read_lance),
        Rival("vortex list", ".vortex", _vortex_writer(False, False), _read_vortex),
        Rival("vortex compact", ".vortex", _vortex_writer(True, False), _read_vortex),
        Rival("vortex list_view", ".vortex", _vortex_writer(False, True), _read_vortex_shared),
        Rival(
            "vortex list_view compact", ".vortex", _vortex_writer(True, True), _read_vortex_shared
        ),
    ]
