"""Where the images of a batch lie: beside each other in memory, or in the lanes of vectors.

The usual layout holds channels in the lanes. A small network of few channels leaves most of them idle; where a batch
fills whole vectors, its training puts samples in the lanes instead (``kernels.samples``).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

from archcost.engine.tensors import aliases
from archcost.errors import GraphError
from archcost.geometry import Shape
from archcost.graph import Graph, Node
from archcost.kernels import sample_conv
from archcost.kernels.conv import Fusion
from archcost.kernels.dense import forward_parts
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.operation import Kernels, Operation
from archcost.kernels.plain import conversion
from archcost.kernels.samples import entered, exchanged, spread_shape
from archcost.kernels.step import Step
from archcost.kernels.table import KERNELS
from archcost.kernels.target import ELEMENT_BYTES, Precision, Target
from archcost.ops import Add, AvgPool2d, Conv2d, Flatten, GlobalAvgPool, Identity, Input, Linear, MaxPool2d, Op
from archcost.ops.activation import Activation

MIXING: dict[type[Op], Kernels] = {
    Conv2d: Kernels(sample_conv.forward, sample_conv.backward),
    Linear: Kernels(sample_conv.forward, sample_conv.backward),
}
"""Operators that mix channels: they have kernels of their own where lanes are samples."""

ALIKE = (Input, MaxPool2d, AvgPool2d, GlobalAvgPool, Add, Flatten, Identity, Activation)
"""Operators that compute each channel alone: the usual kernels serve, a block for each channel."""

IDLE_SHARE = 0.2
"""Share of idle lanes above which a network is small enough to put samples in the lanes."""

LARGEST_BYTES = 2**20
"""Bytes of the weights, and of a group's largest tensor: all is read many times and must stay in the second cache."""


class Layout(NamedTuple):
    """How the tensors of a program lie in memory.

    Attributes:
        machine: which vectors there are.
        precision: element type.
        samples: lanes are samples.
    """

    machine: Target
    precision: Precision
    samples: bool = False

    def images(self, images: int) -> int:
        """Return the images of a tensor for a batch."""
        return images // self.machine.lanes(self.precision) if self.samples else images

    def map_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape of a tensor that holds maps (C, H, W)."""
        channels, height, width = shape
        return (channels * self.machine.lanes(self.precision), height, width) if self.samples else shape

    def graph_shape(self, node: Node, shape: Shape) -> Shape:
        """Return the graph's ``shape`` as the kernels of ``node`` are to see it."""
        alike = self.samples and type(node.op) not in MIXING
        return spread_shape(shape, self.machine.lanes(self.precision)) if alike else shape

    def kernels(self, node: Node) -> Kernels:
        """Return the kernels of a node. Raises GraphError if its operator is for cost only."""
        if self.samples and type(node.op) in MIXING:
            return MIXING[type(node.op)]
        if type(node.op) not in KERNELS:
            raise GraphError(f"{node.name}: {type(node.op).__name__} is counted, but cannot be run")
        return KERNELS[type(node.op)]

    def multiplied(self, operation: Operation, fusion: Fusion) -> list[Step]:
        """Return the steps of a layer that multiplies, and of what is computed together with it."""
        if self.samples:
            return sample_conv.forward(operation, fusion.activation)
        parts = forward_parts(operation, fusion)
        return [*(replace(step, prepares=True) for step in parts.pack), *parts.compute]

    def entered(self, tensor: Blocked, plain: Array, shape: Shape) -> list[Step]:
        """Return the steps that fill a tensor from a plain array (N, *shape)."""
        if self.samples:
            return entered(tensor, plain, shape, self.machine, self.precision)
        return [conversion("write", tensor, plain, self.machine, self.precision)]

    def usual(self, tensor: Blocked, shape: Shape) -> Blocked:
        """Return a tensor of the usual layout for what ``tensor`` holds: itself, or an empty one of its size."""
        if not self.samples:
            return tensor
        images = tensor.images * tensor.lanes
        return Blocked.make(images, shape, NO_HALO, tensor.lanes, tensor.memory.dtype)

    def read(self, tensor: Blocked, usual: Blocked) -> list[Step]:
        """Return the steps that copy a tensor to its usual form."""
        return exchanged("read", tensor, usual, self.machine, self.precision) if self.samples else []

    def written(self, tensor: Blocked, usual: Blocked) -> list[Step]:
        """Return the steps that fill a tensor from its usual form."""
        return exchanged("write", tensor, usual, self.machine, self.precision) if self.samples else []


def training_layout(graph: Graph, images: int, machine: Target, precision: Precision, output: str) -> Layout:
    """Return the layout for training with batches of ``images``.

    Args:
        graph: the network.
        images: size of the batch.
        machine: which vectors there are.
        precision: element type.
        output: the node whose output goes into the loss.
    """
    lanes = machine.lanes(precision)
    # What stands behind the logits may be one softmax, which belongs to the loss.
    nodes = [node for node in graph if node.name not in graph.outputs or node.name == output]
    suits = (
        images % lanes == 0
        and len(graph.outputs) == 1
        and all(isinstance(node.op, (*ALIKE, *MIXING)) and not hasattr(node.op, "axis") for node in nodes)
        and len(graph.shapes[output]) == 1
        and all(len(graph.shapes[node.inputs[0]]) == 1 for node in nodes if isinstance(node.op, Linear))
        and _flattens_freely(graph)
        and _is_small(graph, lanes, ELEMENT_BYTES[precision])
        and _idle_share(graph, lanes) > IDLE_SHARE
    )
    return Layout(machine, precision, suits)


def _flattens_freely(graph: Graph) -> bool:
    """Return whether maps are flattened for dense layers only, which read them as maps, and sums have equal shapes."""
    holder = aliases(graph, training=True)
    free = all(holder[node.name] != node.name for node in graph if isinstance(node.op, Flatten))
    return free and all(len(set(graph.input_shapes(node))) == 1 for node in graph if isinstance(node.op, Add))


def _is_small(graph: Graph, lanes: int, element: int) -> bool:
    weights = sum(prod(shape) for shape in graph.tensors().values()) * element
    largest = max(prod(shape) for shape in graph.shapes.values()) * lanes * element
    return max(weights, largest) <= LARGEST_BYTES


def _idle_share(graph: Graph, lanes: int) -> float:
    """Return the share of lanes that training leaves idle in the usual layout, by mult-adds."""
    used, taken = 0.0, 0.0
    for node in graph:
        if isinstance(node.op, Conv2d | Linear):
            (source,), output = graph.input_shapes(node), graph.shapes[node.name]
            work = node.op.cost(source).mult_adds
            # Forward and the gradient to the weights have output channels in the lanes, that to the input its own.
            for channels, times in ((output[0], 2), (source[0] if len(source) == 3 else output[0], 1)):
                used += times * work
                taken += times * work * (-(-channels // lanes) * lanes) / channels
    return 1 - used / taken if taken else 0.0
