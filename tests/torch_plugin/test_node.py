"""The reader as a torchdata node."""

from __future__ import annotations

import importlib
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from recd_format.errors import Reason, RecdFormatError, RecdInputError
from recd_format.torch.dataset import RecdIterableDataset
from tests.torch_plugin.reading import no_leaks, row_numbers

pytest.importorskip("torchdata.nodes")

from torchdata.nodes import BaseNode, Loader, Mapper, Prefetcher

from recd_format.torch.node import RecdNode

OPTIONS = {"batch_size": 32, "meta": ["row"], "shuffle": True, "window": 2}


def rows(batches: Any) -> list[list[int]]:
    return [row_numbers(batch) for batch in batches]


@pytest.fixture(scope="module")
def epochs(small_log: Path) -> list[list[list[int]]]:
    reader = RecdIterableDataset(small_log, **OPTIONS)
    return [rows(reader) for _ in range(3)]


def test_a_loader_gives_epochs(small_log: Path, epochs: list[Any]) -> None:
    node = RecdNode(small_log, **OPTIONS)
    assert isinstance(node, BaseNode)
    assert len(node) == 8
    loader = Loader(node)
    assert [rows(loader) for _ in range(3)] == epochs


def test_other_nodes_may_follow(small_log: Path, epochs: list[Any]) -> None:
    loader = Loader(Prefetcher(Mapper(RecdNode(small_log, **OPTIONS), row_numbers), 3))
    assert [list(loader) for _ in range(3)] == epochs


def test_a_node_by_itself(small_log: Path, epochs: list[Any]) -> None:
    node = RecdNode(small_log, **OPTIONS)
    for epoch in epochs[:2]:
        node.reset()
        assert rows(node) == epoch
        with pytest.raises(StopIteration):
            next(node)
    node.set_epoch(0)
    node.reset()
    assert rows(islice(node, 2)) == epochs[0][:2]
    # It goes on: a node is one iterator.
    assert rows(node) == epochs[0][2:]


def test_nodes_begin_when_they_are_first_asked(small_log: Path, epochs: list[Any]) -> None:
    assert rows(RecdNode(small_log, **OPTIONS)) == epochs[0]
    node = RecdNode(small_log, **OPTIONS)
    assert node.state_dict()["epoch"] == 0
    assert rows(node) == epochs[0]


def test_a_state_that_is_asked_for_before(small_log: Path, epochs: list[Any]) -> None:
    loader = Loader(RecdNode(small_log, **OPTIONS))
    loader.state_dict()
    assert [rows(loader), rows(loader)] == epochs[:2]


def test_nothing_is_left_behind(small_log: Path) -> None:
    with no_leaks():
        node = RecdNode(small_log, **OPTIONS)
        for _ in range(3):
            node.reset()
            next(node)
        loader = Loader(RecdNode(small_log, **OPTIONS))
        for _ in loader:
            break
        del node, loader


def test_errors_come_through_a_prefetcher(small_log: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.recd"
    path.write_bytes(small_log.read_bytes())
    loader = Loader(Prefetcher(RecdNode(path, **OPTIONS), 2))
    path.write_bytes(b"")
    with pytest.raises(RecdFormatError, match="gone.recd") as raised:
        list(loader)
    assert raised.value.reason is Reason.TRUNCATED


def test_without_torchdata_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchdata.nodes", None)
    monkeypatch.delitem(sys.modules, "recd_format.torch.node")
    with pytest.raises(RecdInputError, match="pip install torchdata"):
        importlib.import_module("recd_format.torch.node")
