"""What all codecs share: ids, the encoded stream, the u64 domain, faults of the batch kernel.

Layer: codec; above jagged and constants. Normative text: `spec/codecs/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recd_format.constants import BLOCK_VALUES
from recd_format.errors import Location, Reason, RecdFormatError, RecdInputError

__all__ = [
    "DESCRIPTOR",
    "PRIVATE_CODECS",
    "BatchError",
    "Chain",
    "CodecId",
    "Encoded",
    "Fault",
    "SumsKind",
    "as_bytes",
    "bits_dtype",
    "chain_name",
    "corrupt",
    "from_u64",
    "is_signed",
    "narrow_dtype",
    "num_blocks",
    "stored_bytes",
    "to_u64",
]

Chain: TypeAlias = tuple[int, ...]
SumsKind: TypeAlias = Literal["values", "ones"] | None


class CodecId(IntEnum):
    """Codec ids of a record's chain; 0 ends a chain, 240..255 are private."""

    PLAIN = 1
    CONSTANT = 2
    BITPACK = 3
    DELTA = 4
    DICTIONARY = 5
    BYTE_STREAM_SPLIT = 6
    LIST_AT = 7
    ZSTD = 8
    PCO = 9


PRIVATE_CODECS = range(240, 256)

# One row per stream that `decode_many` decodes; its doc string says what each field means.
DESCRIPTOR = np.dtype(
    [
        ("source", "<i8"),
        ("stored", "<i8"),
        ("target", "<i8"),
        ("begin", "<i8"),
        ("end", "<i8"),
        ("count", "<i8"),
        ("itemsize", "<i8"),
        ("stored_itemsize", "<i8"),
        ("signed", "<i8"),
        ("params", "<u8"),
        ("dictionary", "<i8"),
        ("dictionary_count", "<i8"),
        ("kind", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One stream, encoded.

    Attributes
    ----------
    chain : tuple of int
        Codec ids, outermost (nearest to the values) first.
    payload : ndarray of uint8
        The stored bytes.
    count : int
        Values.
    params : int
        Meaning depends on the chain; unsigned 64 bit.
    dictionary : ndarray or None
        DICTIONARY chains: the entries, in the dtype of the values, to be stored as a stream of
        their own.
    """

    chain: Chain
    payload: NDArray[np.uint8]
    count: int
    params: int = 0
    dictionary: NDArray[Any] | None = None


class Fault(IntEnum):
    """What the batch kernel found wrong with a stream; 0 is no fault."""

    SOURCE = 1
    TARGET = 2
    VALUE_RANGE = 3
    ITEMSIZE = 4
    STORED = 5
    HEADER = 6
    WORDS = 7
    CODE = 8
    DICTIONARY = 9
    KIND = 10


FAULTS: dict[Fault, tuple[Reason, str]] = {
    Fault.SOURCE: (Reason.RANGE, "stored bytes are outside the source, or not 8-byte aligned"),
    Fault.TARGET: (Reason.RANGE, "decoded values are outside the arena, or not 8-byte aligned"),
    Fault.VALUE_RANGE: (Reason.RANGE, "value range is not within the stream's count"),
    Fault.ITEMSIZE: (Reason.RECORD, "item size is not 1, 2, 4 or 8"),
    Fault.STORED: (Reason.ENCODING, "stored size does not fit the chain and the number of values"),
    Fault.HEADER: (Reason.ENCODING, "BITPACK header has an invalid field"),
    Fault.WORDS: (Reason.ENCODING, "BITPACK block has a width over 64 or words past the stream"),
    Fault.CODE: (Reason.DICTIONARY, "a code is not below the number of dictionary entries"),
    Fault.KIND: (Reason.CHAIN, "there is no such batch chain"),
    Fault.DICTIONARY: (Reason.DICTIONARY, "dictionary is not in the arena or has another size"),
}


class BatchError(RecdFormatError):
    """A stream of a batch that does not decode.

    Parameters
    ----------
    index
        Row of the descriptor table.
    reason, detail, location
        As for RecdFormatError; the reader adds the location.
    """

    def __init__(
        self, index: int, reason: Reason, detail: str, location: Location | None = None
    ) -> None:
        super().__init__(reason, detail, location)
        self.index = index

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.index, self.reason, self.detail, self.location))


def corrupt(detail: str, reason: Reason = Reason.ENCODING) -> RecdFormatError:
    """Return the error of a stream whose bytes break its codec's rules."""
    return RecdFormatError(reason, detail)


_NAMES = {int(codec): codec.name for codec in CodecId}


@cache
def chain_name(chain: Chain) -> str:
    """Return the chain in words, e.g. ``DICTIONARY>BITPACK``."""
    return ">".join(_NAMES.get(codec, str(codec)) for codec in chain if codec)


def num_blocks(count: int) -> int:
    """Return how many blocks of 1,024 values hold `count` values."""
    return -(-count // BLOCK_VALUES)


def is_signed(dtype: np.dtype[Any]) -> bool:
    """Return True for signed integers: they are sign-extended into the u64 domain."""
    return dtype.kind == "i"


def bits_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the unsigned dtype of the same item size."""
    if dtype.kind not in "biuf" or dtype.itemsize not in (1, 2, 4, 8):
        raise RecdInputError(f"codecs take bool, integers and floats of 1..8 bytes; got {dtype}")
    return np.dtype(f"<u{dtype.itemsize}")


def narrow_dtype(largest: int) -> np.dtype[Any]:
    """Return the smallest unsigned dtype that holds `largest`."""
    for size in (1, 2, 4):
        if largest < 1 << (8 * size):
            return np.dtype(f"<u{size}")
    return np.dtype("<u8")


def to_u64(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 1-D values in the u64 domain: signed integers sign-extended, floats as bits."""
    bits = bits_dtype(values.dtype)
    if values.ndim != 1:
        raise RecdInputError(f"a stream is one-dimensional; got shape {values.shape}")
    if is_signed(values.dtype):
        return np.ascontiguousarray(values, "<i8").view("<u8")
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.view(bits), "<u8")


def from_u64(values: NDArray[np.uint64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `dtype` values from the u64 domain (truncated to the item size)."""
    return values.astype(bits_dtype(dtype)).view(dtype)


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the little-endian bytes of `values`, shared where possible."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.view(np.uint8) if little.size else np.zeros(0, np.uint8)


def stored_bytes(payload: NDArray[np.uint8] | memoryview | bytes) -> NDArray[np.uint8]:
    """Return a payload as a uint8 array without copying."""
    if isinstance(payload, np.ndarray):
        if payload.dtype != np.uint8 or payload.ndim != 1:
            raise RecdInputError(f"a payload is 1-D uint8; got {payload.dtype} {payload.shape}")
        return payload
    return np.frombuffer(payload, np.uint8)
