"""The whole catalogue runs, at the smallest image that each network takes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import archcost.engine.network
from archcost.engine.network import Network
from archcost.errors import ArchcostError
from archcost.geometry import Shape, product
from archcost.graph import Graph
from archcost.zoo.catalogue import CATALOGUE, load

SIZES = (32, 48, 64, 75, 96, 112, 128, 224, 299, 331)

VALUES = np.random.default_rng(1).standard_normal(65_537).astype(np.float32)
"""Repeated to fill every parameter: 100 million numbers need not be drawn one by one for this."""


MOST_PARAMETERS = 60_000_000
"""Of a larger network the first layers are run, up to this many parameters: the machine may be small."""


def smallest(name: str) -> Graph:
    """Return the catalogue's network for the smallest of the usual images, with ten classes where it has classes."""
    tries = [{"input_size": (3, size, size), **classes} for classes in ({"num_classes": 10}, {}) for size in SIZES]
    for options in tries:
        with suppress(ArchcostError):
            return load(name, **options)
    return load(name)


def bounded(graph: Graph) -> Graph:
    """Return the graph, or the beginning of a very large one."""
    counts = np.cumsum([sum(map(product, graph.params(node).values())) for node in graph])
    kept = graph.nodes[: int(np.searchsorted(counts, MOST_PARAMETERS, side="right"))]
    return graph if len(kept) == len(graph) else Graph(kept, (kept[-1].name,), graph.name)


def filled(graph: Graph, *_arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters of about He's variance and buffers, quickly."""

    def value(name: str, shape: Shape) -> Any:
        if len(shape) < 2:
            return np.full(shape, 1.0 if name in {"weight", "running_var"} else 0.0, np.float32)
        return np.resize(VALUES, shape) * np.float32(np.sqrt(2 / product(shape[1:])))

    nodes = [node for node in graph if node.shares is None]
    parameters = {f"{one.name}.{key}": value(key, size) for one in nodes for key, size in graph.params(one).items()}
    buffers = {f"{one.name}.{key}": value(key, size) for one in nodes for key, size in graph.buffers(one).items()}
    return parameters, buffers


@pytest.mark.parametrize("name", CATALOGUE)
def test_forward(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archcost.engine.network, "initial_tensors", filled)
    graph = bounded(smallest(name))
    net = Network(graph, freeze=["*"] if any(map(graph.params, graph)) else [])
    shape = graph.shapes[graph.inputs[0].name]
    images = np.random.default_rng(3).standard_normal((2, *shape)).astype(np.float32)
    found, turned = net(images), net(images[::-1])
    if not isinstance(found, tuple):
        found, turned = (found,), (np.asarray(turned),)
    for output, other, shape in zip(found, turned, (graph.shapes[one] for one in graph.outputs)):
        assert output.shape == (2, *shape)
        # A thousand residual blocks without training: the sums leave float32.
        assert np.isfinite(output).all() or name == "resnet1202_cifar"
        # No image looks into another one.
        np.testing.assert_allclose(output, other[::-1], rtol=1e-4, atol=1e-4 * np.abs(output).max())
