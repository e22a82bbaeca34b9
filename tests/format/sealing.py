"""Parts of a file whose fields are set to anything, checksums right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_64_intdigest

from recd_format import Location, Reason, RecdFormatError
from recd_format.format.schema import Field, Group, Kind, Schema, Shape, ValueType

__all__ = ["SCHEMA", "WHERE", "broken", "sealed", "with_fields"]

WHERE = Location("log.recd", "part")

SCHEMA = Schema(
    (
        Field("session", Kind.SESSION_KEY, Shape.LIST, ValueType.BYTES),
        Field("ts", Kind.ORDER_KEY, Shape.SCALAR, ValueType.INT64, width=1, group=0),
        Field("ids", Kind.ID_LIST, Shape.LIST, ValueType.UINT32, group=1),
        Field("scores", Kind.ID_SCORE_LIST, Shape.WEIGHTED_LIST, ValueType.INT64,
              ValueType.FLOAT32, group=1),
        Field("vector", Kind.DENSE, Shape.FIXED, ValueType.FLOAT16, width=3, nullable=False,
              group=2),
        Field("größe", Kind.DENSE, Shape.SCALAR, ValueType.BOOL, width=1, group=2),
    ),
    (Group((1,)), Group((2, 3), window=True), Group((4, 5))),
)  # fmt: skip


@contextmanager
def broken(reason: Reason, message: str) -> Iterator[None]:
    """Expect a RecdFormatError of this reason whose message has this text and names the file."""
    with pytest.raises(RecdFormatError) as caught:
        yield
    error = caught.value
    assert error.reason is reason
    assert message in str(error)
    assert str(error).startswith("log.recd, ")


def with_fields(data: bytes, dtype: np.dtype[Any], offset: int = 0, **values: Any) -> bytes:
    """`data` with fields of the structure at `offset` set."""
    changed = bytearray(data)
    row = np.frombuffer(changed, dtype, 1, offset)[0]
    for name, value in values.items():
        row[name] = value
    return bytes(changed)


def sealed(data: bytes, at: int) -> bytes:
    """`data` with the XXH3-64 of all bytes before `at` stored there."""
    return data[:at] + xxh3_64_intdigest(data[:at]).to_bytes(8, "little") + data[at + 8 :]
