"""Kernels that look at rows as bytes: one signature then serves every value type.

Eight loads of a byte are folded into one unaligned 8-byte load by LLVM; indices are unsigned so
that Numba emits no wrap-around test, which would forbid it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format._jit import kernel

__all__ = ["as_bytes", "hash_bytes", "same_bytes"]

_C1, _C2, _C3, _C4 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_C5, _C6, _C7, _C8 = np.uint64(5), np.uint64(6), np.uint64(7), np.uint64(8)
_C16, _C24, _C32 = np.uint64(16), np.uint64(24), np.uint64(32)
_C40, _C48, _C56 = np.uint64(40), np.uint64(48), np.uint64(56)
_ZERO = np.uint64(0)
# Odd constants with well spread bits (the golden ratio's, and splitmix64's multipliers).
_MULTIPLY = np.uint64(0x9E3779B97F4A7C15)
_FINISH = np.uint64(0xBF58476D1CE4E5B9)


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """View `values` (1-D, any dtype) as uint8 [len * itemsize], copying only if not contiguous."""
    return np.ascontiguousarray(values).view(np.uint8)


@kernel()
def load8(v, i):  # type: ignore[no-untyped-def]
    return (
        np.uint64(v[i])
        | (np.uint64(v[i + _C1]) << _C8)
        | (np.uint64(v[i + _C2]) << _C16)
        | (np.uint64(v[i + _C3]) << _C24)
        | (np.uint64(v[i + _C4]) << _C32)
        | (np.uint64(v[i + _C5]) << _C40)
        | (np.uint64(v[i + _C6]) << _C48)
        | (np.uint64(v[i + _C7]) << _C56)
    )


@kernel()
def same_bytes(v, a, b, n):  # type: ignore[no-untyped-def]
    """True where the n bytes of `v` at `a` and at `b` are equal; all indices uint64."""
    i = _ZERO
    while i + _C32 <= n:
        d = load8(v, a + i) ^ load8(v, b + i)
        d |= load8(v, a + i + _C8) ^ load8(v, b + i + _C8)
        d |= load8(v, a + i + _C16) ^ load8(v, b + i + _C16)
        d |= load8(v, a + i + _C24) ^ load8(v, b + i + _C24)
        if d != _ZERO:
            return False
        i += _C32
    while i + _C8 <= n:
        if load8(v, a + i) != load8(v, b + i):
            return False
        i += _C8
    while i < n:
        if v[a + i] != v[b + i]:
            return False
        i += _C1
    return True


@kernel()
def hash_bytes(v, a, n, seed):  # type: ignore[no-untyped-def]
    """Hash of the n bytes of `v` at `a`; all uint64."""
    h = (seed ^ n) * _MULTIPLY
    i = _ZERO
    while i + _C8 <= n:
        h = (h ^ load8(v, a + i)) * _MULTIPLY
        h ^= h >> _C32
        i += _C8
    if i < n:
        last = _ZERO
        while i < n:
            last = (last << _C8) | np.uint64(v[a + i])
            i += _C1
        h = (h ^ last) * _MULTIPLY
        h ^= h >> _C32
    h *= _FINISH
    return h ^ (h >> _C32)
