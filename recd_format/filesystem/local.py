"""Local files: pread into aligned buffers, or mmap."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.filesystem.memory import MemorySource, SourceBase, truncated, unreadable
from recd_format.io import ForkSafeLock

__all__ = ["LocalSource", "MappedSource"]

# One pread gives at most 2^31 - 4096 bytes on Linux.
_READ_BYTES = 1 << 30


class _Handle:
    """A descriptor, closed when nobody refers to it: `close` never takes it from under a read."""

    __slots__ = ("number",)

    def __init__(self, path: str) -> None:
        self.number = -1
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self.number = os.open(path, flags)

    def __del__(self) -> None:
        if self.number >= 0:
            with contextlib.suppress(OSError):
                os.close(self.number)


class LocalSource(SourceBase):
    """A local file read by pread, opened at the first read and again at the first after `close`.

    Parameters
    ----------
    path : str
        Path of the file.

    Raises
    ------
    RecdInputError
        By any read: the file cannot be read, or another is in its place since it was first opened.
    """

    def __init__(self, path: str) -> None:
        self.path = os.fspath(path)
        self._lock = ForkSafeLock()
        self._handle: _Handle | None = None
        self._identity: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """Path of the file."""
        return self.path

    def _open(self) -> _Handle:
        # pread has no position to share, so a descriptor inherited by fork is as good as our own.
        handle = self._handle
        if handle is not None:
            return handle
        with self._lock:
            # `close` may come at any time: what is returned is our own reference.
            handle = self._handle
            if handle is None:
                try:
                    handle = _Handle(self.path)
                    status = os.fstat(handle.number)
                    if stat.S_ISDIR(status.st_mode):
                        raise IsADirectoryError(errno.EISDIR, "it is a folder")
                except OSError as error:
                    raise unreadable(self.path, error) from error
                # What was learned of the file before `close` holds for that file alone.
                identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
                if self._identity not in (None, identity):
                    raise RecdInputError(
                        f"{self.path}: the file was replaced since it was opened; open it again"
                    )
                self._identity = identity
                self._handle = handle
            return handle

    def size(self) -> int:
        """Bytes of the file."""
        handle = self._open()
        try:
            return os.fstat(handle.number).st_size
        except OSError as error:
            raise unreadable(self.path, error) from error

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on."""
        handle, view, done = self._open(), memoryview(buffer), 0
        while done < len(view):
            try:
                got = _pread(handle.number, view[done : done + _READ_BYTES], byte_offset + done)
            except OSError as error:
                raise unreadable(self.path, error) from error
            if got == 0:
                raise truncated(self.path, byte_offset, len(view), done)
            done += got

    def close(self) -> None:
        """Close the file once reads under way are done; a later read opens it again."""
        self._handle = None

    def __reduce__(self) -> tuple[type[LocalSource], tuple[str]]:
        return (type(self), (self.path,))


if hasattr(os, "preadv"):

    def _pread(descriptor: int, view: memoryview, byte_offset: int) -> int:
        return os.preadv(descriptor, [view], byte_offset)

else:  # Windows: one position per descriptor, so one read at a time
    _SEEK_LOCK = ForkSafeLock()

    def _pread(descriptor: int, view: memoryview, byte_offset: int) -> int:
        with _SEEK_LOCK:
            os.lseek(descriptor, byte_offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)


class MappedSource(LocalSource):
    """A local file mapped into memory; reads copy out of the mapping, without system calls.

    A file that is cut short while it is mapped ends the process (SIGBUS).
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._mapped: MemorySource | None = None

    def _memory(self) -> MemorySource:
        mapped = self._mapped
        if mapped is None:
            handle, size = self._open(), self.size()
            try:
                # An empty file cannot be mapped.
                data = mmap.mmap(handle.number, 0, access=mmap.ACCESS_READ) if size else b""
            except (OSError, ValueError) as error:
                raise unreadable(self.path, error) from error
            self._mapped = mapped = MemorySource(memoryview(data), self.path)
        return mapped

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Copy the bytes from `byte_offset` on into `buffer`."""
        self._memory().read_into(byte_offset, buffer)

    def close(self) -> None:
        """Forget the mapping; a later read maps the file again."""
        self._mapped = None
        super().close()
