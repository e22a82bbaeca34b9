"""The path to a device, on a stand-in for one: no CUDA code runs here."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recd_format.errors import RecdInputError
from recd_format.torch import device as device_module
from recd_format.torch import reading
from recd_format.torch.batch import RecdBatch
from recd_format.torch.dataset import RecdIterableDataset
from recd_format.torch.device import CudaBackend, StagingRing, device_of, in_flight
from tests.torch_plugin.reading import contents, no_leaks

OPTIONS = {"batch_size": 32, "meta": ["row"], "shuffle": True, "window": 2}


class Event:
    """A copy, under way until somebody waits for it or it is told to be over."""

    def __init__(self, backend: Backend, source: Any, target: Any) -> None:
        self.backend, self.source, self.target = backend, source, target
        self.over = False

    def query(self) -> bool:
        return self.over

    def synchronize(self) -> None:
        self.backend.log.append("wait")
        self.finish()

    def finish(self) -> None:
        if not self.over:
            self.target.copy_(self.source)
        self.over = True


class Backend:
    """A device that copies as late as it may: writing over the source too early shows."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.pinned_bytes: list[int] = []
        self.copies: list[Event] = []

    def pinned(self, nbytes: int) -> Any:
        self.pinned_bytes.append(nbytes)
        return torch.zeros(nbytes, dtype=torch.uint8)

    def send(self, source: Any) -> tuple[Any, Event]:
        target = torch.zeros_like(source)
        self.log.append(("send", len(source)))
        self.copies.append(Event(self, source, target))
        return target, self.copies[-1]

    def finish(self) -> None:
        for event in self.copies:
            event.finish()

    def receive(self, target: Any, event: Event) -> None:
        self.log.append("receive")
        event.finish()


def fill(ring: StagingRing, nbytes: int, value: int) -> Any:
    array = ring.take(nbytes)
    assert array.shape == (nbytes,)
    array[:] = value
    return array


def send(ring: StagingRing, backend: Backend, array: Any) -> tuple[Any, Event]:
    target, event = backend.send(ring.lent(array))
    ring.sent(array, event)
    return target, event


def test_a_buffer_is_lent_again_after_its_event() -> None:
    backend = Backend()
    ring = StagingRing(backend)
    first = fill(ring, 1000, 1)
    target, _ = send(ring, backend, first)
    second = fill(ring, 1000, 2)
    assert len(backend.pinned_bytes) == 2
    backend.finish()
    third = fill(ring, 1000, 3)
    assert third.__array_interface__["data"] == first.__array_interface__["data"]
    assert second[0] == 2
    assert target.tolist() == [1] * 1000
    assert len(backend.pinned_bytes) == 2


def test_what_was_not_sent_is_not_lent_again() -> None:
    backend = Backend()
    ring = StagingRing(backend)
    arrays = [fill(ring, 100, value) for value in range(6)]
    assert [array[0] for array in arrays] == list(range(6))


def test_the_oldest_copy_is_waited_for_when_too_many_are_under_way() -> None:
    backend = Backend()
    ring = StagingRing(backend, most=2)
    events = [send(ring, backend, fill(ring, 100, value))[1] for value in range(3)]
    assert len(backend.pinned_bytes) == 2
    assert [event.over for event in events] == [True, False, False]
    assert backend.log.count("wait") == 1


def test_buffers_grow_and_do_not_pile_up() -> None:
    backend = Backend()
    ring = StagingRing(backend)
    for size in (10, 100_000, 200_000, 150_000, 10):
        send(ring, backend, fill(ring, size, 1))
        backend.finish()
    # Room is left on top: 150,000 and 10 needed no new one.
    assert backend.pinned_bytes == [1 << 16, 125_000, 250_000]
    assert len(ring._free) + len(ring._sent) <= 1


@given(st.lists(st.tuples(st.sampled_from([1, 900, 70_000, 200_000]), st.booleans()), max_size=20))
def test_no_copy_sees_another_batch(steps: list[tuple[int, bool]]) -> None:
    backend = Backend()
    ring = StagingRing(backend, most=3)

    sent = []
    for value, (size, finish) in enumerate(steps):
        target, _ = send(ring, backend, fill(ring, size, value))
        sent.append((target, value, size))
        if finish:
            backend.finish()
    backend.finish()
    for target, value, size in sent:
        assert target.shape == (size,)
        assert bool((target == value).all())
    assert len(backend.pinned_bytes) <= len(steps)


def test_the_next_copy_is_begun_before_a_batch_is_given() -> None:
    backend = Backend()
    ring = StagingRing(backend)

    def batches() -> Any:
        for value in range(4):
            array = ring.take(8)
            array[:] = value
            backend.log.append(("made", value))
            yield array

    given = in_flight(batches(), ring, backend, lambda array: array, lambda _, target: target)
    for value in range(4):
        batch = next(given)
        # Two copies before the first batch, and so on: one is always under way.
        sends = sum(entry == ("send", 8) for entry in backend.log)
        assert sends == min(value + 2, 4)
        assert batch.tolist() == [value] * 8
        backend.log.append(("given", value))
    assert list(given) == []
    assert backend.log.count("receive") == 4
    assert "wait" not in backend.log
    assert len(backend.pinned_bytes) <= 3


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[Backend]:
    """Have readers find a CUDA device, which is a `Backend`; returns those that were made."""
    made: list[Backend] = []

    def backend(device: Any) -> Backend:
        assert device == torch.device("cuda")
        made.append(Backend())
        return made[-1]

    monkeypatch.setattr(reading, "CudaBackend", backend)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    return made


@pytest.mark.parametrize("threads", [0, 1])
def test_a_reader_gives_the_same_batches(
    small_log: Path, cuda: list[Backend], threads: int
) -> None:
    plain = RecdIterableDataset(small_log, **OPTIONS)
    there = RecdIterableDataset(small_log, **OPTIONS, device="cuda", threads=threads)
    for epoch in range(2):
        expected = [contents(batch) for batch in plain]
        found = list(there)
        assert [contents(batch) for batch in found] == expected
        backend = cuda[epoch]
        # One allocation and copy, and one call to keep it, for each batch.
        assert [entry for entry in backend.log if entry != "receive"] == [
            ("send", batch.nbytes) for batch in found
        ]
        assert backend.log.count("receive") == len(found)


def test_state_is_of_the_batch_given_not_of_the_one_in_flight(
    small_log: Path, cuda: list[Backend]
) -> None:
    reader = RecdIterableDataset(small_log, **OPTIONS, device="cuda")
    batches = iter(reader)
    for _ in range(3):
        batch = next(batches)
        assert reader.state_dict() == reader.state_after(batch)
    assert sum(entry != "receive" for entry in cuda[0].log) == 4


def test_nothing_is_left_behind(small_log: Path, cuda: list[Backend]) -> None:
    with no_leaks():
        reader = RecdIterableDataset(small_log, **OPTIONS, device="cuda")
        for _ in reader:
            break
        del reader


def test_windows_are_counted_before_a_batch_leaves(small_log: Path) -> None:
    # On the meta device nothing could be asked afterwards.
    batch = next(iter(RecdIterableDataset(small_log, **OPTIONS)))
    moved = batch._with(batch._buffer.to("meta"))
    assert moved.sparse_features.values().shape == batch.sparse_features.values().shape


def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_of(None) is None
    assert device_of("cpu") is None
    with pytest.raises(RecdInputError, match="expected 'cpu' or 'cuda'"):
        device_of("mps")
    with pytest.raises(RecdInputError, match="device='no such'"):
        device_of("no such")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(RecdInputError, match=f"device='{name}': torch finds no CUDA device"):
            device_of(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    # Which one is current is asked when iterating: a rank sets it after it made its reader.
    assert device_of("cuda") == torch.device("cuda")
    assert device_of("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(RecdInputError, match="there are 2 CUDA devices"):
        device_of("cuda:2")


def test_the_calls_made_to_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of torch.cuda, in order; whether CUDA does it is for a machine that has it."""
    log: list[Any] = []

    class Stream:
        def __init__(self, device: Any = None) -> None:
            self.name = "copy" if device is not None else "current"

        def wait_event(self, event: Any) -> None:
            log.append((self.name, "waits for", event.stream))

    class CudaEvent:
        def record(self, stream: Any) -> None:
            self.stream = stream.name
            log.append(("event on", stream.name))

    @contextlib.contextmanager
    def on(stream: Any) -> Any:
        log.append(("on", stream.name))
        yield
        log.append(("off", stream.name))

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", CudaEvent)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda self, stream: log.append(("keeps", stream.name))
    )
    empty = torch.empty

    def pageable(*size: Any, pin_memory: bool = False, **options: Any) -> Any:
        log.append("pinned" if pin_memory else "allocated")
        return empty(*size, **options)

    monkeypatch.setattr(device_module.torch, "empty", pageable)
    backend = CudaBackend(torch.device("cpu"))
    source = backend.pinned(16)
    source.copy_(torch.arange(16, dtype=torch.uint8))
    target, event = backend.send(source)
    backend.receive(target, event)
    assert log == [
        "pinned",
        ("on", "copy"),
        "allocated",
        ("event on", "copy"),
        ("off", "copy"),
        ("current", "waits for", "copy"),
        ("keeps", "current"),
    ]
    assert np.array_equal(target.numpy(), np.arange(16))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_cuda_device(small_log: Path) -> None:
    plain = RecdIterableDataset(small_log, **OPTIONS)
    there = RecdIterableDataset(small_log, **OPTIONS, device="cuda")
    for _ in range(3):
        expected = [contents(batch) for batch in plain]
        found = []
        for batch in there:
            assert batch.device.type == "cuda"
            torch.cuda.set_sync_debug_mode("error")
            try:
                # None of these waits for the device.
                _ = (batch.dense_features, batch.labels, batch.weights, batch.session_ids)
                _ = (batch.sparse_features.values(), batch.idscore_features.weights())
            finally:
                torch.cuda.set_sync_debug_mode("default")
            dense = batch.dense_features
            found.append(batch)
            assert dense.device.type == "cuda"
        assert [contents(batch.to("cpu")) for batch in found] == expected
        assert isinstance(found[0], RecdBatch)


def test_an_error_comes_after_the_batch_in_flight() -> None:
    def batches() -> Any:
        yield from (0, 1, 2)
        raise RecdInputError("the fourth")

    class Direct:
        def send(self, source: Any) -> tuple[Any, Any]:
            return source, None

        def receive(self, target: Any, event: Any) -> None:
            pass

    class Ring:
        def lent(self, data: Any) -> Any:
            return data

        def sent(self, data: Any, event: Any) -> None:
            pass

    there = in_flight(batches(), Ring(), Direct(), lambda n: n, lambda n, _: n)
    assert [next(there) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RecdInputError, match="the fourth"):
        next(there)
