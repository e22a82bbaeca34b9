"""Known ids to places in a vocabulary, by a hash table."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import IDS, UniqueOperation

__all__ = ["Vocabulary", "load_vocabulary", "save_vocabulary"]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, init=False)
class Vocabulary(UniqueOperation):
    """Map known ids to 1, 2, ... in the order of the vocabulary, and all others to 0.

    Two vocabularies of the same ids in the same order are equal, wherever they come from.

    Parameters
    ----------
    ids : sequence of int, ndarray of integers, or path
        The ids, each once, any int64; or a file that `recd vocab` wrote.
    digest : str, optional
        What `digest` must be.

    Attributes
    ----------
    ids : ndarray of int64, read-only
    path : str or None
        The file that they are of.
    digest : str
        SHA-256 of the ids.
    """

    takes: ClassVar[frozenset[Role]] = IDS
    ids: NDArray[np.int64] = field(compare=False, repr=False)
    path: str | None = field(compare=False)
    digest: str
    _tables: list[tuple[NDArray[np.int64], np.uint64]] = field(compare=False, repr=False)

    def __init__(
        self,
        ids: Sequence[int] | NDArray[Any] | str | os.PathLike[str],
        *,
        digest: str | None = None,
    ) -> None:
        path = None
        if isinstance(ids, (str, os.PathLike)):
            path = os.fspath(ids)
            ids = load_vocabulary(path)[0]
        where = "Vocabulary" if path is None else path
        held = _as_ids(ids, where)
        found = hashlib.sha256(held.astype("<i8", copy=False).tobytes()).hexdigest()
        if digest is not None and digest != found:
            raise RecdInputError(
                f"{where}: expected the ids whose digest is {digest}, found {found} "
                f"({len(held)} ids)"
            )
        for name, value in (("ids", held), ("path", path), ("digest", found), ("_tables", [])):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.ids)

    def __reduce__(self) -> tuple[Any, ...]:
        # By its content: another process may find another file under that name, or none.
        return (_restored, (self.ids, self.path, self.digest))

    def parameters(self) -> dict[str, Any]:
        """Path and digest, or the ids themselves."""
        if self.path is not None:
            return {"path": self.path, "digest": self.digest}
        return {"ids": self.ids.tolist()}

    def identity(self) -> dict[str, Any]:
        """The digest: a file of the same ids is the same vocabulary."""
        return {"digest": self.digest}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Vocabulary:
        """Make it anew; ids of a file must be those of the digest."""
        given = dict(parameters)
        ids = given.pop("path", None)
        if ids is None:
            ids = given.pop("ids", None)
        digest = given.pop("digest", None)
        if ids is None or given:
            raise RecdInputError(
                f"Vocabulary: expected path and digest, or ids; found {sorted(parameters)}"
            )
        return cls(ids, digest=digest)

    def bound_after(self, bound: int | None) -> int | None:
        """Known ids and 0."""
        return len(self.ids) + 1

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Look up every id, in place."""
        table, shift = self._table()
        _look_up(rows.values, table, shift)
        return rows

    def _table(self) -> tuple[NDArray[np.int64], np.uint64]:
        """Hash table, made at first use in each process; threads may make it twice, alike."""
        if not self._tables:
            bits = max(1, (2 * len(self.ids)).bit_length())
            # (id, place) side by side: one cache line a lookup. Place 0: nobody is here.
            table = np.zeros(2 << bits, np.int64)
            shift = np.uint64(64 - bits)
            _fill_table(self.ids, table, shift)
            self._tables.append((table, shift))
        return self._tables[0]


def _restored(ids: NDArray[np.int64], path: str | None, digest: str) -> Vocabulary:
    made = Vocabulary(ids, digest=digest)
    object.__setattr__(made, "path", path)
    return made


def _as_ids(ids: Any, where: str) -> NDArray[np.int64]:
    if not isinstance(ids, (Sequence, np.ndarray)):
        raise RecdInputError(f"{where}: expected ids or a path, found {type(ids).__name__}")
    if not isinstance(ids, np.ndarray):
        ids = list(ids)
    array = np.asarray(ids) if len(ids) else np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RecdInputError(
            f"{where}: expected a list of int64 ids, found {array.dtype}{list(array.shape)}"
        )
    if array.dtype == np.uint64 and array.max(initial=0) >= 1 << 63:
        raise RecdInputError(f"{where}: id {int(array.max())} is no int64")
    held = array.astype(np.int64)
    ordered = np.sort(held)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise RecdInputError(f"{where}: id {int(twice[0])} is there twice")
    held.flags.writeable = False
    return held


def save_vocabulary(file: IO[bytes], ids: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    """Write ids, and how often each occurs, as a NumPy archive that `Vocabulary` reads.

    Parameters
    ----------
    file
        Open for writing.
    ids, counts : ndarray of int64, shape [ids]
        Most frequent first.
    """
    np.savez_compressed(file, ids=ids, counts=counts)


def load_vocabulary(
    path: str | os.PathLike[str],
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return ids and counts (None: the file has none) of a file that `recd vocab` wrote.

    Raises
    ------
    RecdInputError
        There is no such file, or it is none of a vocabulary.
    """
    try:
        # Opened here: NumPy leaves a file open that it cannot read. No pickles: objects raise.
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile) or "ids" not in archive:
                raise RecdInputError(f"{path}: expected a vocabulary of `recd vocab`, no ids there")
            return archive["ids"], archive.get("counts")
    except FileNotFoundError as error:
        raise RecdInputError(f"{path}: there is no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, RecdInputError):
            raise
        raise RecdInputError(f"{path}: no vocabulary of `recd vocab` ({error})") from error


@kernel("uint64(int64, uint64)")
def _slot(value, shift):  # type: ignore[no-untyped-def]
    """Slot where an id is looked for first."""
    word = np.uint64(value)
    return ((word ^ (word >> _HALF)) * _MULTIPLIER) >> shift


@kernel("void(const int64[::1], int64[::1], uint64)")
def _fill_table(ids, table, shift):  # type: ignore[no-untyped-def]
    """Put ids that are distinct into an empty table of at least twice as many slots."""
    mask = np.int64(len(table) // 2 - 1)
    for place in range(len(ids)):
        slot = np.int64(_slot(ids[place], shift)) & mask
        while table[2 * slot + 1] != 0:
            slot = (slot + 1) & mask
        table[2 * slot] = ids[place]
        table[2 * slot + 1] = place + 1


@kernel("void(int64[::1], const int64[::1], uint64)")
def _look_up(values, table, shift):  # type: ignore[no-untyped-def]
    mask = np.int64(len(table) // 2 - 1)
    for i in range(len(values)):
        value = values[i]
        slot = np.int64(_slot(value, shift)) & mask
        while table[2 * slot + 1] != 0 and table[2 * slot] != value:
            slot = (slot + 1) & mask
        values[i] = table[2 * slot + 1]
