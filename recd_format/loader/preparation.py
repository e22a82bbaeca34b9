"""What a loader asks of transforms: the protocol, so that this layer knows none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol, runtime_checkable

from recd_format.loader.rows import UniqueRows

__all__ = ["Preparation", "Role"]


class Role(IntEnum):
    """Where in a batch a column is."""

    SPARSE = 0
    IDSCORE = 1
    FLOAT_LIST = 2
    DENSE = 3
    LABEL = 4
    WEIGHT = 5


@runtime_checkable
class Preparation(Protocol):
    """Changes to unique rows, once a stripe, in the threads that decode.

    Implementations are immutable, picklable, and say the same in every process.
    """

    @property
    def fingerprint(self) -> str:
        """Changes whenever the result may: it goes into checkpoints."""

    def columns_needed(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Columns to read besides `columns`: inputs of row outputs."""

    def roles(self, given: Mapping[str, Role]) -> dict[str, Role]:
        """Roles of all features of a batch, from those of the columns read: features may change
        role (bucketized floats are ids) and row outputs are added behind.

        Raises RecdInputError where a feature is named that is not there, or of the wrong role.
        """

    def touched(self) -> frozenset[str]:
        """Features that are changed, checked or computed; others come as they are in the files."""

    def apply(self, rows: Mapping[str, UniqueRows]) -> dict[str, UniqueRows]:
        """Change the unique rows of the features of one dedup group of one stripe."""

    def row_outputs(self) -> Mapping[str, tuple[str, ...]]:
        """Features computed row by row, and the columns each is computed from."""

    def apply_to_rows(self, output: str, inputs: Mapping[str, UniqueRows]) -> UniqueRows:
        """Compute a row output from columns that are written out row by row.

        Inputs are as stored (before `apply`): ids and integers int64, others float32 or float64.
        """
