"""The one hash of ids: splitmix64, and buckets from its high bits.

The same bits in NumPy and in Numba: splits and hashed ids are stored in checkpoints and models, so
they never change.

Layer: above `errors` and `_jit`; any layer may use it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recd_format._jit import kernel
from recd_format.errors import RecdInputError

__all__ = ["hash_buckets", "hash_buckets_kernel", "splitmix64"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def splitmix64(x: ArrayLike) -> NDArray[np.uint64]:
    """Hash 64-bit words, as splitmix64's step from state `x` does.

    Parameters
    ----------
    x : array_like of int64 or uint64
        Any shape; signed integers count as their bits.

    Returns
    -------
    ndarray of uint64
        Of the shape of `x`, at least one-dimensional.

    Examples
    --------
    >>> [hex(word) for word in splitmix64([0, 1]).tolist()]
    ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    # At least one-dimensional: NumPy warns where a product of scalars wraps around.
    z = np.atleast_1d(np.asarray(x)).astype(np.uint64) + _GOLDEN
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    out: NDArray[np.uint64] = z ^ (z >> _31)
    return out


def hash_buckets(
    ids: ArrayLike, n: int, seed: int = 0, out: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Put ids into `n` buckets: the high 64 bits of ``splitmix64(id ^ seed) * n``.

    Parameters
    ----------
    ids : array_like of int64, 1-D
        Any ids, negative ones too: they count as their bits.
    n : int
        Buckets, 1 to 2**63 - 1.
    seed : int
        0 to 2**64 - 1; another seed gives other buckets.
    out : ndarray of int64, optional
        Where to write, contiguous; may be `ids` itself.

    Returns
    -------
    ndarray of int64
        Of the shape of `ids`, each in [0, n).

    Raises
    ------
    RecdInputError
        If `n`, `seed` or an array is none of these.

    Examples
    --------
    >>> hash_buckets([7, -7, 8], 1000).tolist()
    [389, 422, 618]
    """
    if not 1 <= n < 1 << 63:
        raise RecdInputError(f"n={n!r} buckets: expected 1 to 2**63 - 1")
    if not 0 <= seed < 1 << 64:
        raise RecdInputError(f"seed={seed!r}: expected 0 to 2**64 - 1")
    array: NDArray[Any] = np.ascontiguousarray(ids)
    if array.dtype == np.uint64:
        array = array.view(np.int64)
    elif array.size and not np.can_cast(array.dtype, np.int64):
        raise RecdInputError(f"ids are of type {array.dtype}: expected integers of 64 bits")
    array = array.astype(np.int64, copy=False)
    if array.ndim != 1:
        raise RecdInputError(f"ids have {array.ndim} dimensions: expected 1")
    if out is None:
        out = np.empty(len(array), np.int64)
    elif out.dtype != np.int64 or out.shape != array.shape or not out.flags.c_contiguous:
        raise RecdInputError(
            f"out is {out.dtype}{list(out.shape)}: expected contiguous int64{list(array.shape)}"
        )
    hash_buckets_kernel(array, np.uint64(n), np.uint64(seed), out)
    return out


@kernel("void(const int64[::1], uint64, uint64, int64[::1])")
def hash_buckets_kernel(ids, n, seed, out):  # type: ignore[no-untyped-def]
    """Write the bucket of each id to `out`, of the same length, which may be `ids`."""
    n_low = n & _LOW
    n_high = n >> _32
    for i in range(min(len(ids), len(out))):
        z = (np.uint64(ids[i]) ^ seed) + _GOLDEN
        z = (z ^ (z >> _30)) * _MIX_1
        z = (z ^ (z >> _27)) * _MIX_2
        z = z ^ (z >> _31)
        z_low = z & _LOW
        z_high = z >> _32
        # The high half of the 128-bit product, from 32-bit halves; no sum here passes 64 bits.
        middle = z_high * n_low + ((z_low * n_low) >> _32)
        carry = z_low * n_high + (middle & _LOW)
        out[i] = np.int64(z_high * n_high + (middle >> _32) + (carry >> _32))
