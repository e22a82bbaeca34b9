"""recd_format.torch: what a training loop imports.

>>> from recd_format.torch import RecdDataPipe  # doctest: +SKIP

Names are loaded at first use: torchdata and TorchRec are needed only by what uses them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recd_format.loader.options import Downsample, LoaderOptions
    from recd_format.torch import transforms
    from recd_format.torch.batch import RecdBatch, same_session_mask
    from recd_format.torch.datapipe import RecdDataPipe
    from recd_format.torch.dataset import RecdIterableDataset
    from recd_format.torch.ikjt import InverseKeyedJaggedTensor
    from recd_format.torch.keyed_jagged import KeyedJagged
    from recd_format.torch.node import RecdNode

_LAZY = {
    "Downsample": "recd_format.loader.options",
    "InverseKeyedJaggedTensor": "recd_format.torch.ikjt",
    "KeyedJagged": "recd_format.torch.keyed_jagged",
    "LoaderOptions": "recd_format.loader.options",
    "RecdBatch": "recd_format.torch.batch",
    "RecdDataPipe": "recd_format.torch.datapipe",
    "RecdIterableDataset": "recd_format.torch.dataset",
    "RecdNode": "recd_format.torch.node",
    "same_session_mask": "recd_format.torch.batch",
}

__all__ = [
    "Downsample",
    "InverseKeyedJaggedTensor",
    "KeyedJagged",
    "LoaderOptions",
    "RecdBatch",
    "RecdDataPipe",
    "RecdIterableDataset",
    "RecdNode",
    "same_session_mask",
    "transforms",
]


def __getattr__(name: str) -> Any:
    if name == "transforms":
        return importlib.import_module("recd_format.torch.transforms")
    if name not in _LAZY:
        raise AttributeError(f"module 'recd_format.torch' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
