"""The names users rely on (DESIGN section 2)."""

from __future__ import annotations

import inspect

import pytest

import recd_format as recd

PUBLIC = {
    "FieldStats",
    "FileStats",
    "GroupStats",
    "Plan",
    "RecdDataset",
    "RecdError",
    "RecdFile",
    "RecdFormatError",
    "RecdInputError",
    "RecdWriter",
    "WriteReport",
    "dataset",
    "open",
    "write",
}


def test_public_names_are_sorted_and_there() -> None:
    assert list(recd.__all__) == sorted(recd.__all__)
    assert set(recd.__all__) >= PUBLIC
    assert all(getattr(recd, name) is not None for name in recd.__all__)


def test_dir_lists_the_public_names() -> None:
    assert set(dir(recd)) >= PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = recd.no_such_name


def test_write_takes_the_documented_arguments() -> None:
    assert list(inspect.signature(recd.write).parameters)[:3] == ["data", "where", "session_key"]
    # `write` hands its options on to the writer, which names them.
    parameters = inspect.signature(recd.RecdWriter).parameters
    documented = {
        "session_key": inspect.Parameter.empty,
        "order_key": None,
        "labels": (),
        "dedup": "auto",
        "profile": "balanced",
        "kinds": None,
        "sample_weight": None,
        "session_gap": None,
        "session_max_span": None,
        "session_order": "first_seen",
        "clustered": False,
        "plan": None,
        "stripe_rows": None,
        "progress": False,
        "filesystem": None,
    }
    for name, default in documented.items():
        assert parameters[name].default == default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("holder", ["RecdFile", "RecdDataset"])
@pytest.mark.parametrize(
    "name",
    [
        "__arrow_c_stream__",
        "__enter__",
        "__exit__",
        "close",
        "iter_batches",
        "metadata",
        "num_rows",
        "num_sessions",
        "read",
        "read_arrays",
        "schema",
        "stats",
        "stripes",
        "take",
        "to_dataset",
        "verify",
    ],
)
def test_files_and_datasets_have_the_same_methods(holder: str, name: str) -> None:
    assert hasattr(getattr(recd, holder), name)


def test_errors_form_one_tree() -> None:
    assert issubclass(recd.RecdFormatError, recd.RecdError)
    assert issubclass(recd.RecdInputError, recd.RecdError)
    assert issubclass(recd.RecdInputError, ValueError)


def test_public_things_have_docstrings() -> None:
    bare = [name for name in recd.__all__ if not inspect.getdoc(getattr(recd, name))]
    assert not [name for name in bare if callable(getattr(recd, name))]
