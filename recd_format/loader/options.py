"""Options of a loader: the one home of each default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.loader.preparation import Preparation
    from recd_format.reader.options import ReadOptions

__all__ = ["Downsample", "LoaderOptions"]

Mix = Literal["session", "rows"]
Uneven = Literal["drop", "wrap", "allow"]
Output = Literal["ikjt", "torchrec", "kjt"]
_MOST_BATCH_ROWS = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Downsample:
    """Keep every positive, and a share of the others.

    The choice is a hash, the same in every epoch, on every rank. What stays of the others weighs
    ``1 / keep`` in `batch.weights`, so that sums over rows keep their expectation.

    Attributes
    ----------
    label : str
        The label column; a row is positive where it is greater than 0.
    keep : float
        Share of the others to keep, in (0, 1].
    by : {"session", "row"}
        What is kept or left out: sessions without a positive row as wholes, or single rows. Row
        mode thins sessions out, and the dedup factor with them.
    seed : int
        Another seed chooses other rows.
    """

    label: str
    keep: float
    by: Literal["session", "row"] = "session"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise RecdInputError(f"Downsample(keep={self.keep!r}): expected 0 < keep <= 1")
        if self.by not in ("session", "row"):
            raise RecdInputError(f"Downsample(by={self.by!r}): expected 'session' or 'row'")
        if not 0 <= self.seed < 1 << 63:
            raise RecdInputError(f"Downsample(seed={self.seed!r}): expected 0 to 2**63 - 1")


@dataclass(frozen=True, slots=True)
class LoaderOptions:
    """How files become batches.

    Attributes
    ----------
    batch_size : int
        Rows of a batch; the last of an epoch may be shorter.
    columns : sequence of str or None
        Columns that batches have, in this order; None: all features, labels and weights of the
        first file, in its order.
    meta : sequence of str
        Columns of any kind that come as they are, in ``batch.meta``.
    shuffle : bool
        Give stripes, and runs of sessions within a window of stripes, in an order drawn from
        `seed` and the epoch.
    seed : int
    window : int
        Stripes that are shuffled together, and held in memory.
    shuffle_run : int
        Neighbouring sessions that stay together; 1 mixes best, longer runs read faster.
    mix : {"session", "rows"}
        "rows" shuffles single rows within the window: the batch composition of a reader that
        knows no sessions, for comparisons.
    drop_last : bool
        Leave out a last, shorter batch.
    cut_sessions : bool
        Give batches of exactly `batch_size` rows, cutting sessions; False keeps sessions whole,
        in batches of at most `batch_size` rows.
    time_range : (begin, end) or None
        Sessions whose first row has an order key in ``[begin, end)``; either may be None.
    session_hash : (low, high, modulus) or None
        Sessions whose id hashes to a bucket in ``[low, high)`` of `modulus` buckets.
    downsample : Downsample or None
    rank, world : int or None
        This process and how many there are; None: asked of the framework when iterating.
    uneven : {"drop", "wrap", "allow"}
        Where ranks would have unequal numbers of batches: leave out the rest, begin again, or let
        them differ.
    threads : int
        Threads that decode stripes ahead; 0 does all work in the caller's thread.
    prefetch : int
        Batches that are ready before they are asked for, and stripes decoded ahead of the window.
    device : str or None
        Where tensors come out; None: the CPU. Anything that ``str()`` names a device.
    output : {"ikjt", "torchrec", "kjt"}
        What ``batch.sparse_features`` is.
    id_dtype : {"int64", "int32"}
        Type of ids; int32 where the ids of every file fit, or after transforms that bound them.
    transforms : Preparation or None
        What is done to unique rows before they are batched.
    read : ReadOptions or None
        How files are read; None: the defaults.
    """

    batch_size: int = 4096
    columns: Sequence[str] | None = None
    meta: Sequence[str] = ()
    shuffle: bool = False
    seed: int = 0
    window: int = 4
    shuffle_run: int = 8
    mix: Mix = "session"
    drop_last: bool = False
    cut_sessions: bool = True
    time_range: tuple[Any, Any] | None = None
    session_hash: tuple[int, int, int] | None = None
    downsample: Downsample | None = None
    rank: int | None = None
    world: int | None = None
    uneven: Uneven = "drop"
    threads: int = 1
    prefetch: int = 2
    device: str | None = None
    output: Output = "ikjt"
    id_dtype: str = "int64"
    transforms: Preparation | None = None
    read: ReadOptions | None = None

    def __post_init__(self) -> None:
        self._require_integers()
        for name, choices in (("mix", Mix), ("uneven", Uneven), ("output", Output)):
            if getattr(self, name) not in get_args(choices):
                raise RecdInputError(
                    f"{name}={getattr(self, name)!r}: expected one of "
                    f"{', '.join(map(repr, get_args(choices)))}"
                )
        for name in ("columns", "meta"):
            self._set(name, _names(name, getattr(self, name)))
        # torch.int32 prints as "torch.int32"; this layer does not import torch.
        dtype = str(self.id_dtype).removeprefix("torch.")
        if dtype not in ("int64", "int32"):
            raise RecdInputError(f"id_dtype={self.id_dtype!r}: expected int64 or int32")
        self._set("id_dtype", dtype)
        self._set("device", None if self.device is None else str(self.device))
        if (self.rank is None) != (self.world is None):
            raise RecdInputError("rank and world: expected both or neither")
        if self.rank is not None and self.world is not None and not 0 <= self.rank < self.world:
            raise RecdInputError(f"rank={self.rank}: expected 0 to {self.world - 1}")
        self._require_splits()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _require_integers(self) -> None:
        for name, least, most in (
            ("batch_size", 1, _MOST_BATCH_ROWS),
            ("seed", 0, (1 << 63) - 1),
            ("window", 1, 1 << 20),
            ("shuffle_run", 1, 1 << 31),
            ("threads", 0, 1 << 10),
            ("prefetch", 0, 1 << 20),
            ("rank", 0, 1 << 31),
            ("world", 1, 1 << 31),
        ):
            value = getattr(self, name)
            if value is None and name in ("rank", "world"):
                continue
            if not isinstance(value, Integral):
                raise RecdInputError(f"{name}={value!r}: expected an integer")
            if not least <= int(value) <= most:
                raise RecdInputError(f"{name}={value!r}: expected {least} to {most}")
            self._set(name, int(value))

    def _require_splits(self) -> None:
        if self.time_range is not None:
            if not isinstance(self.time_range, Sequence) or len(self.time_range) != 2:
                raise RecdInputError(f"time_range={self.time_range!r}: expected (begin, end)")
            self._set("time_range", tuple(self.time_range))
        if self.session_hash is not None:
            if not isinstance(self.session_hash, Sequence) or len(self.session_hash) != 3:
                raise RecdInputError(
                    f"session_hash={self.session_hash!r}: expected (low, high, modulus)"
                )
            low, high, modulus = self.session_hash
            if not 0 <= low < high <= modulus:
                raise RecdInputError(
                    f"session_hash={self.session_hash!r}: expected 0 <= low < high <= modulus"
                )
            self._set("session_hash", (int(low), int(high), int(modulus)))

    def changed(self, changes: Mapping[str, Any]) -> LoaderOptions:
        """Return these options with some replaced; a name that is none raises."""
        unknown = [name for name in changes if name not in self.__dataclass_fields__]
        if unknown:
            raise RecdInputError(
                f"{unknown[0]}: no such option; there are {', '.join(self.__dataclass_fields__)}"
            )
        return replace(self, **changes)


def _names(what: str, names: Iterable[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    found = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else None
    if found is None or not all(isinstance(name, str) for name in found):
        raise RecdInputError(f"{what}={names!r}: expected a list of names")
    if len(set(found)) != len(found):
        raise RecdInputError(f"{what}={list(found)!r}: a name is there twice")
    return found
