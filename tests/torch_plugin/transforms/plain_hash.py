"""The hash of `spec/hash_buckets.md` in plain Python."""

from __future__ import annotations

from hypothesis import strategies as st

WORD = (1 << 64) - 1
BUCKETS = st.one_of(st.integers(1, 100), st.integers(1, 2**63 - 1))
SEEDS = st.integers(0, WORD)


def plain_splitmix64(x: int) -> int:
    z = (x + 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def plain_bucket(id_: int, n: int, seed: int) -> int:
    return (plain_splitmix64((id_ & WORD) ^ seed) * n) >> 64


def plain_cross(ids: list[int], n: int, seed: int) -> int:
    state = seed
    for id_ in ids[:-1]:
        state = plain_splitmix64((id_ & WORD) ^ state)
    return plain_bucket(ids[-1], n, state)
