"""Which lists overlap enough to be stored as windows, and which of them share one timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.dedup.cluster import Clustering
from recd_format.dedup.gather import take_values
from recd_format.dedup.plan_fields import ROW_COST, FieldCost, FieldSample, SizeOf
from recd_format.dedup.window import Windows, find_windows
from recd_format.jagged import Column

__all__ = ["WindowGroup", "window_cost", "window_groups"]

# A first look at few rows; most lists overlap not at all.
_LOOK_ROWS = 1024
_LOOK_GAIN = 0.8
# Parallel lists merge into timelines of about equal length, alone and together.
_PARALLEL = 1.1
_SETS = 16


@dataclass(frozen=True, slots=True)
class WindowGroup:
    """Lists that share one timeline, and their bytes in the sample (codes included)."""

    members: tuple[int, ...]
    cost: float
    unique: int
    timeline: int


def window_groups(
    fields: Sequence[FieldSample],
    candidates: Sequence[int],
    costs: dict[int, FieldCost],
    forced: frozenset[int],
    sample: Clustering,
    size_of: SizeOf,
) -> list[WindowGroup]:
    """Window groups among `candidates` whose lists overlap.

    Parameters
    ----------
    candidates
        Indices of jagged fields that may be windows.
    costs
        What each costs with exact duplicates.
    forced
        Those that must be windows.
    """
    look = sample.sessions(0, _sessions_for(sample, _LOOK_ROWS))
    sets: list[tuple[list[int], int]] = []
    for i in candidates:
        column = fields[i].column
        alone = find_windows([column], look.permutation, look.session_offsets)
        stored = int(alone.lengths.sum())
        if i not in forced and len(alone.timeline) > _LOOK_GAIN * stored:
            continue
        for place, (members, timeline) in enumerate(sets[-_SETS:], max(0, len(sets) - _SETS)):
            if not _same_lengths(fields, members[0], i, sample):
                continue
            joined = _parallel(fields, members[0], i, alone, timeline, look)
            if joined is not None:
                sets[place] = ([*members, i], joined)
                break
        else:
            sets.append(([i], len(alone.timeline)))
    result = []
    for members, _ in sets:
        joint = window_cost([fields[i].column for i in members], tuple(members), sample, size_of)
        if len(members) > 1:
            single = [window_cost([fields[i].column], (i,), sample, size_of) for i in members]
            if sum(group.cost for group in single) < joint.cost:
                result += [g for g in single if _pays(g, costs, forced)]
                continue
        if _pays(joint, costs, forced):
            result.append(joint)
    return result


def window_cost(
    columns: Sequence[Column], members: tuple[int, ...], sample: Clustering, size_of: SizeOf
) -> WindowGroup:
    """Bytes of one window group on the sample."""
    found = find_windows(columns, sample.permutation, sample.session_offsets)
    cost = sum(float(size_of(part.astype(np.uint32))) for part in _row_arrays(found))
    cost += ROW_COST * len(found.unique_rows) * len(columns)
    for column in columns:
        kept = take_values(column, found.timeline)
        if len(found.timeline):
            cost += size_of(kept.values)
            cost += 0 if kept.weights is None else size_of(kept.weights)
    return WindowGroup(members, cost, len(found.unique_rows), len(found.timeline))


def _row_arrays(found: Windows) -> tuple[NDArray[Any], ...]:
    return found.codes, found.starts, found.lengths


def _pays(group: WindowGroup, costs: dict[int, FieldCost], forced: frozenset[int]) -> bool:
    """True where a group is smaller than its fields' unique rows, their codes not even counted."""
    if any(i in forced for i in group.members):
        return True
    return group.cost < sum(costs[i].unique for i in group.members)


def _sessions_for(sample: Clustering, rows: int) -> int:
    return max(1, min(sample.num_sessions, int(np.searchsorted(sample.session_offsets, rows))))


def _parallel(
    fields: Sequence[FieldSample], a: int, b: int, alone: Windows, timeline: int, look: Clustering
) -> int | None:
    """Length of the joint timeline of two lists, or None where they are not parallel."""
    joint = find_windows(
        [fields[a].column, fields[b].column], look.permutation, look.session_offsets
    )
    if len(joint.timeline) > _PARALLEL * max(timeline, len(alone.timeline)):
        return None
    return len(joint.timeline)


def _same_lengths(fields: Sequence[FieldSample], a: int, b: int, sample: Clustering) -> bool:
    """True where two lists have equal lengths in every row of the sample."""
    rows = sample.permutation
    return np.array_equal(fields[a].column.lengths[rows], fields[b].column.lengths[rows])
