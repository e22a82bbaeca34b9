"""Head: the first bytes of a file, enough to recover one whose end is lost."""

from __future__ import annotations

import numpy as np
from xxhash import xxh3_64_intdigest

from recd_format.constants import (
    FORMAT_MAJOR,
    FORMAT_MINOR,
    HEAD_MAGIC,
    STRIPE_ALIGNMENT,
    Limits,
)
from recd_format.errors import Location, Reason, RecdFormatError
from recd_format.format.record import padded
from recd_format.format.schema import Schema
from recd_format.format.schema_block import SchemaBlock, encode_schema

__all__ = ["HEAD", "check_version", "decode_head", "encode_head", "head_bytes"]

HEAD: np.dtype[np.void] = np.dtype(
    [
        ("magic", "S8"),
        ("major", "<u2"),
        ("minor", "<u2"),
        ("reserved", "<u4"),
        ("required", "<u8"),
        ("schema_bytes", "<u8"),
    ]
)


def encode_head(schema: Schema) -> bytes:
    """Return the head of a file with `schema`, padded to the first stripe."""
    block = encode_schema(schema)
    head = np.array((HEAD_MAGIC, FORMAT_MAJOR, FORMAT_MINOR, 0, 0, len(block)), HEAD)
    data = head.tobytes() + block
    data += xxh3_64_intdigest(data).to_bytes(8, "little")
    return data + bytes(-len(data) % STRIPE_ALIGNMENT)


def check_version(major: int, minor: int, required: int, location: Location) -> None:
    """Raise if this reader cannot read the version or knows not a required feature.

    A newer minor version only adds what old readers may skip, so it is read.
    """
    if major != FORMAT_MAJOR:
        raise RecdFormatError(
            Reason.VERSION,
            f"format version {major}.{minor}; this reader reads {FORMAT_MAJOR}.x",
            location,
        )
    if required:
        bits = [bit for bit in range(64) if required >> bit & 1]
        raise RecdFormatError(
            Reason.FEATURE, f"required feature bits {bits} are unknown to this reader", location
        )


def head_bytes(prefix: bytes | memoryview, location: Location, limits: Limits) -> int:
    """Return the size of the head, without its padding, from its first 32 bytes."""
    if len(prefix) < HEAD.itemsize or bytes(prefix[:8]) != HEAD_MAGIC:
        raise RecdFormatError(
            Reason.NOT_RECD, f"starts with {bytes(prefix[:8])!r}, not {HEAD_MAGIC!r}", location
        )
    head = np.frombuffer(prefix, HEAD, 1)[0]
    check_version(int(head["major"]), int(head["minor"]), int(head["required"]), location)
    size = int(head["schema_bytes"])
    if size > limits.metadata_bytes:
        raise RecdFormatError(
            Reason.LIMIT, f"schema block of {size} bytes, limit {limits.metadata_bytes}", location
        )
    return HEAD.itemsize + size + 8


def decode_head(data: bytes | memoryview, location: Location, limits: Limits) -> SchemaBlock:
    """Return the schema block of a head, padding included in `data`.

    Raises
    ------
    RecdFormatError
        NOT_RECD, VERSION, FEATURE, LIMIT, TRUNCATED, CHECKSUM, PADDING, SCHEMA.
    """
    size = head_bytes(data, location, limits)
    if len(data) < padded(size, STRIPE_ALIGNMENT):
        raise RecdFormatError(
            Reason.TRUNCATED, f"head of {size} bytes, {len(data)} are there", location
        )
    stored = int.from_bytes(data[size - 8 : size], "little")
    computed = xxh3_64_intdigest(data[: size - 8])
    if stored != computed:
        raise RecdFormatError(
            Reason.CHECKSUM, f"head: stored {stored:016x}, computed {computed:016x}", location
        )
    if any(data[size : padded(size, STRIPE_ALIGNMENT)]):
        raise RecdFormatError(Reason.PADDING, "padding after the head is not zero", location)
    return SchemaBlock(data[HEAD.itemsize : size - 8], location, limits)
