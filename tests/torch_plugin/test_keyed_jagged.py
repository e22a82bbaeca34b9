from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given

torch = pytest.importorskip("torch")

from torch.utils import _pytree  # noqa: E402

from recd_format.errors import RecdInputError  # noqa: E402
from recd_format.torch import KeyedJagged  # noqa: E402
from tests.torch_plugin.jagged_model import Model, assert_rows, flat, models  # noqa: E402


def keyed_jagged(model: Model) -> KeyedJagged:
    """The rows of a model, written out by hand."""
    rows = [row for key in model.keys for row in model.rows(key)]
    weights = None
    if model.weighted:
        weights = torch.tensor(flat([w for key in model.keys for w in model.row_weights(key)]))
    return KeyedJagged(
        model.keys,
        torch.tensor(flat(rows), dtype=model.dtype),
        torch.tensor([len(row) for row in rows], dtype=torch.int64),
        weights if weights is None else weights.float(),
    )


def assert_is(jagged: KeyedJagged, model: Model) -> None:
    assert jagged.keys() == model.keys
    assert jagged.stride() == model.stride
    assert jagged.values().dtype == model.dtype
    assert list(jagged.to_dict()) == model.keys
    assert jagged.length_per_key() == [len(flat(model.rows(key))) for key in model.keys]
    for key in model.keys:
        weights = model.row_weights(key) if model.weighted else None
        for feature in (jagged[key], jagged.to_dict()[key]):
            assert_rows(feature, model.rows(key), weights)


@given(models())
def test_it_gives_back_its_rows(model: Model) -> None:
    assert_is(keyed_jagged(model), model)


@given(models())
def test_copies_are_the_same(model: Model) -> None:
    jagged = keyed_jagged(model)
    for other in (pickle.loads(pickle.dumps(jagged)), copy.deepcopy(jagged), jagged.to("cpu")):
        assert_is(other, model)
    assert jagged.to("cpu") is jagged
    leaves, spec = _pytree.tree_flatten(jagged)
    assert len(leaves) == 2 + model.weighted
    assert_is(_pytree.tree_unflatten(leaves, spec), model)
    assert_is(_pytree.tree_map(lambda tensor: tensor.clone(), jagged), model)
    jagged.record_stream(None)


def test_a_pickle_does_not_hold_the_buffer_it_is_a_view_of() -> None:
    buffer = torch.zeros(1 << 20, dtype=torch.int64)
    jagged = KeyedJagged(["a"], buffer[:2], torch.tensor([1, 1]))
    assert len(pickle.dumps(jagged)) < 10_000


class _OnDevice:
    """Stands for a tensor on a device that is not here."""

    device = torch.device("cuda", 0)

    def __init__(self) -> None:
        self.streams: list[Any] = []
        self.moves: list[str] = []

    def record_stream(self, stream: Any) -> None:
        self.streams.append(stream)

    def to(self, device: Any, non_blocking: bool = False) -> _OnDevice:
        self.moves.append(f"to {device} {non_blocking}")
        return _OnDevice()

    def pin_memory(self) -> _OnDevice:
        self.moves.append("pin")
        return _OnDevice()


def test_moving_and_recording_touch_the_few_tensors() -> None:
    tensors = [_OnDevice() for _ in range(3)]
    jagged = KeyedJagged._from_parts(("a",) * 2_000, *tensors, 4)
    jagged._memo["offsets"] = offsets = _OnDevice()
    jagged.record_stream("stream")
    moved = jagged.to("cpu", non_blocking=True)
    assert moved is not jagged
    jagged.pin_memory()
    assert [tensor.moves for tensor in tensors] == [["to cpu True", "pin"]] * 3
    assert [tensor.streams for tensor in (*tensors, offsets)] == [["stream"]] * 4


def test_it_does_not_change() -> None:
    jagged = KeyedJagged(["a"], torch.tensor([5]), torch.tensor([1]))
    with pytest.raises(AttributeError, match="does not change once made"):
        jagged.stride = 3  # type: ignore[assignment, method-assign]
    jagged.keys().append("b")
    assert jagged.keys() == ["a"]
    assert "a" in jagged
    assert "b" not in jagged


def test_what_does_not_fit_together_is_told() -> None:
    one, lengths = torch.tensor([5]), torch.tensor([1])
    for arguments, message in [
        ((["a", "b"], one, lengths), "lengths: expected as many for each of 2 keys, found 1"),
        ((["a"], one, lengths, None, 2), "lengths: expected 1 keys x 2 rows = 2, found 1"),
        ((["a"], one, lengths, None, -1), "lengths: expected 1 keys x -1 rows"),
        ((["a"], one, torch.tensor([2])), "values: lengths add up to 2, found 1 values"),
        (([], one, lengths), "keys: expected a list of names"),
    ]:
        with pytest.raises(RecdInputError, match=message):
            KeyedJagged(*arguments)


def test_repr_says_what_it_is() -> None:
    jagged = KeyedJagged(["a"], torch.tensor([5.0]), torch.tensor([1]), torch.ones(1))
    assert repr(jagged) == (
        "KeyedJagged(1 keys, stride=1, 1 values, float32, weighted, device='cpu')"
    )
