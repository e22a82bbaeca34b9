"""The keys of jagged features and their dedup groups: what the batches of a reader share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError

__all__ = ["Keys"]


@dataclass(frozen=True, eq=False)
class Keys:
    """Names of features, and which of them share one inverse.

    Made once and shared by all batches: what depends on keys alone is computed here, once.

    Attributes
    ----------
    keys : tuple of str, F of them
        In the order of the values.
    groups : tuple of tuple of str, G of them
        Each key is in one group.
    group_of_key : ndarray of int64, shape [F]
    windowed : ndarray of bool, shape [F]
        True where batches hold timelines, and a start of each unique row.
    """

    keys: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    group_of_key: NDArray[np.int64]
    windowed: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        keys: Sequence[str],
        groups: Sequence[Sequence[str]] | None = None,
        windowed: Sequence[str] = (),
    ) -> Keys:
        """Check names and groups, and return the keys.

        Parameters
        ----------
        keys
            Names, each once.
        groups
            Partition of the keys; None: each key is a group.
        windowed
            Keys with timelines.

        Raises
        ------
        RecdInputError
            There are no keys, a key is there twice, or is not in exactly one group.
        """
        if isinstance(keys, str) or not keys or not all(isinstance(key, str) for key in keys):
            raise RecdInputError(f"keys: expected a list of names, found {keys!r}")
        names = tuple(keys)
        index = {name: number for number, name in enumerate(names)}
        if len(index) != len(names):
            twice = next(name for number, name in enumerate(names) if index[name] != number)
            raise RecdInputError(f"keys: {twice!r} is there twice")
        parts = tuple((name,) for name in names) if groups is None else tuple(map(tuple, groups))
        group_of_key = np.full(len(names), -1, np.int64)
        for number, part in enumerate(parts):
            for name in part:
                if name not in index:
                    raise RecdInputError(f"groups: {name!r} is none of the keys")
                if group_of_key[index[name]] >= 0:
                    raise RecdInputError(f"groups: {name!r} is there twice")
                group_of_key[index[name]] = number
            if not part:
                raise RecdInputError(f"groups: group {number} is empty")
        if (group_of_key < 0).any():
            missing = names[int(np.argmin(group_of_key))]
            raise RecdInputError(f"groups: {missing!r} is in none")
        flags = np.zeros(len(names), np.bool_)
        flags[[index[name] for name in windowed]] = True
        return cls(names, parts, group_of_key, flags)

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each key."""
        return {name: number for number, name in enumerate(self.keys)}

    @cached_property
    def windowed_keys(self) -> NDArray[np.int64]:
        """Numbers of the keys with timelines, int64."""
        return np.flatnonzero(self.windowed)

    @cached_property
    def plain(self) -> Keys:
        """The same keys without timelines; self where there are none."""
        if not len(self.windowed_keys):
            return self
        return Keys(self.keys, self.groups, self.group_of_key, np.zeros_like(self.windowed))

    @cached_property
    def sorted_by_group(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys group after group, int64 [F], and where each group ends, int64 [G]."""
        members = np.argsort(self.group_of_key, kind="stable")
        return members, np.cumsum(np.bincount(self.group_of_key, minlength=len(self.groups)))

    def number(self, key: str) -> int:
        """Number of a key; a name that is none raises RecdInputError."""
        try:
            return self.index[key]
        except (KeyError, TypeError):
            raise RecdInputError(f"there is no key {key!r}; {_some(self.keys)}") from None

    def group(self, group: int | str | Sequence[str]) -> int:
        """Number of a group that is given by number, by one of its keys, or by all of them."""
        if isinstance(group, str):
            return int(self.group_of_key[self.number(group)])
        if isinstance(group, (int, np.integer)):
            if not 0 <= group < len(self.groups):
                raise RecdInputError(f"there is no group {group}, of {len(self.groups)}")
            return int(group)
        names = tuple(group)
        found = self.group(names[0]) if names else -1
        if found < 0 or self.groups[found] != names:
            raise RecdInputError(f"there is no group {names!r}")
        return found

    def same_as(self, other: Keys) -> bool:
        """True where names and groups are equal; timelines do not count."""
        return self is other or (self.keys == other.keys and self.groups == other.groups)

    def __getstate__(self) -> tuple[object, ...]:
        return (self.keys, self.groups, self.group_of_key, self.windowed)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        for name, value in zip(("keys", "groups", "group_of_key", "windowed"), state, strict=True):
            object.__setattr__(self, name, value)


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:20])
    return f"there are {shown}{', ...' if len(names) > 20 else ''}"
