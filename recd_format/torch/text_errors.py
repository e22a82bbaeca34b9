"""Errors that travel as text: from DataLoader workers, and from torchdata's threads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recd_format.errors import Location, Reason, RecdFormatError

__all__ = ["TextFormatError", "errors_as_text"]


class TextFormatError(RecdFormatError):
    """A RecdFormatError that can be made again of its text alone.

    torch carries the class of an error and its text to where batches are awaited, and makes a new
    one there of these two. The reason is read from the text, in which the location stands too.

    Parameters
    ----------
    message : str
        Text of the error, or a traceback with that text at its end.
    """

    def __init__(self, message: str) -> None:
        words = re.findall(r"\[(\w+)\]", message)
        known = [word for word in words if word in {reason.value for reason in Reason}]
        self.reason = Reason(known[-1] if known else "record")
        self.detail = message
        self.location = Location()
        Exception.__init__(self, message)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.detail,))


@contextmanager
def errors_as_text() -> Iterator[None]:
    """Raise a RecdFormatError as one that may travel."""
    try:
        yield
    except TextFormatError:
        raise
    except RecdFormatError as error:
        text = TextFormatError(str(error))
        text.location = error.location
        raise text from error
