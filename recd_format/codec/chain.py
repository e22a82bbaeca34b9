"""Whole chains to bytes and back (`spec/codecs/README.md`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recd_format.codec import bitpack, delta, dictionary, pco, zstd
from recd_format.codec.base import (
    DESCRIPTOR,
    Chain,
    CodecId,
    Encoded,
    SumsKind,
    bits_dtype,
    chain_name,
    corrupt,
    from_u64,
    is_signed,
    narrow_dtype,
    num_blocks,
    stored_bytes,
    to_u64,
)
from recd_format.codec.batch import BATCH_CHAINS, decode_many
from recd_format.codec.byte_stream_split import encode_split, split_planes
from recd_format.codec.constant import constant_sums, encode_constant
from recd_format.codec.legal import (
    CHILDREN,
    REFERENCES,
    ROLES,
    Role,
    check_chain,
    is_legal,
    legal_chains,
)
from recd_format.codec.list_at import INDEX_DTYPE
from recd_format.codec.plain import encode_plain
from recd_format.codec.survey import survey
from recd_format.constants import BLOCK_VALUES
from recd_format.errors import Reason, RecdFormatError, RecdInputError

__all__ = [
    "ROLES",
    "Role",
    "block_sums",
    "check_chain",
    "check_sums",
    "decode",
    "encode",
    "encode_codes",
    "is_legal",
    "legal_chains",
]

_PLAIN, _CONSTANT, _BITPACK, _DELTA, _DICTIONARY, _SPLIT, _LIST_AT, _ZSTD, _PCO = (
    int(codec) for codec in CodecId
)


# --- encoding -----------------------------------------------------------------------------------


def _bytes_of(
    values: NDArray[Any], chain: Chain, sums: SumsKind, zstd_level: int, pco_level: int
) -> NDArray[np.uint8]:
    """Payload of a chain of array-to-bytes codecs."""
    if chain == (_BITPACK,):
        wide = to_u64(values)
        found = survey(wide, is_signed(values.dtype), sums)
        return bitpack.pack_bits(wide, found).payload
    if chain == (_SPLIT, _ZSTD):
        return zstd.compress(split_planes(values), zstd_level)
    if chain == (_ZSTD,):
        return zstd.compress(encode_plain(values).payload, zstd_level)
    if chain == (_PCO,):
        return pco.compress(values, pco_level)
    raise RecdInputError(f"no such chain: {chain_name(chain)}")


def encode(
    values: NDArray[Any],
    chain: Chain,
    *,
    sums: SumsKind = None,
    params: int = 0,
    zstd_level: int = 3,
    pco_level: int = pco.LEVEL,
) -> Encoded:
    """Encode 1-D values with a chain.

    Parameters
    ----------
    values : ndarray, 1-D
        bool, integers or floats. For LIST_AT with a stream of its own: the indices (with the
        reference's base added), stored as uint32.
    chain : tuple of int
        Codec ids, outermost first, without padding.
    sums : {"values", "ones"}, optional
        BITPACK alone: store the sum of the values, or the count of ones, before each block.
    params : int
        LIST_AT alone: the packed reference.
    zstd_level, pco_level : int
        Effort of the compressors.

    Raises
    ------
    RecdInputError
        If there is no such chain or the values do not fit it (CONSTANT with unequal values).
    """
    count = len(values)
    bits_dtype(values.dtype)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if chain == (_PLAIN,):
        return encode_plain(values)
    if chain == (_SPLIT,):
        return encode_split(values)
    if chain == (_CONSTANT,):
        return encode_constant(to_u64(values))
    head, child = chain[:1], chain[1:]
    if head == (_LIST_AT,):
        return _encode_reference(values, chain, params, zstd_level, pco_level)
    if head == (_DELTA,) and child in CHILDREN:
        bases, codes = delta.split_deltas(to_u64(values))
        params, stored = 0, codes
        if child != (_BITPACK,):
            stored = codes.astype(narrow_dtype(int(codes.max(initial=0))))
            params = stored.dtype.itemsize
        payload = _bytes_of(stored, child, None, zstd_level, pco_level)
        return Encoded(chain, np.concatenate([bases.view(np.uint8), payload]), count, params)
    if head == (_DICTIONARY,) and child in CHILDREN:
        return encode_codes(*dictionary.build(values), chain, zstd_level, pco_level)
    payload = _bytes_of(values, chain, sums, zstd_level, pco_level)
    return Encoded(chain, payload, count)


def encode_codes(
    entries: NDArray[Any],
    codes: NDArray[np.uint64],
    chain: Chain,
    zstd_level: int = 3,
    pco_level: int = pco.LEVEL,
) -> Encoded:
    """Encode the codes of a dictionary with a DICTIONARY chain."""
    child = chain[1:]
    stored: NDArray[Any] = codes
    if child != (_BITPACK,):
        stored = codes.astype(narrow_dtype(max(len(entries) - 1, 0)))
    payload = _bytes_of(stored, child, None, zstd_level, pco_level)
    return Encoded(chain, payload, len(codes), len(entries), entries)


def _encode_reference(
    index: NDArray[Any], chain: Chain, params: int, zstd_level: int, pco_level: int
) -> Encoded:
    if chain == (_LIST_AT,):
        return Encoded(chain, np.zeros(0, np.uint8), len(index), params)
    if chain not in REFERENCES:
        raise RecdInputError(f"no such chain: {chain_name(chain)}")
    stored = index.astype(INDEX_DTYPE)
    payload = _bytes_of(stored, chain[1:], None, zstd_level, pco_level)
    return Encoded(chain, payload, len(index), params)


# --- decoding -----------------------------------------------------------------------------------


def decode(
    chain: Chain,
    payload: NDArray[np.uint8] | memoryview | bytes,
    count: int,
    params: int,
    dtype: np.dtype[Any],
    *,
    dictionary: NDArray[Any] | None = None,
    begin: int = 0,
    end: int | None = None,
) -> NDArray[Any]:
    """Decode values begin..end of one stream of any legal chain.

    Parameters
    ----------
    chain, payload, count, params
        As stored. LIST_AT with a stream of its own decodes to its indices, whatever `dtype`.
    dtype : dtype
        Type of the stored values.
    dictionary : ndarray, optional
        Entries of a DICTIONARY chain.
    begin, end : int
        Values wanted, within 0..count.

    Returns
    -------
    ndarray of `dtype`, shape [end - begin]

    Raises
    ------
    RecdFormatError
        If the bytes break a rule of the chain.
    """
    end = count if end is None else end
    if not 0 <= begin <= end <= count:
        raise RecdInputError(f"range {begin}..{end} is not within 0..{count}")
    data = stored_bytes(payload)
    if chain[:1] == (_LIST_AT,) and chain in REFERENCES and len(chain) > 1:
        chain, dtype, params = chain[1:], INDEX_DTYPE, 0
    if chain in BATCH_CHAINS:
        return _decode_batch(chain, data, count, params, dtype, dictionary, begin, end)
    head, child = chain[:1], chain[1:]
    if head == (_DELTA,) and child in CHILDREN:
        return _decode_delta(child, data, count, params, dtype)[begin:end]
    if head == (_DICTIONARY,) and child in CHILDREN:
        if dictionary is None or len(dictionary) != params:
            raise corrupt(f"DICTIONARY needs its {params} entries", Reason.DICTIONARY)
        narrow = narrow_dtype(max(params - 1, 0))
        codes = _values_of(child, data, count, narrow)[begin:end]
        if len(codes) and int(codes.max()) >= params:
            detail = f"code {int(codes.max())} is not below the {params} dictionary entries"
            raise corrupt(detail, Reason.DICTIONARY)
        decoded: NDArray[Any] = dictionary[codes]
        return decoded
    return _values_of(chain, data, count, dtype)[begin:end]


def _values_of(
    chain: Chain, data: NDArray[np.uint8], count: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Values of a chain that ends in ZSTD or PCO."""
    if chain == (_PCO,):
        return pco.decompress(data, count, dtype)
    size = count * dtype.itemsize
    if chain == (_ZSTD,):
        return zstd.decompress(data, size).view(dtype)
    if chain == (_SPLIT, _ZSTD):
        planes = zstd.decompress(data, size)
        return _decode_batch((_SPLIT,), planes, count, 0, dtype, None, 0, count)
    raise RecdFormatError(Reason.CHAIN, f"chain {chain_name(chain)} is not a legal one")


def _decode_delta(
    child: Chain, data: NDArray[np.uint8], count: int, params: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    size = 8 * num_blocks(count)
    if params not in (1, 2, 4, 8) or len(data) < size:
        raise corrupt(f"DELTA needs {size} bytes of bases and an item size; got {params}")
    bases = np.frombuffer(data[:size].tobytes(), "<u8")
    codes = _values_of(child, data[size:], count, np.dtype(f"<u{params}"))
    return from_u64(delta.join_deltas(bases, codes.astype("<u8")), dtype)


def _aligned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes at an address that is a multiple of 8."""
    if data.ctypes.data & 7 == 0 and data.flags.c_contiguous:
        return data
    copy = np.empty((len(data) + 7) // 8, np.uint64).view(np.uint8)[: len(data)]
    copy[:] = data
    return copy


def _decode_batch(
    chain: Chain,
    data: NDArray[np.uint8],
    count: int,
    params: int,
    dtype: np.dtype[Any],
    entries: NDArray[Any] | None,
    begin: int,
    end: int,
) -> NDArray[Any]:
    """One stream by the batch kernel."""
    size = bits_dtype(dtype).itemsize
    target = (end - begin) * size
    place = (target + 7) & ~7
    known = 0 if entries is None else len(entries)
    if chain[0] == _DICTIONARY and (entries is None or known != params):
        raise corrupt(f"DICTIONARY needs its {params} entries", Reason.DICTIONARY)
    arena = np.empty((place + known * size + 7) // 8, np.uint64).view(np.uint8)
    if entries is not None:
        arena[place : place + known * size] = encode_plain(entries.astype(dtype)).payload
    table = np.zeros(1, DESCRIPTOR)
    table[0] = (
        0, len(data), 0, begin, end, count, size, size, is_signed(dtype), params, place, known,
        BATCH_CHAINS[chain],
    )  # fmt: skip
    decode_many(table, _aligned(data), arena)
    return arena[:target].view(dtype)


def block_sums(
    payload: NDArray[np.uint8] | memoryview | bytes, chain: Chain, count: int, params: int
) -> NDArray[np.uint64] | None:
    """Return the sum before each block of 1,024 values, uint64 [blocks].

    None where the chain stores none: the caller then sums the decoded values. For a BITPACK
    stream of codes the sum counts the ones.

    Raises
    ------
    RecdFormatError
        If the table of sums is not within the stream.
    """
    if chain == (_CONSTANT,):
        return constant_sums(count, params)
    if chain == (_BITPACK,):
        return bitpack.block_sums(stored_bytes(payload), count)
    return None


def check_sums(values: NDArray[Any], sums: NDArray[np.uint64], *, ones: bool) -> None:
    """Raise RecdFormatError where `sums` is not what the decoded values add up to."""
    expected = bitpack.sums_of(to_u64(values), ones)
    if len(expected) != len(sums) or (expected != sums).any():
        wrong = int(np.argmax(expected != sums)) if len(expected) == len(sums) else 0
        raise corrupt(f"sum before block {wrong} (value {wrong * BLOCK_VALUES}) is wrong")
