"""The error tree. Everything the package raises on purpose is one of these.

* RecdError
  + RecdInputError (also a ValueError): bad data or bad arguments given by the caller
  + RecdFormatError: bytes that are not a valid file; carries a `reason` and a `location`

Layer: the lowest; imports nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Location", "Reason", "RecdError", "RecdFormatError", "RecdInputError"]


class Reason(str, Enum):
    """Why a file is invalid: a closed set, one per validity rule of `spec/validity.md`."""

    NOT_RECD = "not_recd"
    TRUNCATED = "truncated"
    CHECKSUM = "checksum"
    VERSION = "version"
    FEATURE = "feature"
    HEAD = "head"
    POSTSCRIPT = "postscript"
    SCHEMA = "schema"
    DIRECTORY = "directory"
    SECTION = "section"
    STRIPE = "stripe"
    RECORD = "record"
    RANGE = "range"
    OVERLAP = "overlap"
    CHAIN = "chain"
    LIMIT = "limit"
    PADDING = "padding"
    ENCODING = "encoding"
    SESSIONS = "sessions"
    CODES = "codes"
    LENGTHS = "lengths"
    WINDOW = "window"
    REFERENCE = "reference"
    VALIDITY = "validity"
    DICTIONARY = "dictionary"


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a file something is wrong; parts that are not known are None."""

    path: str | None = None
    part: str | None = None
    stripe: int | None = None
    owner: str | None = None
    stream: str | None = None
    byte_offset: int | None = None

    def __str__(self) -> str:
        words = [
            self.path,
            self.part,
            None if self.stripe is None else f"stripe {self.stripe}",
            None if self.owner is None else f"{self.owner!r}",
            self.stream,
            None if self.byte_offset is None else f"byte {self.byte_offset}",
        ]
        return ", ".join(word for word in words if word) or "file"


class RecdError(Exception):
    """Base of every error of this package."""


class RecdInputError(RecdError, ValueError):
    """Data or arguments from the caller that cannot be used as they are."""


class RecdFormatError(RecdError):
    """A file that breaks a rule of the format.

    Parameters
    ----------
    reason
        The rule that is broken.
    detail
        What was expected and what was found.
    location
        Where it was found.
    """

    def __init__(self, reason: Reason, detail: str, location: Location | None = None) -> None:
        self.reason = Reason(reason)
        self.detail = detail
        self.location = location or Location()
        super().__init__(f"{self.location}: {detail} [{self.reason.value}]")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.reason, self.detail, self.location))
