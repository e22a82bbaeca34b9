"""The postscript: round trip and rules."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format import Reason
from recd_format.constants import POSTSCRIPT_BYTES
from recd_format.format.postscript import LAYOUT, Postscript, decode_postscript, encode_postscript
from tests.format.sealing import WHERE, broken, sealed, with_fields

FILE = Postscript(20_000, 10, 2, 8192, 640, 9000, 20_000 - 9000 - POSTSCRIPT_BYTES, 77, 4096)
GOOD = encode_postscript(FILE)


def resealed(**values: Any) -> bytes:
    return sealed(with_fields(GOOD, LAYOUT, **values), POSTSCRIPT_BYTES - 16)


@given(st.data())
def test_any_places_that_fit_come_back(data: st.DataObject) -> None:
    head, directory, tables, end = sorted(data.draw(st.lists(st.integers(0, 2**62), min_size=4,
                                                             max_size=4)))  # fmt: skip
    said = Postscript(
        end + POSTSCRIPT_BYTES,
        data.draw(st.integers(0, 2**64 - 1)),
        data.draw(st.integers(0, 2**64 - 1)),
        directory,
        data.draw(st.integers(0, tables - directory)),
        tables,
        end - tables,
        data.draw(st.integers(0, 2**64 - 1)),
        head,
    )
    encoded = encode_postscript(said)
    assert len(encoded) == POSTSCRIPT_BYTES
    assert decode_postscript(encoded, said.file_bytes, WHERE) == said


def test_the_layout_has_every_place() -> None:
    assert LAYOUT.itemsize == POSTSCRIPT_BYTES
    assert {field.name for field in fields(Postscript)} <= set(LAYOUT.names or ())


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (GOOD[1:], Reason.TRUNCATED, "ends with"),
        (GOOD[:-1] + b"x", Reason.TRUNCATED, "never finished, or is not a recd file"),
        (with_fields(GOOD, LAYOUT, rows=11), Reason.CHECKSUM, "postscript: stored"),
        (with_fields(GOOD, LAYOUT, reserved_2=1), Reason.CHECKSUM, "postscript: stored"),
        (resealed(major=2), Reason.VERSION, "format version 2.0; this reader reads 1.x"),
        (resealed(required=4), Reason.FEATURE, "required feature bits [2]"),
        (resealed(file_bytes=20_001), Reason.TRUNCATED, "has 20001 bytes, 20000 are there"),
        (resealed(head_bytes=8193), Reason.POSTSCRIPT, "places of directory and tables"),
        (resealed(directory_bytes=809), Reason.POSTSCRIPT, "places of directory and tables"),
        (resealed(directory_offset=2**64 - 1), Reason.POSTSCRIPT, "places of directory"),
        (resealed(tables_bytes=10_000), Reason.POSTSCRIPT, "places of directory and tables"),
        (resealed(tables_bytes=2**64 - 1), Reason.POSTSCRIPT, "places of directory and tables"),
    ],
)
def test_each_rule(data: bytes, reason: Reason, message: str) -> None:
    with broken(reason, message):
        decode_postscript(data, 20_000, WHERE)


def test_newer_minor_versions_are_read() -> None:
    assert decode_postscript(resealed(minor=9), 20_000, WHERE).rows == FILE.rows
