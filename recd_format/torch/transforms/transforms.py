"""Which operations are done to which features: what a reader takes as `transforms=`."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows
from recd_format.torch.transforms._arguments import (
    Chain,
    align,
    as_aligned,
    as_outputs,
    as_unique,
    names_of,
)
from recd_format.torch.transforms.base import LISTS, RowOperation, UniqueOperation, role_name
from recd_format.torch.transforms.config import VERSION, from_config, to_config

__all__ = ["Transforms"]


@dataclass(frozen=True, eq=False)
class Transforms:
    """Preprocessing of features, on unique rows wherever that is possible.

    Immutable and picklable. Two are equal where they do the same.

    Parameters
    ----------
    unique : mapping of str or tuple of str to sequence of operations
        What is done to the unique rows of a feature, or of each of several, in this order. Outputs
        of `rows` may be named too.
    rows : sequence of row operations
        Features computed row by row, of columns written out; only those are expanded.
    aligned : sequence of sequences of str
        Parallel lists: `FirstN` and `LastN` of one of them cut all. Lists of one dedup group that
        are not equally long in every row raise.

    Raises
    ------
    RecdInputError
        A name is there twice, a value is no operation, or cuts of aligned lists contradict.

    Examples
    --------
    >>> from recd_format.torch.transforms import Clip, HashBuckets, Log1p, Subtract
    >>> transforms = Transforms(
    ...     unique={("user", "item"): [HashBuckets(1000)], "age": [Clip(low=0), Log1p()]},
    ...     rows=[Subtract("now", "ts", "age")],
    ... )
    >>> Transforms.from_config(transforms.to_config()) == transforms
    True
    """

    unique: Mapping[str | tuple[str, ...], Sequence[UniqueOperation]] = field(default_factory=dict)
    rows: Sequence[RowOperation] = ()
    aligned: Sequence[Sequence[str]] = ()
    _chains: dict[str, Chain] = field(init=False, repr=False)
    _outputs: dict[str, RowOperation] = field(init=False, repr=False)
    _fingerprint: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unique = as_unique(self.unique)
        outputs = as_outputs(self.rows)
        aligned = as_aligned(self.aligned, outputs)
        chains = {name: chain for names, chain in unique.items() for name in names_of(names)}
        for names in aligned:
            align(chains, names)
        for name, value in (
            ("unique", unique),
            ("rows", tuple(outputs.values())),
            ("aligned", aligned),
            ("_chains", chains),
            ("_outputs", outputs),
            ("_fingerprint", _fingerprint_of(chains, outputs.values(), aligned)),
        ):
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transforms):
            return NotImplemented
        return self._fingerprint == other._fingerprint

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    @property
    def fingerprint(self) -> str:
        """Hash of everything the result depends on; of a vocabulary, of its ids."""
        return self._fingerprint

    def to_config(self) -> dict[str, Any]:
        """Return a plain dict that JSON can hold, and `from_config` takes."""
        return to_config(self.unique, self.rows, self.aligned)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Transforms:
        """Make the transforms that `to_config` of others described.

        Raises
        ------
        RecdInputError
            The dict is none of `to_config`, or a file of a vocabulary has other ids now.
        """
        return cls(*from_config(config))

    def columns_needed(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Columns to read besides `columns`: inputs of row outputs."""
        needed = dict.fromkeys(name for row in self._outputs.values() for name in row.inputs)
        return tuple(name for name in needed if name not in columns)

    def roles(self, given: Mapping[str, Role]) -> dict[str, Role]:
        """Roles of all features of a batch, from those that are `given`.

        Features may change role (bucketized floats are ids); row outputs stand behind the others.

        Parameters
        ----------
        given : mapping of str to Role
            Features of the batch, as they are read.

        Raises
        ------
        RecdInputError
            A feature is named that is not there, or has a role that an operation does not take.
        """
        found = dict(given)
        for output, operation in self._outputs.items():
            if output in given:
                raise RecdInputError(f"transforms: output {output!r} is a column already")
            for column in operation.inputs:
                # Others than features, the order key for instance, are found out when read.
                if column in given:
                    operation.check_input(column, given[column])
            found[output] = operation.output_role
        for name in dict.fromkeys([*self._chains, *(n for names in self.aligned for n in names)]):
            if name not in found:
                close = difflib.get_close_matches(name, found, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise RecdInputError(f"transforms: the batch has no feature {name!r}{hint}")
        for names in self.aligned:
            for name in names:
                if found[name] not in LISTS:
                    raise RecdInputError(
                        f"aligned {name!r}: expected a list, it is {role_name(found[name])}"
                    )
        for name, chain in self._chains.items():
            for each in chain:
                found[name] = each.role_after(name, found[name])
        return found

    def touched(self) -> frozenset[str]:
        """Features that are changed, checked or computed."""
        aligned = (name for names in self.aligned for name in names)
        return frozenset((*self._chains, *aligned, *self._outputs))

    def apply(self, rows: Mapping[str, UniqueRows]) -> dict[str, UniqueRows]:
        """Change the unique rows of the features of one dedup group of one stripe.

        `values` and `weights` are overwritten where that is possible, `lengths` and `starts` never.

        Raises
        ------
        RecdInputError
            An operation cannot take a value, or aligned lists are not equally long.
        """
        for names in self.aligned:
            _check_equal_lengths([(name, rows[name]) for name in names if name in rows])
        return {name: self._changed(name, found) for name, found in rows.items()}

    def row_outputs(self) -> dict[str, tuple[str, ...]]:
        """Features computed row by row, and the columns each is computed from."""
        return {output: operation.inputs for output, operation in self._outputs.items()}

    def apply_to_rows(self, output: str, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """Compute a row output, and do what `unique` says about it.

        Parameters
        ----------
        output
            One of `row_outputs`.
        inputs
            Its columns, written out row by row, before `apply`: integers int64, others floats.
        """
        return self._changed(output, self._outputs[output].apply(inputs))

    def id_bound(self, name: str) -> int | None:
        """All ids of `name` are in [0, bound) after `apply`; None: nothing is known."""
        bound = self._outputs[name].bound() if name in self._outputs else None
        for operation in self._chains.get(name, ()):
            bound = operation.bound_after(bound)
        return bound

    def _changed(self, name: str, rows: UniqueRows) -> UniqueRows:
        for operation in self._chains.get(name, ()):
            rows = operation.apply(name, rows)
        return rows


def _check_equal_lengths(features: Sequence[tuple[str, UniqueRows]]) -> None:
    for name, rows in features[1:]:
        first, expected = features[0]
        if rows.lengths is not None and rows.lengths is expected.lengths:
            continue
        found, wanted = _lengths(rows), _lengths(expected)
        if not np.array_equal(found, wanted):
            row = int(np.flatnonzero(found != wanted)[0])
            raise RecdInputError(
                f"aligned {first!r} and {name!r}: expected lists of the same length, found "
                f"{int(wanted[row])} and {int(found[row])} values in unique row {row}"
            )


def _lengths(rows: UniqueRows) -> Any:
    return np.full(rows.num_rows, rows.width) if rows.lengths is None else rows.lengths


def _fingerprint_of(
    chains: Mapping[str, Chain],
    outputs: Iterable[RowOperation],
    aligned: Sequence[Sequence[str]],
) -> str:
    def said(operation: UniqueOperation | RowOperation) -> list[Any]:
        return [operation.name, operation.identity()]

    # Neither how names are put together nor an empty chain changes what is done.
    what = {
        "version": VERSION,
        "unique": {name: [said(each) for each in chain] for name, chain in chains.items() if chain},
        "rows": [said(each) for each in outputs],
        "aligned": sorted(sorted(names) for names in aligned),
    }
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
