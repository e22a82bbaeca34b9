"""Features of fixed width, written out by row: dense features, labels, weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format._jit import kernel
from recd_format.loader.columns import BatchSchema
from recd_format.loader.layout import Layout, Section
from recd_format.loader.preparation import Role
from recd_format.torch._jagged import send

__all__ = ["FixedColumns", "expand_columns"]

_DTYPES = {"int64": (torch.int64, 8), "int32": (torch.int32, 4), "float32": (torch.float32, 4)}


@dataclass(frozen=True)
class FixedColumns:
    """The columns that the features of one role make.

    Attributes
    ----------
    role : Role
    names : tuple of str
        One a column; those of a vector are numbered, ``"name[0]"``.
    feature, component, width, group : ndarray of int64, shape [columns]
        Feature of the column among those of the role, its place in the feature's row, values of
        that row, dedup group.
    """

    role: Role
    names: tuple[str, ...]
    feature: NDArray[np.int64]
    component: NDArray[np.int64]
    width: NDArray[np.int64]
    group: NDArray[np.int64]

    @classmethod
    def of(cls, schema: BatchSchema, role: Role) -> FixedColumns:
        """Columns of a role."""
        features = [schema.features[number] for number in schema.of_role(role)]
        widths = np.array([feature.width for feature in features], np.int64)
        number = np.repeat(np.arange(len(features)), widths)
        component = np.arange(len(number)) - np.repeat(np.cumsum(widths) - widths, widths)
        names = tuple(
            feature.name if feature.width == 1 else f"{feature.name}[{place}]"
            for feature in features
            for place in range(feature.width)
        )
        groups = np.array([feature.group for feature in features], np.int64)
        return cls(role, names, number, component, widths[number], groups[number])

    def expand(
        self,
        buffer: Any,
        inverse: Any,
        section: Section,
        schema: BatchSchema,
        layout: Layout,
        values: NDArray[np.int64],
        rows: int,
    ) -> Any:
        """Return the columns of a batch.

        Parameters
        ----------
        buffer : Tensor of uint8
            The batch's.
        inverse : Tensor of int32, shape [stored groups, rows]
        section, layout
            Where the role's values are.
        values : ndarray of int64, shape [features]
            Values of each feature of the batch.
        rows : int
            B.

        Returns
        -------
        Tensor of float32, shape [rows, columns]
        """
        count = values[schema.slice_of(self.role)]
        base = (np.cumsum(count) - count)[self.feature] + self.component
        stored = section_of(buffer, section)
        return expand_columns(
            stored, inverse, layout.inverse_row[self.group], base, self.width, rows
        )


def section_of(buffer: Any, section: Section) -> Any:
    """A section of a batch's buffer as a tensor: a view."""
    dtype, size = _DTYPES[section.dtype]
    begin = section.byte_offset
    return buffer[begin : begin + size * section.count].view(dtype)


def expand_columns(
    stored: Any,
    inverse: Any,
    inverse_row: NDArray[np.int64],
    base: NDArray[np.int64],
    width: NDArray[np.int64],
    rows: int,
) -> Any:
    """Return ``stored[base + width * inverse]`` of each column, float32 [rows, columns].

    Parameters
    ----------
    stored : Tensor of float32, 1-D
    inverse : Tensor of int32, shape [stored groups, rows]
    inverse_row : ndarray of int64, shape [columns]
        Row of `inverse`; -1: row i is unique row i.
    base, width : ndarray of int64, shape [columns]
    rows : int
    """
    if stored.device.type == "cpu":
        out = np.empty((rows, len(base)), np.float32)
        _expand_columns(stored.numpy(), inverse.reshape(-1).numpy(), inverse_row, base, width, out)
        return torch.from_numpy(out)
    return expand_columns_on_device(stored, inverse, inverse_row, base, width, rows)


def expand_columns_on_device(
    stored: Any,
    inverse: Any,
    inverse_row: NDArray[np.int64],
    base: NDArray[np.int64],
    width: NDArray[np.int64],
    rows: int,
) -> Any:
    """The same in a fixed number of torch operations, on the device of `stored`."""
    device = stored.device
    if not rows or not len(base):
        return torch.empty((rows, len(base)), dtype=torch.float32, device=device)
    # The last row stands for groups without an inverse: it is what -1 chooses.
    identity = torch.arange(rows, dtype=torch.int32, device=device).unsqueeze(0)
    every = torch.cat([inverse, identity])
    row = np.where(inverse_row < 0, len(inverse), inverse_row)
    table = send(np.stack([row, base, width]), device)
    index = every.index_select(0, table[0]).t() * table[2] + table[1]
    return stored.take(index)


@kernel("void(float32[::1], int32[::1], int64[::1], int64[::1], int64[::1], float32[:, ::1])")
def _expand_columns(stored, inverse, inverse_row, base, width, out):  # type: ignore[no-untyped-def]
    # Blocks of rows: the output's cache lines are still there for the next column.
    rows, columns = out.shape
    for begin in range(0, rows, 64):
        end = min(begin + 64, rows)
        for c in range(columns):
            first, step = base[c], width[c]
            if inverse_row[c] < 0:
                for i in range(begin, end):
                    out[i, c] = stored[first + i * step]
            else:
                at = inverse_row[c] * rows
                for i in range(begin, end):
                    out[i, c] = stored[first + inverse[at + i] * step]
