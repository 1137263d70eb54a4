"""Multiplication by a learned factor of each channel, row or column, by a learned slope, or by a constant."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Shape
from archcost.kernels.along import along
from archcost.kernels.arithmetic import like
from archcost.kernels.channels import blocked_axis
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.moves import filled
from archcost.kernels.normalise import summed_to_array
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import array_lines, is_map
from archcost.kernels.plain import channel_vector, conversion
from archcost.kernels.pointwise import Operand, Spread, constant, pointwise
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.step import Step
from archcost.ops import ConstantScale, Scale


def factors(operation: Operation, weight: Array, axis: int) -> tuple[list[Step], Operand, object]:
    """Return how numbers of one axis of the input are read where its elements are.

    Args:
        operation: an operator with one input.
        weight: a number for each position of the axis, or one for all.
        axis: in the graph's shape.

    Returns:
        The steps that prepare the numbers, the operand, and what the operand points to.
    """
    (source,), (shape,), precision = operation.inputs, operation.input_shapes, operation.precision
    if weight.size == 1:
        return [], Spread(int(weight.ctypes.data), 0, 0, 0, 0), weight
    if len(shape) > 1 and not is_map(source, shape):
        copy = like(source)
        sizes = [1] * len(shape)
        sizes[axis] = weight.size
        indices = np.broadcast_to(np.arange(weight.size, dtype=np.int64).reshape(sizes), shape)
        return filled(copy, shape, weight, indices, precision), Operand.exact(copy), copy
    if number := blocked_axis(source, axis, shape):
        steps = [0, 0, 0]
        steps[number] = weight.itemsize
        return [], Spread(int(weight.ctypes.data), 0, *steps), weight
    packed = channel_vector(weight, source.lanes)
    step = conversion("write", packed, weight, operation.machine, precision)
    return [step], Operand.exact(packed)._replace(image_step=0, row_step=0, pixel_step=0), packed


def _is_by_channel(source: Blocked, shape: Shape, axis: int) -> bool:
    """Tell whether an axis of the graph is that of the blocks of channels."""
    return (len(shape) == 1 or is_map(source, shape)) and blocked_axis(source, axis, shape) == 0


def factor_gradient(gradient: Gradient, formula: str, sums_to: Array, axis: int) -> list[Step]:
    """Return the steps that sum a formula of gradient and input over all elements that share a number of an axis."""
    operation, above = gradient.forward, gradient.output
    (source,), (shape,), precision = operation.inputs, operation.input_shapes, operation.precision
    operands, keep = [Operand.exact(above), Operand.exact(source)], [above, source]
    products = like(source)
    steps = [pointwise(formula, products, operands, operation.machine, precision, keep)]
    if sums_to.size > 1 and not _is_by_channel(source, shape, axis):
        return [*steps, summed_to_array(products, shape, (axis % len(shape),), sums_to, precision)]
    # By channels, in vector code; where one number holds for all, these sums are summed again.
    by_channel = sums_to if sums_to.size == source.shape[0] else np.zeros(source.shape[0], sums_to.dtype)
    step, sums = channel_sums("value", products, [Operand.exact(products)], operation.machine, precision, [products])
    steps += [step, collected(sums, 0, source, by_channel, precision)]
    if by_channel is not sums_to:
        size, first = np.arange(len(by_channel)), np.zeros(1, np.int64)
        steps.append(
            along(
                "sum", [array_lines(by_channel, first, size), array_lines(sums_to, first, first)], precision, number=1
            )
        )
    return steps


def scale(operation: Operation) -> list[Step]:
    """Return the steps of a learned factor for each position of an axis."""
    (source,) = operation.inputs
    steps, operand, keep = factors(operation, operation.parameters["weight"], cast("Scale", operation.op).axis)
    operands = [Operand.exact(source), operand]
    step = pointwise(
        "multiply", operation.output, operands, operation.machine, operation.precision, [source, keep]
    )  # fmt: skip
    return [*steps, step]


def scale_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a Scale's gradients: g * weight, and the sum of g * x over all that share a weight."""
    operation, (target,), output = gradient.forward, gradient.inputs, gradient.output
    (source,), machine, precision = operation.inputs, operation.machine, operation.precision
    axis = cast("Scale", operation.op).axis
    steps: list[Step] = []
    if target is not None:
        steps, operand, packed = factors(operation, operation.parameters["weight"], axis)
        operands = [Operand.exact(output), operand]
        steps.append(
            pointwise("multiply", target, operands, machine, precision, [output, packed], adds=gradient.adds[0])
        )
    if gradient.parameters:
        sums_to = gradient.parameters["weight"]
        if _is_by_channel(source, operation.input_shapes[0], axis):
            places, keep = [Operand.exact(output), Operand.exact(source)], [output, source]
            step, sums = channel_sums("product", source, places, machine, precision, keep)
            steps += [step, collected(sums, 0, source, sums_to, precision)]
        else:
            steps += factor_gradient(gradient, "multiply", sums_to, axis)
    return steps


def prelu(operation: Operation) -> list[Step]:
    """Return the steps of a learned slope for negative elements, of each channel or of all."""
    (source,) = operation.inputs
    steps, operand, keep = factors(operation, operation.parameters["weight"], 0)
    operands = [Operand.exact(source), operand]
    step = pointwise(
        "LeakyReLU", operation.output, operands, operation.machine, operation.precision, [source, keep]
    )  # fmt: skip
    return [*steps, step]


def prelu_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of its gradients: g times slope, and the sum of g * x over negative x."""
    operation, (target,), output = gradient.forward, gradient.inputs, gradient.output
    (source,), machine, precision = operation.inputs, operation.machine, operation.precision
    steps: list[Step] = []
    if target is not None:
        steps, operand, kept = factors(operation, operation.parameters["weight"], 0)
        operands = [Operand.exact(output), Operand.exact(source), operand]
        keep = [output, source, kept]
        step = pointwise("LeakyReLU_gradient", target, operands, machine, precision, keep, adds=gradient.adds[0])
        steps.append(step)
    if gradient.parameters:
        steps += factor_gradient(gradient, "slope_products", gradient.parameters["weight"], 0)
    return steps


def _multiplied(operation: Operation, source: Blocked, target: Blocked, *, adds: bool) -> list[Step]:
    factor = constant(cast("ConstantScale", operation.op).factor, target)
    operands = [Operand.exact(source), Operand.constant(factor)]
    machine, precision = operation.machine, operation.precision
    return [pointwise("multiply", target, operands, machine, precision, [source, factor], adds=adds)]


def constant_scale(operation: Operation) -> list[Step]:
    """Return the step of a constant factor."""
    return _multiplied(operation, operation.inputs[0], operation.output, adds=False)


def constant_scale_backward(gradient: Gradient) -> list[Step]:
    """Return the step of a constant factor's gradient."""
    target = gradient.inputs[0]
    return [] if target is None else _multiplied(gradient.forward, gradient.output, target, adds=gradient.adds[0])
