"""Batches: what they hold, and that one buffer is all that travels."""

from __future__ import annotations

import collections.abc
import io
import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import default_convert

from recd_format.errors import RecdInputError
from recd_format.loader.columns import BatchSchema, Feature
from recd_format.loader.options import Downsample
from recd_format.loader.preparation import Role
from recd_format.torch.batch import RecdBatch, same_session_mask
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.fixed import expand_columns, expand_columns_on_device
from recd_format.torch.form import BatchForm
from tests.torch_plugin.reading import (
    ROWS,
    contents,
    expected_rows,
    row_numbers,
    small_table,
    write_small_log,
)


def batches(path: Path, **options: Any) -> list[RecdBatch]:
    return list(RecdIterableDataset(path, meta=["row"], **options))


@pytest.mark.parametrize("batch_size", [1, 17, 64, 1000])
@pytest.mark.parametrize("threads", [0, 1])
def test_batches_hold_the_rows_of_the_file(tmp_path: Path, batch_size: int, threads: int) -> None:
    expected = expected_rows(write_small_log(tmp_path / "a.recd"))
    at = 0
    for batch in batches(tmp_path / "a.recd", batch_size=batch_size, threads=threads):
        assert len(batch) == min(batch_size, ROWS - at)
        found = contents(batch)
        for name, rows in expected.items():
            assert found[name] == rows[at : at + len(batch)], name
        at += len(batch)
    assert at == ROWS


def test_a_list_of_batches_has_no_aliases(small_log: Path) -> None:
    reader = RecdIterableDataset(small_log, batch_size=32, meta=["row"], prefetch=1)
    kept, seen = [], []
    for batch in reader:
        seen.append(contents(batch))
        kept.append(batch)
    assert [contents(batch) for batch in list(reader)] == seen
    assert [contents(batch) for batch in kept] == seen


def test_shapes_types_and_names(small_log: Path) -> None:
    batch = batches(small_log, batch_size=50)[0]
    assert batch.dense_names == ("age", "price", "vector[0]", "vector[1]", "vector[2]")
    assert batch.dense_features.shape == (50, 5)
    assert batch.dense_features.dtype == torch.float32
    assert batch.dense_features.is_contiguous()
    assert batch.label_names == ("label", "bought")
    assert batch.labels.shape == (50, 2)
    assert torch.isnan(batch.labels[:, 0]).tolist() == [n % 13 == 0 for n in row_numbers(batch)]
    assert batch.weights.shape == (50,)
    assert batch.session_ids.dtype == torch.int64
    assert batch.sparse_features.stride() == batch.num_rows == 50
    assert batch.device == torch.device("cpu")


def test_session_ids_are_runs_of_one_id(small_log: Path) -> None:
    sessions = small_table()["session"].to_pylist()
    for batch in batches(small_log, batch_size=23):
        ids = batch.session_ids.tolist()
        own = [sessions[row] for row in row_numbers(batch)]
        mask = same_session_mask(batch)
        assert mask.dtype == torch.bool
        assert mask.tolist() == [[a == b for b in own] for a in own]
        assert len(set(ids)) == len(set(own))


def test_what_is_not_there_is_none_or_has_no_columns(small_log: Path) -> None:
    batch = batches(small_log, columns=["user", "label"], batch_size=10)[0]
    assert batch.idscore_features is None
    assert batch.float_lists is None
    assert batch.weights is None
    assert batch.dense_features.shape == (10, 0)
    batch = batches(small_log, columns=["age"], batch_size=10)[0]
    assert batch.sparse_features is None
    assert batch.labels.shape == (10, 0)


def test_weights_are_multiplied_by_the_factor_of_downsampling(small_log: Path) -> None:
    table = small_table()
    stored, bought = table["weight"].to_pylist(), table["bought"].to_pylist()
    options = {"downsample": Downsample("bought", 0.25, by="row"), "batch_size": 20}
    seen = set()
    for columns in (None, ["user", "bought"]):
        for batch in batches(small_log, columns=columns, **options):
            assert batch.weights.dtype == torch.float32
            for row, weight in zip(row_numbers(batch), batch.weights.tolist(), strict=True):
                factor = 1 if bought[row] > 0 else 4
                seen.add(factor)
                assert weight == factor * (stored[row] if columns is None else 1)
    assert seen == {1, 4}


def test_ids_of_int32(small_log: Path) -> None:
    wide = batches(small_log, batch_size=64)
    narrow = batches(small_log, batch_size=64, id_dtype=torch.int32)
    assert narrow[0].sparse_features.values().dtype == torch.int32
    assert [contents(batch) for batch in narrow] == [contents(batch) for batch in wide]


def test_output_kjt_is_expanded(small_log: Path) -> None:
    plain = batches(small_log, batch_size=64)
    expanded = batches(small_log, batch_size=64, output="kjt")
    assert expanded[0].sparse_features.lengths().shape == (5 * 64,)
    assert not hasattr(expanded[0].sparse_features, "expand")
    assert [contents(batch) for batch in expanded] == [contents(batch) for batch in plain]


def test_one_tensor_crosses_from_a_worker(small_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batches(small_log, batch_size=64)[0]
    contents(batch)  # what was written out by now does not travel
    crossed = []
    reduce = ForkingPickler._extra_reducers[torch.Tensor]
    monkeypatch.setitem(
        ForkingPickler._extra_reducers,
        torch.Tensor,
        lambda tensor: (crossed.append(tensor), reduce(tensor))[1],
    )
    data = ForkingPickler.dumps(batch)
    assert len(crossed) == 1
    assert crossed[0].dtype == torch.uint8
    assert contents(pickle.loads(data)) == contents(batch)


def test_pickle_is_the_buffer_and_a_header(small_log: Path) -> None:
    batch, other = batches(small_log, batch_size=64)[:2]
    copy, other_copy = (pickle.loads(pickle.dumps(b)) for b in (batch, other))
    assert contents(copy) == contents(batch)
    assert copy.cursor == batch.cursor
    assert copy.sparse_features.keys() == batch.sparse_features.keys()
    # Batches from a worker share what they have in common, as those of one process do.
    assert copy._form is other_copy._form
    assert copy._form.jagged[Role.SPARSE].keys is other_copy._form.jagged[Role.SPARSE].keys


def test_saved_and_loaded_with_torch(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    file = io.BytesIO()
    torch.save(batch, file)
    file.seek(0)
    assert contents(torch.load(file, weights_only=False)) == contents(batch)


def test_dataloaders_pass_it_on_as_it_is(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    assert default_convert(batch) is batch
    assert not isinstance(batch, (collections.abc.Sequence, collections.abc.Mapping))


def test_tensors_are_views_of_the_buffer(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    copy = batch._with(batch._buffer.clone())
    first = copy._buffer.data_ptr()
    ikjt = copy.sparse_features
    for tensor in (ikjt.lengths(), ikjt.inverse_lookup("genre"), copy.idscore_features.values()):
        assert first <= tensor.data_ptr() < first + copy.nbytes
    assert contents(copy) == contents(batch)


class Buffer:
    """Stands for a tensor on a device; counts what is asked of it."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls

    def to(self, device: Any, non_blocking: bool = False) -> Buffer:
        self.calls.append(("to", device, non_blocking))
        return Buffer(self.calls)

    def pin_memory(self) -> Buffer:
        self.calls.append(("pin_memory",))
        return Buffer(self.calls)

    def record_stream(self, stream: Any) -> None:
        self.calls.append(("record_stream", stream))


def test_one_call_for_the_whole_batch(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    calls: list[tuple[Any, ...]] = []
    moved = batch._with(Buffer(calls)).pin_memory().to(device="cuda:0", non_blocking=True)
    moved.record_stream("stream")
    assert calls == [("pin_memory",), ("to", "cuda:0", True), ("record_stream", "stream")]
    assert moved.cursor is batch.cursor
    assert moved.meta is batch.meta


def test_moving_to_where_it_is_copies_nothing(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    assert batch.to("cpu") is batch


def test_nothing_waits_for_a_device(small_log: Path) -> None:
    # On the meta device there are no values: whatever had to wait for one would raise.
    batch = batches(small_log, batch_size=64)[0]
    moved = batch.to("meta")
    assert moved.dense_features.shape == (64, 5)
    assert moved.labels.shape == (64, 2)
    assert moved.weights.shape == (64,)
    assert moved.session_ids.shape == (64,)
    assert moved.sparse_features.values().shape == batch.sparse_features.values().shape
    assert moved.idscore_features.weights().device.type == "meta"


def test_repr_says_what_is_in_it(small_log: Path) -> None:
    batch = batches(small_log, batch_size=64)[0]
    assert repr(batch) == (
        f"RecdBatch(64 rows of {batch._header.num_sessions} sessions: 5 sparse, 1 id score, "
        f"1 float list, 5 dense, 2 label; {batch.nbytes} bytes on cpu)"
    )


def test_two_weight_columns_are_refused() -> None:
    features = tuple(Feature(name, Role.WEIGHT, 0, 1, False) for name in ("a", "b"))
    with pytest.raises(RecdInputError, match="'a', 'b' are all weights"):
        BatchForm(BatchSchema(features, ((0, 1),)))


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += 1
        return function(*args, **(kwargs or {}))


@st.composite
def fixed_columns(draw: st.DrawFn) -> tuple[Any, ...]:
    rows = draw(st.integers(0, 5))
    groups = draw(st.integers(0, 3))
    unique = [draw(st.integers(1, max(rows, 1))) for _ in range(groups)]
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    lookups = [rng.integers(0, count, rows, np.int32) for count in unique]
    inverse = np.stack(lookups) if groups else np.zeros((0, rows), np.int32)
    inverse_row, base, width, stored = [], [], [], 0
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(-1, groups - 1))
        size = draw(st.integers(1, 3))
        for place in range(size):
            inverse_row.append(row)
            base.append(stored + place)
            width.append(size)
        stored += size * (rows if row < 0 else unique[row])
    values = rng.random(stored).astype(np.float32)
    tables = (np.array(part, np.int64) for part in (inverse_row, base, width))
    return values, inverse, *tables, rows


@settings(max_examples=60)
@given(fixed_columns())
def test_both_expansions_of_fixed_columns_do_what_they_say(case: tuple[Any, ...]) -> None:
    values, inverse, inverse_row, base, width, rows = case
    expected = np.array(
        [
            [
                values[b + w * (i if r < 0 else inverse[r, i])]
                for r, b, w in zip(inverse_row, base, width, strict=True)
            ]
            for i in range(rows)
        ],
        np.float32,
    ).reshape(rows, len(base))
    for expand in (expand_columns, expand_columns_on_device):
        found = expand(
            torch.from_numpy(values), torch.from_numpy(inverse), inverse_row, base, width, rows
        )
        assert found.shape == (rows, len(base))
        assert np.array_equal(found.numpy(), expected)


def test_the_number_of_operations_on_a_device_does_not_depend_on_the_groups() -> None:
    def operations(groups: int) -> int:
        inverse = torch.zeros((groups, 8), dtype=torch.int32)
        columns = np.arange(groups)
        with Operations() as counted:
            expand_columns_on_device(
                torch.zeros(groups), inverse, columns, columns, np.ones(groups, np.int64), 8
            )
        return counted.count

    assert operations(2) == operations(50) < 15
