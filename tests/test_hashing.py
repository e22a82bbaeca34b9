from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recd_format.errors import RecdInputError
from recd_format.hashing import hash_buckets, hash_buckets_kernel, splitmix64

MASK = (1 << 64) - 1


def reference_splitmix64(x):
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def reference_bucket(number, n, seed):
    return (reference_splitmix64((number & MASK) ^ seed) * n) >> 64


# Published first outputs of splitmix64 from state 1234567: states step by the golden ratio.
def test_splitmix64_gives_the_published_numbers():
    states = [(1234567 + i * 0x9E3779B97F4A7C15) & MASK for i in range(5)]
    assert splitmix64(np.array(states, np.uint64)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(arrays.arrays(st.sampled_from([np.int64, np.uint64]), st.integers(0, 50)))
def test_splitmix64_is_the_reference_bit_for_bit(words):
    expected = [reference_splitmix64(int(word) & MASK) for word in words]
    assert splitmix64(words).tolist() == expected


@given(
    arrays.arrays(np.int64, st.integers(0, 50)),
    st.one_of(st.integers(1, 1 << 20), st.integers(1, (1 << 63) - 1)),
    st.integers(0, MASK),
)
def test_buckets_are_the_reference_bit_for_bit_compiled_or_not(ids, n, seed):
    expected = [reference_bucket(number, n, seed) for number in ids.tolist()]
    assert hash_buckets(ids, n, seed).tolist() == expected
    plain = np.empty(len(ids), np.int64)
    with np.errstate(over="ignore"):
        hash_buckets_kernel.function(ids, np.uint64(n), np.uint64(seed), plain)
    assert plain.tolist() == expected


def test_the_largest_product_does_not_overflow():
    n = (1 << 63) - 1
    ids = np.arange(20000)
    buckets = hash_buckets(ids, n)
    assert buckets.min() >= 0
    assert buckets.tolist() == [reference_bucket(number, n, 0) for number in range(20000)]


def test_buckets_may_be_written_over_the_ids():
    ids = np.arange(-50, 50)
    expected = hash_buckets(ids, 97, 3)
    assert hash_buckets(ids, 97, 3, out=ids) is ids
    assert ids.tolist() == expected.tolist()


def test_read_only_and_smaller_ids_are_taken():
    ids = np.array([-1, 0, 5], np.int32)
    wide = ids.astype(np.int64)
    wide.flags.writeable = False
    assert hash_buckets(ids, 10).tolist() == hash_buckets(wide, 10).tolist()
    assert hash_buckets([], 10).tolist() == []
    assert hash_buckets(wide.view(np.uint64), 10).tolist() == hash_buckets(wide, 10).tolist()


def test_buckets_are_about_equally_full():
    counts = np.bincount(hash_buckets(np.arange(100_000), 10), minlength=10)
    # Five standard deviations of a binomial count are 474.
    assert abs(counts - 10_000).max() < 500


@pytest.mark.parametrize(
    ("ids", "n", "seed", "out", "message"),
    [
        ([1], 0, 0, None, "n=0 buckets: expected 1 to 2**63 - 1"),
        ([1], 1 << 63, 0, None, "buckets: expected 1 to 2**63 - 1"),
        ([1], 5, -1, None, "seed=-1: expected 0 to 2**64 - 1"),
        ([1.5], 5, 0, None, "ids are of type float64: expected integers of 64 bits"),
        ([[1]], 5, 0, None, "ids have 2 dimensions: expected 1"),
        ([1], 5, 0, np.zeros(2, np.int64), "out is int64[2]: expected contiguous int64[1]"),
        ([1], 5, 0, np.zeros(1, np.int32), "out is int32[1]: expected contiguous int64[1]"),
    ],
)
def test_bad_arguments_are_named(ids, n, seed, out, message):
    with pytest.raises(RecdInputError) as error:
        hash_buckets(ids, n, seed, out)
    assert message in str(error.value)
