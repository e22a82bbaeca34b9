"""What is different in a DataLoader worker: errors travel as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recd_format.errors import Location, Reason, RecdFormatError

__all__ = ["InWorkerFormatError", "errors_as_text"]


class InWorkerFormatError(RecdFormatError):
    """A RecdFormatError from a DataLoader worker.

    A DataLoader carries the class of an error and its text to the main process, and makes a new
    one there from the text alone. The reason is read from it; the location is in the text.

    Parameters
    ----------
    message : str
        Text of the error, or the worker's traceback with that text at its end.
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
    """Have a RecdFormatError raised as one that is nothing but text."""
    try:
        yield
    except InWorkerFormatError:
        raise
    except RecdFormatError as error:
        raise InWorkerFormatError(str(error)) from error
