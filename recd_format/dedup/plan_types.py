"""A dedup plan: what the planner hands to the writer, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from recd_format.dedup.reference import Reference
from recd_format.errors import RecdInputError

__all__ = ["GroupPlan", "Mode", "Plan"]

Mode = Literal["none", "adjacent", "session", "stripe", "window"]
_MODES = get_args(Mode)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Fields that share one inverse lookup, in schema order, and their mode."""

    fields: tuple[str, ...]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file's fields are grouped and deduplicated.

    Attributes
    ----------
    groups : tuple of GroupPlan
        Every field in exactly one; ordered by their first field.
    references : tuple of Reference
        Scalars stored as LIST_AT where a stripe allows it; they are in a group of mode "none".
    decoded_bytes_per_row : float
        Bytes of a row's share of the unique rows, decoded; for the size of stripes.
    """

    groups: tuple[GroupPlan, ...]
    references: tuple[Reference, ...] = ()
    decoded_bytes_per_row: float = 0.0

    def to_json(self) -> str:
        """Return the plan as JSON text; the same plan gives the same text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises
        ------
        RecdInputError
            The text is not a plan.
        """
        try:
            raw = json.loads(text)
            groups = tuple(GroupPlan(_names(g["fields"]), g["mode"]) for g in raw["groups"])
            references = tuple(Reference(**r) for r in raw["references"])
            decoded = float(raw["decoded_bytes_per_row"])
        except (ValueError, TypeError, KeyError) as error:
            raise RecdInputError(f"not a dedup plan: {error!r}") from error
        found = cls(groups, references, decoded)
        found._check()
        return found

    def _check(self) -> None:
        names = [name for group in self.groups for name in group.fields]
        if len(names) != len(set(names)):
            raise RecdInputError("dedup plan: a field stands in two groups")
        for group in self.groups:
            if group.mode not in _MODES or not group.fields:
                raise RecdInputError(f"dedup plan: group {group} has no fields or no known mode")
        known = set(names)
        for ref in self.references:
            used = [ref.field, ref.list_field, ref.index_field or ref.field]
            if ref.base not in (0, 1) or not all(
                isinstance(name, str) and name in known for name in used
            ):
                raise RecdInputError(f"dedup plan: {ref} names unknown fields or a bad base")


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("fields must be a list of names")
    return tuple(names)
