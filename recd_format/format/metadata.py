"""Metadata section: the user's key-value pairs, as JSON of base64 pairs (keys are any bytes)."""

from __future__ import annotations

import base64
import binascii
import json

from recd_format.errors import Location, Reason, RecdFormatError

__all__ = ["decode_metadata", "encode_metadata"]


def encode_metadata(pairs: dict[bytes, bytes]) -> bytes:
    """Return the section's bytes.

    Examples
    --------
    >>> encode_metadata({b"owner": b"ads"})
    b'[["b3duZXI=","YWRz"]]'
    """
    rows = [[base64.b64encode(part).decode() for part in pair] for pair in pairs.items()]
    return json.dumps(rows, separators=(",", ":")).encode()


def decode_metadata(data: bytes | memoryview, location: Location) -> dict[bytes, bytes]:
    """Return the pairs; RecdFormatError (SECTION) where they are none."""
    try:
        rows = json.loads(bytes(data))
        return {
            base64.b64decode(key, validate=True): base64.b64decode(value, validate=True)
            for key, value in rows
        }
    except (ValueError, TypeError, RecursionError, binascii.Error) as exc:
        raise RecdFormatError(Reason.SECTION, f"metadata: {exc}", location) from exc
