"""Ids to hash buckets: `spec/hash_buckets.md`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recd_format.hashing import hash_buckets
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import IDS, INT64_MAX, UniqueOperation, set_integer

__all__ = ["HashBuckets"]


@dataclass(frozen=True, slots=True)
class HashBuckets(UniqueOperation):
    """Hash ids to [0, n); any int64 is taken, as its bits.

    Parameters
    ----------
    n : int
        Number of buckets, at least 1.
    seed : int
        0 to 2^64 - 1; another seed is another hash function.
    """

    takes: ClassVar[frozenset[Role]] = IDS
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        set_integer(self, "n", 1, INT64_MAX)
        set_integer(self, "seed", 0, (1 << 64) - 1)

    def bound_after(self, bound: int | None) -> int | None:
        """`n`."""
        return self.n

    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Hash every id in place."""
        hash_buckets(rows.values, self.n, self.seed, out=rows.values)
        return rows
