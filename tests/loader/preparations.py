"""Transforms for tests of the loader, as plain functions of unique rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows

__all__ = ["Functions", "last", "overwritten"]


@dataclass(frozen=True)
class Functions:
    """A `Preparation` made of functions.

    Attributes
    ----------
    of : dict of str to function
        What is done to a feature's unique rows.
    to : dict of str to Role
        Features that change their role.
    outputs : dict of str to (inputs, function)
        Row outputs, all dense.
    bounds : dict of str to int
    calls : list
        Names of the features of each call of `apply`.
    """

    of: Mapping[str, Callable[[UniqueRows], UniqueRows]] = field(default_factory=dict)
    to: Mapping[str, Role] = field(default_factory=dict)
    outputs: Mapping[
        str, tuple[tuple[str, ...], Callable[[Mapping[str, UniqueRows]], UniqueRows]]
    ] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    fingerprint: str = "functions"

    def columns_needed(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Inputs of row outputs."""
        return tuple(
            name for inputs, _ in self.outputs.values() for name in inputs if name not in columns
        )

    def roles(self, given: Mapping[str, Role]) -> dict[str, Role]:
        """The roles given, changed; row outputs behind."""
        return {**given, **self.to, **dict.fromkeys(self.outputs, Role.DENSE)}

    def touched(self) -> frozenset[str]:
        """All that are named."""
        return frozenset({*self.of, *self.to, *self.outputs})

    def apply(self, rows: Mapping[str, UniqueRows]) -> dict[str, UniqueRows]:
        """Each by its function."""
        self.calls.append(tuple(rows))
        return {name: self.of[name](own) if name in self.of else own for name, own in rows.items()}

    def row_outputs(self) -> Mapping[str, tuple[str, ...]]:
        """Row outputs and their inputs."""
        return {name: inputs for name, (inputs, _) in self.outputs.items()}

    def apply_to_rows(self, output: str, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """The output's function."""
        return self.outputs[output][1](inputs)

    def id_bound(self, name: str) -> int | None:
        """The bound that was given."""
        return self.bounds.get(name)


def overwritten(rows: UniqueRows) -> UniqueRows:
    """All values and weights become 7, in place."""
    rows.values[:] = 7
    if rows.weights is not None:
        rows.weights[:] = 7
    return rows


def last(count: int) -> Callable[[UniqueRows], UniqueRows]:
    """At most the last `count` values of each row, without moving one."""

    def cut(rows: UniqueRows) -> UniqueRows:
        lengths = rows.lengths
        if lengths is None:
            lengths = np.full(rows.num_rows, rows.width, np.int32)
        ends = np.cumsum(lengths)
        starts = ends - lengths if rows.starts is None else rows.starts
        kept = np.minimum(lengths, np.int32(count))
        return replace(rows, lengths=kept, starts=(starts + lengths - kept).astype(np.int32))

    return cut
