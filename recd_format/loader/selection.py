"""Which rows of a stripe are wanted: splits and downsampling, as pure functions.

Every choice is a comparison of keys or a hash: the same on every rank and in every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets, splitmix64
from recd_format.loader.options import Downsample
from recd_format.loader.segments import Segments, offsets_of

__all__ = ["carry_first_keys", "positive_sessions", "select", "share_positive"]

_ELEVEN = np.uint64(11)


def select(
    session_offsets: NDArray[np.int64],
    *,
    session_hash: tuple[int, int, int] | None = None,
    session_ids: NDArray[np.int64] | None = None,
    time_range: tuple[Any, Any] | None = None,
    first_keys: NDArray[Any] | None = None,
    downsample: Downsample | None = None,
    labels: NDArray[Any] | None = None,
    positive: NDArray[np.bool_] | None = None,
    first_row: int = 0,
) -> Segments:
    """Choose rows of a stripe.

    Parameters
    ----------
    session_offsets
        Row offsets of the stripe's sessions, int64 [sessions + 1].
    session_hash
        ``(low, high, modulus)``: sessions in buckets low to high - 1 of `modulus`.
    session_ids
        int64 [sessions]; for `session_hash`, and for sampling sessions.
    time_range
        ``(begin, end)``: sessions whose first key is at least begin and less than end; None has
        no bound. Comparable with `first_keys`.
    first_keys
        Order key of each session's first row [sessions]; of a session that began in an earlier
        stripe, of its first row there (`carry_first_keys`). NaN and NaT are in no range.
    downsample
        What to leave out of rows, or sessions, that are not positive.
    labels
        Its label column [rows]; NaN counts as not positive.
    positive
        Sessions with a positive row, bool [sessions], where some have rows in other stripes
        (`share_positive`); None: found from `labels`.
    first_row
        Number of the stripe's first row among all rows of all files.

    Raises
    ------
    RecdInputError
        If an array is missing, or of another length.
    """
    offsets = np.asarray(session_offsets, np.int64)
    sessions = len(offsets) - 1
    wanted = np.ones(sessions, np.bool_)
    factor: NDArray[np.float32] | None = None
    if session_hash is not None:
        low, high, modulus = session_hash
        buckets = hash_buckets(_given("session_ids", session_ids, sessions), modulus)
        wanted &= (low <= buckets) & (buckets < high)
    if time_range is not None:
        wanted &= _in_range(_given("first_keys", first_keys, sessions), *time_range)
    if downsample is not None:
        if downsample.by == "row":
            labels = _given("labels", labels, int(offsets[-1]))
            return _sample_rows(offsets, wanted, labels, downsample, first_row)
        if positive is None:
            positive = positive_sessions(offsets, _given("labels", labels, int(offsets[-1])))
        positive = _given("positive", positive, sessions)
        wanted &= positive | _drawn(_given("session_ids", session_ids, sessions), downsample)
        factor = _factors(positive, downsample.keep)
    wanted &= offsets[1:] > offsets[:-1]
    session = np.flatnonzero(wanted)
    factor = None if factor is None else factor[session]
    return Segments(offsets[session], offsets[session + 1], session, factor, sessions)


def positive_sessions(
    session_offsets: NDArray[np.int64], labels: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return which sessions have a row with a label greater than 0, bool [sessions]."""
    counts = offsets_of((labels > 0).astype(np.int64))
    return np.diff(counts[session_offsets]) > 0


def share_positive(
    positive: Sequence[NDArray[np.bool_]], continues: Sequence[bool]
) -> list[NDArray[np.bool_]]:
    """Return `positive_sessions` of stripes in file order, a session over several of them being
    positive in all where it is in one.

    Parameters
    ----------
    positive
        Of each stripe, bool [its sessions]; not changed.
    continues
        Of each stripe: its first session is the last one of the stripe before.
    """
    shared = [array.copy() for array in positive]
    joints = [i for i in range(1, len(shared)) if continues[i]]
    for i in joints:
        shared[i][0] |= shared[i - 1][-1]
    for i in reversed(joints):
        shared[i - 1][-1] |= shared[i][0]
    return shared


def carry_first_keys(
    first_keys: Sequence[NDArray[Any]], continues: Sequence[bool]
) -> list[NDArray[Any]]:
    """Return first keys of stripes in file order, those of continued sessions from where they
    began; arguments as of `share_positive`.
    """
    carried = [array.copy() for array in first_keys]
    for i in range(1, len(carried)):
        if continues[i]:
            carried[i][0] = carried[i - 1][-1]
    return carried


def _given(name: str, array: NDArray[Any] | None, length: int) -> NDArray[Any]:
    if array is None or array.shape != (length,):
        found = None if array is None else list(array.shape)
        raise RecdInputError(f"{name} of a stripe: expected shape [{length}], found {found}")
    return array


def _in_range(keys: NDArray[Any], begin: Any, end: Any) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = keys == keys
    if begin is not None:
        inside &= keys >= begin
    if end is not None:
        inside &= keys < end
    return inside


def _drawn(words: NDArray[Any], downsample: Downsample) -> NDArray[np.bool_]:
    """Draw a share of `keep` of the words (ids, or row numbers)."""
    # The seed is hashed: `session_hash` looks at other words, and a sample of a split is fair.
    key = splitmix64(downsample.seed)
    hashed = splitmix64(words.astype(np.uint64) ^ key) >> _ELEVEN
    # 53 bits: exact as a float.
    return hashed.astype(np.float64) < downsample.keep * 2.0**53


def _factors(positive: NDArray[np.bool_], keep: float) -> NDArray[np.float32]:
    return np.where(positive, np.float32(1), np.float32(1 / keep))


def _sample_rows(
    offsets: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    labels: NDArray[Any],
    downsample: Downsample,
    first_row: int,
) -> Segments:
    """Sample rows of the wanted sessions; neighbours of equal factor make one segment."""
    lengths = np.diff(offsets)
    positive = labels > 0
    kept = positive | _drawn(np.arange(first_row, first_row + len(labels)), downsample)
    rows = np.flatnonzero(kept & np.repeat(wanted, lengths))
    session = np.repeat(np.arange(len(lengths)), lengths)[rows]
    factor = _factors(positive, downsample.keep)[rows]
    breaks = np.ones(len(rows) + 1, np.bool_)
    breaks[1:-1] = (np.diff(rows) != 1) | (np.diff(session) != 0) | (factor[1:] != factor[:-1])
    at = np.flatnonzero(breaks)
    first, last = at[:-1], at[1:] - 1
    return Segments(rows[first], rows[last] + 1, session[first], factor[first], len(lengths))
