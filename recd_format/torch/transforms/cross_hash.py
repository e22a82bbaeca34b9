"""Ids of several columns, hashed together: `spec/hash_buckets.md`, Crosses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets, splitmix64
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms.base import (
    INT64_MAX,
    RowOperation,
    check_name,
    only_value,
    set_integer,
)

__all__ = ["CrossHash"]


@dataclass(frozen=True, slots=True)
class CrossHash(RowOperation):
    """An id_list of one id a row: the ids of several columns hashed together to [0, n).

    A row that has no id in one of the columns has none in the cross either.

    Parameters
    ----------
    features : sequence of str
        Columns of at most one id a row, any int64. Their order matters.
    n : int
        Number of buckets, at least 1.
    output : str
        Name of the feature.
    seed : int
        0 to 2^64 - 1. A cross of one column is `HashBuckets` of it.
    """

    output_role: ClassVar[Role] = Role.SPARSE
    takes: ClassVar[frozenset[Role]] = frozenset({Role.SPARSE})
    features: Sequence[str]
    n: int
    output: str
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.features
        if (
            isinstance(given, str)
            or not isinstance(given, Sequence)
            or not given
            or not all(isinstance(name, str) and name for name in given)
        ):
            raise RecdInputError(f"CrossHash(features={given!r}): expected a list of names")
        if len(set(given)) != len(given):
            raise RecdInputError(f"CrossHash(features={list(given)!r}): a name is there twice")
        object.__setattr__(self, "features", tuple(given))
        check_name(self, "output")
        set_integer(self, "n", 1, INT64_MAX)
        set_integer(self, "seed", 0, (1 << 64) - 1)

    @property
    def inputs(self) -> tuple[str, ...]:
        """`features`."""
        return tuple(self.features)

    def bound(self) -> int | None:
        """`n`."""
        return self.n

    def apply(self, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """Hash row by row.

        Raises
        ------
        RecdInputError
            A column has no ids, or more than one in a row.
        """
        state: Any = None
        present: Any = None
        for column in self.features:
            ids, has_id = only_value(self, column, inputs[column])
            if ids.dtype != np.int64:
                raise RecdInputError(
                    f"CrossHash {self.output!r} of {column!r}: expected ids, found {ids.dtype}"
                )
            if has_id is not None:
                present = has_id if present is None else present & has_id
            words = ids.view(np.uint64)
            state = words ^ (np.uint64(self.seed) if state is None else splitmix64(state))
        buckets = hash_buckets(state, self.n)
        if present is None:
            return UniqueRows(buckets)
        return UniqueRows(buckets[present], present.astype(np.int32))
