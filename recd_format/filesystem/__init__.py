"""Files, object stores and buffers as `Source` and `Sink`, and finding files.

Local files are read by pread into aligned buffers, and written beside their target, then renamed.
Everything else goes through pyarrow.fs: `s3://` and `gs://` by Arrow's own file systems, other
URIs by fsspec.
"""

from __future__ import annotations

import os
import shutil
from typing import IO, Any

import pyarrow as pa

from recd_format.errors import RecdInputError
from recd_format.filesystem.local import LocalSource, MappedSource
from recd_format.filesystem.memory import FileObjectSource, MemorySource
from recd_format.filesystem.places import Place, is_path, list_files, resolve
from recd_format.filesystem.remote import RemoteSource, remote_sink
from recd_format.filesystem.sinks import LocalSink, SpooledSink
from recd_format.io import Sink, Source

__all__ = [
    "FileObjectSource",
    "LocalSink",
    "LocalSource",
    "MappedSource",
    "MemorySource",
    "Place",
    "RemoteSource",
    "SpooledSink",
    "is_path",
    "list_files",
    "open_sink",
    "open_source",
    "resolve",
]


def open_source(where: Any, *, filesystem: Any = None, mmap: bool = False) -> Source:
    """Return a source of the bytes at `where`; nothing is opened before the first read.

    Parameters
    ----------
    where
        Path, URI, `Place`, bytes-like object, pyarrow buffer, binary file object with `read` and
        `seek`, or a `Source`, which is returned as it is.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        File system that the path is in.
    mmap : bool
        Map a local file; reads then copy out of the mapping.

    Raises
    ------
    RecdInputError
        Where `where` is none of these, or no file system is known for the URI.
    """
    if is_path(where):
        place = resolve(where, filesystem)
        if place.filesystem is not None:
            return RemoteSource(place)
        return MappedSource(place.path) if mmap else LocalSource(place.path)
    if isinstance(where, Source):
        return where
    if isinstance(where, (bytes, bytearray, memoryview, pa.Buffer)):
        return MemorySource(memoryview(where))
    if hasattr(where, "read") and hasattr(where, "seek"):
        return FileObjectSource(where)
    raise RecdInputError(f"expected a path, bytes or a binary file, found {type(where).__name__}")


def open_sink(where: Any, *, filesystem: Any = None) -> Sink:
    """Return a sink for one file that appears whole at `commit`.

    Parameters
    ----------
    where
        Path, URI, `Place`, binary file object with `write` (all bytes are written at `commit`), or
        a `Sink`, which is returned as it is.
    filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        File system that the path is in.

    Raises
    ------
    RecdInputError
        Where the place cannot be written.
    """
    if is_path(where):
        place = resolve(where, filesystem)
        return LocalSink(place.path) if place.filesystem is None else remote_sink(place)
    if isinstance(where, Sink):
        return where
    if hasattr(where, "write"):
        return _file_object_sink(where)
    kind = type(where).__name__
    raise RecdInputError(f"expected a path or a binary file to write to, found {kind}")


def _file_object_sink(file: IO[bytes]) -> SpooledSink:
    def upload(spool: IO[bytes]) -> None:
        shutil.copyfileobj(spool, file)

    name = getattr(file, "name", None)
    return SpooledSink(os.fspath(name) if isinstance(name, str) else "<file object>", upload)
