"""Dense layers that read their plain weights (outputs, inputs) where they lie.

A packed copy costs as much memory as the weights, which are most of AlexNet and VGG, and time: inference makes it once,
but before the first image, and training anew in every step. A dense layer of few images does little more than read its
weights; read in place, that is all it does. ``ARCHCOST_PLAIN_DENSE=off`` packs them.
"""

from __future__ import annotations

import numpy as np

from archcost.kernels.conv import bias_gradient
from archcost.kernels.dot_rows import dot_products
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.packing import packed_biases
from archcost.kernels.plain import Direction, Steps, conversion
from archcost.kernels.plain_gradient import input_gradient, weight_gradient
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


def suits_backward(gradient: Gradient) -> bool:
    """Return whether a layer's gradients are computed from and to plain arrays: its inputs fill whole vectors."""
    weight = gradient.forward.parameters["weight"]
    return suits(gradient.forward) and weight.shape[1] % gradient.output.lanes == 0


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients of a layer: to the weight, the bias and the input."""
    operation, (target,) = gradient.forward, gradient.inputs
    (source,), setting = operation.inputs, (operation.machine, operation.precision)
    steps, above = plain_rows(gradient.output, *setting)
    if "weight" in gradient.parameters:
        copies, plain = plain_rows(source, *setting)
        keep = source, gradient.output
        steps += [*copies, weight_gradient(above, plain, gradient.parameters["weight"], *setting, keep=keep)]
    steps += bias_gradient(gradient)
    if target is not None:
        weight, direct = operation.parameters["weight"], is_plain(target)
        below = rows_of(target) if direct else empty_rows(target)
        adds, keep = gradient.adds[0], (target, gradient.output)
        steps.append(input_gradient(above, weight, below, *setting, adds=adds and direct, keep=keep))
        if not direct:
            way: Direction = "add" if adds else "write"
            steps.append(conversion(way, target, below, *setting, steps=_steps(target, below)))
    return steps


def plain_rows(tensor: Blocked, machine: Target, precision: Precision) -> tuple[list[Step], Array]:
    """Return the elements of each image in the graph's order, (N, at least C * H * W), in whole vectors.

    Returns:
        The steps that copy them, and the array: a view of the tensor without any steps, if it is a vector.
    """
    if is_plain(tensor):
        return [], rows_of(tensor)
    copy = empty_rows(tensor)
    return [conversion("read", tensor, copy, machine, precision, steps=_steps(tensor, copy))], copy


def rows_of(tensor: Blocked) -> Array:
    """Return the elements of vectors, (N, C) in whole vectors, as a view."""
    size = tensor.images, tensor.memory.shape[1] * tensor.lanes
    return np.lib.stride_tricks.as_strided(tensor.memory, size, (tensor.image_step, tensor.memory.itemsize))


def _steps(tensor: Blocked, rows: Array) -> Steps:
    """Return the distances of a map's elements in rows of the graph's order."""
    _, height, width = tensor.shape
    return Steps(rows.strides[0], height * width * rows.itemsize, width * rows.itemsize, rows.itemsize)


def is_plain(tensor: Blocked) -> bool:
    """Return whether the elements of an image lie side by side in the graph's order."""
    return tensor.shape[1:] == (1, 1) and tensor.block_step == tensor.lanes * tensor.memory.itemsize


def empty_rows(tensor: Blocked) -> Array:
    """Return an array for the elements of each image in the graph's order, in whole vectors."""
    vectors = -(-int(np.prod(tensor.shape)) // tensor.lanes)
    size = tensor.images, vectors * tensor.lanes
    return aligned(size[0] * size[1], tensor.memory.dtype).reshape(size)
