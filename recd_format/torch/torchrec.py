"""What TorchRec takes: KeyedJaggedTensors, and batches for its train pipelines.

The only module that imports torchrec, and only when one of its functions is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from recd_format.errors import RecdInputError
from recd_format.torch.ikjt import InverseKeyedJaggedTensor
from recd_format.torch.keyed_jagged import KeyedJagged

if TYPE_CHECKING:
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

__all__ = ["TorchRecBatch", "kjt_from_keyed_jagged", "register_pipelineable", "to_kjt"]

T = TypeVar("T", bound=type)
_INSTALL = (
    "torchrec is not installed: pip install --no-deps torchrec tensordict torchmetrics tqdm "
    "pyre-extensions, beside the fbgemm-gpu (CUDA) or fbgemm-gpu-cpu that is made for your torch "
    "(torch 2.13: both 1.8.0)"
)


def _jagged_tensor() -> Any:
    try:
        from torchrec.sparse import jagged_tensor
    except ModuleNotFoundError as error:
        raise RecdInputError(f"{_INSTALL} ({error})") from error
    return jagged_tensor


def to_kjt(ikjt: InverseKeyedJaggedTensor) -> KeyedJaggedTensor:
    """Return a KeyedJaggedTensor of variable stride: U rows of each key, and inverse_indices.

    Keys are always in the order of `ikjt.keys()`: sharded modules remember that of their first
    batch. Values, lengths and weights are not copied; the inverse is written out for each key,
    int64 [F, B], where the tensors are.

    Raises
    ------
    RecdInputError
        torchrec is not installed.
    """
    jagged_tensor = _jagged_tensor()
    parts = ikjt._parts
    keys = ikjt.keys()
    of_key = parts.keys.group_of_key
    bounds = ikjt._value_bounds()
    # int32 and on the CPU whatever the device: torchrec makes a list of it.
    strides = torch.from_numpy(parts.unique[of_key].astype("int32")).reshape(-1, 1)
    return jagged_tensor.KeyedJaggedTensor(
        keys=keys,
        values=ikjt.values(),
        weights=ikjt.weights_or_none(),
        lengths=ikjt.lengths(),
        stride_per_key_per_rank=strides,
        length_per_key=ikjt.length_per_key(),
        offset_per_key=bounds.tolist(),
        inverse_indices=(keys, ikjt._inverse_table(parts.inverse_row[of_key], torch.int64)),
    )


def kjt_from_keyed_jagged(jagged: KeyedJagged) -> KeyedJaggedTensor:
    """Return the same as a KeyedJaggedTensor; nothing is copied.

    Raises
    ------
    RecdInputError
        torchrec is not installed.
    """
    known = jagged._parts.counts is not None or jagged.device.type == "cpu"
    return _jagged_tensor().KeyedJaggedTensor(
        keys=jagged.keys(),
        values=jagged.values(),
        weights=jagged.weights_or_none(),
        lengths=jagged.lengths(),
        stride=jagged.stride(),
        # Counting them would wait for a device; torchrec does it where it needs them.
        length_per_key=jagged.length_per_key() if known else None,
    )


def register_pipelineable(cls: T) -> T:
    """Make torchrec's train pipelines take a class that has `to` and `record_stream`.

    Raises
    ------
    RecdInputError
        torchrec is not installed.
    """
    try:
        from torchrec.streamable import Pipelineable
    except ModuleNotFoundError as error:
        raise RecdInputError(f"{_INSTALL} ({error})") from error
    Pipelineable.register(cls)
    return cls


class TorchRecBatch:
    """A batch as torchrec's DLRMTrain and train pipelines take it.

    Wraps a batch of ours. `sparse_features` are made a KeyedJaggedTensor at first access, on the
    device where the batch then is: only unique rows and the groups' inverses are copied there.
    What else the wrapped batch has (session_ids, meta, cursor, ...) is to be had here too.

    Parameters
    ----------
    batch
        Has dense_features, sparse_features, idscore_features, labels, and `to` and
        `record_stream`.

    Raises
    ------
    RecdInputError
        torchrec is not installed.
    """

    _registered = False

    def __init__(self, batch: Any) -> None:
        if not TorchRecBatch._registered:
            register_pipelineable(TorchRecBatch)
            TorchRecBatch._registered = True
        self._batch = batch
        self._made: dict[str, Any] = {}

    @property
    def sparse_features(self) -> KeyedJaggedTensor | None:
        """The id_lists of the batch, None where it has none."""
        return self._kjt("sparse_features")

    @property
    def idscore_features(self) -> KeyedJaggedTensor | None:
        """The weighted id lists of the batch, None where it has none."""
        return self._kjt("idscore_features")

    @property
    def float_lists(self) -> KeyedJaggedTensor | None:
        """The float lists of the batch, None where it has none."""
        return self._kjt("float_lists")

    @property
    def labels(self) -> torch.Tensor:
        """Float32 [B] where there is one label, as DLRMTrain needs; else [B, labels]."""
        labels = self._batch.labels
        return labels.squeeze(1) if labels.dim() == 2 and labels.shape[1] == 1 else labels

    def _kjt(self, name: str) -> Any:
        if name not in self._made:
            jagged = getattr(self._batch, name)
            self._made[name] = None if jagged is None else jagged.to_torchrec()
        return self._made[name]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TorchRecBatch:
        """The same on a device."""
        moved = self._batch.to(device, non_blocking=non_blocking)
        return self if moved is self._batch else TorchRecBatch(moved)

    def pin_memory(self) -> TorchRecBatch:
        """A copy in pinned memory."""
        return TorchRecBatch(self._batch.pin_memory())

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of the tensors until what `stream` now has to do is done."""
        self._batch.record_stream(stream)
        for made in self._made.values():
            if made is not None and made.values().device.type != "cpu":
                made.record_stream(stream)

    def __getattr__(self, name: str) -> Any:
        # Not for what pickle looks for before there is a batch, nor for a property that failed.
        if name.startswith("_") or hasattr(TorchRecBatch, name):
            raise AttributeError(name)
        return getattr(self._batch, name)

    def __getstate__(self) -> Any:
        return self._batch

    def __setstate__(self, batch: Any) -> None:
        TorchRecBatch.__init__(self, batch)

    def __repr__(self) -> str:
        return f"TorchRecBatch({self._batch!r})"
