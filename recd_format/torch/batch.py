"""A batch: one buffer and the numbers that say what is in it; tensors are views, made when asked.

Only the buffer travels: to a device in one copy, from a DataLoader worker as one tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recd_format.loader.layout import BatchBuffer, Layout, lay_out
from recd_format.loader.preparation import Role
from recd_format.torch.fixed import FixedColumns, section_of
from recd_format.torch.form import BatchForm
from recd_format.torch.ikjt import InverseKeyedJaggedTensor

if TYPE_CHECKING:
    from recd_format.loader.cursor import Cursor
    from recd_format.torch.keyed_jagged import KeyedJagged

__all__ = ["RecdBatch", "same_session_mask"]


@dataclass(frozen=True)
class _Header:
    """What a batch has besides its buffer; attributes as of `BatchBuffer`."""

    num_rows: int
    num_sessions: int
    unique: NDArray[np.int64]
    values: NDArray[np.int64]
    plain: NDArray[np.int64]
    identity: NDArray[np.bool_]
    monotone: NDArray[np.bool_]
    meta: dict[str, Any]
    cursor: Cursor

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Header, tuple(getattr(self, name) for name in self.__dataclass_fields__))


class RecdBatch:
    """Rows for one training step; each unique row of a dedup group is there once.

    Readers make batches. Their tensors are views of one buffer, or are written out from it the
    first time they are asked for, on the device the batch is on.

    Parameters
    ----------
    form
        What the reader's batches share.
    buffer : Tensor of uint8, 1-D
    header
        What is in the buffer.
    **known
        Private attributes that need not be computed any more.
    """

    def __init__(self, form: BatchForm, buffer: Any, header: _Header, **known: Any) -> None:
        self._form = form
        self._buffer = buffer
        self._header = header
        self.__dict__.update(known)

    @classmethod
    def of(cls, form: BatchForm, batch: BatchBuffer, buffer: Any = None) -> RecdBatch:
        """Make a batch of what a loader gives; nothing is copied.

        Parameters
        ----------
        form
            Of the loader's schema.
        batch
            What the loader gave.
        buffer : Tensor of uint8 or None
            The tensor that its memory is of, if it is one's.
        """
        header = _Header(
            batch.num_rows, batch.num_sessions, batch.unique, batch.values, batch.plain,
            batch.identity, batch.monotone, batch.meta, batch.cursor,
        )  # fmt: skip
        tensor = torch.from_numpy(batch.data) if buffer is None else buffer
        return cls(form, tensor, header, _layout=batch.layout())

    def __reduce__(self) -> tuple[Any, ...]:
        return (RecdBatch, (self._form, self._buffer, self._header))

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        schema = self._form.schema
        counts = [
            (len(schema.of_role(Role.SPARSE)), "sparse"),
            (len(schema.of_role(Role.IDSCORE)), "id score"),
            (len(schema.of_role(Role.FLOAT_LIST)), "float list"),
            (len(self.dense_names), "dense"),
            (len(self.label_names), "label"),
        ]
        features = ", ".join(f"{count} {what}" for count, what in counts if count)
        return (
            f"RecdBatch({self.num_rows} rows of {self._header.num_sessions} sessions: "
            f"{features or 'no features'}; {self.nbytes} bytes on {self.device})"
        )

    @cached_property
    def _layout(self) -> Layout:
        head = self._header
        return lay_out(
            self._form.schema, head.num_rows, head.num_sessions, head.unique, head.values,
            head.identity, head.monotone,
        )  # fmt: skip

    @property
    def num_rows(self) -> int:
        """Rows: B."""
        return self._header.num_rows

    @property
    def device(self) -> Any:
        """Where the tensors are."""
        return self._buffer.device

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer: what travels to a device."""
        return int(self._buffer.numel())

    @property
    def cursor(self) -> Cursor:
        """Where the batch stands; ``reader.state_after(batch)`` resumes after it."""
        return self._header.cursor

    @property
    def meta(self) -> dict[str, Any]:
        """Columns asked for with ``meta=[...]``: pyarrow arrays [B], on the host."""
        return self._header.meta

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Names of the columns of `dense_features`; those of a vector are ``"name[0]"``, ..."""
        return self._form.dense.names

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the columns of `labels`."""
        return self._form.labels.names

    @cached_property
    def dense_features(self) -> Any:
        """Dense features by row: float32 [B, num_dense], NaN where null."""
        return self._expanded(self._form.dense, self._layout.dense)

    @cached_property
    def labels(self) -> Any:
        """Labels by row: float32 [B, num_labels], NaN where null."""
        return self._expanded(self._form.labels, self._layout.labels)

    @cached_property
    def weights(self) -> Any | None:
        """Weights of the rows: float32 [B], or None where there are none.

        The weight column times the factor of downsampling.
        """
        stored = None
        if self._form.weights.names:
            stored = self._expanded(self._form.weights, self._layout.weights).reshape(-1)
        if not self._form.schema.has_factor:
            return stored
        factor = section_of(self._buffer, self._layout.factor)
        return factor if stored is None else stored * factor

    @cached_property
    def session_ids(self) -> Any:
        """Session of each row: int64 [B]. Rows of one session have one id, and stand together
        unless rows were shuffled one by one."""
        ids = section_of(self._buffer, self._layout.session_ids)
        rows = section_of(self._buffer, self._layout.session_rows)
        # The size is known: nothing waits for the device.
        return ids.repeat_interleave(rows, output_size=self.num_rows)

    @cached_property
    def sparse_features(self) -> InverseKeyedJaggedTensor | KeyedJagged | None:
        """Lists of ids; None where there are none."""
        return self._jagged(Role.SPARSE)

    @cached_property
    def idscore_features(self) -> InverseKeyedJaggedTensor | KeyedJagged | None:
        """Lists of ids with float32 weights; None where there are none."""
        return self._jagged(Role.IDSCORE)

    @cached_property
    def float_lists(self) -> InverseKeyedJaggedTensor | KeyedJagged | None:
        """Lists of float32; None where there are none."""
        return self._jagged(Role.FLOAT_LIST)

    @cached_property
    def _inverse(self) -> Any:
        """Inverse lookups of all groups that have one: int32 [groups, B]."""
        section = section_of(self._buffer, self._layout.inverse)
        return section.view(-1, self.num_rows) if self.num_rows else section.view(0, 0)

    def _expanded(self, columns: FixedColumns, section: Any) -> Any:
        return columns.expand(
            self._buffer, self._inverse, section, self._form.schema, self._layout,
            self._header.values, self.num_rows,
        )  # fmt: skip

    def _jagged(self, role: Role) -> InverseKeyedJaggedTensor | KeyedJagged | None:
        form = self._form.jagged.get(role)
        if form is None:
            return None
        head, layout, groups = self._header, self._layout, form.groups
        part, of = layout.jagged[role], self._form.schema.slice_of(role)
        ikjt = InverseKeyedJaggedTensor._from_parts(
            form.keys,
            values=section_of(self._buffer, part.values),
            lengths=section_of(self._buffer, part.lengths),
            starts=section_of(self._buffer, part.starts),
            weights=None if part.weights is None else section_of(self._buffer, part.weights),
            inverse=self._inverse,
            inverse_row=layout.inverse_row[groups],
            unique=head.unique[groups],
            stride=head.num_rows,
            value_counts=head.values[of],
            monotone=head.monotone[groups],
            csr=(section_of(self._buffer, layout.csr), layout.csr_start[groups]),
            plain_counts=head.plain[of],
        )
        return ikjt.expand() if self._form.output == "kjt" else ikjt

    def to(self, device: Any, non_blocking: bool = False) -> RecdBatch:
        """Return the batch on a device: one copy, of the buffer.

        Parameters
        ----------
        device : torch.device or str
        non_blocking : bool
            As of `torch.Tensor.to`: from pinned memory, the copy runs beside the host.
        """
        return self._with(self._buffer.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> RecdBatch:
        """Return the batch in pinned memory: one copy, of the buffer."""
        return self._with(self._buffer.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory until `stream` has done what it was given: one call, for the buffer.

        What was written out from it by now is recorded too.
        """
        self._buffer.record_stream(stream)
        for name in ("dense_features", "labels", "weights", "session_ids"):
            written = self.__dict__.get(name)
            if written is not None:
                written.record_stream(stream)
        for name in ("sparse_features", "idscore_features", "float_lists"):
            jagged = self.__dict__.get(name)
            if jagged is not None:
                jagged.record_stream(stream)

    def _host_memory(self) -> NDArray[np.uint8]:
        memory: NDArray[np.uint8] = self._buffer.numpy()
        return memory

    def _with(self, buffer: Any) -> RecdBatch:
        """The same on another buffer."""
        if buffer is self._buffer:
            return self
        return RecdBatch(self._form, buffer, self._header, _layout=self._layout)


def same_session_mask(batch: RecdBatch) -> Any:
    """Return bool [B, B], true where two rows of a batch are of one session.

    For losses that take the other rows of a batch as negatives: a row of the same session is a
    poor one, it is nearly the same row.
    """
    ids = batch.session_ids
    return ids.unsqueeze(0) == ids.unsqueeze(1)
