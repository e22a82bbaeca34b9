"""Local files: pread into aligned buffers, or mmap."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recd_format.filesystem.memory import MemorySource, RangeReader, truncated, unreadable
from recd_format.io import ByteRange, aligned_empty

__all__ = ["LocalSource", "MappedSource"]

# One pread gives at most 2^31 - 4096 bytes on Linux.
_READ_BYTES = 1 << 30


class LocalSource(RangeReader):
    """A local file read by pread, opened at the first read of each process.

    Parameters
    ----------
    path : str
        Path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    @property
    def name(self) -> str:
        """Path of the file."""
        return self.path

    def _open(self) -> int:
        # pread has no position to share, so a descriptor inherited by fork is as good as our own.
        descriptor = self._descriptor
        if descriptor is not None:
            return descriptor
        with self._lock:
            if self._descriptor is None:
                try:
                    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
                    descriptor = os.open(self.path, flags)
                    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                        os.close(descriptor)
                        raise IsADirectoryError(errno.EISDIR, "it is a folder")
                    self._descriptor = descriptor
                except OSError as error:
                    raise unreadable(self.path, error) from error
            return self._descriptor

    def size(self) -> int:
        """Bytes of the file."""
        try:
            return os.fstat(self._open()).st_size
        except OSError as error:
            raise unreadable(self.path, error) from error

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on."""
        descriptor, view, done = self._open(), memoryview(buffer), 0
        while done < len(view):
            try:
                got = _pread(descriptor, view[done : done + _READ_BYTES], byte_offset + done)
            except OSError as error:
                raise unreadable(self.path, error) from error
            if got == 0:
                raise truncated(self.path, byte_offset, len(view), done)
            done += got

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        descriptor = getattr(self, "_descriptor", None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __reduce__(self) -> tuple[type[LocalSource], tuple[str]]:
        return (type(self), (self.path,))


if hasattr(os, "preadv"):

    def _pread(descriptor: int, view: memoryview, byte_offset: int) -> int:
        return os.preadv(descriptor, [view], byte_offset)

else:  # Windows: one position per descriptor, so one read at a time
    _SEEK_LOCK = threading.Lock()

    def _pread(descriptor: int, view: memoryview, byte_offset: int) -> int:
        with _SEEK_LOCK:
            os.lseek(descriptor, byte_offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)


class MappedSource(LocalSource):
    """A local file mapped into memory: no copies, but a file cut short under it is a SIGBUS."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._mapped: MemorySource | None = None

    def _memory(self) -> MemorySource:
        if self._mapped is None:
            size = self.size()
            try:
                # An empty file cannot be mapped.
                data = mmap.mmap(self._open(), 0, access=mmap.ACCESS_READ) if size else b""
            except (OSError, ValueError) as error:
                raise unreadable(self.path, error) from error
            self._mapped = MemorySource(memoryview(data), self.path)
        return self._mapped

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Copy the bytes from `byte_offset` on into `buffer`."""
        self._memory().read_into(byte_offset, buffer)

    def read_ranges(
        self,
        ranges: Sequence[ByteRange],
        allocate: Callable[[int], NDArray[np.uint8]] = aligned_empty,
    ) -> list[NDArray[np.uint8]]:
        """Return read-only views of the mapped file."""
        return self._memory().read_ranges(ranges, allocate)

    def close(self) -> None:
        """Forget the mapping; the system unmaps it when the last view is gone."""
        self._mapped = None
        super().close()
