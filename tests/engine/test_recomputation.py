"""Recomputed activations: the same bits, less memory, and exactly the work that is predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from archcost.build import Builder, Sequential, Tensor
from archcost.engine.executed import Executed, executed_by_node
from archcost.engine.gradient_check import check_gradients, generic_point
from archcost.engine.memory import Memory
from archcost.engine.network import Network
from archcost.engine.plan import Plan
from archcost.engine.training import Training
from archcost.graph import Graph
from archcost.kernels.target import Precision, current
from archcost.ops import (
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MaxPool2d,
    Mul,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
)
from archcost.recomputation import recomputation
from archcost.segments import Segment
from archcost.train.accounting import account
from archcost.train.predicted import predicted_by_node
from archcost.zoo.catalogue import load
from tests.conftest import catalogue_graph
from tests.engine.built import built, compile_nothing, small, trained_nodes
from tests.engine.test_memory import poison
from tests.engine.test_network import batch

Found = tuple[Training, dict[str, np.ndarray[Any, Any]]]


def blocks() -> Graph:
    """Return blocks with batch statistics, masks, a gate, branches that are joined, and sums, on maps that shrink."""
    net = Builder("blocks")
    x = net(Conv2d(8, 3, padding=1, bias=False), net.input((3, 8, 8)), name="stem")
    for index in range(4):
        x = block(net, x, index)
    x = net(Dropout(0.3), net(Flatten(), net(GlobalAvgPool(), x, name="pool"), name="flatten"), name="dropout")
    return net.build(net(Linear(5), x, name="fc"))


def block(net: Builder, x: Tensor, index: int) -> Tensor:
    """Add a block."""
    with net.scope(f"block{index}"):
        y = net(ReLU(), net(BatchNorm2d(), net(Conv2d(8, 3, padding=1), x, name="conv1"), name="bn1"), name="relu1")
        y = net(SiLU(), net(BatchNorm2d(), net(Conv2d(8, 3, padding=1), y, name="conv2"), name="bn2"), name="silu")
        gate = net(Sigmoid(), net(Conv2d(8, 1), net(GlobalAvgPool(), y, name="mean"), name="gate"), name="sigmoid")
        y = net(DropPath(0.2), net(Mul(), y, gate, name="mul"), name="path")
        x = net(ReLU(), net(Add(), net(Dropout(0.2), y, name="drop"), x, name="add"), name="relu2")
        if index == 1:
            left = net(Conv2d(8, 1), x, name="left")
            x = net(MaxPool2d(2), net(Concat(), left, x, name="concat"), name="pool")
            x = net(Conv2d(8, 1), x, name="reduce")
    return x


def up_and_down() -> Graph:
    """Return a network whose first map passes around the others, with a transposed convolution on the way up."""
    net = Builder("up and down")
    first = net(ReLU(), net(Conv2d(8, 3, padding=1), net.input((3, 8, 8)), name="first"), name="relu")
    x = net(LayerNorm(axis=0), net(MaxPool2d(2), first, name="down"), name="norm")
    x = net(ReLU(), net(Conv2d(8, 3, padding=1), x, name="deep"), name="deep_relu")
    x = net(ConvTranspose2d(8, 2, stride=2), x, name="up")
    x = net(ReLU(), net(Conv2d(8, 3, padding=1), net(Concat(), x, first, name="join"), name="last"), name="last_relu")
    return net.build(net(Linear(5), net(Flatten(), x, name="flatten"), name="fc"))


def step(net: Network, images: int, *, checkpoint_activations: bool) -> Found:
    """Run a training step on memory that holds NaN; return what it leaves behind."""
    graph, generator = net.graph, np.random.default_rng(7)
    training = Training(
        graph, images, net.setting, net.trained, net.gradients.arrays, checkpoint_activations=checkpoint_activations
    )
    values, labels = batch(graph, images, net.precision)
    training.lowered.inputs[graph.inputs[0].name][...] = values
    training.labels[:] = labels
    for array in net.setting.buffers.values():
        array[...] = generator.uniform(0.5, 1.5, array.shape) if array.ndim else 0
    net.setting.random[:, 1] = 4
    poison(training.lowered.memory)
    net.gradients.memory[...] = np.nan
    training.program.run(net.team)
    found = {name: array.copy() for name, array in (net.gradients.arrays | dict(net.setting.buffers)).items()}
    return training, {**found, "loss": training.loss.value.copy()}


def check(graph: Graph, images: int, precision: Precision = "float32", freeze: Iterable[str] = ()) -> Training:
    """Compare all that a step computes, bit by bit; return the program with recomputation."""
    net = Network(graph, precision=precision, freeze=freeze, threads=1)
    generic_point(net)
    plain, expected = step(net, images, checkpoint_activations=False)
    training, found = step(net, images, checkpoint_activations=True)
    for name, array in expected.items():
        assert np.isfinite(array).all(), name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert training.recomputation is not None
    assert len(training.recomputation.again) > 1
    assert training.lowered.memory.bytes < plain.lowered.memory.bytes
    more = sum(one.recomputed for one in executed_by_node(training).values())
    assert training.program.mult_adds == plain.program.mult_adds + more
    assert account(training, "sgd").agrees
    return training


GRAPHS: dict[str, Callable[[], Graph]] = {
    "blocks": blocks,
    "up and down": up_and_down,
    "resnet18": lambda: load("resnet18", input_size=(3, 32, 32), num_classes=10),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_gradients_and_statistics_are_the_same_bits(graph: Callable[[], Graph]) -> None:
    check(graph(), 2)


def test_so_they_are_in_double_precision_and_with_frozen_layers() -> None:
    check(blocks(), 2, "float64")
    training = check(blocks(), 2, freeze=["stem", "block0", "block1.bn1", "block2.conv1"])
    assert training.recomputation is not None
    assert not any(name.startswith(("stem", "block0")) for name in training.recomputation.again - {"block0.relu2"})


def test_so_they_are_with_samples_in_the_lanes() -> None:
    layers = [layer for _ in range(5) for layer in (Conv2d(2, 3, padding=1), Tanh())]
    training = check(Sequential([*layers, Flatten(), Linear(3)], (1, 6, 5)), current().lanes("float64"), "float64")
    assert training.lowered.layout.samples


def test_gradients_agree_with_finite_differences() -> None:
    net = Network(blocks(), precision="float64", threads=1, checkpoint_activations=True)
    generic_point(net)
    assert check_gradients(net, *batch(net.graph, 2), directions=1).holds


def test_a_network_is_told_once() -> None:
    graph = blocks()
    nets = [Network(graph, checkpoint_activations=again, threads=1) for again in (False, True)]
    images, labels = batch(graph, 2, "float32")
    results = [[net.loss_and_gradients(images, labels) for _ in range(2)][1] for net in nets]
    assert results[0][0] == results[1][0]
    for name, gradient in results[0][1].items():
        np.testing.assert_array_equal(results[1][1][name], gradient, err_msg=name)
    for (name, array), (_, other) in zip(nets[0].buffers.items(), nets[1].buffers.items()):
        np.testing.assert_array_equal(other, array, err_msg=name)
    assert nets[1].training_memory(2).bytes < 0.8 * nets[0].training_memory(2).bytes


def plan_bytes(graph: Graph, segments: Sequence[Segment]) -> int:
    """Return the memory of a training step on one image."""
    plan = Plan(graph, training=True, trained=trained_nodes(graph), segments=segments)
    return Memory(plan.needs, 1, 16, "float32").bytes


@pytest.mark.parametrize(
    ("name", "share"), [("vgg11", 0.9), ("resnet18", 0.55), ("mobilenet_v2", 0.4), ("googlenet", 0.5)]
)
def test_networks_of_the_catalogue_need_less_memory(name: str, share: float) -> None:
    graph = catalogue_graph(name)
    found = recomputation(graph, trained_nodes(graph), graph.outputs[:1])
    plain, less = plan_bytes(graph, ()), plan_bytes(graph, found.segments)
    assert less < share * plain
    # Liveness counts neither borders nor channels that fill up a block nor gaps between tensors.
    assert 4 * found.elements < less < 2 * 4 * found.elements


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_every_node_executes_what_is_predicted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    compile_nothing(monkeypatch)
    graph = small(name)
    training = built(graph, checkpoint_activations=True)
    assert training.recomputation is not None
    again = training.recomputation.again
    expected = predicted_by_node(graph, trained_nodes(graph), again=again)
    for key, one in executed_by_node(training).items():
        assert one == (expected[key].expected if key else Executed(0, 0, 0)), key
    lines = account(training, "sgd").lines
    assert [line.name for line in lines][-2:] == ["recomputation", "total"]
    assert lines[-2].executed == lines[-2].predicted > 0
    assert lines[-1].executed == 2 * training.program.mult_adds


def test_nothing_is_recomputed_where_every_tensor_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)
    graph = blocks()
    net = Network(graph, threads=1)
    training = Training(
        graph, 2, net.setting, net.trained, net.gradients.arrays, keep=True, checkpoint_activations=True
    )
    assert training.recomputation is None
    assert not any(one.recomputes for one in training.backward)


def test_running_statistics_and_packed_weights_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)
    training = built(small("resnet18"), checkpoint_activations=True)
    again = [one for one in training.backward if one.recomputes]
    assert again
    assert not any(one.once or one.prepares for one in again)
    assert {"bn1", "layer1.0.bn1"} <= {one.name for one in training.forward if one.once}
