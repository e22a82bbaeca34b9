"""Which chains are legal for which stream: the closed table of `spec/codecs/README.md`."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from recd_format.codec.base import Chain, CodecId, chain_name
from recd_format.errors import Reason, RecdFormatError, RecdInputError

__all__ = [
    "CHILDREN",
    "REFERENCES",
    "ROLES",
    "Role",
    "check_chain",
    "is_legal",
    "legal_chains",
]

Role: TypeAlias = Literal[
    "session_rows", "session_key", "order_key", "codes", "lengths", "starts", "values", "weights",
    "validity", "dictionary", "meta", "reference",
]  # fmt: skip
ROLES: frozenset[str] = frozenset(get_args(Role))

_PLAIN, _CONSTANT, _BITPACK, _DELTA, _DICTIONARY, _SPLIT, _LIST_AT, _ZSTD, _PCO = (
    int(codec) for codec in CodecId
)
CHILDREN: tuple[Chain, ...] = ((_BITPACK,), (_SPLIT, _ZSTD), (_PCO,))
"""What may follow DELTA and DICTIONARY."""
_SIMPLE: frozenset[Chain] = frozenset(
    {(_PLAIN,), (_CONSTANT,), (_BITPACK,), (_SPLIT,), (_SPLIT, _ZSTD), (_ZSTD,), (_PCO,)}
)
_DELTAS: frozenset[Chain] = frozenset((_DELTA, *child) for child in CHILDREN)
_DICTIONARIES: frozenset[Chain] = frozenset((_DICTIONARY, *child) for child in CHILDREN)
REFERENCES: frozenset[Chain] = frozenset({(_LIST_AT,), (_LIST_AT, _BITPACK), (_LIST_AT, _PCO)})
_WITH_DELTA = {
    "session_rows", "session_key", "order_key", "starts", "values", "weights", "dictionary", "meta",
}  # fmt: skip
_WITH_DICTIONARY = {"session_key", "order_key", "values", "weights", "meta"}


@cache
def legal_chains(role: Role, kind: str) -> frozenset[Chain]:
    """Return the legal chains of a stream role for values of NumPy kind `kind` (b, i, u or f).

    "reference" is the index stream of a LIST_AT chain: what may follow LIST_AT.
    """
    if role not in ROLES or kind not in "biuf":
        raise RecdInputError(f"no stream of role {role!r} and kind {kind!r}")
    if role == "reference":
        return frozenset(chain[1:] for chain in REFERENCES if len(chain) > 1)
    chains = _SIMPLE
    if role in _WITH_DELTA and kind in "iu":
        chains |= _DELTAS
    if role in _WITH_DICTIONARY:
        chains |= _DICTIONARIES
    if role == "values":
        chains |= REFERENCES
    if role == "codes":
        # A codes record's params are its number of unique rows; CONSTANT needs them itself.
        chains -= {(int(CodecId.CONSTANT),)}
    return chains


def is_legal(chain: Chain, role: Role, dtype: np.dtype[Any]) -> bool:
    """Return True where streams of `role` and `dtype` may have this chain."""
    return chain in legal_chains(role, dtype.kind)


def check_chain(chain: Chain, role: Role, dtype: np.dtype[Any]) -> None:
    """Raise RecdFormatError (chain) where `is_legal` is False."""
    if not is_legal(chain, role, dtype):
        raise RecdFormatError(
            Reason.CHAIN, f"chain {chain_name(chain)} is not legal for {role} of {dtype}"
        )
