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


@dataclass(frozen=True)
class Layout:
    """Sections of a batch's buffer.

    Attributes
    ----------
    sections : ndarray of int64, shape [sections, 2]
        Byte offset and number of values of each, in the order of `_kernels.place_sections`.
    places : ndarray of int64, shape [features, 4]
        Byte offset of each feature's values, weights, lengths and starts.
    inverse_row : ndarray of int64, shape [groups]
        Row of `inverse`; -1 for identity groups.
    csr_start : ndarray of int64, shape [groups]
        Where in `csr` a group's offsets begin; -1 where it has none.
    id_dtype : str
    nbytes : int
    """

    sections: NDArray[np.int64]
    places: NDArray[np.int64]
    inverse_row: NDArray[np.int64]
    csr_start: NDArray[np.int64]
    id_dtype: str
    nbytes: int

    def _section(self, number: int, dtype: str) -> Section:
        byte_offset, count = self._table[number]
        return Section(byte_offset, dtype, count)

    @cached_property
    def _table(self) -> list[list[int]]:
        table: list[list[int]] = self.sections.tolist()
        return table

    @property
    def inverse(self) -> Section:
        """int32 [groups that are not identity, B]."""
        return self._section(0, "int32")

    @property
    def csr(self) -> Section:
        """int32; of each group neither identity nor monotone, offsets [U + 1], then rows [B]."""
        return self._section(1, "int32")

    @cached_property
    def jagged(self) -> dict[Role, JaggedLayout]:
        """Sections of each jagged role."""
        return {
            role: JaggedLayout(
                self._section(
                    2 + 4 * role, "float32" if role is Role.FLOAT_LIST else self.id_dtype
                ),
                self._section(4 + 4 * role, "int32"),
                self._section(5 + 4 * role, "int32"),
                self._section(3 + 4 * role, "float32") if role is Role.IDSCORE else None,
            )
            for role in JAGGED
        }

    @property
    def dense(self) -> Section:
        """float32; feature after feature, each [U, width]."""
        return self._section(14, "float32")

    @property
    def labels(self) -> Section:
        """float32; feature after feature, each [U, width]."""
        return self._section(15, "float32")

    @property
    def weights(self) -> Section:
        """float32; feature after feature, each [U, width]."""
        return self._section(16, "float32")

    @property
    def session_ids(self) -> Section:
        """int64 [S]."""
        return self._section(17, "int64")

    @property
    def session_rows(self) -> Section:
        """int32 [S]."""
        return self._section(18, "int32")

    @property
    def factor(self) -> Section:
        """float32 [B]; empty unless the loader downsamples."""
        return self._section(19, "float32")


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
    end = int(sections[-1, 0]) + 4 * factors
    nbytes = -(-end // _ALIGNMENT) * _ALIGNMENT
    ids = "int64" if schema.id_bytes == 8 else "int32"
    return Layout(sections, places, inverse_row, csr_start, ids, nbytes)


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
    plain : ndarray of int64, shape [features]
        Values of the unique rows, windows written out.
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
    plain: NDArray[np.int64]
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
