from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from recd_format.errors import RecdInputError  # noqa: E402
from recd_format.torch import InverseKeyedJaggedTensor  # noqa: E402
from recd_format.torch.torchrec import TorchRecBatch, register_pipelineable, to_kjt  # noqa: E402
from tests.torch_plugin.jagged_model import Model, models  # noqa: E402

REPOSITORY = Path(__file__).parents[2]
IDS = st.integers(0, 9)
INTEGERS = (torch.int64, torch.int32)


@pytest.fixture(scope="module")
def torchrec() -> Any:
    with warnings.catch_warnings():
        # Of torchrec and FBGEMM, on what they do themselves.
        warnings.simplefilter("ignore")
        pytest.importorskip("fbgemm_gpu", exc_type=ImportError)
        return pytest.importorskip("torchrec", exc_type=ImportError)


def collection(torchrec: Any, keys: list[str], weighted: bool, pooling: str) -> Any:
    configs = [
        torchrec.EmbeddingBagConfig(
            name=f"table_{key}",
            embedding_dim=4,
            num_embeddings=10,
            feature_names=[key],
            pooling=getattr(torchrec.PoolingType, pooling),
        )
        for key in keys
    ]
    torch.manual_seed(0)
    return torchrec.EmbeddingBagCollection(tables=configs, is_weighted=weighted)


def gradients(module: Any, features: Any) -> tuple[Any, list[Any]]:
    """The pooled embeddings, and the tables' gradients of a sum that tells all of them apart."""
    module.zero_grad()
    pooled = module(features).values()
    (pooled * torch.arange(1.0, pooled.numel() + 1).reshape(pooled.shape)).sum().backward()
    return pooled.detach(), [table.grad.clone() for table in module.parameters()]


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=50)
@given(data=st.data(), pooling=st.sampled_from(["SUM", "MEAN"]))
def test_embeddings_are_those_of_the_expanded_rows(
    torchrec: Any, weighted: bool, data: st.DataObject, pooling: str
) -> None:
    if weighted:
        pooling = "SUM"  # torch pools weighted bags by sum alone
    model: Model = data.draw(models(weighted=weighted, dtypes=INTEGERS, least_rows=1, ids=IDS))
    ikjt = model.ikjt()
    module = collection(torchrec, model.keys, weighted, pooling)
    pooled, grads = gradients(module, ikjt.to_torchrec())
    expected, expected_grads = gradients(module, ikjt.expand().to_torchrec())
    assert pooled.shape == (model.stride, 4 * len(model.keys))
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad)


@settings(max_examples=50)
@given(model=models(dtypes=INTEGERS, least_rows=1, ids=IDS))
def test_the_tensors_say_what_torchrec_reads(torchrec: Any, model: Model) -> None:
    ikjt = model.ikjt()
    kjt = ikjt.to_torchrec()
    assert isinstance(kjt, torchrec.KeyedJaggedTensor)
    # Not copied where nothing had to be written out.
    assert kjt.values() is ikjt.values()
    assert kjt.lengths() is ikjt.lengths()
    assert kjt.weights_or_none() is ikjt.weights_or_none()
    assert kjt.keys() == model.keys
    assert kjt.stride() == model.stride
    assert kjt.variable_stride_per_key()
    unique = [ikjt.num_unique(key) for key in model.keys]
    assert kjt.stride_per_key() == unique
    names, inverse = kjt.inverse_indices()
    assert names == model.keys
    assert inverse.dtype == torch.int64
    assert inverse.tolist() == [model.lookup(key) for key in model.keys]
    # Given, so that no device is asked; they must be what torchrec would compute.
    given_lengths, given_offsets = kjt.length_per_key(), kjt.offset_per_key()
    plain = torchrec.KeyedJaggedTensor(
        keys=kjt.keys(), values=kjt.values(), lengths=kjt.lengths(),
        stride_per_key_per_rank=[[count] for count in unique],
    )  # fmt: skip
    assert given_lengths == plain.length_per_key()
    assert given_offsets == plain.offset_per_key()
    for key, jagged in kjt.to_dict().items():
        assert jagged.values().tolist() == ikjt[key].values().tolist()
        assert jagged.lengths().tolist() == ikjt[key].lengths().tolist()


@settings(max_examples=50)
@given(model=models(dtypes=INTEGERS, least_rows=1, ids=IDS))
def test_expanded_rows_are_an_ordinary_kjt(torchrec: Any, model: Model) -> None:
    jagged = model.ikjt().expand()
    kjt = jagged.to_torchrec()
    assert not kjt.variable_stride_per_key()
    assert kjt.keys() == jagged.keys()
    assert kjt.stride() == jagged.stride()
    assert kjt.length_per_key() == jagged.length_per_key()
    for key, theirs in kjt.to_dict().items():
        ours = jagged[key]
        assert theirs.values().tolist() == ours.values().tolist()
        assert theirs.lengths().tolist() == ours.lengths().tolist()
        assert theirs.offsets().tolist() == ours.offsets().tolist()
        if model.weighted:
            assert theirs.weights().tolist() == ours.weights().tolist()


def _ikjt(key: str = "a", weights: Any = None) -> InverseKeyedJaggedTensor:
    return InverseKeyedJaggedTensor(
        [key], torch.tensor([1, 2, 3]), torch.tensor([2, 1]), None, [torch.tensor([0, 1, 0])],
        weights,
    )  # fmt: skip


class Batch:
    """Has what a reader's batch has, and remembers what it was asked to do."""

    def __init__(self, labels: int = 1) -> None:
        self.dense_features = torch.zeros(3, 2)
        self.sparse_features = _ikjt()
        self.idscore_features = _ikjt("b", torch.tensor([0.5, 1.0, 2.0]))
        self.float_lists = None
        self.labels = torch.arange(3.0 * labels).reshape(3, labels)
        self.session_ids = torch.tensor([7, 7, 8])
        self.cursor = "cursor"
        self.calls: list[Any] = []

    def to(self, device: Any, non_blocking: bool = False) -> Batch:
        self.calls.append(("to", str(device), non_blocking))
        return self if str(device) == "cpu" else Batch()

    def pin_memory(self) -> Batch:
        self.calls.append("pin")
        return Batch()

    def record_stream(self, stream: Any) -> None:
        self.calls.append(("record", stream))


def test_a_batch_is_what_train_pipelines_take(torchrec: Any) -> None:
    streamable = importlib.import_module("torchrec.streamable")
    wrapped = Batch()
    batch = TorchRecBatch(wrapped)
    assert isinstance(batch, streamable.Pipelineable)
    assert isinstance(batch, streamable.Multistreamable)
    assert batch.dense_features is wrapped.dense_features
    assert batch.session_ids.tolist() == [7, 7, 8]
    assert batch.cursor == "cursor"
    assert isinstance(batch.sparse_features, torchrec.KeyedJaggedTensor)
    assert batch.sparse_features is batch.sparse_features
    assert batch.idscore_features.weights().tolist() == [0.5, 1.0, 2.0]
    assert batch.float_lists is None
    assert batch.labels.tolist() == [0.0, 1.0, 2.0]
    assert TorchRecBatch(Batch(labels=2)).labels.shape == (3, 2)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = batch.nothing_such


def test_a_batch_moves_with_what_it_wraps(torchrec: Any) -> None:
    wrapped = Batch()
    batch = TorchRecBatch(wrapped)
    assert batch.sparse_features is not None
    assert batch.to("cpu") is batch
    moved = batch.to(device=torch.device("meta"), non_blocking=True)
    assert isinstance(moved, TorchRecBatch)
    assert moved is not batch
    assert isinstance(batch.pin_memory(), TorchRecBatch)
    batch.record_stream("stream")
    expected = [("to", "cpu", False), ("to", "meta", True), "pin", ("record", "stream")]
    assert wrapped.calls == expected


def test_a_tensor_made_on_a_device_is_recorded_too(torchrec: Any) -> None:
    recorded = []
    kjt = SimpleNamespace(
        values=lambda: SimpleNamespace(device=torch.device("cuda", 0)),
        record_stream=recorded.append,
    )
    batch = TorchRecBatch(Batch())
    batch._made["sparse_features"] = kjt
    batch.record_stream("stream")
    assert recorded == ["stream"]


def test_a_batch_pickles_as_what_it_wraps(torchrec: Any) -> None:
    batch = pickle.loads(pickle.dumps(TorchRecBatch(Batch())))
    assert isinstance(batch, TorchRecBatch)
    assert batch.sparse_features.values().tolist() == [1, 2, 3]


def test_a_failing_conversion_is_no_missing_attribute(torchrec: Any) -> None:
    wrapped = Batch()
    wrapped.sparse_features = object()  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        _ = TorchRecBatch(wrapped).sparse_features


def test_without_torchrec_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchrec"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torchrec", None)
    monkeypatch.setattr(TorchRecBatch, "_registered", False)
    for call in (
        lambda: _ikjt().to_torchrec(),
        lambda: to_kjt(_ikjt()),
        lambda: _ikjt().expand().to_torchrec(),
        lambda: register_pipelineable(Batch),
        lambda: TorchRecBatch(Batch()),
    ):
        with pytest.raises(RecdInputError, match="torchrec is not installed: pip install"):
            call()


def test_nothing_imports_torchrec_before_it_is_asked_to() -> None:
    code = (
        "import sys, torch, recd_format.torch.torchrec as t, recd_format.torch as r; "
        "r.InverseKeyedJaggedTensor; print('torchrec' in sys.modules, 'fbgemm_gpu' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.strip() == "False False"


# One process, gloo: dense features and two lists of ids, of which one is grouped with a third.
PIPELINE = textwrap.dedent(
    """
    import os, sys, types, warnings
    warnings.simplefilter("ignore")
    import torch, torch.distributed as dist, torchrec
    from torchrec.distributed import DistributedModelParallel, TrainPipelineSparseDist
    from torchrec.distributed.model_parallel import get_default_sharders
    from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
    from torchrec.distributed.planner.types import ParameterConstraints
    from torchrec.models.dlrm import DLRM, DLRMTrain
    from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
    from torchrec.optim.keyed import KeyedOptimizerWrapper
    from recd_format.torch import InverseKeyedJaggedTensor
    from recd_format.torch.torchrec import TorchRecBatch

    KEYS = ["a", "b", "c"]

    class Batch:
        def __init__(self, seed):
            r = torch.Generator().manual_seed(seed)
            B, U = 8, 3
            inverse = torch.cat([torch.arange(U), torch.randint(0, U, (B - U,), generator=r)])
            lengths = torch.cat([torch.randint(0, 4, (2 * U,), generator=r), torch.ones(B).long()])
            values = torch.randint(0, 50, (int(lengths.sum()),), generator=r)
            self.sparse_features = InverseKeyedJaggedTensor(
                KEYS, values, lengths, [["a", "b"], ["c"]], [inverse, None])
            self.dense_features = torch.rand(B, 5, generator=r)
            self.labels = torch.randint(0, 2, (B, 1), generator=r).float()
            self.idscore_features = self.float_lists = None

        def to(self, device, non_blocking=False):
            return self

        def record_stream(self, stream):
            pass

    def known(table):
        # Sharding makes new tables: the same must come out.
        with torch.no_grad():
            table.copy_((torch.arange(table.numel()).reshape(table.shape) * 37 % 97) / 97 - 0.5)

    def model():
        torch.manual_seed(0)
        tables = [torchrec.EmbeddingBagConfig(name=f"t_{k}", embedding_dim=8, num_embeddings=50,
                                              feature_names=[k], init_fn=known) for k in KEYS]
        return DLRMTrain(DLRM(torchrec.EmbeddingBagCollection(tables=tables),
                              dense_in_features=5, dense_arch_layer_sizes=[8],
                              over_arch_layer_sizes=[8, 1]))

    batches = [Batch(seed) for seed in range(5)]

    plain = model()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    expected = []
    for batch in batches:
        kjt = types.SimpleNamespace(dense_features=batch.dense_features,
                                    sparse_features=batch.sparse_features.expand().to_torchrec(),
                                    labels=batch.labels.squeeze(1))
        optimizer.zero_grad()
        loss, _ = plain(kjt)
        loss.backward()
        optimizer.step()
        expected.append(loss.item())

    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
    sharded = model()
    apply_optimizer_in_backward(torch.optim.SGD,
        sharded.model.sparse_arch.embedding_bag_collection.parameters(), {"lr": 0.5})
    # Not data_parallel: the dense CPU kernel ignores that strides differ.
    table_wise = ParameterConstraints(sharding_types=["table_wise"])
    planner = EmbeddingShardingPlanner(topology=Topology(world_size=1, compute_device="cpu"),
                                       constraints={f"t_{k}": table_wise for k in KEYS})
    sharders = get_default_sharders()
    plan = planner.collective_plan(sharded, sharders, dist.GroupMember.WORLD)
    sharded = DistributedModelParallel(sharded, device=torch.device("cpu"), plan=plan,
                                       sharders=sharders)
    dense = KeyedOptimizerWrapper(
        {k: v for k, v in sharded.named_parameters() if "embedding_bags" not in k},
        lambda parameters: torch.optim.SGD(parameters, lr=0.5))
    pipeline = TrainPipelineSparseDist(sharded, dense, torch.device("cpu"))
    given = iter([TorchRecBatch(batch) for batch in batches])
    found = []
    while True:
        try:
            loss, _, _ = pipeline.progress(given)
        except StopIteration:
            break
        found.append(loss.item())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    print("pipelined", len(pipeline._pipelined_modules), "steps", len(found))
    dist.destroy_process_group()
    """
)


def test_train_pipeline_sparse_dist_trains_as_on_expanded_rows(
    torchrec: Any, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PIPELINE, str(tmp_path / "store")],
        capture_output=True, text=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.strip().endswith("pipelined 1 steps 5")
