"""Normalisation over any axes, in plain loops: LayerNorm but of channels, InstanceNorm."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels.along import along, single
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.moves import lanes_cleared
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import Places, array_lines, groups_of, groups_of_all
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.ops import InstanceNorm, LayerNorm


def _axes(operation: Operation) -> tuple[int, ...]:
    """Return the axes that are normalised together."""
    op, rank = operation.op, len(operation.input_shapes[0])
    if isinstance(op, InstanceNorm):
        return tuple(range(1, rank))
    op = cast("LayerNorm", op)
    return (0,) if op.axis == 0 else tuple(range(rank - op.normalized_axes, rank))


def _learned_axes(operation: Operation) -> tuple[int, ...]:
    """Return the axes along which the learned numbers differ."""
    return (0,) if isinstance(operation.op, InstanceNorm) else _axes(operation)


def _eps(operation: Operation) -> float:
    op = operation.op
    return op.epsilon if isinstance(op, InstanceNorm) else cast("LayerNorm", op).eps


def _learned(operation: Operation, name: str) -> Places:
    """Return the places of weight or bias for each line and element; 1 and 0 where none are learned."""
    values = operation.parameters.get(name)
    if values is None:
        return single(np.full(1, name == "weight", operation.precision))
    size = np.arange(values.size, dtype=np.int64)
    if isinstance(operation.op, InstanceNorm):
        return array_lines(values, np.tile(size, operation.output.images), np.zeros(1, np.int64))
    return array_lines(values, np.zeros(1, np.int64), size)


def forward(operation: Operation) -> list[Step]:
    """Return the steps of a normalisation."""
    (shape,), axes = operation.input_shapes, _axes(operation)
    source, output = (groups_of(tensor, shape, axes) for tensor in (operation.inputs[0], operation.output))
    tensors = [source, _learned(operation, "weight"), _learned(operation, "bias"), output]
    step = along("layer_norm", tensors, operation.precision, number=_eps(operation))
    return [*lanes_cleared(operation.output, operation.precision), step]


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients of a normalisation."""
    operation, (target,) = gradient.forward, gradient.inputs
    (source,), (shape,), precision = operation.inputs, operation.input_shapes, operation.precision
    axes, eps = _axes(operation), _eps(operation)
    above, below = (groups_of(tensor, shape, axes) for tensor in (gradient.output, source))
    steps: list[Step] = []
    if target is not None:
        tensors = [above, below, _learned(operation, "weight"), groups_of(target, shape, axes)]
        steps += [] if gradient.adds[0] else lanes_cleared(target, precision)
        steps.append(along("layer_norm_gradient", tensors, precision, adds=gradient.adds[0], number=eps))
    if gradient.parameters:
        products = Blocked.make(source.images, source.shape, NO_HALO, source.lanes, source.memory.dtype)
        products = Blocked(
            products.images, products.shape, NO_HALO, products.lanes, products.memory, source.channels_last
        )
        steps.append(along("normal_products", [above, below, groups_of(products, shape, axes)], precision, number=eps))
        learned = _learned_axes(operation)
        for name, tensor in (("weight", products), ("bias", gradient.output)):
            steps.append(summed_to_array(tensor, shape, learned, gradient.parameters[name], precision))
    return steps


def summed_to_array(tensor: Blocked, shape: Shape, kept: tuple[int, ...], sums: Array, precision: Precision) -> Step:
    """Return the step that sets an array to the sums of a tensor over images and all axes but those ``kept``.

    Args:
        tensor: what is summed.
        shape: the graph's.
        kept: axes of the array, in order.
        sums: the array.
        precision: element type.
    """
    axes = tuple(axis for axis in range(len(shape)) if axis not in kept)
    lines = groups_of_all(tensor, shape, axes)
    size = product([shape[axis] for axis in kept])
    target = array_lines(sums, np.arange(size), np.zeros(1, np.int64))
    return along("sum", [lines, target], precision, number=1.0)
