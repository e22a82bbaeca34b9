"""From record batches to training batches: the fast path a careful user of Arrow would write.

Values and offsets are Arrow's own memory, and every value is copied once: into key-major order,
which is what TorchRec's KeyedJaggedTensor is. One memory takes all batches of an epoch, as a pool
of buffers would give it, so that page faults do not count against these paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.workloads import Workload

__all__ = ["Batch", "Builder", "Jagged", "Shared", "Wanted", "rebatch", "torchrec_kjt"]


@dataclass(frozen=True)
class Wanted:
    """Columns of a batch, by what becomes of them.

    Attributes
    ----------
    ids, floats
        Lists of ids, and ids that stand alone; lists of floats.
    dense, labels
        Columns of the two float32 matrices.
    session
        The session key, or None.
    """

    ids: tuple[str, ...]
    floats: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    session: str | None = None

    @classmethod
    def of(cls, log: Workload, *, lists_only: bool) -> Wanted:
        """Columns of `log`: its id lists alone, or all but the order key, which no batch has."""
        if lists_only:
            return cls(tuple(log.id_lists()))
        ids, floats, dense = [], [], []
        for field in log.table.schema:
            if field.name in (log.session_key, log.order_key, *log.labels):
                continue
            listed = pa.types.is_list(field.type)
            kind = field.type.value_type if listed else field.type
            whole = pa.types.is_integer(kind)
            (ids if whole else floats if listed else dense).append(field.name)
        return cls(tuple(ids), tuple(floats), tuple(dense), log.labels, log.session_key)

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self.features, *([self.session] if self.session else [])]

    @property
    def features(self) -> list[str]:
        """All but the session key, which our batches have anyhow."""
        return [*self.ids, *self.floats, *self.dense, *self.labels]


class Jagged(NamedTuple):
    """What a KeyedJaggedTensor is made of, where TorchRec is not installed."""

    keys: list[str]
    values: Any
    lengths: Any


class Shared(NamedTuple):
    """Unique rows key after key, and the unique row of each row; None: every row its own."""

    keys: list[str]
    values: Any
    lengths: Any
    inverse: list[Any]


class Batch(NamedTuple):
    """A batch as a model takes it."""

    sparse: Any
    floats: Any
    dense: Any
    labels: Any
    session_ids: Any


@cache
def torchrec_kjt() -> Any:
    """TorchRec's KeyedJaggedTensor, or None where it is not installed."""
    try:
        from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
    except ImportError:
        return None
    return KeyedJaggedTensor


def _kjt(keys: list[str], values: Any, lengths: Any) -> Any:
    made = torchrec_kjt()
    if made is None:
        return Jagged(keys, values, lengths)
    return made(keys=keys, values=values, lengths=lengths)


class _Memory:
    """Arrays that are taken again and again, and grow where they are too small."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def take(self, name: str, count: int, dtype: type) -> NDArray[Any]:
        array = self._arrays.get(name)
        if array is None or len(array) < count:
            array = self._arrays[name] = np.empty(count + count // 4, dtype)
        return array[:count]


class _Column(NamedTuple):
    """Values of a column, and where its rows begin; sizes: of a list_view, else offsets tell."""

    values: NDArray[Any]
    offsets: NDArray[Any] | None
    sizes: NDArray[Any] | None


def _column(array: pa.Array) -> _Column:
    if array.null_count:
        raise ValueError("nulls: these paths are written for logs without them")
    if pa.types.is_list_view(array.type):
        return _Column(array.values.to_numpy(), array.offsets.to_numpy(), array.sizes.to_numpy())
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _Column(array.values.to_numpy(), array.offsets.to_numpy(), None)
    return _Column(array.to_numpy(), None, None)


@numba.njit(nogil=True)
def _find_shared(offsets, sizes, inverse, lengths):
    """Number the rows whose list is stored once; return how many, and whether in one piece."""
    unique, whole = 0, True
    for row in range(len(offsets)):
        new = row == 0 or offsets[row] != offsets[row - 1] or sizes[row] != sizes[row - 1]
        if new:
            whole &= row == 0 or offsets[row] == offsets[row - 1] + sizes[row - 1]
            lengths[unique] = sizes[row]
            unique += 1
        inverse[row] = unique - 1
    return unique, whole


@numba.njit(nogil=True)
def _gather(offsets, sizes, inverse, values, out):
    end = 0
    for row in range(len(offsets)):
        if row == 0 or inverse[row] != inverse[row - 1]:
            for i in range(offsets[row], offsets[row] + sizes[row]):
                out[end] = values[i]
                end += 1


class Builder:
    """Makes batches of record batches.

    Parameters
    ----------
    wanted
    shared
        Lists come as list_view, and rows that share their list become one unique row.
    """

    def __init__(self, wanted: Wanted, *, shared: bool = False) -> None:
        self._wanted = wanted
        self._shared = shared
        self._memory = _Memory()
        # TorchRec keeps the list it is given.
        self._keys, self._float_keys = list(wanted.ids), list(wanted.floats)

    def __call__(self, rows: pa.RecordBatch) -> Batch:
        """Return one batch; the next call overwrites it."""
        wanted = self._wanted
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        jagged = self._share if self._shared else self._jagged
        session = columns[wanted.session].to_numpy() if wanted.session else None
        return Batch(
            jagged("ids", self._keys, columns, rows.num_rows, np.int64),
            jagged("floats", self._float_keys, columns, rows.num_rows, np.float32)
            if wanted.floats
            else None,
            self._matrix("dense", wanted.dense, columns, rows.num_rows),
            self._matrix("labels", wanted.labels, columns, rows.num_rows),
            None if session is None else torch.as_tensor(_writable(session)),
        )

    def _jagged(self, what: str, keys: list[str], columns: Any, rows: int, dtype: type) -> Any:
        lengths = self._memory.take(f"{what} lengths", len(keys) * rows, np.int32)
        parts = []
        for number, key in enumerate(keys):
            values, offsets, _ = _column(columns[key])
            out = lengths[number * rows : (number + 1) * rows]
            if offsets is None:
                out.fill(1)
            else:
                np.subtract(offsets[1:], offsets[:-1], out=out, casting="unsafe")
                values = values[offsets[0] : offsets[-1]]
            parts.append(values)
        values = self._concatenate(what, parts, dtype)
        return _kjt(keys, torch.from_numpy(values), torch.from_numpy(lengths))

    def _share(self, what: str, keys: list[str], columns: Any, rows: int, dtype: type) -> Any:
        lengths = self._memory.take(f"{what} lengths", len(keys) * rows, np.int32)
        inverse = self._memory.take(f"{what} inverse", len(keys) * rows, np.int32)
        parts, inverses, end = [], [], 0
        for number, key in enumerate(keys):
            values, offsets, sizes = _column(columns[key])
            if offsets is None or sizes is None:
                lengths[end : end + rows] = 1 if offsets is None else np.diff(offsets)
                parts.append(values if offsets is None else values[offsets[0] : offsets[-1]])
                inverses.append(None)
                end += rows
                continue
            lookup = inverse[number * rows : (number + 1) * rows]
            unique, whole = _find_shared(offsets, sizes, lookup, lengths[end:])
            if whole:
                parts.append(values[offsets[0] : offsets[-1] + sizes[-1]])
            else:
                gathered = np.empty(int(lengths[end : end + unique].sum()), values.dtype)
                _gather(offsets, sizes, lookup, values, gathered)
                parts.append(gathered)
            inverses.append(torch.from_numpy(lookup))
            end += unique
        values = self._concatenate(what, parts, dtype)
        return Shared(keys, torch.from_numpy(values), torch.from_numpy(lengths[:end]), inverses)

    def _concatenate(self, what: str, parts: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
        out = self._memory.take(f"{what} values", sum(map(len, parts)), dtype)
        return np.concatenate(parts, out=out, casting="unsafe")

    def _matrix(self, what: str, names: Sequence[str], columns: Any, rows: int) -> Any:
        if not names:
            return None
        out = self._memory.take(what, rows * len(names), np.float32).reshape(rows, len(names))
        for number, name in enumerate(names):
            out[:, number] = _column(columns[name]).values
        return torch.from_numpy(out)


def _writable(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.flags.writeable else array.copy()


def rebatch(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Cut record batches into ones of `size` rows; copies only where one spans several."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        begin = 0
        while begin < batch.num_rows:
            part = batch.slice(begin, size - count)
            begin += part.num_rows
            count += part.num_rows
            held.append(part)
            if count == size:
                yield held[0] if len(held) == 1 else pa.concat_batches(held)
                held, count = [], 0
    if held:
        yield held[0] if len(held) == 1 else pa.concat_batches(held)
