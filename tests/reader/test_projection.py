"""What must be read for some columns, and the streams that each of them must have."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import recd_format as recd
from recd_format import Reason, RecdFormatError, RecdInputError
from recd_format.codec.list_at import ListReference, pack_reference
from recd_format.constants import ROWS_OWNER
from recd_format.format.record import RECORD, StreamKind
from tests.damage import small_file
from tests.reader.sources import find_record, reader_of, with_record

VALUES, LENGTHS, STARTS, CODES = (
    StreamKind.VALUES,
    StreamKind.LENGTHS,
    StreamKind.STARTS,
    StreamKind.CODES,
)


def test_a_projection_has_the_streams_of_its_columns_alone() -> None:
    reader, _ = reader_of(small_file())
    fields = [reader.field_index(name) for name in ("user", "history")]
    groups = {reader.schema.fields[field].group + len(reader.schema.fields) for field in fields}
    projection = reader.project(fields)
    assert set(projection.records["owner"].tolist()) == {*fields, *groups, ROWS_OWNER}
    assert reader.project(fields) is projection
    for stripe in range(2):
        records = projection.of_stripe(stripe)
        assert set(records["stripe"].tolist()) == {stripe}
        keys = records[["owner", "kind"]].tolist()
        assert keys == sorted(keys)
        assert len(projection.types_of(stripe)) == len(records)


def test_references_pull_in_what_they_point_at() -> None:
    reader, _ = reader_of(small_file())
    item, items, slot = (reader.field_index(name) for name in ("item", "items", "slot"))
    owners = set(reader.project([item]).records["owner"].tolist())
    assert {items, slot} <= owners
    file = recd.open(small_file())
    assert file.read(["item"]).equals(file.read().select(["item"]))
    some = file.read(["item"], rows=slice(5, 20))
    assert some.equals(file.read().select(["item"]).slice(5, 15))


def test_unknown_columns_are_named_with_what_there_is() -> None:
    reader, _ = reader_of(small_file())
    with pytest.raises(RecdInputError, match="<bytes>: there is no column 'itms'; did you mean"):
        reader.field_index("itms")


@pytest.mark.parametrize(
    ("owner", "kind", "values", "message"),
    [
        ("items", LENGTHS, {"kind": StreamKind.VALIDITY}, "field 'items' lacks a stream"),
        ("history", VALUES, {"kind": LENGTHS}, "field 'history' lacks a stream"),
        ("group of history", STARTS, {"kind": LENGTHS}, "two streams of one owner and kind"),
        ("group of history", LENGTHS, {"kind": CODES}, "two streams of one owner and kind"),
        ("group of user", CODES, {"kind": STARTS}, "field 'user' lacks a stream"),
        ("group of user", CODES, {"kind": LENGTHS}, "field 'user' lacks a stream"),
        ("price", StreamKind.VALIDITY, {"kind": LENGTHS}, "field 'price' lacks a stream, or has"),
        ("session", StreamKind.SESSION_KEY, {"kind": StreamKind.DICTIONARY}, "'session' lacks"),
        ("rows", StreamKind.SESSION_ROWS, {"stripe": 1}, "two streams of one owner and kind"),
    ],
)
def test_each_field_has_the_streams_of_its_shape(
    owner: str, kind: StreamKind, values: dict[str, Any], message: str
) -> None:
    sound = small_file()
    # A legal stream of its new kind: nothing but the kind is wrong.
    count = int(np.frombuffer(sound, RECORD, 1, find_record(sound, owner, kind))["count"][0])
    size = {LENGTHS: 4, STARTS: 4, CODES: 4, StreamKind.VALIDITY: 1}.get(values.get("kind"))
    if size is not None:
        values = {**values, "decoded": count * size, "chain": (1, 0, 0, 0), "flags": 0}
    with pytest.raises(RecdFormatError, match=re.escape(message)) as caught:
        recd.open(with_record(sound, owner, kind, values)).read()
    assert caught.value.reason is Reason.RECORD


@pytest.mark.parametrize(
    "reference",
    [
        ListReference(999),
        ListReference(0),
        ListReference(1),
        ListReference(3, 3),
        ListReference(3, 0),
        ListReference(3, 999),
    ],
)
def test_references_point_at_a_list_and_a_scalar(reference: ListReference) -> None:
    damaged = with_record(small_file(), "item", VALUES, {"params": pack_reference(reference)})
    with pytest.raises(RecdFormatError, match="LIST_AT points at field") as caught:
        recd.open(damaged).read(["item"])
    assert caught.value.reason is Reason.REFERENCE
    damaged = with_record(small_file(), "item", VALUES, {"params": np.uint64(1 << 63)})
    with pytest.raises(RecdFormatError, match="bit 63"):
        recd.open(damaged).read(["item"])


def test_an_index_that_is_a_reference_itself() -> None:
    sound = small_file()
    reader, _ = reader_of(sound)
    items, item = reader.field_index("items"), reader.field_index("item")
    damaged = with_record(
        sound, "item", VALUES, {"params": pack_reference(ListReference(items, item))}
    )
    with pytest.raises(
        RecdFormatError, match="LIST_AT points at field .*, which is LIST_AT itself"
    ):
        recd.open(damaged).read(["item"])


def test_an_index_beyond_its_list() -> None:
    sound = small_file()
    reader, _ = reader_of(sound)
    items, slot = reader.field_index("items"), reader.field_index("slot")
    one_based = pack_reference(ListReference(items, slot, 1))
    damaged = with_record(sound, "item", VALUES, {"params": one_based})
    with pytest.raises(RecdFormatError, match="not within the row's list") as caught:
        recd.open(damaged).read(["item"])
    assert caught.value.reason is Reason.REFERENCE
