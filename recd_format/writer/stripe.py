"""One stripe: deduplicate each group, gather its unique rows, encode its streams."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import Encoded, Role, encode_best
from recd_format.constants import ROWS_OWNER, Limits
from recd_format.dedup.exact import Scope, combine, encode_codes, first_equal
from recd_format.dedup.gather import take_rows
from recd_format.dedup.plan import Plan, ReferencePlan
from recd_format.dedup.window import find_windows
from recd_format.errors import RecdInputError
from recd_format.format.record import CODES_MONOTONE, CODES_STRIPE_SCOPE, StreamKind
from recd_format.format.schema import Field, Kind, Schema, Shape
from recd_format.format.statistics import STATISTIC, field_statistics
from recd_format.format.stripe import STRIPE_CONTINUES
from recd_format.jagged import Column
from recd_format.writer.options import Profile
from recd_format.writer.reference import encode_reference
from recd_format.writer.stream import EncodedStripe, Stream

__all__ = ["StripeEncoder"]

_MOST_VALUES = Limits().stream_values
_MAX_TASKS = 64
_ROLE_OF_KIND: dict[Kind, Role] = {Kind.META: "meta", Kind.ORDER_KEY: "order_key"}


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one stripe, in clustered order."""

    columns: Sequence[Column]
    permutation: NDArray[np.int64]
    session_offsets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StripeEncoder:
    """Encodes stripes of one file.

    Attributes
    ----------
    schema : Schema
        Its groups are those of `plan`, in the same order.
    plan : Plan
    profile : {"gpu", "balanced", "small"}
    """

    schema: Schema
    plan: Plan
    profile: Profile

    def encode(
        self,
        columns: Sequence[Column],
        permutation: NDArray[np.int64],
        session_offsets: NDArray[np.int64],
        executor: Executor,
        *,
        index: int,
        continues: bool,
    ) -> EncodedStripe:
        """Encode the rows ``permutation`` of `columns` (one per field) as stripe `index`.

        Parameters
        ----------
        columns
            Input columns in schema order; rows are read through `permutation`.
        permutation
            Input row of each row of the stripe, int64 [rows].
        session_offsets
            int64 [sessions + 1], relative to the stripe.
        executor
            Where groups are encoded; the result does not depend on it.
        """
        rows = _Rows(columns, permutation, session_offsets)
        groups = np.arange(len(self.plan.groups))
        # A task for each of thousands of groups would cost more than the group.
        tasks = np.array_split(groups, min(len(groups), _MAX_TASKS)) if len(groups) else []
        parts = itertools.chain.from_iterable(
            executor.map(lambda task: [self._group(rows, int(group)) for group in task], tasks)
        )
        streams, entries = self._row_streams(rows)
        for group_streams, group_entries in parts:
            streams += group_streams
            entries += group_entries
        statistics = np.concatenate([np.zeros(0, STATISTIC), *entries])
        statistics["stripe"] = index
        flags = STRIPE_CONTINUES if continues else 0
        return EncodedStripe(
            len(permutation), len(session_offsets) - 1, flags, tuple(streams), statistics
        )

    def _stream(
        self,
        owner: int,
        kind: StreamKind,
        values: NDArray[Any],
        role: Role,
        **extra: Any,
    ) -> list[Stream]:
        if len(values) > _MOST_VALUES:
            name = self.schema.fields[owner].name if owner < len(self.schema.fields) else "rows"
            raise RecdInputError(
                f"{name}: a stripe would hold {len(values)} values of it, at most {_MOST_VALUES} "
                "fit; give a smaller stripe_rows"
            )
        encoded = encode_best(values, role, self.profile)
        streams = []
        if encoded.dictionary is not None:
            of = StreamKind.DICTIONARY
            if kind is StreamKind.WEIGHTS:
                of = StreamKind.WEIGHT_DICTIONARY
            streams += self._stream(owner, of, encoded.dictionary, "dictionary")
        return [*streams, Stream(owner, kind, encoded, values.nbytes, **extra)]

    def _row_streams(self, rows: _Rows) -> tuple[list[Stream], list[NDArray[np.void]]]:
        session_rows = np.diff(rows.session_offsets).astype("<u4")
        streams = self._stream(ROWS_OWNER, StreamKind.SESSION_ROWS, session_rows, "session_rows")
        key = next(
            i for i, field in enumerate(self.schema.fields) if field.kind is Kind.SESSION_KEY
        )
        first_rows = rows.permutation[rows.session_offsets[:-1]]
        column = take_rows(rows.columns[key], first_rows)
        if column.offsets is not None:
            lengths = column.lengths.astype("<u4")
            streams += self._stream(key, StreamKind.LENGTHS, lengths, "lengths")
        streams += self._stream(key, StreamKind.SESSION_KEY, column.values, "session_key")
        return streams, _statistics(key, self.schema.fields[key], column)

    def _group(self, rows: _Rows, number: int) -> tuple[list[Stream], list[NDArray[np.void]]]:
        group = self.plan.groups[number]
        members = self.schema.groups[number].fields
        owner = len(self.schema.fields) + number
        mode = group.mode
        if mode == "window":
            if _are_parallel([rows.columns[i] for i in members], rows.permutation):
                return self._window_group(rows, owner, members)
            # The sample that was planned from had parallel lists; this stripe has not.
            mode = "session"
        unique = rows.permutation
        streams: list[Stream] = []
        if mode != "none":
            scope: Scope = mode
            first = [
                first_equal(rows.columns[i], rows.permutation, rows.session_offsets, scope)
                for i in members
            ]
            joint = combine(first, rows.session_offsets, scope) if len(first) > 1 else first[0]
            codes = encode_codes(joint, rows.session_offsets, scope)
            if len(codes.unique_rows) < len(rows.permutation):
                unique = rows.permutation[codes.unique_rows]
                streams += self._codes(owner, codes.codes, len(unique), mode == "stripe")
        statistics = []
        for i in members:
            reference = self._reference_of(i) if unique is rows.permutation else None
            field_streams, field_statistics_ = self._field(rows, i, unique, reference)
            streams += field_streams
            statistics += field_statistics_
        return streams, statistics

    def _codes(
        self, owner: int, codes: NDArray[np.uint32], unique_rows: int, stripe_scope: bool
    ) -> list[Stream]:
        monotone = int(codes.max(initial=0)) <= 1
        flags = (CODES_MONOTONE if monotone else 0) | (CODES_STRIPE_SCOPE if stripe_scope else 0)
        return self._stream(
            owner, StreamKind.CODES, codes, "codes", flags=flags, params=unique_rows
        )

    def _reference_of(self, field: int) -> ReferencePlan | None:
        name = self.schema.fields[field].name
        return next((ref for ref in self.plan.references if ref.field == name), None)

    def _field(
        self,
        rows: _Rows,
        index: int,
        unique: NDArray[np.int64],
        reference: ReferencePlan | None,
    ) -> tuple[list[Stream], list[NDArray[np.void]]]:
        field = self.schema.fields[index]
        column = take_rows(rows.columns[index], unique)
        streams: list[Stream] = []
        if column.offsets is not None:
            lengths = column.lengths.astype("<u4")
            streams += self._stream(index, StreamKind.LENGTHS, lengths, "lengths")
        referenced = self._referenced(rows, index, reference)
        if referenced is not None:
            streams.append(Stream(index, StreamKind.VALUES, referenced, column.values.nbytes))
        else:
            role = _ROLE_OF_KIND.get(field.kind, "values")
            streams += self._stream(index, StreamKind.VALUES, column.values, role)
        if column.weights is not None:
            streams += self._stream(index, StreamKind.WEIGHTS, column.weights, "weights")
        streams += self._validity(index, column.validity)
        return streams, _statistics(index, field, column)

    def _referenced(
        self, rows: _Rows, index: int, reference: ReferencePlan | None
    ) -> Encoded | None:
        field = self.schema.fields[index]
        if reference is None or field.shape is not Shape.SCALAR:
            return None
        names = self.schema.names
        target = None if reference.index_field is None else names.index(reference.index_field)
        held = self.schema.fields[names.index(reference.list_field)].value_type
        if held is not field.value_type:
            return None
        return encode_reference(
            rows.columns,
            index,
            names.index(reference.list_field),
            target,
            reference.base,
            rows.permutation,
            self.profile,
        )

    def _validity(self, index: int, validity: NDArray[np.bool_] | None) -> list[Stream]:
        if validity is None or validity.all():
            return []
        return self._stream(index, StreamKind.VALIDITY, validity.view("u1"), "validity")

    def _window_group(
        self, rows: _Rows, owner: int, members: tuple[int, ...]
    ) -> tuple[list[Stream], list[NDArray[np.void]]]:
        columns = [rows.columns[i] for i in members]
        windows = find_windows(columns, rows.permutation, rows.session_offsets)
        unique = rows.permutation[windows.unique_rows]
        streams = self._codes(owner, windows.codes, len(unique), stripe_scope=False)
        lengths, starts = windows.lengths.astype("<u4"), windows.starts.astype("<u4")
        streams += self._stream(owner, StreamKind.LENGTHS, lengths, "lengths")
        streams += self._stream(owner, StreamKind.STARTS, starts, "starts")
        for i, column in zip(members, columns, strict=True):
            base = 0 if column.offsets is None else int(column.offsets[0])
            positions = windows.timeline + base
            streams += self._stream(i, StreamKind.VALUES, column.values[positions], "values")
            if column.weights is not None:
                weights = column.weights[positions]
                streams += self._stream(i, StreamKind.WEIGHTS, weights, "weights")
            if column.validity is not None:
                streams += self._validity(i, column.validity[unique])
        return streams, []


def _are_parallel(columns: Sequence[Column], rows: NDArray[np.int64]) -> bool:
    """True where all columns have lists of equal lengths in `rows`."""
    first, *others = columns
    if not others:
        return True
    lengths = first.lengths[rows]
    return all(np.array_equal(lengths, other.lengths[rows]) for other in others)


def _statistics(index: int, field: Field, column: Column) -> list[NDArray[np.void]]:
    if field.is_jagged or field.width != 1:
        return []
    values = column.values
    nulls = 0
    if column.validity is not None:
        nulls = int(len(column.validity) - np.count_nonzero(column.validity))
        values = values[column.validity]
    return [field_statistics(index, 0, values, nulls)]
