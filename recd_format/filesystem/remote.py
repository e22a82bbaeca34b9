"""Object stores and other file systems of pyarrow.fs, fsspec's among them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow.fs as pafs
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.filesystem.memory import SourceBase, truncated, unreadable
from recd_format.filesystem.sinks import REMOTE_ERRORS, SpooledSink, unwritable
from recd_format.io import ForkSafeLock

if TYPE_CHECKING:
    from recd_format.filesystem.places import Place

__all__ = ["RemoteSource", "remote_sink"]

# Requests in flight for one read: object stores answer in tens of milliseconds, whatever the size.
_CONCURRENT_READS = 16
_COPY_BYTES = 8 << 20


class RemoteSource(SourceBase):
    """A file in a `pyarrow.fs` file system; opened lazily, in each process anew.

    Parameters
    ----------
    place : Place
        File system and path; both pickle with the source, the open file does not.
    """

    # A request takes some 20 ms, in which a megabyte arrives.
    gap_bytes = 1 << 20

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = ForkSafeLock()
        self._handle: Any = None
        self._pid = -1
        self._size: int | None = None

    @property
    def name(self) -> str:
        """URI or path of the file."""
        return str(self.place)

    def _open(self) -> Any:
        with self._lock:
            if self._handle is None or self._pid != os.getpid():
                try:
                    self._handle = self.place.filesystem.open_input_file(self.place.path)
                    self._size = int(self._handle.size())
                except REMOTE_ERRORS as error:
                    raise unreadable(self.name, error) from error
                self._pid = os.getpid()
            return self._handle

    def size(self) -> int:
        """Bytes of the file."""
        if self._size is None:
            self._open()
        return self._size or 0

    def read_into(self, byte_offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with the bytes from `byte_offset` on."""
        if not len(buffer):
            return
        size = self.size()
        if byte_offset + len(buffer) > size:
            raise truncated(self.name, byte_offset, len(buffer), size - byte_offset)
        handler = getattr(self.place.filesystem, "handler", None)
        try:
            if isinstance(handler, pafs.FSSpecHandler):
                # One request for just these bytes. Arrow reads from fsspec's open files one at a
                # time, and those read ahead.
                end = byte_offset + len(buffer)
                data = handler.fs.cat_file(self.place.path, start=byte_offset, end=end)
            else:
                data = self._open().read_at(len(buffer), byte_offset)
        except REMOTE_ERRORS as error:
            raise unreadable(self.name, error) from error
        if len(data) != len(buffer):
            raise truncated(self.name, byte_offset, len(buffer), len(data))
        buffer[:] = np.frombuffer(data, np.uint8)

    def read_many(self, parts: Sequence[tuple[int, NDArray[np.uint8]]]) -> None:
        """Fill each buffer with the bytes from its byte offset on, 16 requests in flight."""
        if len(parts) < 2:
            super().read_many(parts)
            return
        with ThreadPoolExecutor(min(_CONCURRENT_READS, len(parts))) as pool:
            for _ in pool.map(self.read_into, *zip(*parts, strict=True)):
                pass

    def close(self) -> None:
        """Let go of the file, which closes once reads under way are done; a later read opens it."""
        with self._lock:
            self._handle = None

    def __reduce__(self) -> tuple[type[RemoteSource], tuple[Place]]:
        return (RemoteSource, (self.place,))


def remote_sink(place: Place) -> SpooledSink:
    """Return a sink for a file in a `pyarrow.fs` file system: one upload, at `commit`."""
    filesystem, path = place.filesystem, place.path

    def upload(spool: IO[bytes]) -> None:
        try:
            with filesystem.open_output_stream(path) as stream:
                shutil.copyfileobj(spool, stream, _COPY_BYTES)
        except BaseException:
            # Leaving the `with` completed what had arrived so far.
            with contextlib.suppress(*REMOTE_ERRORS):
                filesystem.delete_file(path)
            raise

    try:
        is_folder = filesystem.get_file_info(path).type == pafs.FileType.Directory
    except REMOTE_ERRORS as error:
        raise unwritable(str(place), error) from error
    if is_folder:
        raise RecdInputError(f"{place}: cannot be written: it is a folder")
    return SpooledSink(str(place), upload)
