"""The one wrapper around Numba: lazily compiled, cached, GIL-free kernels.

A kernel is compiled, or loaded from the cache, at its first call, so that importing the package
never imports Numba. Kernels may call kernels of other modules: Numba's own cache would not see
that such a helper changed (it stamps only the caller's file), so the cache folder is named by a
hash of the source files that the kernel's module imports, and of the bounds-check flag.

Layer: the lowest; imports nothing of the package.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import re
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Kernel", "array_at", "kernel", "on_compile", "registered_kernels"]

_CONST_ARRAY = re.compile(r"const (\w+)\[::1\]")
_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(r"^\s*from (recd_format[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
_LOG = logging.getLogger("recd_format")
# RLock: compiling a kernel compiles the kernels it calls.
_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A process that is forked while another thread compiles would wait for that thread for ever.
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )
_KERNELS: list[Kernel] = []
_LISTENERS: list[Callable[[str], None]] = []


def on_compile(listener: Callable[[str], None]) -> None:
    """Call `listener` with a kernel's name just before it is compiled for the first time.

    Where there is no listener, the first such kernel of a process is announced in the log.
    """
    _LISTENERS.append(listener)


def _announce(name: str) -> None:
    """Say that a kernel is compiled: to the listeners, else once a process to the log."""
    for listener in _LISTENERS:
        listener(name)
    if not _LISTENERS:
        _log_first_use()


@cache
def _log_first_use() -> None:
    # A warning, so that it is seen where nobody has set up logging: the first call takes seconds.
    _LOG.warning(
        "recd_format: compiling kernels for the first use on this machine, up to about 15 s "
        "(`recd warmup` does it ahead of time)"
    )


def registered_kernels() -> list[Kernel]:
    """Every kernel of the modules imported so far, in the order they were defined."""
    return list(_KERNELS)


@cache
def cache_directory() -> Path | None:
    """Folder for compiled kernels, or None where nothing is writable (warned about once)."""
    roots = [os.environ.get("NUMBA_CACHE_DIR"), _user_cache(), tempfile.gettempdir()]
    for root in roots:
        if root and _writable(folder := Path(root) / "recd_format"):
            return folder
    warnings.warn(
        "recd_format: no writable folder for compiled kernels (tried NUMBA_CACHE_DIR, the user "
        "cache and the temporary folder); they are compiled again in every process",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


@cache
def _kernel_folder(module: str) -> Path | None:
    """Folder for the kernels of a module, named by a hash of all that is compiled into them."""
    root = cache_directory()
    if root is None:
        return None
    digest = hashlib.sha256(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    for path in sorted(_sources(module)):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    folder = root / f"kernels-{digest.hexdigest()[:16]}"
    return folder if _writable(folder) else None


def _sources(module: str) -> set[Path]:
    """Source files of a module and of all of the package that it imports, directly or not.

    Helpers and constants of other modules are compiled in.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        base = _PACKAGE.joinpath(*waiting.pop().split(".")[1:])
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if path in found or not path.exists():
            continue
        found.add(path)
        for parent, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
            # What is imported from a package may be a module of it.
            waiting += [parent, *(f"{parent}.{name}" for name in re.findall(r"\w+", names))]
    return found


def _user_cache() -> str | None:
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return home if os.path.isabs(home) else None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


class Kernel:
    """A Python function that Numba compiles at its first call.

    Parameters
    ----------
    function
        The function; it may call other kernels by their global names.
    signatures
        Numba signatures, compiled together. ``const uint8[::1]`` takes read-only arrays too
        (Arrow's buffers are). Empty for a helper that is compiled as part of its callers.
    """

    def __init__(self, function: Callable[..., Any], signatures: tuple[str, ...]) -> None:
        self.function = function
        self.signatures = signatures
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._compiled: Callable[..., Any] | None = None
        _KERNELS.append(self)

    def __call__(self, *arguments: Any) -> Any:
        return (self._compiled or self.compile())(*arguments)

    @property
    def is_compiled(self) -> bool:
        """True once the kernel is compiled or loaded in this process."""
        return self._compiled is not None

    def compile(self) -> Callable[..., Any]:
        """Compile the kernel, or load it from the cache, and return what Numba made."""
        with _LOCK:
            if self._compiled is None:
                self._compiled = self._build()
            return self._compiled

    def _build(self) -> Callable[..., Any]:
        import numba

        resolved = {
            name: value.compile()
            for name in self.function.__code__.co_names
            if isinstance(value := self.function.__globals__.get(name), Kernel)
        }
        function = types.FunctionType(
            self.function.__code__,
            {**self.function.__globals__, **resolved},
            self.function.__name__,
            self.function.__defaults__,
            self.function.__closure__,
        )
        function.__qualname__ = self.function.__qualname__
        function.__module__ = self.function.__module__
        dispatcher = numba.njit(nogil=True)(function)
        if not self.signatures or numba.config.DISABLE_JIT:
            return dispatcher  # type: ignore[no-any-return]
        folder = _kernel_folder(self.function.__module__)
        if folder is not None:
            _enable_caching(dispatcher, folder)
        if folder is None or not self._has_index(dispatcher.stats.cache_path):
            _announce(self.name)
        for signature in self.signatures:
            dispatcher.compile(_CONST_ARRAY.sub(r"Array(\1, 1, 'C', readonly=True)", signature))
        dispatcher.disable_compile()
        return dispatcher  # type: ignore[no-any-return]

    def _has_index(self, folder: str) -> bool:
        """True where Numba has an index file of this kernel: it will load, not compile."""
        code = self.function.__code__
        mark = f".{self.function.__qualname__}-{code.co_firstlineno}."
        return any(mark in name and name.endswith(".nbi") for name in os.listdir(folder))


class _ArrayAt(Kernel):
    """For kernels: the array of `dtype` that is at an address. See `array_at`."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        super().__init__(self._in_python, ())
        self.name = f"{__name__}.array_at({dtype})"

    def _in_python(self, address: int, count: int) -> Any:
        import numpy as np

        view = (ctypes.c_char * (count * np.dtype(self._dtype).itemsize)).from_address(address)
        return np.frombuffer(view, self._dtype)

    def _build(self) -> Callable[..., Any]:
        import numba
        import numpy as np

        if numba.config.DISABLE_JIT:
            return self._in_python
        carray, dtype, pointer = numba.carray, np.dtype(self._dtype).type, _pointer()

        def at(address, count):  # type: ignore[no-untyped-def]
            return carray(pointer(address), (count,), dtype)

        return numba.njit(nogil=True)(at)  # type: ignore[no-any-return]


@cache
def _pointer() -> Any:
    """Numba's integer to ``void *``."""
    import numba
    from numba.core import cgutils

    def pointer(_context, address):  # type: ignore[no-untyped-def]
        def build(_target, builder, _signature, arguments):  # type: ignore[no-untyped-def]
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return numba.types.voidptr(address), build

    return numba.extending.intrinsic(pointer)


def array_at(dtype: str) -> Kernel:
    """Return a function for kernels: ``f(address, count)`` is the array of `dtype` there.

    A kernel that reads a thousand columns can take neither a thousand arguments nor, at no cost,
    a list of arrays; it takes a table of addresses. Who fills the table keeps the arrays alive
    and gives their true lengths: bounds checks hold against those.
    """
    return _ArrayAt(dtype)


def _enable_caching(dispatcher: Any, folder: Path) -> None:
    """Cache `dispatcher` in our own folder; Numba reads CACHE_DIR when caching is enabled."""
    import numba

    previous = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        dispatcher.enable_caching()
    finally:
        numba.config.CACHE_DIR = previous


def kernel(*signatures: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a Numba kernel: explicit signatures, no GIL, no fast-math, no parallel loops.

    Examples
    --------
    >>> @kernel()
    ... def twice(x):
    ...     return 2 * x
    >>> twice(21)
    42
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signatures)

    return declare
