"""Options of a reader: the one home of each default."""

from __future__ import annotations

from dataclasses import dataclass, field

from recd_format.constants import Limits

__all__ = ["ReadOptions"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is read.

    Attributes
    ----------
    verify_checksums : bool
        Compare the checksum of every stream that is read.
    tail_bytes : int
        Bytes of the first read, from the end: postscript and tables of most files are in it.
    gap_bytes : int or None
        Ranges nearer than this are read together; None: what suits the source.
    request_bytes : int
        Most bytes of one read.
    mmap : bool
        Map local files, and copy out of the mapping instead of calling pread. A mapped file that
        is truncated while it is read ends the process.
    limits : Limits
        Caps on what a file may declare.
    """

    verify_checksums: bool = True
    tail_bytes: int = 64 << 10
    gap_bytes: int | None = None
    request_bytes: int = 64 << 20
    mmap: bool = False
    limits: Limits = field(default_factory=Limits)
