"""Which chains are legal for which stream; `tests/test_spec.py` holds the table to its page."""

from __future__ import annotations

import numpy as np
import pytest

from recd_format.codec import (
    ROLES,
    CodecId,
    check_chain,
    is_legal,
    legal_chains,
)
from recd_format.constants import MAX_CHAIN_DEPTH
from recd_format.errors import Reason, RecdFormatError, RecdInputError

PLAIN, CONSTANT = (1,), (2,)
DELTA_BITPACK, DICTIONARY_BITPACK = (4, 3), (5, 3)


def test_chains_outside_the_table_are_illegal() -> None:
    integers, floats = np.dtype("<i8"), np.dtype("<f4")
    assert is_legal(DELTA_BITPACK, "values", integers)
    assert not is_legal(DELTA_BITPACK, "values", floats)
    assert not is_legal(DICTIONARY_BITPACK, "dictionary", integers)
    assert not is_legal(DICTIONARY_BITPACK, "codes", np.dtype("<u4"))
    assert not is_legal((3, 8), "values", integers)
    with pytest.raises(RecdFormatError) as caught:
        check_chain((3, 8), "values", integers)
    assert caught.value.reason is Reason.CHAIN


def test_legal_chains_pass_the_check() -> None:
    for role in sorted(ROLES):
        for dtype in (np.dtype("<i8"), np.dtype("<u4"), np.dtype("<f4"), np.dtype("?")):
            for chain in legal_chains(role, dtype.kind):
                check_chain(chain, role, dtype)
                assert is_legal(chain, role, dtype)
                assert 1 <= len(chain) <= MAX_CHAIN_DEPTH


def test_only_integers_are_delta_coded() -> None:
    for role in sorted(ROLES):
        for kind in "bf":
            assert not any(chain[0] == CodecId.DELTA for chain in legal_chains(role, kind))


def test_only_values_refer_to_lists() -> None:
    for role in sorted(ROLES):
        refers = any(chain[0] == CodecId.LIST_AT for chain in legal_chains(role, "i"))
        assert refers == (role == "values")


def test_a_dictionary_has_no_dictionary() -> None:
    for kind in "biuf":
        chains = legal_chains("dictionary", kind)
        assert not any(chain[0] == CodecId.DICTIONARY for chain in chains)


def test_codes_keep_their_params_for_themselves() -> None:
    assert CONSTANT not in legal_chains("codes", "u")
    assert CONSTANT in legal_chains("lengths", "u")


def test_references_are_bit_packed_or_pco() -> None:
    assert legal_chains("reference", "u") == {(3,), (9,)}


@pytest.mark.parametrize(("role", "kind"), [("nothing", "i"), ("values", "S"), ("", "i")])
def test_unknown_roles_and_kinds_are_the_callers_errors(role: str, kind: str) -> None:
    with pytest.raises(RecdInputError, match="no stream of role"):
        legal_chains(role, kind)
