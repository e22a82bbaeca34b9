"""Bytes in memory and open file objects as sources, and what all sources share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import Location, Reason, RecdFormatError, RecdInputError
from recd_format.io import BytesLike, ForkSafeLock

__all__ = ["FileObjectSource", "MemorySource", "SourceBase", "truncated", "unreadable"]


def truncated(name: str, byte_offset: int, wanted: int, got: int) -> RecdFormatError:
    """The error of a file that ends too early."""
    detail = f"expected {wanted} bytes, found {max(got, 0)}: the file is cut off"
    where = Location(path=name, byte_offset=byte_offset)
    return RecdFormatError(Reason.TRUNCATED, detail, where)


def unreadable(name: str, error: BaseException) -> RecdInputError:
    """The error of a file that cannot be read, in one line."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RecdInputError(f"{name}: cannot be read: {reason}")


class SourceBase:
    """`read_many` by `read_into`, one after the other."""

    # A local read costs about what copying this many bytes does.
    gap_bytes = 4 << 10

    @property
    def name(self) -> str:
        """Path or URI, for messages."""
        raise NotImplementedError

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on."""
        raise NotImplementedError

    def read_many(self, parts: Sequence[tuple[int, NDArray[np.uint8]]]) -> None:
        """Fill each buffer with the bytes from its byte offset on."""
        for byte_offset, buffer in parts:
            self.read_into(byte_offset, buffer)


class MemorySource(SourceBase):
    """Bytes in memory."""

    def __init__(self, data: BytesLike, name: str = "<bytes>") -> None:
        self._data = np.frombuffer(memoryview(data).cast("B"), np.uint8)
        self._name = name

    @property
    def name(self) -> str:
        """What messages call the bytes."""
        return self._name

    def size(self) -> int:
        """Bytes held."""
        return len(self._data)

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Copy the bytes from `byte_offset` on into `buffer`."""
        part = self._data[byte_offset : byte_offset + len(buffer)]
        if len(part) != len(buffer):
            raise truncated(self._name, byte_offset, len(buffer), len(part))
        buffer[:] = part

    def close(self) -> None:
        """Does nothing: the bytes belong to the caller."""

    def __reduce__(self) -> tuple[type[MemorySource], tuple[bytes, str]]:
        return (MemorySource, (self._data.tobytes(), self._name))


class FileObjectSource(SourceBase):
    """An open binary file object with `read` and `seek`; it is not closed and does not pickle."""

    def __init__(self, file: IO[bytes], name: str | None = None) -> None:
        self._file: Any = file
        self._name = name or str(getattr(file, "name", None) or f"<{type(file).__name__}>")
        self._lock = ForkSafeLock()

    @property
    def name(self) -> str:
        """Name of the file object."""
        return self._name

    def size(self) -> int:
        """Bytes of the file."""
        with self._lock:
            try:
                return int(self._file.seek(0, os.SEEK_END))
            except (OSError, ValueError) as error:
                raise unreadable(self._name, error) from error

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on."""
        done = 0
        with self._lock:
            try:
                self._file.seek(byte_offset)
                while done < len(buffer):
                    data = self._file.read(len(buffer) - done)
                    if not data:
                        raise truncated(self._name, byte_offset, len(buffer), done)
                    buffer[done : done + len(data)] = np.frombuffer(data, np.uint8)
                    done += len(data)
            except (OSError, ValueError) as error:
                raise unreadable(self._name, error) from error

    def close(self) -> None:
        """Does nothing: the file object belongs to the caller."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise RecdInputError(
            f"{self._name}: an open file object cannot go to another process; open by path instead"
        )
