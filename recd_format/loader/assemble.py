"""Rows of staged stripes to one batch: two kernel calls, whatever the number of features.

The first call finds which unique rows the batch refers to and how many values those have; the
second copies them into a buffer of just that size. Nothing is hashed and nothing is expanded.

The kernels read staged arrays through tables of addresses (`_jit.array_at`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import Limits
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.io import BufferPool
from recd_format.loader._kernels import EXTENT, RANGE, fill_batch, find_rows
from recd_format.loader.columns import BatchSchema
from recd_format.loader.layout import BatchBuffer, Layout, lay_out
from recd_format.loader.preparation import Role
from recd_format.loader.stage import FeatureEntry, GroupEntry, StagedStripe

if TYPE_CHECKING:
    from recd_format.loader.cursor import Cursor

__all__ = ["Assembler", "Piece"]

# Starts of windows are int32.
_MOST_VALUES = (1 << 31) - 1
# One for all loaders of the process: a batch is lent a buffer again once nobody refers to it.
_BUFFERS = BufferPool(256 << 20)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of staged stripes that make up a batch, in order.

    Attributes
    ----------
    slots : ndarray of int64, shape [pieces]
        Which staged stripe.
    begin, end : ndarray of int64, shape [pieces]
        Rows of the stripe.
    factor : ndarray of float32, shape [pieces], or None
        Weight factor of those rows.
    """

    slots: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    factor: NDArray[np.float32] | None


class Assembler:
    """Holds staged stripes in numbered slots and makes batches of their rows.

    Parameters
    ----------
    schema
        Of the batches.
    allocate
        Gives a batch its memory: uint8 [n], 64-byte aligned.
    limits
        `expanded_values` caps the values of one feature in one batch.
    """

    def __init__(
        self,
        schema: BatchSchema,
        allocate: Callable[[int], NDArray[np.uint8]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._schema = schema
        self._limits = limits or Limits()
        self._allocate = allocate or _BUFFERS.take
        self._stripes: list[StagedStripe | None] = []
        self._features = np.zeros((0, len(schema.features), FeatureEntry.SIZE), np.int64)
        self._groups = np.zeros((0, len(schema.groups), GroupEntry.SIZE), np.int64)
        self._stamped = np.zeros(len(schema.groups), np.bool_)
        self._sessions = np.zeros((0, 3), np.int64)
        members = [member for group in schema.groups for member in group]
        self._members = np.array(members, np.int64)
        self._member_offsets = np.cumsum([0, *(len(group) for group in schema.groups)])
        self._num_windowed = int(np.count_nonzero(schema.windowed))
        self._kind = np.array([_kind(schema, role) for role in schema.roles.tolist()], np.int64)
        self._ranges = np.zeros((256, RANGE), np.int64)
        self._extents = np.zeros((256, EXTENT), np.int64)
        self._scratch = np.zeros(0, np.int32)
        self._session_ids = np.zeros(0, np.int64)
        self._session_rows = np.zeros(0, np.int32)

    def put(self, stripe: StagedStripe) -> int:
        """Take a stripe in; returns its slot."""
        try:
            slot = self._stripes.index(None)
        except ValueError:
            slot = len(self._stripes)
            self._stripes.append(None)
            self._features = _with_room(self._features, slot)
            self._groups = _with_room(self._groups, slot)
            self._sessions = _with_room(self._sessions, slot)
        self._stripes[slot] = stripe
        self._features[slot] = stripe.features
        self._groups[slot] = stripe.groups
        self._find_stamped()
        address = stripe.sessions.__array_interface__["data"][0]
        self._sessions[slot] = (address, stripe.sessions.shape[1], stripe.first_row)
        return slot

    def drop(self, slot: int) -> None:
        """Let go of a stripe."""
        self._stripes[slot] = None
        self._find_stamped()

    def _find_stamped(self) -> None:
        """Groups whose unique rows have to be looked up in one of the stripes that are here."""
        held = [slot for slot, stripe in enumerate(self._stripes) if stripe is not None]
        self._stamped = (self._groups[held, :, GroupEntry.STAMPS] != 0).any(axis=0)

    def stripe(self, slot: int) -> StagedStripe:
        """The stripe in a slot."""
        stripe = self._stripes[slot]
        assert stripe is not None
        return stripe

    def assemble(self, piece: Piece, meta: dict[str, Any], cursor: Cursor) -> BatchBuffer:
        """Return the batch of some rows.

        Parameters
        ----------
        piece
            The rows.
        meta, cursor
            As they come in the batch.

        Raises
        ------
        RecdFormatError
            LIMIT: a feature has more values than a batch may have.
        """
        schema = self._schema
        pieces = np.stack([piece.slots, piece.begin, piece.end], axis=1)
        rows = int((piece.end - piece.begin).sum())
        found = self._find(pieces, rows)
        self._require_few(found)
        layout = lay_out(
            schema, rows, found.num_sessions, found.unique, found.values, found.identity,
            found.monotone,
        )  # fmt: skip
        data = self._allocate(layout.nbytes)
        self._fill(pieces, found, layout, data, rows)
        if schema.has_factor:
            factor = np.ones(len(pieces), np.float32) if piece.factor is None else piece.factor
            layout.factor.of(data)[:] = np.repeat(factor, piece.end - piece.begin)
        return BatchBuffer(
            schema, data, rows, found.num_sessions, found.unique, found.values, found.plain,
            found.identity, found.monotone, meta, cursor,
        ).with_layout(layout)  # fmt: skip

    def _require_few(self, found: _Found) -> None:
        """Windows amplify: a small file may declare many on one long timeline."""
        most = min(self._limits.expanded_values, _MOST_VALUES)
        for values in (found.values, found.plain):
            if int(values.max(initial=0)) > most:
                number = int(np.argmax(values))
                raise RecdFormatError(
                    Reason.LIMIT,
                    f"{int(values[number])} values in one batch, limit {most}",
                    Location(owner=self._schema.features[number].name),
                )

    def _find(self, pieces: NDArray[np.int64], rows: int) -> _Found:
        groups, features = len(self._schema.groups), len(self._schema.features)
        stamped, count = self._stamped, len(pieces)
        looked_up = int(np.count_nonzero(stamped))
        ranges = looked_up * rows + (groups - looked_up) * count
        if ranges > len(self._ranges):
            self._ranges = np.zeros((ranges, RANGE), np.int64)
        extents = self._num_windowed * (rows if looked_up else count)
        if extents > len(self._extents):
            self._extents = np.zeros((extents, EXTENT), np.int64)
        if looked_up * rows > len(self._scratch):
            self._scratch = np.zeros(looked_up * rows, np.int32)
        if rows > len(self._session_ids):
            self._session_ids, self._session_rows = np.zeros(rows, np.int64), np.zeros(rows, "<i4")
        # One array for many: there are few features and many batches, or the other way round.
        parts = np.zeros(2 * groups + 1 + 2 * features + groups * count, np.int64)
        flags = np.zeros((2, groups), np.bool_)
        found = _Found(
            parts[:groups],
            parts[groups : groups + features],
            parts[groups + features : groups + 2 * features],
            flags[0],
            flags[1],
            parts[groups + 2 * features : 2 * groups + 2 * features + 1],
            parts[2 * groups + 2 * features + 1 :].reshape(groups, count),
            stamped,
            0,
        )
        found.num_sessions = find_rows(
            pieces, self._groups, self._features, self._sessions, self._members,
            self._member_offsets, stamped, self._ranges, self._extents, self._scratch,
            found.unique, found.values, found.plain, found.identity, found.monotone,
            found.range_offsets, found.shifts, self._session_ids, self._session_rows,
        )  # fmt: skip
        return found

    def _fill(
        self,
        pieces: NDArray[np.int64],
        found: _Found,
        layout: Layout,
        data: NDArray[np.uint8],
        rows: int,
    ) -> None:
        fill_batch(
            pieces, self._groups, self._features, self._members, self._member_offsets,
            self._schema.windowed, self._kind, found.stamped, found.identity, found.unique,
            found.shifts, self._ranges, found.range_offsets, self._extents, self._scratch,
            self._session_ids, self._session_rows, found.num_sessions, layout.sections,
            layout.places, layout.csr_start, rows, data.__array_interface__["data"][0],
        )  # fmt: skip


@dataclass(slots=True)
class _Found:
    """What the first kernel call finds; attributes as in `BatchBuffer`, and:

    range_offsets: ranges of each group in the table of ranges. shifts: [groups, pieces], what is
    added to codes to give rows of the batch. stamped: groups whose inverse is in the scratch.
    """

    unique: NDArray[np.int64]
    values: NDArray[np.int64]
    plain: NDArray[np.int64]
    identity: NDArray[np.bool_]
    monotone: NDArray[np.bool_]
    range_offsets: NDArray[np.int64]
    shifts: NDArray[np.int64]
    stamped: NDArray[np.bool_]
    num_sessions: int


def _kind(schema: BatchSchema, role: int) -> int:
    """How values are copied: 0 as int64, 1 int64 to int32, 2 as float32; 3 the same, no lengths."""
    if role in (Role.SPARSE, Role.IDSCORE):
        return 0 if schema.id_bytes == 8 else 1
    return 2 if role == Role.FLOAT_LIST else 3


def _with_room(table: NDArray[Any], slot: int) -> NDArray[Any]:
    if slot < len(table):
        return table
    larger = np.zeros((max(4, 2 * len(table)), *table.shape[1:]), table.dtype)
    larger[: len(table)] = table
    return larger
