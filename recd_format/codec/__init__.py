"""Codecs: arrays to bytes and back. Layer: above jagged, below dedup and format.

`encode`/`decode` handle one stream of any legal chain; `decode_many` decodes all streams of one
chain with one kernel call; `choose` and `encode_best` pick the chain.
"""

from __future__ import annotations

from recd_format.codec.base import (
    DESCRIPTOR,
    PRIVATE_CODECS,
    BatchError,
    Chain,
    CodecId,
    Encoded,
    SumsKind,
    chain_name,
)
from recd_format.codec.batch import BATCH_CHAINS, CODED, decode_many
from recd_format.codec.chain import (
    ROLES,
    Role,
    block_sums,
    check_chain,
    check_sums,
    decode,
    encode,
    is_legal,
    legal_chains,
)
from recd_format.codec.choose import PROFILES, Profile, choose, encode_best
from recd_format.codec.list_at import ListReference, pack_reference, resolve, unpack_reference

__all__ = [
    "BATCH_CHAINS",
    "CODED",
    "DESCRIPTOR",
    "PRIVATE_CODECS",
    "PROFILES",
    "ROLES",
    "BatchError",
    "Chain",
    "CodecId",
    "Encoded",
    "ListReference",
    "Profile",
    "Role",
    "SumsKind",
    "block_sums",
    "chain_name",
    "check_chain",
    "check_sums",
    "choose",
    "decode",
    "decode_many",
    "encode",
    "encode_best",
    "is_legal",
    "legal_chains",
    "pack_reference",
    "resolve",
    "unpack_reference",
]
