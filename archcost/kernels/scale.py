"""Multiplication by a learned factor of each channel, row or column, or by a constant."""

from __future__ import annotations

from typing import cast

from archcost.kernels.channels import blocked_axis
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.plain import channel_vector, conversion
from archcost.kernels.pointwise import Operand, Spread, constant, pointwise
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.reduce_axes import reduced
from archcost.kernels.step import Step
from archcost.ops import ConstantScale, Scale

NO_HALO = ((0, 0), (0, 0))


def _factors(operation: Operation) -> tuple[list[Step], Operand, object]:
    """Return how a Scale's weight is read: the steps that prepare it, the operand, and what the operand points to."""
    (source,), weight = operation.inputs, operation.parameters["weight"]
    axis = blocked_axis(source, cast("Scale", operation.op).axis, operation.input_shapes[0])
    if axis:
        steps = [0, 0, 0]
        steps[axis] = weight.itemsize
        return [], Spread(int(weight.ctypes.data), 0, *steps), weight
    packed = channel_vector(weight, source.lanes)
    step = conversion("write", packed, weight, operation.machine, operation.precision)
    return [step], Operand.exact(packed)._replace(image_step=0, row_step=0, pixel_step=0), packed


def scale(operation: Operation) -> list[Step]:
    """Return the steps of a learned factor for each channel, row or column."""
    (source,) = operation.inputs
    steps, factors, keep = _factors(operation)
    operands = [Operand.exact(source), factors]
    step = pointwise(
        "multiply", operation.output, operands, operation.machine, operation.precision, [source, keep]
    )  # fmt: skip
    return [*steps, step]


def scale_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a Scale's gradients: g * weight, and the sum of g * x over all that share a weight."""
    operation, (target,), output = gradient.forward, gradient.inputs, gradient.output
    (source,), machine, precision = operation.inputs, operation.machine, operation.precision
    place, keep = Operand.exact(output), [output, source]
    steps: list[Step] = []
    if target is not None:
        steps, factors, packed = _factors(operation)
        operands = [place, factors]
        steps.append(
            pointwise("multiply", target, operands, machine, precision, [*keep, packed], adds=gradient.adds[0])
        )
    if gradient.parameters:
        sums_to = gradient.parameters["weight"]
        axis = blocked_axis(source, cast("Scale", operation.op).axis, operation.input_shapes[0])
        operands = [place, Operand.exact(source)]
        if axis == 0:
            step, sums = channel_sums("product", source, operands, machine, precision, keep)
            steps += [step, collected(sums, 0, source, sums_to, precision)]
        else:
            products = Blocked.make(source.images, source.shape, NO_HALO, source.lanes, source.memory.dtype)
            steps.append(pointwise("multiply", products, operands, machine, precision, keep))
            sizes = [1, 1, 1, 1]
            sizes[1 + axis] = source.shape[axis]
            elements = [0, 0, 0, 0, 0]
            elements[2 + axis] = 1
            steps.append(reduced(products, sizes, int(sums_to.ctypes.data), elements, precision, sums_to, adds=False))
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
