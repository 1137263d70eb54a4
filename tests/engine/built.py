"""Training programs that are built and never run, for tests that count what they would do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine.executed import Executed, executed_by_node
from archcost.engine.lowering import Setting
from archcost.engine.storage import trained_shapes
from archcost.engine.training import Training
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.kernels import compiled
from archcost.kernels.target import TARGETS
from archcost.ops import Conv2d, Flatten, Linear, Op
from archcost.patterns import frozen_nodes
from archcost.zoo.catalogue import load

NOWHERE = 1
"""Address of the machine code of steps that nobody runs."""

SMALL = {
    "lenet": (1, 32, 32),
    "lenet5_1998": (1, 32, 32),
    "alexnet": (3, 67, 67),
    "vgg11": (3, 32, 32),
    "resnet18": (3, 64, 64),
    "mobilenet_v2": (3, 64, 64),
    "googlenet": (3, 64, 64),
    "efficientnet_b0": (3, 64, 64),
    "shufflenet_v2_x1_0": (3, 64, 64),
    "densenet121": (3, 64, 64),
    "convnext_tiny": (3, 64, 64),
}
"""A network of each family, and an input that is small for it."""

IMAGES = 2
"""Batch of ``counts``."""


def small(name: str) -> Graph:
    """Return the graph of a family's network on its small input."""
    return load(name, input_size=SMALL[name])


def compile_nothing(patch: pytest.MonkeyPatch) -> None:
    """Let steps be built without machine code; they must not run."""
    real = compiled.address

    def address(kind: str, module: str, *details: object) -> int:
        # A team of threads that is made meanwhile outlives the patch.
        return real(kind, module, *details) if module == "serving" else NOWHERE  # type: ignore[arg-type]

    patch.setattr(compiled, "address", address)


def setting_of(graph: Graph, target: str = "avx512", threads: int = 0) -> Setting:
    """Return a setting with parameters of zero; with threads, fast ways are planned."""
    tensors = [
        {f"{node.name}.{name}": np.zeros(shape, np.float32) for name, shape in shapes(node).items()}
        for shapes in (graph.params, graph.buffers)
        for node in graph
        if node.shares is None
    ]
    count = len(tensors) // 2
    parameters, buffers = ({name: array for one in half for name, array in one.items()}
                           for half in (tensors[:count], tensors[count:]))  # fmt: skip
    random = np.zeros((len(graph), 3), np.int64)
    return Setting(TARGETS[target], "float32", parameters, buffers, random, threads)


def trained_nodes(graph: Graph, freeze: Iterable[str] = ()) -> frozenset[str]:
    """Return the nodes whose parameters are trained."""
    frozen = frozen_nodes(graph, freeze)
    return frozenset(node.name for node in graph if graph.params(node) and node.name not in frozen)


def built(
    graph: Graph,
    images: int = 1,
    freeze: Iterable[str] = (),
    target: str = "avx512",
    threads: int = 0,
    *,
    checkpoint_activations: bool = False,
) -> Training:
    """Return a training program; call ``compile_nothing`` first."""
    trained = trained_nodes(graph, freeze)
    gradients = {name: np.zeros(shape, np.float32) for name, shape in trained_shapes(graph, trained).items()}
    setting = setting_of(graph, target, threads)
    return Training(graph, images, setting, trained, gradients, checkpoint_activations=checkpoint_activations)


@cache
def counts(name: str) -> dict[str, Executed]:
    """Return what a step of a family's network executes for each node, counted once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        compile_nothing(patch)
        return executed_by_node(built(small(name), IMAGES))


def below(op: Op, shape: Shape) -> Graph:
    """Return a trained layer, the layer ``op`` on its output, and a dense layer: all gradients are wanted."""
    net = Builder("below")
    x = net(Conv2d(shape[0], 1), net.input(shape), name="first")
    x = net(op, x, name="layer")
    return net.build(net(Linear(3), net(Flatten(), x, name="flatten"), name="last"))
