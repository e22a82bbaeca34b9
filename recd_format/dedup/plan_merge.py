"""Fields that change together share one inverse: merging patterns where that saves bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recd_format.dedup.exact import combine
from recd_format.dedup.plan_fields import Pattern

__all__ = ["FieldClass", "merge_classes"]

# Pairs are compared among so many classes at a time: the work stays linear in the classes.
_WINDOW = 64
_ROUNDS = 3
# A joint group has more unique rows than its parts: noise in the sample must not pay for that.
_LEAST_GAIN = 0.03


@dataclass(slots=True)
class FieldClass:
    """Fields with one pattern of change, on their way to be a group.

    Attributes
    ----------
    members : list of int
        Fields.
    pattern : Pattern
        Of their tuple.
    modes : tuple of str
        Modes allowed, of "session", "adjacent", "none"; the first wins a tie.
    none : float
        Bytes if every row is stored.
    per_unique, per_run : float
        Bytes of one unique row, in session mode and in adjacent mode.
    """

    members: list[int]
    pattern: Pattern
    modes: tuple[str, ...]
    none: float
    per_unique: float
    per_run: float
    mode: str = field(init=False)
    cost: float = field(init=False)

    def __post_init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Set `mode` and `cost` to the cheapest mode allowed."""
        costs = [(self._cost(mode), place, mode) for place, mode in enumerate(self.modes)]
        self.cost, _, self.mode = min(costs)

    def _cost(self, mode: str) -> float:
        if mode == "none":
            # Where little repeats, an inverse must earn its place.
            often = 2 * self.pattern.unique > self.pattern.rows
            return self.none * (1 - _LEAST_GAIN) if often else self.none
        if mode == "adjacent":
            return self.pattern.rows / 8 + self.per_run * self.pattern.runs
        return self.pattern.code_bytes + self.per_unique * self.pattern.unique

    def join(self, other: FieldClass) -> FieldClass:
        """Return the class of both classes' fields."""
        offsets = self.pattern.session_offsets
        first = combine([self.pattern.first, other.pattern.first], offsets, "session")
        return FieldClass(
            [*self.members, *other.members],
            Pattern(first, offsets),
            self.modes,
            self.none + other.none,
            self.per_unique + other.per_unique,
            self.per_run + other.per_run,
        )


def merge_classes(classes: list[FieldClass]) -> list[FieldClass]:
    """Merge classes of equal `modes` greedily while the bytes fall.

    Classes are sorted by how often they change and compared with their neighbours in that
    order, `_WINDOW` at a time: classes that change together change about equally often.
    """
    alone = [c for c in classes if c.pattern.unique == c.pattern.rows]
    left = [c for c in classes if c.pattern.unique < c.pattern.rows]
    result: list[FieldClass] = alone
    for modes in sorted({c.modes for c in left}):
        same = [c for c in left if c.modes == modes]
        for turn in range(_ROUNDS):
            before = len(same)
            same.sort(key=lambda c: (c.pattern.runs, c.members[0]))
            # Every other round shifts the windows, so that neighbours meet.
            cuts = [0, *range(_WINDOW // 2 if turn % 2 else _WINDOW, before, _WINDOW), before]
            same = [
                merged for begin, end in pairwise(cuts) for merged in _merge_window(same[begin:end])
            ]
            if len(same) == before or before <= _WINDOW:
                break
        result += same
    return result


def _merge_window(classes: list[FieldClass]) -> list[FieldClass]:
    """Merge among at most `_WINDOW` classes: the best estimated pair first, checked exactly."""
    classes = list(classes)
    if len(classes) < 2:
        return classes
    changes = np.stack([c.pattern.changes for c in classes]).astype(np.float32)
    gains = np.full((len(classes), len(classes)), -np.inf)
    dead = np.zeros(len(classes), np.bool_)
    both = changes @ changes.T
    for i in range(1, len(classes)):
        gains[i, :i] = _gains(classes, both[i], i)[:i]
    while True:
        i, j = divmod(int(np.argmax(gains)), len(classes))
        if not gains[i, j] > 0:
            break
        joint = classes[i].join(classes[j])
        apart = classes[i].cost + classes[j].cost
        if joint.cost > (1 - _LEAST_GAIN) * apart:
            gains[i, j] = -np.inf
            continue
        classes[j], dead[i] = joint, True
        changes[j] = joint.pattern.changes
        gains[i, :] = gains[:, i] = -np.inf
        row = _gains(classes, changes @ changes[j], j)
        row[dead] = -np.inf
        gains[j, :j], gains[j + 1 :, j] = row[:j], row[j + 1 :]
    return [c for c, gone in zip(classes, dead, strict=True) if not gone]


def _gains(classes: list[FieldClass], both: NDArray[np.float32], i: int) -> NDArray[np.float64]:
    """Bytes saved if class i joined each other one, by an estimate.

    `both` [classes] counts the changes each class has in common with class i.
    """
    mine = classes[i]
    runs, unique, cost, per_unique, per_run, codes = np.array(
        [
            (p.runs, p.unique, c.cost, c.per_unique, c.per_run, p.code_bytes)
            for c in classes
            for p in [c.pattern]
        ]
    ).T
    union = runs + mine.pattern.runs - both
    adjacent = mine.pattern.rows / 8 + (per_run + mine.per_run) * union
    # A pattern with copies further back has fewer unique rows than runs: scale as it has.
    scale = np.maximum(unique / runs, mine.pattern.unique / mine.pattern.runs)
    session = np.maximum(codes, mine.pattern.code_bytes)
    session += (per_unique + mine.per_unique) * union * scale
    best = np.minimum(adjacent, session)
    return np.asarray(cost + mine.cost - best, np.float64)
