"""Which layers of a batch are computed image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine import stages
from archcost.engine.network import Network
from archcost.graph import Graph
from archcost.ops import Add, Conv2d, GlobalAvgPool, Linear, MaxPool2d, ReLU
from archcost.zoo.catalogue import load


def stage_of(graph: Graph, images: int) -> stages.Stage:
    network = Network(graph, threads=2)
    network.inference_steps(images)
    return network._inference[images].lowered.plan.stage


def branching() -> Graph:
    """Return a network whose first layers have a shortcut, a pool and a second reader."""
    net = Builder("branching")
    x = net(ReLU(), net(Conv2d(8, 3, padding=1), net.input((3, 12, 10)), name="first"), name="relu")
    y = net(Add(), net(Conv2d(8, 3, padding=1, groups=8), x, name="depthwise"), x, name="add")
    z = net(Conv2d(24, 3, stride=2, padding=1), net(MaxPool2d(3, 1, padding=1), y, name="pool"), name="last")
    return net.build(net(Linear(5), net(GlobalAvgPool(), z, name="mean"), name="head"))


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few pixels be a large map, and copies cost nothing."""
    monkeypatch.setattr(stages, "LARGE_MAPS", 100)
    monkeypatch.setattr(stages, "PRODUCTS_FOR_A_BYTE", 10**6)
    monkeypatch.setattr(stages, "COPIES_FOR_A_BYTE", 0)


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_batch_gives_what_each_image_gives(precision: Any) -> None:
    graph = branching()
    network = Network(graph, precision=precision, threads=2)
    images = np.random.default_rng(0).standard_normal((5, 3, 12, 10)).astype(precision)
    assert stage_of(graph, 5).works > 3
    alone = np.concatenate([network(images[index : index + 1]) for index in range(5)])
    np.testing.assert_allclose(network(images), alone, rtol=1e-5, atol=1e-6)
    network.parameters["first.weight"][...] *= 2  # the weights of the first stage are packed anew
    assert np.abs(network(images) - alone).max() > 1e-3


@pytest.mark.usefixtures("staged")
def test_all_multiply_adds_are_executed() -> None:
    graph = branching()
    program, _ = Network(graph, threads=2).inference_steps(4)
    assert program.mult_adds == 4 * sum(node.op.cost(*graph.input_shapes(node)).mult_adds for node in graph)


def test_mobile_networks_have_a_first_stage_and_vgg_has_none() -> None:
    found = stage_of(load("mobilenet_v2"), 2)
    assert found.crossing == ("features.4.conv.3",)
    assert "features.2.conv.1.0" in found.nodes
    assert "features.8.conv.0.0" not in found.nodes
    assert stage_of(load("vgg11", input_size=(3, 32, 32)), 2) == stages.Stage()
    assert stage_of(load("mobilenet_v2"), 1) == stages.Stage()
