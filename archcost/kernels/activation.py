"""Activations forward and backward."""

from __future__ import annotations

from typing import cast

from archcost.kernels.along import along
from archcost.kernels.channels import blocked_axis, columns_step
from archcost.kernels.layout import Array
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.pointwise import Operand, constant, pointwise
from archcost.kernels.step import Step
from archcost.ops import ScaledTanh, Softmax
from archcost.ops.activation import Activation


def _with_constants(op: Activation, operation: Operation, *, backward: bool) -> tuple[Array, ...]:
    """Return the numbers that belong to the operator: operands of its formula."""
    if not isinstance(op, ScaledTanh):
        return ()
    numbers = (1 / op.amplitude, op.amplitude * op.slope) if backward else (op.amplitude, op.slope)
    return tuple(constant(number, operation.output) for number in numbers)


def forward(operation: Operation) -> list[Step]:
    """Return the step of a pointwise activation; the output may be the input's memory."""
    op, (source,) = cast("Activation", operation.op), operation.inputs
    vectors = _with_constants(op, operation, backward=False)
    operands = [Operand.exact(source), *map(Operand.constant, vectors)]
    return [
        pointwise(
            type(op).__name__, operation.output, operands, operation.machine, operation.precision, (source, *vectors)
        )
    ]


def backward(gradient: Gradient) -> list[Step]:
    """Return the step of a pointwise activation's gradient, from its input or its output as the operator says."""
    operation, (target,) = gradient.forward, gradient.inputs
    if target is None:
        return []
    op = cast("Activation", operation.op)
    saved = operation.output if "output" in op.saved_for_input else operation.inputs[0]
    vectors = _with_constants(op, operation, backward=True)
    operands = [Operand.exact(gradient.output), Operand.exact(saved), *map(Operand.constant, vectors)]
    keep = (gradient.output, saved, *vectors)
    formula = f"{type(op).__name__}_gradient"
    step = pointwise(
        formula, target, operands, operation.machine, operation.precision, keep, adds=gradient.adds[0]
    )  # fmt: skip
    return [step]


def softmax(operation: Operation) -> list[Step]:
    """Return the step of a softmax over channels, rows or columns."""
    (source,), output = operation.inputs, operation.output
    axis = blocked_axis(source, cast("Softmax", operation.op).axis, operation.input_shapes[0])
    if axis:
        return [along(axis, "softmax", [source, output], operation.precision)]
    tensors = {"source": source, "output": output}
    return [columns_step("softmax", "softmax", tensors, {}, operation.machine, operation.precision)]


def softmax_backward(gradient: Gradient) -> list[Step]:
    """Return the step of a softmax's gradient, from its output."""
    operation, (target,), (adds,) = gradient.forward, gradient.inputs, gradient.adds
    if target is None:
        return []
    output = operation.output
    axis = blocked_axis(output, cast("Softmax", operation.op).axis, operation.input_shapes[0])
    if axis:
        tensors = [gradient.output, output, target]
        return [along(axis, "softmax_gradient", tensors, operation.precision, adds=adds)]
    named = {"gradient": gradient.output, "output": output, "target": target}
    return [
        columns_step("softmax", "softmax_gradient", named, {}, operation.machine, operation.precision, details=(adds,))
    ]
