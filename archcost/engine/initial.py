"""First values of the parameters: He or Glorot, as the papers state.

He et al. 2015 (Delving Deep into Rectifiers): normal with variance 2 / fan_in, for networks of ReLU.
Glorot & Bengio 2010: uniform with variance 2 / (fan_in + fan_out), for tanh, sigmoid and the last dense layer's logits.
Biases are 0, factors of normalisation 1, running variances 1. Layer scales start at 1e-6 (Liu et al. 2022).
"""

from __future__ import annotations

import numpy as np

from archcost.geometry import Shape, product
from archcost.graph import Graph, Node
from archcost.kernels.layout import Array
from archcost.ops import BatchNorm2d, ConvTranspose2d, LayerNorm, Linear, RadialBasis, Scale, SubsamplingPool2d
from archcost.ops.conv import Multiplying

LAYER_SCALE = 1e-6


def initial_tensors(graph: Graph, seed: int, dtype: str) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return parameters and buffers by name (``layer1.0.conv1.weight``), those of sharing nodes once.

    The values depend on the seed and the node's place alone: the same network starts alike in every precision.
    """
    parameters: dict[str, Array] = {}
    buffers: dict[str, Array] = {}
    for number, node in enumerate(graph):
        if node.shares is not None:
            continue
        generator = np.random.default_rng([seed, number])
        for name, shape in graph.params(node).items():
            value = _parameter(node, name, shape, generator)
            parameters[f"{node.name}.{name}"] = np.ascontiguousarray(value, dtype)
        for name, shape in graph.buffers(node).items():
            buffers[f"{node.name}.{name}"] = _buffer(node, name, shape, generator, dtype)
    return parameters, buffers


def _parameter(node: Node, name: str, shape: Shape, generator: np.random.Generator) -> Array:
    op = node.op
    if isinstance(op, Scale):
        return np.full(shape, LAYER_SCALE)
    if isinstance(op, (BatchNorm2d, LayerNorm)) or (isinstance(op, SubsamplingPool2d) and name == "weight"):
        return np.full(shape, 1.0 if name == "weight" else 0.0)
    if name != "weight" or not isinstance(op, Multiplying):
        return np.zeros(shape)
    fan_in, fan_out = product(shape[1:]), shape[0] * product(shape[2:])
    if isinstance(op, ConvTranspose2d):
        fan_in, fan_out = fan_out, fan_in
    # Drawn in float32 whatever the precision: the values are the same, and half as long in coming.
    if isinstance(op, Linear):
        limit = np.sqrt(6 / (fan_in + fan_out))
        return np.asarray((2 * generator.random(shape, np.float32) - 1) * np.float32(limit))
    return np.asarray(generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in)))


def _buffer(node: Node, name: str, shape: Shape, generator: np.random.Generator, dtype: str) -> Array:
    if name == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if isinstance(node.op, RadialBasis):
        return np.ascontiguousarray(generator.choice([-1.0, 1.0], shape), dtype)
    return np.full(shape, 1.0 if name == "running_var" else 0.0, dtype)
