"""Arrays for the parameters and inputs of a graph, allocated in their shapes and filled with random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from archcost.geometry import Shape, product
from archcost.graph import Graph
from archcost.reference.work import Array

BLOCK = 65_537
"""Random numbers that are drawn for a network; large tensors repeat them (a prime period, so that no axis does)."""


def allocated(graph: Graph, dtype: str = "float64", seed: int = 0) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the parameters and the buffers of ``graph`` by their full names (``layer1.0.conv1.weight``).

    Their scale keeps the activations of a deep network near 1. A shared tensor stands once, where it is owned.
    """
    drawn = np.random.default_rng(seed).uniform(-1, 1, BLOCK)
    parameters: dict[str, Array] = {}
    buffers: dict[str, Array] = {}
    for node in graph:
        if node.shares is None:
            for name, shape in graph.params(node).items():
                parameters[f"{node.name}.{name}"] = _filled(name, shape, dtype, drawn)
            for name, shape in graph.buffers(node).items():
                buffers[f"{node.name}.{name}"] = _filled(name, shape, dtype, drawn)
    return parameters, buffers


def _filled(name: str, shape: Shape, dtype: str, drawn: Array) -> Array:
    if name == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    middle, width = 0.0, 0.1
    if len(shape) > 1:
        width = float(np.sqrt(6 / product(shape[1:])))  # uniform, of the variance 2 / inputs (He et al. 2015)
    elif name in ("weight", "running_var"):
        middle, width = 1.0, 0.5
    array = np.empty(shape, dtype)
    _fill(array.reshape(-1), drawn * width + middle)
    return array


def _fill(flat: Any, values: Array) -> None:
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        part[:] = values[: part.size]


def images(graph: Graph, dtype: str = "float64", batch: int = 1, seed: int = 1) -> dict[str, Array]:
    """Return random inputs of ``graph``: name -> (batch, channels, height, width)."""
    generator = np.random.default_rng(seed)
    return {node.name: generator.normal(size=(batch, *graph.shapes[node.name])).astype(dtype) for node in graph.inputs}
