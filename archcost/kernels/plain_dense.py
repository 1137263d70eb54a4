"""Dense layers that read their plain weights (outputs, inputs) where they lie.

A packed copy costs as much memory as the weights, which are most of AlexNet and VGG, and time: inference makes it once,
but before the first image, and training anew in every step. A dense layer of few images does little more than read its
weights; read in place, that is all it does. ``ARCHCOST_PLAIN_DENSE=off`` packs them.
"""

from __future__ import annotations

import numpy as np

from archcost.kernels.dot_rows import dot_products
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.operation import Operation
from archcost.kernels.packing import packed_biases
from archcost.kernels.plain import Steps, conversion
from archcost.kernels.step import Step
from archcost.kernels.switches import switched_on
from archcost.kernels.target import Precision, Target
from archcost.ops import Linear


def allowed() -> bool:
    """Return whether ``ARCHCOST_PLAIN_DENSE`` lets dense layers read plain weights, as it does by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_PLAIN_DENSE")


def suits(operation: Operation) -> bool:
    """Return whether a layer's outputs are computed from its plain weight: a dense layer with one pixel of output.

    Those of many rows (each pixel of a map, each word of a text) use each weight often: packing pays.
    """
    (source,) = operation.inputs
    return (
        isinstance(operation.op, Linear)
        and operation.output.shape[1:] == (1, 1)
        and not (source.channels_last and source.shape[1:] != (1, 1))
        and source.lanes <= operation.parameters["weight"].shape[1] == np.prod(source.shape)
        and allowed()
    )


def forward(operation: Operation, residual: Blocked | None, activation: str) -> tuple[list[Step], list[Step]]:
    """Return the steps that prepare the biases, and those that compute the layer.

    Args:
        operation: the layer; its output is that of the last operator that is fused.
        residual: what is added, or None.
        activation: what is applied last.
    """
    (source,), output, parameters = operation.inputs, operation.output, operation.parameters
    setting = operation.machine, operation.precision
    prepared, biases = packed_biases(output.shape[0], output.lanes, parameters.get("bias"), operation.precision)
    copies, plain = plain_rows(source, *setting)
    step = dot_products(plain, output, residual, parameters["weight"], biases, activation, *setting)
    return prepared, [*copies, step]


def plain_rows(tensor: Blocked, machine: Target, precision: Precision) -> tuple[list[Step], Array]:
    """Return the elements of each image in the graph's order, (N, at least C * H * W), in whole vectors.

    Returns:
        The steps that copy them, and the array: a view of the tensor without any steps, if it is a vector.
    """
    _, height, width = tensor.shape
    element = tensor.memory.itemsize
    if is_plain(tensor):
        size = tensor.images, tensor.memory.shape[1] * tensor.lanes
        return [], np.lib.stride_tricks.as_strided(tensor.memory, size, (tensor.image_step, element))
    copy = empty_rows(tensor)
    steps = Steps(copy.strides[0], height * width * element, width * element, element)
    return [conversion("read", tensor, copy, machine, precision, steps=steps)], copy


def is_plain(tensor: Blocked) -> bool:
    """Return whether the elements of an image lie side by side in the graph's order."""
    return tensor.shape[1:] == (1, 1) and tensor.block_step == tensor.lanes * tensor.memory.itemsize


def empty_rows(tensor: Blocked) -> Array:
    """Return an array for the elements of each image in the graph's order, in whole vectors."""
    vectors = -(-int(np.prod(tensor.shape)) // tensor.lanes)
    size = tensor.images, vectors * tensor.lanes
    return aligned(size[0] * size[1], tensor.memory.dtype).reshape(size)
