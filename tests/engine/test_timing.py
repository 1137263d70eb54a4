"""Profiles of networks: which layers there are, what they did, and that nothing is lost. Never how fast."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archcost.build import Builder, Sequential
from archcost.engine import timing
from archcost.engine.network import Network
from archcost.engine.timing import LayerTime, profiled, profiled_training
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.kernels.profile_machine import Roofline
from archcost.ops import Add, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU

ROOFLINE = Roofline(1, "float32", 50.0, 10.0, 5.0, 8.0)


@pytest.fixture(autouse=True)
def _no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine's bounds as given: they have tests of their own, and need a second."""
    monkeypatch.setattr(timing, "measured", lambda *_: ROOFLINE)


def small() -> Graph:
    """Return a network that is small enough to count by hand."""
    layers = {
        "conv": Conv2d(4, 3, padding=1),
        "bn": BatchNorm2d(),
        "relu": ReLU(),
        "pool": MaxPool2d(2),
        "flatten": Flatten(),
        "fc": Linear(5),
    }
    return Sequential(layers, (3, 6, 6))


def by_name(layers: tuple[LayerTime, ...]) -> dict[str, LayerTime]:
    assert len({layer.name for layer in layers}) == len(layers)
    for layer in layers:
        assert math.isfinite(layer.seconds)
        assert layer.seconds > 0
        assert layer.spread >= 0
    return {layer.name: layer for layer in layers}


def test_inference() -> None:
    network = Network(small(), threads=1)
    profile = profiled(network, 2, 3)
    layers = by_name(profile.layers)
    assert list(layers) == ["input", "conv", "pool", "fc"]  # BatchNorm and ReLU are part of the convolution
    assert layers["conv"].flops == 2 * 2 * (4 * 6 * 6) * (3 * 3 * 3)
    assert layers["conv"].bytes == 4 * (2 * (3 * 36 + 4 * 36) + 4 * 3 * 9 + 4)
    assert layers["fc"].flops == 2 * 2 * 36 * 5
    assert profile.total > 0
    assert profile.machine == ROOFLINE


def test_training_forward() -> None:
    profile = profiled_training(Network(small(), threads=1), 2, 3)
    layers = by_name(profile.forward)
    assert list(layers) == ["input", "conv", "bn", "pool", "fc"]  # ReLU is part of BatchNorm
    assert layers["conv"].flops == 2 * 2 * (4 * 6 * 6) * (3 * 3 * 3)
    assert layers["bn"].flops == 2 * 8 * 4 * 36  # with the statistics of the batch: 8 an element
    assert profile.loss.name == "loss"
    assert profile.loss.seconds > 0
    assert profile.loss.flops == 2 * 5 * 6  # 5 an element for softmax, 1 for the goal


def test_training_backward() -> None:
    profile = profiled_training(Network(small(), threads=1), 2, 3)
    layers = by_name(profile.backward)
    assert list(layers) == ["fc", "pool", "bn", "conv"]
    # Both gradients repeat the products of the forward pass; the bias adds up its outputs.
    assert layers["fc"].flops == 2 * (2 * 2 * 36 * 5 + 5)
    # Nothing below the convolution is trained: the gradient to the image is not computed.
    assert layers["conv"].flops == 2 * (2 * (4 * 36) * 27 + 4 * 36)
    # Reads the gradient of its output and its input; writes the gradients of weight and bias.
    assert layers["conv"].bytes == 4 * (2 * (4 * 36 + 3 * 36) + 4 * 27 + 4)
    # Reads the gradient of its output, its input and its weight; writes the gradients of its input, weight and bias.
    assert layers["fc"].bytes == 4 * (2 * (5 + 36 + 36) + 2 * (5 * 36 + 5))
    # Reads the gradient of its output, its output and its input; writes the gradient of its input.
    assert layers["pool"].bytes == 4 * 2 * (36 + 36 + 2 * 4 * 36)


def test_training_as_a_whole() -> None:
    profile = profiled_training(Network(small(), threads=1), 2, 1)
    assert profile.layers == (*profile.forward, profile.loss, *profile.backward)
    assert profile.total > 0
    assert profile.machine == ROOFLINE


def test_what_is_frozen_has_no_backward() -> None:
    profile = profiled_training(Network(small(), threads=1, freeze=["conv", "bn"]), 2, 1)
    layers = by_name(profile.backward)
    assert list(layers) == ["fc"]
    assert layers["fc"].flops == 2 * (2 * 36 * 5 + 5)  # of the weights alone


def test_parameters_that_are_shared_are_no_layer_of_their_own() -> None:
    net = Builder("shared")
    x = net.input((4,))
    first = net(Linear(4), x, name="first")
    second = net(Linear(4), first, name="second", shares=first)
    graph = net.build(net(Add(), first, second, name="add"))
    layers = by_name(profiled_training(Network(graph, threads=1), 2, 1).backward)
    assert set(layers) == {"first", "second", "add"}


def test_training_leaves_the_parameters() -> None:
    network, twin = Network(small(), threads=1), Network(small(), threads=1)
    profiled_training(network, 2, 1)
    for name, value in twin.parameters.items():
        np.testing.assert_array_equal(network.parameters[name], value)
    assert np.any(network.buffers["bn.running_mean"] != 0)


def test_a_network_that_cannot_be_trained_is_one_line() -> None:
    graph = Sequential({"conv": Conv2d(4, 3)}, (3, 6, 6))
    with pytest.raises(UsageError, match=r"the loss needs an output of \(classes,\), not 4x4x4"):
        profiled_training(Network(graph, threads=1), 1, 1)
    graph = Sequential({"relu": ReLU()}, (4,))
    with pytest.raises(UsageError, match="network has no trained parameters: there is no training step"):
        profiled_training(Network(graph, threads=1), 1, 1)
