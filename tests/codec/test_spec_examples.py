"""The worked examples of spec/codecs/*.md, decoded and encoded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from recd_format.codec import (
    CodecId,
    ListReference,
    decode,
    encode,
    pack_reference,
    unpack_reference,
)

SPEC = Path(__file__).parents[2] / "spec" / "codecs"


def examples() -> list[object]:
    found = []
    for page in sorted(SPEC.glob("*.md")):
        for number, block in enumerate(re.findall(r"```example\n(.*?)```", page.read_text(), re.S)):
            fields = dict(
                (part.strip() for part in line.split(":", 1)) for line in block.splitlines()
            )
            found.append(pytest.param(fields, id=f"{page.stem}-{number}"))
    return found


def from_hex(text: str) -> bytes:
    parts = (item.partition("*") for item in text.split())
    return b"".join(bytes.fromhex(value) * int(times or 1) for value, _, times in parts)


@pytest.mark.parametrize("example", examples())
def test_example_is_what_the_code_does(example: dict[str, str]) -> None:
    chain = tuple(int(codec) for codec in example["chain"].split())
    dtype = np.dtype(example["dtype"])
    values = np.array(example["values"].split(), dtype)
    payload = from_hex(example["payload"])
    params = int(example.get("params", "0"))
    entries = None
    if "dictionary" in example:
        entries = np.array(example["dictionary"].split(), dtype)
    got = decode(chain, payload, len(values), params, dtype, dictionary=entries)
    assert got.tobytes() == values.tobytes()
    if "decode only" in example:
        return
    reference = params if chain[0] == CodecId.LIST_AT else 0
    encoded = encode(values, chain, sums=example.get("sums"), params=reference)
    assert encoded.payload.tobytes() == payload
    assert encoded.params == params
    if entries is not None:
        assert encoded.dictionary.tobytes() == entries.tobytes()


def test_every_codec_has_a_page_with_an_example() -> None:
    pages = {param.id.rpartition("-")[0] for param in examples()}
    assert pages == {codec.name.lower() for codec in CodecId}


def test_reference_params_are_those_of_the_page() -> None:
    assert pack_reference(ListReference(3, 7, 1)) == 4611686035607257091
    assert unpack_reference(4611686035607257091) == ListReference(3, 7, 1)
