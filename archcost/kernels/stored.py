"""Tensors that no input determines: copies of an array for every image."""

from __future__ import annotations

import numpy as np

from archcost.geometry import product
from archcost.kernels.moves import filled
from archcost.kernels.normalise import summed_to_array
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step


def forward(operation: Operation) -> list[Step]:
    """Return the steps that fill a tensor with the parameter or buffer that it is."""
    (values,) = (*operation.parameters.values(), *operation.buffers.values())
    shape = operation.output_shape
    numbers = np.arange(product(shape), dtype=np.int64).reshape(shape)
    return filled(operation.output, shape, values, numbers, operation.precision)


def backward(gradient: Gradient) -> list[Step]:
    """Return the step that sums the gradients of all images."""
    shape, precision = gradient.forward.output_shape, gradient.forward.precision
    axes = tuple(range(len(shape)))
    return [
        summed_to_array(gradient.output, shape, axes, sums, precision) for sums in gradient.parameters.values()
    ]  # fmt: skip
