"""The first values of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from recd_format.torch.transforms._cut import Cut

__all__ = ["FirstN"]


@dataclass(frozen=True, slots=True)
class FirstN(Cut):
    """Keep the first `n` values of each row, and their weights.

    Parameters
    ----------
    n : int
        At least 1. Shorter rows stay as they are.
    """

    keeps_last: ClassVar[bool] = False
