"""Interpolation between the positions of the last axes; what takes the nearest position only moves elements."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels import reshape
from archcost.kernels.moves import Matrix, weighted
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step
from archcost.ops import Resize


def matrix_of(op: Resize, shape: Shape) -> Matrix:
    """Return the weights of an interpolation: those of its axes multiplied, on the last axes of ``shape``."""
    inner = shape[len(shape) - len(op.sizes) :]
    inputs, weights = np.zeros((1, 1), np.int64), np.ones((1, 1))
    resized = op.resized(shape)
    for axis, size in enumerate(inner, len(shape) - len(inner)):
        if axis in resized:
            found = op.sources(shape, axis)
            places = np.array([(one.low, one.high) for one in found], np.int64)
            shares = np.array([(1 - one.share, one.share) for one in found])
        else:
            places, shares = np.arange(size, dtype=np.int64)[:, None], np.ones((size, 1))
        inputs = (inputs[:, None, :, None] * size + places[None, :, None, :]).reshape(len(inputs) * len(places), -1)
        weights = (weights[:, None, :, None] * shares[None, :, None, :]).reshape(inputs.shape)
    outputs = np.repeat(np.arange(len(inputs)), inputs.shape[1])
    return Matrix.of(outputs, inputs.ravel(), weights.ravel(), len(inputs))


def forward(operation: Operation) -> list[Step]:
    """Return the steps of a resize."""
    op, (shape,) = cast("Resize", operation.op), operation.input_shapes
    if op.mode == "nearest":
        return reshape.moved(operation)
    ends = (operation.output, operation.output_shape), (operation.inputs[0], shape)
    return weighted(*ends, matrix_of(op, shape), operation.precision, split=len(shape) - len(op.sizes))


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a resize's gradient: each input sums, over the outputs that read it, their shares."""
    operation, (target,) = gradient.forward, gradient.inputs
    op, (shape,) = cast("Resize", operation.op), operation.input_shapes
    if target is None:
        return []
    if op.mode == "nearest":
        return reshape.moved_backward(gradient)
    split = len(shape) - len(op.sizes)
    matrix = matrix_of(op, shape).transposed(product(shape[split:]))
    ends = (target, shape), (gradient.output, operation.output_shape)
    return weighted(*ends, matrix, operation.precision, split=split, adds=gradient.adds[0])
