"""HashBuckets: the page of `spec/`, NumPy, Numba and plain Python agree bit for bit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets, splitmix64
from recd_format.torch.transforms import CrossHash, HashBuckets
from tests.torch_plugin.transforms.checks import (
    ID_ROLES,
    check_description,
    check_elementwise,
    check_in_place,
    check_roles,
)
from tests.torch_plugin.transforms.plain_hash import (
    BUCKETS,
    SEEDS,
    WORD,
    plain_bucket,
    plain_cross,
    plain_splitmix64,
)
from tests.torch_plugin.transforms.unique_rows import INT64, fixed, id_rows

PAGE = Path(__file__).parents[3] / "spec" / "hash_buckets.md"


def high_half_by_halves(z: int, n: int) -> int:
    """The product as the page has it, in 64-bit words; fails where a sum passes them."""
    z1, z0, n1, n0 = z >> 32, z & 0xFFFFFFFF, n >> 32, n & 0xFFFFFFFF
    middle = z1 * n0 + ((z0 * n0) >> 32)
    carry = z0 * n1 + (middle & 0xFFFFFFFF)
    high = z1 * n1 + (middle >> 32) + (carry >> 32)
    assert max(middle, carry, high) <= WORD
    return high


def vectors(last_column: str) -> list[dict[str, str]]:
    """Rows of the page's table whose last column has this name."""
    lines = PAGE.read_text().splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.endswith(f"| {last_column} |"))
    names = [cell.strip() for cell in lines[at].strip("|").split("|")]
    rows = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append(dict(zip(names, cells, strict=True)))
    assert len(rows) > 4
    return rows


@pytest.mark.parametrize("row", vectors("bucket"), ids=lambda row: row["id"])
def test_vectors_of_the_page(row: dict[str, str]) -> None:
    id_, seed, n, bucket = (int(row[name]) for name in ("id", "seed", "n", "bucket"))
    assert plain_bucket(id_, n, seed) == bucket
    assert hash_buckets(np.array([id_]), n, seed).tolist() == [bucket]
    made = HashBuckets(n, seed).apply("f", fixed([id_]))
    assert made.values.tolist() == [bucket]


@pytest.mark.parametrize("row", vectors("cross"), ids=lambda row: row["ids"])
def test_vectors_of_crosses(row: dict[str, str]) -> None:
    ids = [int(word) for word in row["ids"].split()]
    seed, n, bucket = (int(row[name]) for name in ("seed", "n", "cross"))
    assert plain_cross(ids, n, seed) == bucket
    names = [f"f{number}" for number in range(len(ids))]
    inputs = {name: fixed([id_]) for name, id_ in zip(names, ids, strict=True)}
    assert CrossHash(names, n, "x", seed).apply(inputs).values.tolist() == [bucket]


def test_constants_of_the_page_are_those_of_the_code() -> None:
    constants = set(re.findall(r"0x[0-9a-f]{16}", PAGE.read_text()))
    assert constants == {f"0x{c:x}" for c in (
        0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
    )}  # fmt: skip


@given(st.lists(INT64, max_size=20), BUCKETS, SEEDS)
def test_numpy_numba_and_python_agree(ids: list[int], n: int, seed: int) -> None:
    array = np.array(ids, np.int64)
    expected = [plain_bucket(id_, n, seed) for id_ in ids]
    words = splitmix64(array.view(np.uint64) ^ np.uint64(seed)).tolist()
    assert words == [plain_splitmix64((id_ & WORD) ^ seed) for id_ in ids]
    assert [(word * n) >> 64 for word in words] == expected
    assert [high_half_by_halves(word, n) for word in words] == expected
    assert hash_buckets(array, n, seed).tolist() == expected


@given(id_rows(), BUCKETS, SEEDS)
def test_every_id_is_hashed_once(rows: Any, n: int, seed: int) -> None:
    check_elementwise(HashBuckets(n, seed), rows, lambda id_: plain_bucket(id_, n, seed))


@given(st.lists(INT64, min_size=1), BUCKETS.filter(lambda n: n < 2**62), SEEDS)
def test_twice_as_many_buckets_split_each(ids: list[int], n: int, seed: int) -> None:
    fine = hash_buckets(np.array(ids), 2 * n, seed)
    assert (fine // 2).tolist() == hash_buckets(np.array(ids), n, seed).tolist()


def test_it_works_in_place() -> None:
    check_in_place(HashBuckets(10), fixed([1, 2, 3]))


def test_buckets_of_neighbours_are_even() -> None:
    counts = np.bincount(hash_buckets(np.arange(100_000), 100), minlength=100)
    # Standard deviation of a count is 31.
    assert counts.min() > 800
    assert counts.max() < 1200


def test_description() -> None:
    check_description(HashBuckets(5, 1), HashBuckets(5), HashBuckets(6, 1), HashBuckets(5, WORD))


def test_roles_and_bound() -> None:
    check_roles(HashBuckets(5), ID_ROLES)
    assert HashBuckets(5).bound_after(None) == 5
    assert HashBuckets(5).bound_after(2) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "HashBuckets(n=0): expected 1 to 9223372036854775807"),
        ({"n": 1 << 63}, "HashBuckets(n=9223372036854775808): expected 1 to"),
        ({"n": 2.0}, "HashBuckets(n=2.0): expected an integer"),
        ({"n": True}, "HashBuckets(n=True): expected an integer"),
        ({"n": 5, "seed": -1}, "HashBuckets(seed=-1): expected 0 to 18446744073709551615"),
    ],
)
def test_wrong_parameters_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecdInputError, match=re.escape(message)):
        HashBuckets(**arguments)


def test_numpy_parameters_become_plain() -> None:
    made = HashBuckets(np.int64(7), np.uint64(WORD))
    assert (type(made.n), made.seed, type(made.seed)) == (int, WORD, int)
