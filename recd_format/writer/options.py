"""Options of a write: the one home of each default."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal, get_args

from recd_format.constants import Limits
from recd_format.errors import RecdInputError

__all__ = ["Profile", "WriteOptions"]

Profile = Literal["gpu", "balanced", "small"]

# One big stripe packs trivago 6 % better (measured); it costs memory when it is read.
_STRIPE_ROWS = {"gpu": 65_536, "balanced": 65_536, "small": 1 << 20}
_STRIPE_BYTES = {"gpu": 128 << 20, "balanced": 128 << 20, "small": 512 << 20}
_LEAST_STRIPE_ROWS = 1024
# A stripe closes at twice its rows at the latest.
_MOST_STRIPE_ROWS = Limits().stripe_rows // 2


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a file is written, beyond what its data is.

    Attributes
    ----------
    profile : {"gpu", "balanced", "small"}
        Which codecs are allowed, and what they are chosen for.
    stripe_rows : int or None
        A stripe closes at the first session boundary at or after this many rows. None: the
        profile's, or less where that would decode to more than the profile's bytes.
    threads : int
        Threads that deduplicate and encode the groups of a stripe. The bytes do not depend on it.
    """

    profile: Profile = "balanced"
    stripe_rows: int | None = None
    threads: int = field(default_factory=lambda: min(8, os.cpu_count() or 1))

    def __post_init__(self) -> None:
        if self.profile not in get_args(Profile):
            raise RecdInputError(
                f"profile={self.profile!r}: expected one of {', '.join(get_args(Profile))}"
            )
        rows: object = self.stripe_rows
        if rows is not None and not (
            isinstance(rows, Integral) and 1 <= int(rows) <= _MOST_STRIPE_ROWS
        ):
            raise RecdInputError(
                f"stripe_rows={rows!r}: expected an integer from 1 to {_MOST_STRIPE_ROWS}"
            )
        if self.threads < 1:
            raise RecdInputError(f"threads={self.threads}: expected at least 1")

    def rows_per_stripe(self, decoded_bytes_per_row: float) -> int:
        """Rows at which a stripe closes, for rows that decode to so many bytes each."""
        if self.stripe_rows is not None:
            return self.stripe_rows
        fitting = int(_STRIPE_BYTES[self.profile] / max(decoded_bytes_per_row, 1e-9))
        return max(_LEAST_STRIPE_ROWS, min(_STRIPE_ROWS[self.profile], fitting))
