"""Where the parts of a batch stand in its one buffer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recd_format.loader._kernels import place_sections
from recd_format.loader.columns import BatchSchema
from recd_format.loader.preparation import Role

if TYPE_CHECKING:
    from recd_format.loader.cursor import Cursor

__all__ = ["BatchBuffer", "Layout", "Section", "lay_out"]

_ALIGNMENT = 64
JAGGED = (Role.SPARSE, Role.IDSCORE, Role.FLOAT_LIST)


@dataclass(frozen=True, slots=True)
class Section:
    """A typed part of the buffer.

    Attributes
    ----------
    byte_offset : int
        A multiple of 64.
    dtype : str
        NumPy's name of the type of its values.
    count : int
        Values.
    """

    byte_offset: int
    dtype: str
    count: int

    def of(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """The section of a buffer, as a view."""
        size = np.dtype(self.dtype).itemsize * self.count
        return data[self.byte_offset : self.byte_offset + size].view(self.dtype)


@dataclass(frozen=True, slots=True)
class JaggedLayout:
    """Sections of the features of one jagged role, end to end by feature.

    Attributes
    ----------
    values : Section of int64 or int32 (ids) or float32
        Timelines where windowed.
    lengths : Section of int32
        One a unique row.
    starts : Section of int32
        One a unique row of the windowed features: where it begins in its feature's timeline.
    weights : Section of float32 or None
        Parallel to `values`.
    """

    values: Section
    lengths: Section
    starts: Section
    weights: Section | None


@dataclass(frozen=True, slots=True)
class Layout:
    """Sections of a batch's buffer.

    Attributes
    ----------
    inverse : Section of int32, [groups that are not identity, B]
    csr : Section of int32
        Of each group neither identity nor monotone: offsets [U + 1], then rows [B] by unique row.
    csr_start : ndarray of int64, shape [groups]
        Where in `csr` a group's offsets begin; -1 where it has none.
    inverse_row : ndarray of int64, shape [groups]
        Row of `inverse`; -1 for identity groups.
    jagged : dict of Role to JaggedLayout
    dense, labels, weights : Section of float32
        Feature after feature, each [U, width].
    session_ids : Section of int64, [S]
    session_rows : Section of int32, [S]
    factor : Section of float32, [B], empty unless the loader downsamples
    nbytes : int
    places : ndarray of int64, shape [features, 4]
        Byte offset of each feature's values, weights, lengths and starts.
    """

    inverse: Section
    csr: Section
    csr_start: NDArray[np.int64]
    inverse_row: NDArray[np.int64]
    jagged: dict[Role, JaggedLayout]
    dense: Section
    labels: Section
    weights: Section
    session_ids: Section
    session_rows: Section
    factor: Section
    nbytes: int
    places: NDArray[np.int64]


_NUM_SECTIONS = 20


def lay_out(
    schema: BatchSchema,
    num_rows: int,
    num_sessions: int,
    unique: NDArray[np.int64],
    values: NDArray[np.int64],
    identity: NDArray[np.bool_],
    monotone: NDArray[np.bool_],
) -> Layout:
    """Return where everything of a batch stands: a pure function of what it holds.

    Parameters
    ----------
    schema
        Features and groups.
    num_rows, num_sessions
        B and S.
    unique : int64 [groups]
        Unique rows of each group.
    values : int64 [features]
        Values of each feature.
    identity, monotone : bool [groups]
    """
    sections = np.zeros((_NUM_SECTIONS, 2), np.int64)
    places = np.zeros((len(values), 4), np.int64)
    inverse_row, csr_start = np.zeros(len(unique), np.int64), np.zeros(len(unique), np.int64)
    factors = num_rows if schema.has_factor else 0
    place_sections(
        schema.roles, schema.windowed, schema.group_of_feature, unique, values, identity, monotone,
        num_rows, num_sessions, schema.id_bytes, factors, sections, places, inverse_row, csr_start,
    )  # fmt: skip
    table = sections.tolist()

    def section(number: int, dtype: str) -> Section:
        return Section(table[number][0], dtype, table[number][1])

    ids = "int64" if schema.id_bytes == 8 else "int32"
    jagged = {
        role: JaggedLayout(
            section(2 + 4 * role, "float32" if role is Role.FLOAT_LIST else ids),
            section(4 + 4 * role, "int32"),
            section(5 + 4 * role, "int32"),
            section(3 + 4 * role, "float32") if role is Role.IDSCORE else None,
        )
        for role in JAGGED
    }
    dense, labels, weights = (section(number, "float32") for number in (14, 15, 16))
    factor = section(19, "float32")
    nbytes = -(-(factor.byte_offset + 4 * factor.count) // _ALIGNMENT) * _ALIGNMENT
    return Layout(
        section(0, "int32"), section(1, "int32"), csr_start, inverse_row, jagged, dense, labels,
        weights, section(17, "int64"), section(18, "int32"), factor, nbytes, places,
    )  # fmt: skip


@dataclass(frozen=True)
class BatchBuffer:
    """One batch: a buffer, and the numbers that say what is in it.

    Attributes
    ----------
    schema : BatchSchema
    data : ndarray of uint8, 64-byte aligned
    num_rows : int
    num_sessions : int
        Runs of rows of one session.
    unique : ndarray of int64, shape [groups]
        Unique rows.
    values : ndarray of int64, shape [features]
        Values in the buffer; of timelines where windowed.
    identity : ndarray of bool, shape [groups]
        Row i is unique row i; the group has no inverse in the buffer.
    monotone : ndarray of bool, shape [groups]
        The inverse never falls.
    meta : dict of str to pyarrow.Array
        Columns asked for as they are.
    cursor : Cursor
    """

    schema: BatchSchema
    data: NDArray[np.uint8]
    num_rows: int
    num_sessions: int
    unique: NDArray[np.int64]
    values: NDArray[np.int64]
    identity: NDArray[np.bool_]
    monotone: NDArray[np.bool_]
    meta: dict[str, Any]
    cursor: Cursor

    def with_layout(self, layout: Layout) -> BatchBuffer:
        """Return this batch, with the layout that it was made by: it need not be found again."""
        self.__dict__["_layout"] = layout
        return self

    @cached_property
    def _layout(self) -> Layout:
        return lay_out(
            self.schema, self.num_rows, self.num_sessions, self.unique, self.values,
            self.identity, self.monotone,
        )  # fmt: skip

    def layout(self) -> Layout:
        """Where the sections stand in `data`."""
        return self._layout
