"""The planner: which fields form a group, in which mode, and which are references.

It samples whole sessions and weighs bytes; it is given `size_of` and knows no codec. Its work is
linear in the number of fields (pairs are compared among at most 64 classes of equal pattern).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from xxhash import xxh3_64_intdigest

from recd_format.dedup.cluster import Clustering
from recd_format.dedup.exact import first_equal
from recd_format.dedup.plan_fields import (
    FieldCost,
    FieldSample,
    Pattern,
    SizeOf,
    measure,
    packed_size,
    values_size,
)
from recd_format.dedup.plan_merge import FieldClass, merge_classes
from recd_format.dedup.plan_types import GroupPlan, Mode, Plan
from recd_format.dedup.plan_windows import WindowGroup, window_groups
from recd_format.dedup.reference import Reference, find_references, own_index
from recd_format.errors import RecdInputError
from recd_format.jagged import Column

__all__ = ["Dedup", "FieldSample", "GroupPlan", "Mode", "Plan", "ReferencePlan", "plan"]

Dedup = Literal["auto", "none", "adjacent", "full", "session", "stripe"]
_MODES = get_args(Mode)

ReferencePlan = Reference

_AUTO = ("session", "adjacent", "none")
# A reference must save this share of a row's byte to be worth the dependency.
_REFERENCE_LEAST_BYTES = 0.05
_STRIPE_ROWS = 65_536
# Rows x fields that are looked at: wide files are planned on fewer rows, in the same time.
_SAMPLE_CELLS = 1 << 23
_SAMPLE_ROWS = 2048


def plan(
    fields: Sequence[FieldSample],
    sample: Clustering,
    *,
    dedup: Dedup | Mapping[str, Mode] = "auto",
    size_of: SizeOf = packed_size,
    stripe_rows: int = _STRIPE_ROWS,
) -> Plan:
    """Choose groups, modes and references by bytes.

    Parameters
    ----------
    fields
        Every field but the session key, in schema order.
    sample : Clustering
        Whole sessions (`Clustering.sample`); about 8,000 rows are enough. Above 1,024 fields
        only a part of them is looked at.
    dedup
        "auto" weighs everything; "none", "adjacent", "session" (or "full": the same) and
        "stripe" hold all fields to one mode; a mapping holds the fields it names.
    size_of
        Estimated stored bytes of an array of values.
    stripe_rows
        Rows a stripe will have, for what repeats across sessions.

    Raises
    ------
    RecdInputError
        Unknown mode or field, or a window of something that is not a list.
    """
    modes = _allowed(fields, dedup)
    auto = dedup == "auto" or not isinstance(dedup, str)
    if not sample.num_rows or not fields:
        return _collect(fields, [(list(range(len(fields))), "none")], (), 0.0)
    sample = sample.sample(max(_SAMPLE_ROWS, _SAMPLE_CELLS // len(fields)))
    costs: dict[int, FieldCost] = {}
    patterns: dict[int, Pattern] = {}
    for i, field in enumerate(fields):
        if modes[i] not in (("none",), ("stripe",)):
            patterns[i], costs[i] = measure(field, i, sample, size_of, stripe_rows)
    free = [i for i in costs if modes[i] == _AUTO]
    references = _references(fields, free, costs, patterns, sample, size_of) if auto else ()
    taken = {_index_of(fields, ref.field) for ref in references}
    windows = _windows(fields, modes, costs, patterns, taken, sample, size_of)
    taken |= {i for group in windows for i in group.members}
    stripes = [
        i
        for i in range(len(fields))
        if i not in taken
        and (modes[i] == ("stripe",) or (modes[i] == _AUTO and _prefers_stripe(i, costs, patterns)))
    ]
    taken |= set(stripes)
    classes = merge_classes(_classes(modes, costs, patterns, taken))
    chosen: list[tuple[list[int], Mode]] = [(list(g.members), "window") for g in windows]
    chosen += _stripe_groups(fields, stripes, sample)
    chosen += [(c.members, c.mode) for c in classes if c.mode != "none"]  # type: ignore[misc]
    grouped = {i for members, _ in chosen for i in members}
    # All rows of all fields: one identity inverse serves them together.
    rest = [i for i in range(len(fields)) if i not in grouped]
    if rest:
        chosen.append((rest, "none"))
    decoded = _decoded(fields, costs, patterns, windows, classes, rest, sample)
    return _collect(fields, chosen, references, decoded)


def _index_of(fields: Sequence[FieldSample], name: str) -> int:
    """Place of the field called `name`."""
    return next(i for i, field in enumerate(fields) if field.name == name)


def _may_be_window(field: FieldSample) -> bool:
    return field.window and field.column.offsets is not None


def _allowed(
    fields: Sequence[FieldSample], dedup: Dedup | Mapping[str, Mode]
) -> list[tuple[str, ...]]:
    """Modes each field may take; `_AUTO` leaves windows and stripes open too."""
    if isinstance(dedup, str):
        if dedup not in get_args(Dedup):
            raise RecdInputError(f"dedup={dedup!r}: expected one of {', '.join(get_args(Dedup))}")
        held = "session" if dedup == "full" else dedup
        every = _AUTO if held == "auto" else (held,)
        return [every if field.dedup else ("none",) for field in fields]
    names = {field.name for field in fields}
    for name, mode in dedup.items():
        if name not in names:
            raise RecdInputError(f"dedup names {name!r}, which is not a field")
        if mode not in (*_MODES, "full"):
            modes = ", ".join((*_MODES, "full"))
            raise RecdInputError(f"dedup[{name!r}]={mode!r}: expected one of {modes}")
    for field in fields:
        if dedup.get(field.name) == "window" and not _may_be_window(field):
            raise RecdInputError(f"dedup[{field.name!r}]='window': only lists can be windows")
    default = {field.name: "" if field.dedup else "none" for field in fields}
    asked = [str(mode).replace("full", "session") for mode in {**default, **dedup}.values()]
    return [(mode,) if mode else _AUTO for mode in asked]


def _classes(
    modes: list[tuple[str, ...]],
    costs: dict[int, FieldCost],
    patterns: dict[int, Pattern],
    taken: set[int],
) -> list[FieldClass]:
    """One class for each pattern that fields share exactly."""
    members: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for i, pattern in patterns.items():
        if i not in taken:
            members.setdefault((xxh3_64_intdigest(pattern.first.data), modes[i]), []).append(i)
    return [
        FieldClass(
            group,
            patterns[group[0]],
            allowed,
            sum(costs[i].none for i in group),
            sum(costs[i].per_unique for i in group),
            sum(costs[i].per_run for i in group),
        )
        for (_, allowed), group in members.items()
    ]


def _references(
    fields: Sequence[FieldSample],
    free: list[int],
    costs: dict[int, FieldCost],
    patterns: dict[int, Pattern],
    sample: Clustering,
    size_of: SizeOf,
) -> tuple[Reference, ...]:
    """References that save bytes; a field that serves as an index is none itself."""
    scalars, lists, indices = {}, {}, {}
    for i, field in enumerate(fields):
        column = field.column
        if not field.reference:
            continue
        if column.offsets is not None:
            if column.weights is None:
                lists[field.name] = column
        elif column.width == 1:
            if column.values.dtype.kind in "iu":
                indices[field.name] = column
            if i in free and patterns[i].unique > 1:
                scalars[field.name] = column
    if not scalars or not lists:
        return ()
    place = {field.name: i for i, field in enumerate(fields)}
    chosen: dict[str, Reference] = {}
    gains: dict[str, float] = {}
    least = _REFERENCE_LEAST_BYTES * sample.num_rows
    for ref in find_references(scalars, lists, indices, sample.permutation):
        index = 0.0
        if ref.index_field is None:
            own = own_index(scalars[ref.field], lists[ref.list_field], sample.permutation)
            if own is None:
                continue
            index = values_size(Column(own.astype("<u4")), size_of)
        cost = costs[place[ref.field]]
        gain = min(cost.none, cost.unique + patterns[place[ref.field]].code_bytes) - index
        if gain >= least and gain > gains.get(ref.field, 0.0):
            chosen[ref.field], gains[ref.field] = ref, gain
    used = {ref.index_field for ref in chosen.values()}
    return tuple(ref for ref in chosen.values() if ref.field not in used)


def _windows(
    fields: Sequence[FieldSample],
    modes: list[tuple[str, ...]],
    costs: dict[int, FieldCost],
    patterns: dict[int, Pattern],
    taken: set[int],
    sample: Clustering,
    size_of: SizeOf,
) -> list[WindowGroup]:
    forced = frozenset(i for i in range(len(fields)) if modes[i] == ("window",))
    candidates = [
        i
        for i in sorted(costs)
        if i in forced
        or (
            modes[i] == _AUTO
            and i not in taken
            and _may_be_window(fields[i])
            # Without a second list in a session, or with lists of one id, nothing overlaps.
            and patterns[i].unique > 1.05 * sample.num_sessions
            and costs[i].decoded_per_unique - 4 >= 2 * fields[i].column.values.itemsize
        )
    ]
    return window_groups(fields, candidates, costs, forced, sample, size_of)


def _prefers_stripe(i: int, costs: dict[int, FieldCost], patterns: dict[int, Pattern]) -> bool:
    cost = costs[i]
    return cost.stripe < min(cost.none, cost.unique + patterns[i].code_bytes)


def _stripe_groups(
    fields: Sequence[FieldSample], stripes: list[int], sample: Clustering
) -> list[tuple[list[int], Mode]]:
    """Fields that repeat alike across sessions share a group."""
    groups: dict[int, list[int]] = {}
    for i in stripes:
        first = first_equal(fields[i].column, sample.permutation, sample.session_offsets, "stripe")
        groups.setdefault(xxh3_64_intdigest(first.data), []).append(i)
    return [(members, "stripe") for members in groups.values()]


def _decoded(
    fields: Sequence[FieldSample],
    costs: dict[int, FieldCost],
    patterns: dict[int, Pattern],
    windows: list[WindowGroup],
    classes: list[FieldClass],
    rest: list[int],
    sample: Clustering,
) -> float:
    """Decoded bytes of the sample's rows under the plan, per row."""
    rows = sample.num_rows
    share = {i: patterns[i].unique / rows for i in patterns}
    for joint in classes:
        share.update(dict.fromkeys(joint.members, joint.pattern.unique / rows))
    share.update(dict.fromkeys(rest, 1.0))
    total = 4.0 * (len(windows) + len(classes))
    for group in windows:
        total += group.unique * 12 / rows
        for i in group.members:
            share[i] = 0.0
            total += group.timeline * fields[i].column.values.itemsize / rows
    for i, field in enumerate(fields):
        column = field.column
        each = (
            costs[i].decoded_per_unique
            if i in costs
            else (column.values.nbytes / max(column.num_rows, 1))
        )
        total += share.get(i, 1.0) * each
    return round(total, 3)


def _collect(
    fields: Sequence[FieldSample],
    chosen: Sequence[tuple[list[int], str]],
    references: tuple[Reference, ...],
    decoded: float,
) -> Plan:
    ordered = sorted((sorted(members), mode) for members, mode in chosen if members)
    groups = tuple(
        GroupPlan(tuple(fields[i].name for i in members), mode)  # type: ignore[arg-type]
        for members, mode in ordered
    )
    return Plan(groups, references, decoded)
