"""What every operation is: its parameters, the roles it takes, what it does to unique rows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.loader.preparation import Role
from recd_format.loader.rows import UniqueRows

__all__ = [
    "FLOATS",
    "IDS",
    "INT64_MAX",
    "LISTS",
    "Operation",
    "RowOperation",
    "UniqueOperation",
    "check_name",
    "is_number",
    "only_value",
    "role_name",
    "set_integer",
    "set_number",
]

IDS = frozenset({Role.SPARSE, Role.IDSCORE})
FLOATS = frozenset({Role.FLOAT_LIST, Role.DENSE})
LISTS = frozenset({Role.SPARSE, Role.IDSCORE, Role.FLOAT_LIST})
INT64_MAX = (1 << 63) - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)

_ROLE_NAMES = {
    Role.SPARSE: "id_list",
    Role.IDSCORE: "id_score_list",
    Role.FLOAT_LIST: "float_list",
    Role.DENSE: "dense",
    Role.LABEL: "label",
    Role.WEIGHT: "sample weight",
}
_Self = TypeVar("_Self", bound="Operation")


def role_name(role: Role) -> str:
    """Word for a role in messages."""
    return _ROLE_NAMES[role]


@dataclass(frozen=True, slots=True)
class Operation:
    """A frozen set of parameters; its class name is its name in configurations."""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as plain JSON, enough for `from_parameters`."""
        return {
            field.name: list(value)
            if isinstance(value := getattr(self, field.name), tuple)
            else value
            for field in fields(self)
        }

    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, as plain JSON; it goes into fingerprints."""
        return self.parameters()

    @classmethod
    def from_parameters(cls: type[_Self], parameters: Mapping[str, Any]) -> _Self:
        """Make the operation that `parameters()` of another one describes."""
        known = {field.name for field in fields(cls) if field.init}
        unknown = [name for name in parameters if name not in known]
        if unknown:
            raise RecdInputError(
                f"{cls.__name__}: no parameter {unknown[0]!r}; there are {', '.join(sorted(known))}"
            )
        try:
            return cls(**parameters)
        except TypeError as error:
            raise RecdInputError(f"{cls.__name__}: {error}") from error

    @property
    def name(self) -> str:
        """Name in configurations and messages."""
        return type(self).__name__


@dataclass(frozen=True, slots=True)
class UniqueOperation(Operation, ABC):
    """Something done to the unique rows of a feature, once a stripe.

    Elementwise operations work on `values` in place, each element of a timeline once.
    """

    takes: ClassVar[frozenset[Role]]

    def role_after(self, feature: str, role: Role) -> Role:
        """Role of a feature of `role` afterwards.

        Raises
        ------
        RecdInputError
            The operation takes no features of this role.
        """
        if role not in self.takes:
            raise RecdInputError(
                f"{self.name} of {feature!r}: expected {_roles(self.takes)}, "
                f"it is {role_name(role)}"
            )
        return role

    def bound_after(self, bound: int | None) -> int | None:
        """All ids are in [0, bound) afterwards, given that of the ids before; None: unknown."""
        return bound

    @abstractmethod
    def apply(self, feature: str, rows: UniqueRows) -> UniqueRows:
        """Do it: `values` and `weights` may be overwritten, `lengths` and `starts` never."""


class RowOperation(Operation, ABC):
    """A new feature, computed of columns that are written out row by row.

    Columns come as they are stored: ids and integers int64, all others float32 or float64.
    """

    # No dataclass: its fields would come before those of the operations.
    __slots__ = ()
    output_role: ClassVar[Role]
    takes: ClassVar[frozenset[Role]]
    output: str

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Columns that it is computed from."""

    def check_input(self, column: str, role: Role) -> None:
        """Raise RecdInputError where a column of `role` is no input."""
        if role not in self.takes:
            raise RecdInputError(
                f"{self.name} {self.output!r} of {column!r}: expected {_roles(self.takes)}, "
                f"it is {role_name(role)}"
            )

    def bound(self) -> int | None:
        """All ids are in [0, bound); None: nothing is known, or there are no ids."""
        return None

    @abstractmethod
    def apply(self, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """Compute the feature, one row for each row of the inputs."""


def _roles(roles: frozenset[Role]) -> str:
    return " or ".join(role_name(role) for role in sorted(roles))


def is_number(value: object) -> bool:
    """True for Python's and NumPy's integers and floats."""
    return not isinstance(value, bool) and isinstance(value, (int, float, np.integer, np.floating))


def check_name(operation: Operation, field: str) -> None:
    """Check that a parameter is the name of a column, or raise RecdInputError."""
    value = getattr(operation, field)
    if not isinstance(value, str) or not value:
        raise RecdInputError(f"{operation.name}({field}={value!r}): expected a name")


def set_integer(operation: Operation, field: str, low: int, high: int) -> None:
    """Make a parameter a Python int, or raise RecdInputError naming it."""
    value: Any = getattr(operation, field)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise RecdInputError(f"{operation.name}({field}={value!r}): expected an integer")
    if not low <= value <= high:
        raise RecdInputError(f"{operation.name}({field}={value!r}): expected {low} to {high}")
    object.__setattr__(operation, field, int(value))


def set_number(operation: Operation, field: str) -> None:
    """Make a parameter a Python int or float that float32 can hold, or raise RecdInputError."""
    value: Any = getattr(operation, field)
    if not is_number(value):
        raise RecdInputError(f"{operation.name}({field}={value!r}): expected a number")
    if not math.isfinite(value):
        raise RecdInputError(f"{operation.name}({field}={value!r}): expected a finite number")
    if abs(value) > FLOAT32_MAX:
        raise RecdInputError(f"{operation.name}({field}={value!r}): too large for float32")
    plain = int(value) if isinstance(value, (int, np.integer)) else float(value)
    object.__setattr__(operation, field, plain)


def only_value(
    operation: RowOperation, column: str, rows: UniqueRows
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Values of a column that has at most one value a row.

    Returns
    -------
    values : ndarray, shape [rows]
        0 where the row has none.
    present : ndarray of bool, shape [rows], or None
        Whether the row has a value; None: all have.

    Raises
    ------
    RecdInputError
        A row has more than one.
    """
    if rows.lengths is None:
        if rows.width != 1:
            raise _too_many(operation, column, rows.width, 0)
        return rows.values, None
    longer = np.flatnonzero(rows.lengths > 1)
    if len(longer):
        raise _too_many(operation, column, int(rows.lengths[longer[0]]), int(longer[0]))
    present = rows.lengths == 1
    if rows.starts is not None:
        held = rows.values[rows.starts[present]]
    else:
        held = rows.values[: int(present.sum())]
    values = np.zeros(len(present), rows.values.dtype)
    values[present] = held
    return values, present


def _too_many(operation: RowOperation, column: str, values: int, row: int) -> RecdInputError:
    return RecdInputError(
        f"{operation.name} {operation.output!r}: {column!r} has {values} values in row {row}, "
        "expected at most one"
    )
