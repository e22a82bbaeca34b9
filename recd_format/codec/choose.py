"""Which chain a stream gets: exact sizes for the batch chains, measured samples for the others.

The choice depends on the values, the role and the profile alone, so it is deterministic.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import bitpack, dictionary
from recd_format.codec.base import Chain, CodecId, Encoded, SumsKind, is_signed, to_u64
from recd_format.codec.batch import BATCH_CHAINS
from recd_format.codec.chain import Role, encode, encode_codes, legal_chains
from recd_format.codec.survey import Survey, survey
from recd_format.codec.zstd import MAX_LEVEL
from recd_format.constants import BLOCK_VALUES, STREAM_ALIGNMENT
from recd_format.errors import RecdInputError

__all__ = ["PROFILES", "Profile", "choose", "encode_best"]

Profile: TypeAlias = Literal["gpu", "balanced", "small"]
PROFILES: frozenset[str] = frozenset(get_args(Profile))

_PLAIN, _CONSTANT = (int(CodecId.PLAIN),), (int(CodecId.CONSTANT),)
_BITPACK = (int(CodecId.BITPACK),)
_DELTA = (int(CodecId.DELTA), *_BITPACK)
_DICTIONARY = (int(CodecId.DICTIONARY), *_BITPACK)
_ZSTD = int(CodecId.ZSTD)

_HEAVY_ROLES = {"session_key", "order_key", "meta"}
"""Streams no batch of features needs: `balanced` compresses them."""
_SUMS: dict[str, SumsKind] = {"codes": "ones", "lengths": "values"}
_SAMPLE_BLOCKS = 32
_RECORD_BYTES = 64
"""A dictionary is a stream more: its record counts against it."""
_MIN_DICTIONARY_VALUES = 128


class _Batch(NamedTuple):
    """The smallest batch chain, its exact size, and what was learnt on the way."""

    chain: Chain
    size: int
    wide: NDArray[np.uint64]
    found: Survey | None = None
    entries: NDArray[Any] | None = None
    codes: NDArray[np.uint64] | None = None


def _padded(size: float) -> int:
    """Bytes a stream takes in a stripe."""
    return -(-int(size) // STREAM_ALIGNMENT) * STREAM_ALIGNMENT


def _levels(profile: str) -> int:
    return MAX_LEVEL if profile == "small" else 3


def _dictionary_limit(count: int, width: int, budget_bits: float) -> int:
    """Most entries with which DICTIONARY>BITPACK may still fit into `budget_bits`.

    An entry takes at least its entropy as one of a sorted set, about width - log2(entries) bits.
    """
    limit = 0
    for bits in range(1, min(width, count.bit_length()) + 1):
        room = budget_bits - count * bits
        if room <= 0:
            break
        limit = max(limit, min(1 << bits, int(room / max(1, width - bits))))
    return limit


def _stream_bytes(values: NDArray[Any]) -> int:
    """Size of a dictionary stream by the batch chains."""
    return _padded(_smallest_batch(values, "dictionary", 0.0).size) + _RECORD_BYTES


def _with_dictionary(values: NDArray[Any], best: _Batch, gain: float) -> _Batch | None:
    """Return the DICTIONARY>BITPACK candidate where it saves the part `gain` of `best`."""
    count = len(values)
    budget = best.size * (1 - gain) - 2 * _RECORD_BYTES
    if best.found is None or count < _MIN_DICTIONARY_VALUES or budget <= 0:
        return None
    spread = int(best.found.highs.max()) - int(best.found.lows.min())
    width = 8 * values.dtype.itemsize if spread < 0 else max(1, spread.bit_length())
    limit = _dictionary_limit(count, width, 8 * budget)
    known = dictionary.distinct(best.wide, limit) if limit else None
    if known is None:
        return None
    entries, codes = dictionary.build(values, known)
    packed = survey(codes, signed=False).packed_bytes
    size = packed + _stream_bytes(entries)
    return _Batch(_DICTIONARY, size, best.wide, best.found, entries, codes) if (
        size < best.size * (1 - gain)
    ) else None  # fmt: skip


def _smallest_batch(values: NDArray[Any], role: Role, gain: float) -> _Batch:
    """The smallest of the batch chains; a costlier one must save the part `gain`."""
    count, size = len(values), values.nbytes
    wide = to_u64(values)
    legal = legal_chains(role, values.dtype.kind)
    if count == 0 and _PLAIN in legal:
        return _Batch(_PLAIN, 0, wide)
    sums = _SUMS.get(role)
    found = survey(wide, is_signed(values.dtype), sums, deltas=_DELTA in legal)
    if _PLAIN not in legal:
        return _Batch(_BITPACK, found.packed_bytes, wide, found)
    if found.is_constant and _CONSTANT in legal:
        return _Batch(_CONSTANT, 0, wide, found)
    best = _Batch(_PLAIN, size, wide, found)
    # Where blocks are decoded alone the sums are needed: more than one block is never PLAIN.
    if _padded(found.packed_bytes) < _padded(size) or (sums and count > BLOCK_VALUES):
        best = best._replace(chain=_BITPACK, size=found.packed_bytes)
    if _DELTA in legal and _padded(found.delta_bytes) < _padded(best.size) * (1 - gain):
        best = best._replace(chain=_DELTA, size=found.delta_bytes)
    if _DICTIONARY in legal:
        best = _with_dictionary(values, best, gain) or best
    return best


def _finish_batch(values: NDArray[Any], best: _Batch) -> Encoded:
    """Encode with the chain that was found, from what was learnt."""
    if best.chain == _BITPACK and best.found is not None:
        return bitpack.pack_bits(best.wide, best.found)
    if best.entries is not None and best.codes is not None:
        return encode_codes(best.entries, best.codes, best.chain)
    return encode(values, best.chain)


def _sample(values: NDArray[Any]) -> NDArray[Any]:
    """Whole blocks spread over the stream; all of a short one."""
    blocks = len(values) // BLOCK_VALUES
    if blocks <= _SAMPLE_BLOCKS:
        return values
    starts = np.arange(_SAMPLE_BLOCKS) * (blocks - 1) // (_SAMPLE_BLOCKS - 1) * BLOCK_VALUES
    return np.concatenate([values[start : start + BLOCK_VALUES] for start in starts])


def _heavy_chains(role: Role, dtype: np.dtype[Any]) -> list[Chain]:
    """Legal chains that end in ZSTD or PCO, in a fixed order."""
    split = int(CodecId.BYTE_STREAM_SPLIT)
    chains = legal_chains(role, dtype.kind) - BATCH_CHAINS.keys()
    if dtype.itemsize == 1:  # the plane of bytes is the bytes
        chains = frozenset(chain for chain in chains if chain[0] != split)
    return sorted(chain for chain in chains if chain[0] != CodecId.LIST_AT)


def _entries_for(
    values: NDArray[Any], best: _Batch, chains: list[Chain]
) -> tuple[NDArray[Any], NDArray[np.uint64]] | None:
    """Dictionary and codes for the heavy DICTIONARY chains, None where there can be no gain."""
    if best.entries is not None and best.codes is not None:
        return best.entries, best.codes
    if len(values) < _MIN_DICTIONARY_VALUES or all(c[0] != _DICTIONARY[0] for c in chains):
        return None
    known = dictionary.distinct(best.wide, len(values) * 3 // 4)
    return None if known is None else dictionary.build(values, known)


def _smallest_heavy(
    values: NDArray[Any], role: Role, profile: Profile, best: _Batch
) -> tuple[int, Encoded] | None:
    """The smallest chain that ends in ZSTD or PCO, with its dictionary's size."""
    level = _levels(profile)
    chains = _heavy_chains(role, values.dtype)
    pair = _entries_for(values, best, chains)
    entries_bytes = 0
    if pair is not None:
        stored = encode_best(pair[0], "dictionary", profile)
        entries_bytes = _padded(len(stored.payload)) + _RECORD_BYTES
    picked = _sample(values)
    picked_codes = None if pair is None else _sample(pair[1])
    sizes: list[tuple[float, Chain]] = []
    for chain in chains:
        if chain[0] != _DICTIONARY[0]:
            trial, extra = encode(picked, chain, zstd_level=level), 0
        elif pair is not None and picked_codes is not None:
            trial, extra = encode_codes(pair[0], picked_codes, chain, level), entries_bytes
        else:
            continue
        sizes.append((len(trial.payload) * len(values) / len(picked) + extra, chain))
    sizes.sort()
    # ZSTD finds repeats that a sample cannot show, so the best of each family is encoded fully.
    finalists = {sizes[0][1]}
    for is_zstd in (False, True):
        family = [chain for _, chain in sizes if (chain[-1] == _ZSTD) == is_zstd]
        finalists.update(family[:1])
    result: tuple[int, Encoded] | None = None
    for chain in sorted(finalists):
        if chain[0] == _DICTIONARY[0] and pair is not None:
            full, extra = encode_codes(*pair, chain, level), entries_bytes
        else:
            full, extra = encode(values, chain, zstd_level=level), 0
        size = len(full.payload) + extra
        if result is None or size < result[0]:
            result = size, full
    return result


def encode_best(values: NDArray[Any], role: Role, profile: Profile = "balanced") -> Encoded:
    """Encode a stream with the chain that `profile` prefers.

    Parameters
    ----------
    values : ndarray, 1-D
        bool, integers or floats; strings and binaries as their bytes.
    role : str
        What the stream is (ROLES). BITPACK streams of codes carry the count of ones before each
        block, of lengths the sum.
    profile : {"gpu", "balanced", "small"}
        gpu: batch chains only. balanced: the same for all a batch needs; keys and meta may be
        compressed. small: the smallest of all legal chains.

    Returns
    -------
    Encoded
        Its `dictionary`, where there is one, is to be stored by
        ``encode_best(dictionary, "dictionary", profile)``.

    Examples
    --------
    >>> import numpy as np
    >>> encode_best(np.full(9, 7), "values").chain
    (2,)
    """
    if profile not in PROFILES:
        raise RecdInputError(f"profile must be one of {sorted(PROFILES)}; got {profile!r}")
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    # Measured: DICTIONARY and DELTA take about 1.0 ns a value to decode, BITPACK 0.6.
    best = _smallest_batch(values, role, 0.0 if profile == "small" else 1 / 32)
    if best.size > STREAM_ALIGNMENT and (
        profile == "small" or (profile == "balanced" and role in _HEAVY_ROLES)
    ):
        heavy = _smallest_heavy(values, role, profile, best)
        threshold = 1.0 if profile == "small" else 0.9
        if heavy is not None and _padded(heavy[0]) < _padded(best.size) * threshold:
            return heavy[1]
    return _finish_batch(values, best)


def choose(values: NDArray[Any], role: Role, profile: Profile = "balanced") -> Chain:
    """Return the chain that `encode_best` uses."""
    return encode_best(values, role, profile).chain
