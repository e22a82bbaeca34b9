"""Saying why the first command on a machine takes seconds: its kernels are being compiled."""

from __future__ import annotations

import sys

from recd_format import _jit

__all__ = ["announce_first_use", "hush_first_use"]

# Seconds that compiling every kernel takes on one core; a command needs some of them.
COMPILE_SECONDS = 15


class _Notice:
    """A listener that speaks once a process, unless a progress display already tells."""

    def __init__(self) -> None:
        self.listening = False
        self.hushed = False

    def __call__(self, kernel: str) -> None:
        del kernel
        if not self.hushed:
            self.hushed = True
            print(
                "recd_format: compiling kernels for the first use on this machine, "
                f"up to about {COMPILE_SECONDS} s (`recd warmup` does it ahead of time) …",
                file=sys.stderr,
                flush=True,
            )


_NOTICE = _Notice()


def announce_first_use() -> None:
    """Say so on standard error when the first kernel is compiled in this process."""
    if not _NOTICE.listening:
        _NOTICE.listening = True
        _jit.on_compile(_NOTICE)


def hush_first_use() -> None:
    """Say nothing: the caller shows what is being compiled."""
    _NOTICE.hushed = True
