"""recd_format: recommendation logs, each feature value stored once per session.

>>> import recd_format as recd
>>> recd.write  # doctest: +ELLIPSIS
<function write at ...>

Names are loaded at first use: importing the package pulls in neither pyarrow nor Numba nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from recd_format.constants import Limits
from recd_format.errors import Location, Reason, RecdError, RecdFormatError, RecdInputError

if TYPE_CHECKING:
    from recd_format.api import RecdDataset, RecdFile, RecdWriter, WriteReport, dataset, open, write
    from recd_format.dedup.plan import Plan
    from recd_format.reader.options import ReadOptions
    from recd_format.reader.stats import FieldStats, FileStats, GroupStats
    from recd_format.reader.verify import VerifyReport
    from recd_format.writer.options import WriteOptions

__version__ = "0.1.0"

_LAZY = {
    "FieldStats": "recd_format.reader.stats",
    "FileStats": "recd_format.reader.stats",
    "GroupStats": "recd_format.reader.stats",
    "Plan": "recd_format.dedup.plan",
    "ReadOptions": "recd_format.reader.options",
    "RecdDataset": "recd_format.api",
    "RecdFile": "recd_format.api",
    "RecdWriter": "recd_format.api",
    "VerifyReport": "recd_format.reader.verify",
    "WriteOptions": "recd_format.writer.options",
    "WriteReport": "recd_format.api",
    "dataset": "recd_format.api",
    "open": "recd_format.api",
    "write": "recd_format.api",
}

__all__ = [
    "FieldStats",
    "FileStats",
    "GroupStats",
    "Limits",
    "Location",
    "Plan",
    "ReadOptions",
    "Reason",
    "RecdDataset",
    "RecdError",
    "RecdFile",
    "RecdFormatError",
    "RecdInputError",
    "RecdWriter",
    "VerifyReport",
    "WriteOptions",
    "WriteReport",
    "dataset",
    "open",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'recd_format' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
