"""Small networks train with samples in the lanes: the same loss and gradients as in the usual layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder, Sequential
from archcost.engine.layouts import training_layout
from archcost.engine.network import Network
from archcost.engine.plan import logits_of
from archcost.engine.training import Training
from archcost.graph import Graph
from archcost.kernels.target import current
from archcost.ops import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Op,
    ReLU,
    SiLU,
    Softmax,
    Tanh,
)
from archcost.train.accounting import account
from archcost.zoo.catalogue import load
from tests.engine.test_memory import poison
from tests.engine.test_network import batch

LANES = current().lanes("float64")


def uses_samples(graph: Graph, images: int = LANES) -> bool:
    return training_layout(graph, images, current(), "float64", logits_of(graph)).samples


def residual() -> Graph:
    """Return a network with a sum whose summands have other readers, padding on all sides, and no bias."""
    net = Builder("residual")
    x = net.input((2, 9, 7))
    x = net(ReLU(), net(Conv2d(3, 3, padding=1, bias=False), x, name="conv1"), name="relu1")
    y = net(Conv2d(3, (1, 5), padding=(0, 2)), x, name="conv2")
    x = net(ReLU(), net(Add(), y, x, name="add"), name="relu2")
    x = net(AvgPool2d(2, 2, padding=1), x, name="pool1")
    x = net(SiLU(), net(Conv2d(5, 2), x, name="conv3"), name="silu")
    x = net(GlobalAvgPool(), x, name="pool2")
    return net.build(net(Linear(3), net(Flatten(), x, name="flatten"), name="fc"))


def of_layers(*layers: Op, shape: tuple[int, int, int] = (1, 12, 11)) -> Graph:
    return Sequential(layers, shape)


GRAPHS: dict[str, Any] = {
    "lenet": lambda: load("lenet"),
    "residual": residual,
    "strided": lambda: of_layers(
        Conv2d(3, 3, stride=(2, 3), padding=1), Tanh(), Conv2d(5, 3, stride=2, padding=2), Flatten(), Linear(4)
    ),
    "grouped, dilated": lambda: of_layers(
        Conv2d(4, 3, dilation=2), ReLU(), Conv2d(6, 3, groups=2, padding=(1, 0)), MaxPool2d(2), Flatten(), Linear(9),
        ReLU(), Linear(2), Softmax(),
    ),
    "depthwise": lambda: of_layers(
        Conv2d(3, 1), Conv2d(3, 3, groups=3, padding=1), ReLU(), Conv2d(2, 1), Flatten(), Linear(3), shape=(1, 5, 4)
    ),
}  # fmt: skip


def check(graph: Graph, images: int) -> None:
    """Compare loss and gradients with those of the usual layout, on memory that holds NaN before."""
    assert uses_samples(graph, images)
    net = Network(graph, precision="float64", threads=1)
    values, labels = batch(graph, images)
    results = []
    for usual in (True, False):
        training = Training(graph, images, net.setting, net.trained, net.gradients.arrays, keep=usual)
        assert training.lowered.layout.samples != usual
        training.lowered.inputs[graph.inputs[0].name][...] = values
        training.labels[:] = labels
        if not usual:
            poison(training.lowered.memory)
        net.gradients.memory[...] = np.nan
        training.program.run(net.team)
        results.append((float(training.loss.value[0]), {k: v.copy() for k, v in net.gradients.arrays.items()}))
        assert account(training, "sgd").agrees
    (loss, gradients), (own_loss, own) = results
    assert own_loss == pytest.approx(loss, rel=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(own[name], gradient, rtol=1e-9, atol=1e-12 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_samples_in_the_lanes_give_the_same_gradients(graph: Any) -> None:
    check(graph(), 2 * LANES)


SIZES = st.integers(1, 3)


@settings(max_examples=4)
@given(
    kernel=st.tuples(SIZES, SIZES),
    stride=st.tuples(SIZES, SIZES),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    channels=st.tuples(SIZES, SIZES),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
)
def test_any_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    channels: tuple[int, int],
    size: tuple[int, int],
) -> None:
    layers = [Conv2d(channels[0], 1), Conv2d(channels[1], kernel, stride, padding), ReLU(), Flatten(), Linear(2)]
    check(of_layers(*layers, shape=(1, *size)), LANES)


def test_loss_and_gradients_in_float32_are_the_same_bits_for_any_thread_count() -> None:
    graph = load("lenet")
    images = 2 * current().lanes("float32")
    values, labels = batch(graph, images, "float32")
    runs = [Network(graph, threads=threads).loss_and_gradients(values, labels) for threads in (1, 3)]
    assert runs[0][0] == runs[1][0]
    for name, gradient in runs[0][1].items():
        np.testing.assert_array_equal(gradient, runs[1][1][name], err_msg=name)


def test_other_networks_keep_channels_in_the_lanes() -> None:
    small = of_layers(Conv2d(3, 3), ReLU(), Flatten(), Linear(4))
    assert uses_samples(small)
    assert not uses_samples(small, LANES + 1)  # samples fill no whole vectors
    assert not uses_samples(of_layers(Conv2d(64, 3), ReLU(), Conv2d(64, 3), Flatten(), Linear(4)))  # no idle lanes
    assert not uses_samples(of_layers(Conv2d(3, 3), BatchNorm2d(), ReLU(), Flatten(), Linear(4)))
    assert not uses_samples(of_layers(Conv2d(3, 3), Dropout(0.5), Flatten(), Linear(4)))
    assert not uses_samples(of_layers(Conv2d(3, 3), Softmax(), Flatten(), Linear(4)))
    assert not uses_samples(of_layers(Conv2d(3, 3), Flatten(), ReLU(), Flatten(), Linear(9000)))  # too many weights
    assert not uses_samples(of_layers(Conv2d(3, 3), shape=(1, 5, 5)))  # a map is no vector of classes
