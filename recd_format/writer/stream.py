"""Streams on their way to a file, and a stripe's bytes laid out from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xxhash import xxh3_64

from recd_format.codec import Encoded
from recd_format.format.record import RECORD, StreamKind, padded, sort_records
from recd_format.format.stripe import StripeHeader, encode_stripe_header

__all__ = ["EncodedStripe", "LaidOutStripe", "Stream", "lay_out"]


@dataclass(frozen=True, slots=True)
class Stream:
    """One encoded stream and whose it is."""

    owner: int
    kind: StreamKind
    encoded: Encoded
    decoded_bytes: int
    flags: int = 0
    params: int | None = None
    """Overrides the chain's own params: CODES streams carry their number of unique rows."""


@dataclass(frozen=True, slots=True)
class EncodedStripe:
    """A stripe whose streams stand in file order, not yet placed."""

    rows: int
    sessions: int
    flags: int
    streams: tuple[Stream, ...]
    statistics: np.ndarray[tuple[int], np.dtype[np.void]]


@dataclass(frozen=True, slots=True)
class LaidOutStripe:
    """A stripe's bytes as chunks to write end to end, and its header."""

    header: StripeHeader
    chunks: tuple[bytes | memoryview, ...]


def lay_out(stripe: EncodedStripe, index: int) -> LaidOutStripe:
    """Place the streams of a stripe: 64-byte aligned, identical payloads once."""
    position = StripeHeader.size(len(stripe.streams))
    rows: list[tuple[object, ...]] = []
    chunks: list[bytes | memoryview] = []
    placed: dict[tuple[int, int], tuple[int, memoryview]] = {}
    for stream in stripe.streams:
        encoded = stream.encoded
        payload = memoryview(encoded.payload).cast("B")
        padding = bytes(-len(payload) % 64)
        digest = xxh3_64(payload)
        digest.update(padding)
        checksum = digest.intdigest()
        key = (checksum, len(payload))
        offset = 0
        if key in placed and placed[key][1] == payload:
            offset = placed[key][0]
        elif len(payload):
            offset = position
            placed[key] = (offset, payload)
            chunks += [payload, padding]
            position += padded(len(payload))
        rows.append(
            (
                stream.owner,
                index,
                stream.kind,
                stream.flags,
                (*encoded.chain, 0, 0, 0, 0)[:4],
                0,
                encoded.count,
                offset,
                len(payload),
                stream.decoded_bytes,
                checksum,
                encoded.params if stream.params is None else stream.params,
            )
        )
    records = np.array(rows, RECORD)
    header = StripeHeader(
        index, stripe.rows, stripe.sessions, position, stripe.flags, sort_records(records)
    )
    return LaidOutStripe(header, (encode_stripe_header(header), *chunks))
