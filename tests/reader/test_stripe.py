"""Decoding a stripe: any range of its rows is the slice of the whole, and each rule is checked."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recd_format as recd
from recd_format import Limits, Reason, RecdFormatError, RecdInputError
from recd_format.filesystem import MemorySource
from recd_format.format.record import CODES_MONOTONE, StreamKind
from recd_format.jagged import Column
from recd_format.reader.data import StripeData
from recd_format.reader.expand import expand
from recd_format.reader.file import FileReader
from tests.damage import small_file, write
from tests.reader.sources import reader_of, with_payload, with_record
from tests.strategies import session_logs

CODES, LENGTHS, STARTS, VALUES, VALIDITY = (
    StreamKind.CODES,
    StreamKind.LENGTHS,
    StreamKind.STARTS,
    StreamKind.VALUES,
    StreamKind.VALIDITY,
)
PLAIN = (1, 0, 0, 0)


def rows_of(data: StripeData) -> dict[int, Column]:
    """Every field's rows, expanded; the session key is not a row's."""
    return {
        index: expand(field, inverse_of(data, field.group), Limits())
        for index, field in data.fields.items()
        if field.group >= 0
    }


def inverse_of(data: StripeData, group: int) -> np.ndarray[Any, Any]:
    inverse = data.groups[group].inverse_lookup
    return np.arange(data.num_rows) if inverse is None else inverse


def part(column: Column, begin: int, end: int) -> list[Any]:
    """Rows of a column as bytes: of values, weights and validity."""
    offsets = column.offsets
    if offsets is None:
        offsets = np.arange(column.num_rows + 1) * column.width
    return [
        (
            column.values[offsets[row] : offsets[row + 1]].tobytes(),
            None
            if column.weights is None
            else column.weights[offsets[row] : offsets[row + 1]].tobytes(),
            column.validity is None or bool(column.validity[row]),
        )
        for row in range(begin, end)
    ]


def assert_ranges_are_slices(file: FileReader, data: st.DataObject) -> None:
    projection = file.project(range(len(file.schema.fields)))
    for stripe, rows in enumerate(file.stripe_rows.tolist()):
        whole = file.read_stripe(stripe, projection)
        expected = rows_of(whole)
        for _ in range(3):
            begin = data.draw(st.integers(0, rows - 1))
            end = data.draw(st.integers(begin + 1, rows))
            some = file.read_stripe(stripe, projection, begin, end)
            assert (some.first_row, some.num_rows) == (begin, end - begin)
            assert some.session_offsets.tolist() == whole.session_offsets.tolist()
            for index, column in rows_of(some).items():
                assert part(column, 0, end - begin) == part(expected[index], begin, end)
            for number, group in some.groups.items():
                inverse = inverse_of(some, number)
                # No unique row comes along that no row refers to, but between two that do.
                assert inverse.min() == 0
                assert inverse.max() == group.num_unique - 1


@settings(max_examples=100)
@given(
    session_logs(min_columns=1),
    st.sampled_from(["gpu", "balanced", "small"]),
    st.sampled_from(["auto", "adjacent", "full", "stripe"]),
    st.integers(5, 40),
    st.data(),
)
def test_any_range_of_rows_is_the_slice_of_the_whole(
    table: pa.Table, profile: str, dedup: str, stripe_rows: int, data: st.DataObject
) -> None:
    written = write(table, profile=profile, dedup=dedup, stripe_rows=stripe_rows)
    assert_ranges_are_slices(FileReader(MemorySource(written)), data)


@cache
def long_file(profile: str) -> bytes:
    """Streams of several blocks of 1,024, in every mode."""
    rows = 5_000
    user = np.arange(rows) // 7
    table = pa.table(
        {
            "session": np.arange(rows) // 50,
            "user": pa.array([[int(u), int(u) + 1] for u in user]),
            "back": pa.array([[int(u) % 3] * (int(u) % 4) for u in np.arange(rows) // 3]),
            "item": pa.array([[int(r * 7919) % 97] for r in range(rows)]),
            "history": pa.array([list(range(r, r + 9)) for r in range(rows)]),
            "price": pa.array([None if r % 11 == 0 else r / 8 for r in range(rows)]),
        }
    )
    modes = {"user": "adjacent", "back": "session", "item": "stripe", "history": "window"}
    return write(table, profile=profile, dedup=modes)


@pytest.mark.parametrize("profile", ["balanced", "small"])
@settings(max_examples=30)
@given(data=st.data())
def test_ranges_begin_in_any_block(profile: str, data: st.DataObject) -> None:
    assert_ranges_are_slices(FileReader(MemorySource(long_file(profile))), data)


def test_a_short_range_decodes_little() -> None:
    reader, _ = reader_of(long_file("balanced"))
    history = reader.field_index("history")
    projection = reader.project([history])
    whole, some = (reader.read_stripe(0, projection, *rows) for rows in ((), (2000, 2050)))
    # Decoding begins where a block of 1,024 does.
    assert len(some.fields[history].values) < 1200 < len(whole.fields[history].values)


@pytest.mark.parametrize(("begin", "end"), [(-1, 5), (5, 5), (6, 5), (0, 13), (12, 13)])
def test_rows_that_a_stripe_has_not(begin: int, end: int) -> None:
    reader, _ = reader_of(small_file())
    message = f"rows {begin} to {end} of a stripe of 12 rows"
    with pytest.raises(RecdInputError, match=message):
        reader.read_stripe(0, reader.project([0]), begin, end)


def test_arrays_that_are_kept_are_not_written_over() -> None:
    file = recd.open(long_file("balanced"))
    big = pa.table({"session": np.arange(40_000) // 10, "x": np.arange(40_000) * 7919})
    big_file = recd.open(write(big, stripe_rows=4_000))
    kept = [data for _, data in big_file.read_arrays(["x"])]
    views = [data.fields[1].values[5:10] for data in kept]
    expected = [view.copy() for view in views]
    del kept
    for _ in range(3):
        list(big_file.read_arrays())
        file.read()
    assert all(np.array_equal(view, copy) for view, copy in zip(views, expected, strict=True))


@cache
def plain_codes() -> bytes:
    """A file whose codes, lengths and starts are PLAIN: easy to damage."""
    rows = 12
    table = pa.table(
        {
            "session": [row // 7 for row in range(rows)],
            "ids": [[each] * (each + 1) for each in (0, 1, 0, 1, 2, 2, 2, 0, 1, 0, 2, 1)],
            "price": [None if row % 3 == 0 else float(row) for row in range(rows)],
            "history": [list(range(row, row + 3 + row % 2)) for row in range(rows)],
        }
    )
    return write(table, dedup={"ids": "session", "history": "window", "price": "none"})


def record_of(owner: str, kind: StreamKind) -> Any:
    from recd_format.format.record import RECORD
    from tests.reader.sources import find_record

    return np.frombuffer(plain_codes(), RECORD, 1, find_record(plain_codes(), owner, kind))[0]


def replaced(owner: str, kind: StreamKind, values: list[int], dtype: str = "<u4") -> bytes:
    """The file with one stream PLAIN and of these values; its payload stands in the padding."""
    data = np.array(values, dtype)
    record = record_of(owner, kind)
    assert data.nbytes <= -(-int(record["stored"]) // 64) * 64
    changed = with_record(
        plain_codes(), owner, kind,
        {"chain": PLAIN, "stored": data.nbytes, "count": len(data), "decoded": data.nbytes},
    )  # fmt: skip
    return with_payload(changed, owner, kind, 0, data.tobytes())


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (("rows", StreamKind.SESSION_ROWS, [6, 5]), Reason.SESSIONS, "have 11 rows, not 12"),
        (("rows", StreamKind.SESSION_ROWS, [12, 0]), Reason.SESSIONS, "sessions have 12 rows"),
        (("rows", StreamKind.SESSION_ROWS, [2**32 - 1, 13]), Reason.SESSIONS, "not 12"),
        (("group of ids", CODES, [0] * 12), Reason.CODES, "a code refers outside of the"),
        (("group of ids", CODES, [1] * 12), Reason.CODES, "a code refers outside of the"),
        (("group of ids", CODES, [1, 9] * 6), Reason.CODES, "a code refers outside of the"),
        (("group of ids", CODES, [2**32 - 1] * 12), Reason.CODES, "a code refers outside"),
        (("group of ids", CODES, [1] + [0] * 11), Reason.CODES, "rows do not reach"),
        (("ids", LENGTHS, [1]), Reason.LENGTHS, "1 entries, 6 expected"),
        (("ids", LENGTHS, [9] * 6), Reason.LENGTHS, "12 values, 54 expected"),
        (("ids", LENGTHS, [2**32 - 1] * 6), Reason.LENGTHS, "values, 25769803770 expected"),
        (("group of history", STARTS, [2**32 - 1] * 12), Reason.WINDOW, "after 2^31 values"),
        (("group of history", LENGTHS, [2**31] * 12), Reason.WINDOW, "after 2^31 values"),
        (("group of history", STARTS, [0] * 12), Reason.LENGTHS, "values, 4 expected"),
        (("group of history", STARTS, [50] * 12), Reason.LENGTHS, "values, 54 expected"),
    ],
)
def test_each_rule(data: tuple[Any, ...], reason: Reason, message: str) -> None:
    with pytest.raises(RecdFormatError, match=re.escape(message)) as caught:
        recd.open(replaced(*data)).read()
    assert caught.value.reason is reason
    assert str(caught.value).startswith("<bytes>, stripe, stripe 0, ")


def test_a_validity_is_0_or_1() -> None:
    damaged = replaced("price", VALIDITY, [1, 2] * 6, "u1")
    with pytest.raises(RecdFormatError, match="a validity is neither 0 nor 1") as caught:
        recd.open(damaged).read()
    assert caught.value.reason is Reason.VALIDITY


def test_codes_that_are_flagged_monotone_are() -> None:
    sound = plain_codes()
    damaged = with_record(sound, "group of ids", CODES, {"flags": CODES_MONOTONE})
    with pytest.raises(RecdFormatError, match="flagged monotone go back") as caught:
        recd.open(damaged).read()
    assert caught.value.reason is Reason.CODES


def test_a_stream_that_is_cut_while_it_is_read() -> None:
    class Shrinking(MemorySource):
        def read_into(self, byte_offset: int, buffer: Any) -> None:
            if 4096 <= byte_offset < 8192:
                byte_offset = self.size() - 1
            super().read_into(byte_offset, buffer)

    with pytest.raises(RecdFormatError, match="the file is cut off") as caught:
        recd.open(Shrinking(small_file())).read()
    assert caught.value.reason is Reason.TRUNCATED
