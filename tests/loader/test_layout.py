"""Where sections stand, against a plain model of the order that `layout` describes."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recd_format.loader.columns import BatchSchema, Feature
from recd_format.loader.layout import JAGGED, BatchBuffer, Layout, Section, lay_out
from recd_format.loader.preparation import Role
from tests.loader.staging import CURSOR


@st.composite
def batches(draw: st.DrawFn) -> BatchBuffer:
    """The numbers of any batch; nothing is in its buffer."""
    groups = draw(st.integers(1, 4))
    roles = sorted(draw(st.lists(st.sampled_from(Role), max_size=12)))
    features = tuple(
        Feature(
            f"f{number}",
            role,
            draw(st.integers(0, groups - 1)),
            draw(st.integers(1, 3)) if role >= Role.DENSE else 0,
            role <= Role.FLOAT_LIST and draw(st.booleans()),
        )
        for number, role in enumerate(roles)
    )
    members = tuple(
        tuple(n for n, feature in enumerate(features) if feature.group == group)
        for group in range(groups)
    )
    schema = BatchSchema(features, members, draw(st.sampled_from([4, 8])), draw(st.booleans()))
    rows = draw(st.integers(1, 50))
    unique, identity, monotone = [], [], []
    for _ in range(groups):
        same = draw(st.booleans())
        unique.append(rows if same else draw(st.integers(1, rows)))
        identity.append(same)
        monotone.append(same or draw(st.booleans()))
    values = [
        feature.width * unique[feature.group] if feature.width else draw(st.integers(0, 99))
        for feature in features
    ]
    return BatchBuffer(
        schema, np.zeros(0, np.uint8), rows, draw(st.integers(1, rows)),
        np.array(unique, np.int64), np.array(values, np.int64), np.array(values, np.int64),
        np.array(identity, np.bool_), np.array(monotone, np.bool_), {}, CURSOR,
    )  # fmt: skip


def plain_layout(batch: BatchBuffer) -> tuple[list[tuple[int, str, int]], dict[str, Any], int]:
    """Sections in order; where each feature's parts are, in bytes; and all bytes."""
    schema, rows = batch.schema, batch.num_rows
    ids = "int64" if schema.id_bytes == 8 else "int32"
    unique = batch.unique.tolist()
    stored = [g for g in range(len(unique)) if not batch.identity[g]]
    sorted_ = [g for g in stored if not batch.monotone[g]]
    # (dtype, [(what, items)])
    parts: list[tuple[str, list[tuple[Any, int]]]] = [
        ("int32", [(("inverse", g), rows) for g in stored]),
        ("int32", [(("csr", g), unique[g] + 1 + rows) for g in sorted_]),
    ]
    numbered = list(enumerate(schema.features))
    for role in JAGGED:
        own = [(n, feature) for n, feature in numbered if feature.role == role]
        values = [((n, 0), int(batch.values[n])) for n, _ in own]
        lengths = [((n, 2), unique[feature.group]) for n, feature in own]
        starts = [((n, 3), unique[f.group] if f.windowed else 0) for n, f in own]
        parts.append(("float32" if role is Role.FLOAT_LIST else ids, values))
        parts.append(("float32", [((n, 1), c if role is Role.IDSCORE else 0)
                                  for (n, _), c in values]))  # fmt: skip
        parts += [("int32", lengths), ("int32", starts)]
    for role in (Role.DENSE, Role.LABEL, Role.WEIGHT):
        own = [n for n, feature in numbered if feature.role == role]
        parts.append(("float32", [((n, 0), int(batch.values[n])) for n in own]))
    parts.append(("int64", [("ids", batch.num_sessions)]))
    parts.append(("int32", [("rows", batch.num_sessions)]))
    parts.append(("float32", [("factor", rows if schema.has_factor else 0)]))
    sections, places, end = [], {}, 0
    for dtype, items in parts:
        end = -(-end // 64) * 64
        sections.append((end, dtype, sum(count for _, count in items)))
        for what, count in items:
            places[what] = end
            end += count * np.dtype(dtype).itemsize
    return sections, places, -(-end // 64) * 64


def sections_of(layout: Layout) -> list[Section | None]:
    found: list[Section | None] = [layout.inverse, layout.csr]
    for role in JAGGED:
        own = layout.jagged[role]
        found += [own.values, own.weights, own.lengths, own.starts]
    found += [layout.dense, layout.labels, layout.weights]
    return [*found, layout.session_ids, layout.session_rows, layout.factor]


@settings(max_examples=200)
@given(batches())
def test_sections_stand_where_the_model_has_them(batch: BatchBuffer) -> None:
    layout = batch.layout()
    sections, places, nbytes = plain_layout(batch)
    assert layout.nbytes == nbytes
    for found, expected in zip(sections_of(layout), sections, strict=True):
        if found is None:
            assert expected[2] == 0
        else:
            assert (found.byte_offset, found.dtype, found.count) == expected
    for number, feature in enumerate(batch.schema.features):
        used = [0]
        if feature.role <= Role.FLOAT_LIST:
            used = [0, 2, *([1] if feature.role is Role.IDSCORE else [])]
            used += [3] if feature.windowed else []
        for part in used:
            assert layout.places[number, part] == places[number, part]
    row = 0
    for group in range(len(batch.unique)):
        if batch.identity[group]:
            assert layout.inverse_row[group] == -1
        else:
            assert layout.inverse_row[group] == row
            assert places["inverse", group] == 4 * row * batch.num_rows
            row += 1
        if ("csr", group) in places:
            at = layout.csr.byte_offset + 4 * int(layout.csr_start[group])
            assert at == places["csr", group]
        else:
            assert layout.csr_start[group] == -1


@settings(max_examples=30)
@given(batches())
def test_a_batch_that_travelled_has_the_same_layout(batch: BatchBuffer) -> None:
    whole = replace(batch, data=np.arange(batch.layout().nbytes, dtype=np.int64).astype(np.uint8))
    whole.with_layout(batch.layout())
    arrived = pickle.loads(pickle.dumps(whole))
    assert arrived.schema == whole.schema
    assert arrived.cursor == whole.cursor
    for name in ("data", "unique", "values", "identity", "monotone"):
        assert np.array_equal(getattr(arrived, name), getattr(whole, name)), name
    for one, other in zip(sections_of(arrived.layout()), sections_of(whole.layout()), strict=True):
        assert one == other
        if one is not None and other is not None:
            assert one.of(arrived.data).tobytes() == other.of(whole.data).tobytes()


def test_a_batch_of_nothing_but_rows() -> None:
    nothing = np.zeros(0, np.int64)
    layout = lay_out(BatchSchema((), ()), 5, 2, nothing, nothing, nothing > 0, nothing > 0)
    assert layout.session_ids == Section(0, "int64", 2)
    assert layout.session_rows == Section(64, "int32", 2)
    assert layout.nbytes == 128


def test_a_section_is_a_view() -> None:
    data = np.zeros(256, np.uint8)
    Section(64, "float32", 3).of(data)[:] = 1.5
    assert np.flatnonzero(data.view(np.float32)).tolist() == [16, 17, 18]
