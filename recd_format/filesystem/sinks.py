"""Sinks: a local file renamed into place, and bytes collected for one upload."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import weakref
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from recd_format.errors import RecdInputError

if TYPE_CHECKING:
    from recd_format.io import BytesLike

__all__ = ["REMOTE_ERRORS", "LocalSink", "SpooledSink", "unwritable"]

# Wide files are thousands of streams of a few hundred bytes: write(2) them by the MiB.
_WRITE_BUFFER_BYTES = 1 << 20
_SPOOL_BYTES = 64 << 20
# What Arrow, fsspec and the clients under them raise; fsspec lets clients' own errors through.
REMOTE_ERRORS = (OSError, pa.ArrowException, ValueError)


def unwritable(name: str, error: BaseException) -> RecdInputError:
    """The error of a file that cannot be written, in one line."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RecdInputError(f"{name}: cannot be written: {reason}")


class LocalSink:
    """A local file that appears whole: written beside the target, synced, renamed.

    A sink that is dropped without `commit` removes what it wrote.

    Parameters
    ----------
    path : str
        Path of the file; one that exists is replaced at `commit`. Of a symbolic link, the file
        that it points to.

    Raises
    ------
    RecdInputError
        Where the folder is missing or cannot be written, the target is no regular file, or the
        disk is full.
    """

    def __init__(self, path: str) -> None:
        self.path = os.fspath(path)
        self._target = os.path.realpath(self.path)
        self._folder, base = os.path.split(self._target)
        self._pid = os.getpid()
        self._partial = os.path.join(
            self._folder, f".{base}.{self._pid}-{secrets.token_hex(4)}.partial"
        )
        self._count = 0
        self._file: IO[bytes] | None = None
        named = bool(os.path.basename(self.path))
        if not named or (os.path.lexists(self._target) and not os.path.isfile(self._target)):
            raise RecdInputError(f"{self.path}: cannot be written: it is not a regular file")
        try:
            self._file = open(self._partial, "xb", buffering=_WRITE_BUFFER_BYTES)  # noqa: SIM115
        except OSError as error:
            raise self._unwritable(error) from error
        self._finalizer = weakref.finalize(self, _discard, self._file, self._partial, self._pid)

    @property
    def name(self) -> str:
        """Path of the target."""
        return self.path

    def _unwritable(self, error: OSError) -> RecdInputError:
        if isinstance(error, FileNotFoundError) and not os.path.isdir(self._folder):
            return RecdInputError(f"{self.path}: cannot be written: there is no such folder")
        return unwritable(self.path, error)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise RecdInputError(f"{self.path}: the file is already closed")
        return self._file

    def write(self, data: BytesLike) -> None:
        """Append bytes."""
        view = memoryview(data)
        try:
            self._opened().write(view)
        except OSError as error:
            raise self._unwritable(error) from error
        self._count += view.nbytes

    def tell(self) -> int:
        """Bytes written so far."""
        return self._count

    def commit(self) -> None:
        """Sync, rename to the target, sync the folder; on an error nothing stays."""
        file = self._opened()
        try:
            file.flush()
            os.fsync(file.fileno())
            file.close()
            os.replace(self._partial, self._target)
            self._file = None
            self._finalizer.detach()
            _sync_folder(self._folder)
        except OSError as error:
            self.abort()
            raise self._unwritable(error) from error

    def abort(self) -> None:
        """Remove what was written."""
        file, self._file = self._file, None
        if file is not None:
            self._finalizer.detach()
            _discard(file, self._partial, self._pid)


def _discard(file: IO[bytes], partial: str, pid: int) -> None:
    if os.getpid() != pid:
        # A forked child: the file is its parent's, and so is what is buffered for it. Without its
        # raw file the buffer cannot be written.
        with contextlib.suppress(OSError):
            getattr(file, "raw", file).close()
        return
    # Closing flushes, which fails again on a full disk: the file goes away all the same.
    with contextlib.suppress(OSError):
        file.close()
    with contextlib.suppress(OSError):
        os.unlink(partial)


def _sync_folder(folder: str) -> None:
    """Make a rename durable. Windows cannot open folders; some network mounts cannot sync them."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # A folder may be writable but not readable; the file is in its place all the same.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF):
            raise


class SpooledSink:
    """Collects the bytes locally and hands them over in one go at `commit`.

    Arrow's output streams complete the upload when they are closed or collected, so a stream that
    is written as rows come cannot be given up: an aborted write would leave a cut-off object.

    Parameters
    ----------
    name : str
        Name of the target, for messages.
    upload : callable
        Gets the file of all bytes, at its start, and writes the object.
    """

    def __init__(self, name: str, upload: Callable[[IO[bytes]], None]) -> None:
        self._name = name
        self._upload = upload
        self._count = 0
        self._spool: Any = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115

    @property
    def name(self) -> str:
        """URI or path of the target."""
        return self._name

    def _opened(self) -> Any:
        if self._spool is None:
            raise RecdInputError(f"{self._name}: the file is already closed")
        return self._spool

    def write(self, data: BytesLike) -> None:
        """Append bytes."""
        view = memoryview(data).cast("B")
        try:
            self._opened().write(view)
        except OSError as error:
            raise unwritable(self._name, error) from error
        self._count += view.nbytes

    def tell(self) -> int:
        """Bytes written so far."""
        return self._count

    def commit(self) -> None:
        """Write the object."""
        spool = self._opened()
        try:
            spool.seek(0)
            self._upload(spool)
        except REMOTE_ERRORS as error:
            raise unwritable(self._name, error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget what was written."""
        spool, self._spool = self._spool, None
        if spool is not None:
            with contextlib.suppress(OSError):
                spool.close()
