"""Activations forward and backward."""

from __future__ import annotations

from math import inf
from typing import cast

from archcost.geometry import Shape
from archcost.kernels.along import along
from archcost.kernels.channels import blocked_axis, columns_step, masked
from archcost.kernels.elementary import FUSED, MASKED
from archcost.kernels.functions import EPILOGUES
from archcost.kernels.layout import Blocked
from archcost.kernels.moves import lanes_cleared
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import groups_of, is_map
from archcost.kernels.pointwise import Operand, constant, pointwise
from archcost.kernels.rows import rows_of
from archcost.kernels.step import Step
from archcost.ops import CELU, ELU, GELU, SELU, Clip, HardSigmoid, LeakyReLU, Op, ScaledTanh, Softmax


def formula_name(op: Op) -> str:
    """Return the name of an activation's formula."""
    if isinstance(op, SELU | CELU):
        return "ELU"
    if isinstance(op, HardSigmoid) and op != HardSigmoid():
        return "HardSigmoidLine"
    return "GELUTanh" if isinstance(op, GELU) and op.approximate == "tanh" else type(op).__name__


def numbers_of(op: Op) -> tuple[float, ...]:
    """Return the numbers that belong to an activation: operands of its formula."""
    if isinstance(op, ScaledTanh):
        return op.amplitude, op.slope
    if isinstance(op, LeakyReLU):
        return (op.slope,)
    if isinstance(op, ELU):
        return 1.0, op.alpha, 1.0
    if isinstance(op, SELU):
        return op.gamma, op.gamma * op.alpha, 1.0
    if isinstance(op, CELU):
        return 1.0, op.alpha, 1 / op.alpha
    if isinstance(op, Clip):
        return -inf if op.low is None else op.low, inf if op.high is None else op.high
    if isinstance(op, HardSigmoid) and op != HardSigmoid():
        return op.slope, op.offset
    return ()


def fused_name(op: Op) -> str | None:
    """Return what a layer that multiplies calls an activation that it applies itself, or None if it cannot."""
    name = formula_name(op)
    if name in EPILOGUES and name != "Identity":
        return name
    return ":".join([name, *(repr(float(number)) for number in numbers_of(op))]) if name in FUSED else None


def _operands(op: Op, tensor: Blocked, formula: str, *, backward: bool) -> tuple[list[Operand], list[object]]:
    """Return what a formula takes after the tensors: the numbers of the node and a mask."""
    numbers = numbers_of(op)
    if isinstance(op, ScaledTanh) and backward:
        numbers = 1 / op.amplitude, op.amplitude * op.slope
    keep: list[object] = []
    operands = []
    for number in numbers:
        vector = constant(number, tensor)
        operands.append(Operand.constant(vector))
        keep.append(vector)
    if formula in MASKED:
        operand, mask = masked(tensor)
        operands.append(operand)
        keep.append(mask)
    return operands, keep


def forward(operation: Operation) -> list[Step]:
    """Return the step of a pointwise activation; the output may be the input's memory."""
    op, (source,), output = operation.op, operation.inputs, operation.output
    formula = formula_name(op)
    operands, keep = _operands(op, output, formula, backward=False)
    operands.insert(0, Operand.exact(source))
    return [pointwise(formula, output, operands, operation.machine, operation.precision, (source, *keep))]


def backward(gradient: Gradient) -> list[Step]:
    """Return the step of a pointwise activation's gradient, from its input or its output as the operator says."""
    operation, (target,) = gradient.forward, gradient.inputs
    if target is None:
        return []
    op, formula = operation.op, f"{formula_name(operation.op)}_gradient"
    operands, keep = _operands(op, target, formula, backward=True)
    if op.saved_for_input:
        saved = operation.output if "output" in op.saved_for_input else operation.inputs[0]
        operands.insert(0, Operand.exact(saved))
        keep.append(saved)
    operands.insert(0, Operand.exact(gradient.output))
    keep.append(gradient.output)
    machine, precision = operation.machine, operation.precision
    return [pointwise(formula, target, operands, machine, precision, keep, adds=gradient.adds[0])]


def softmax(operation: Operation) -> list[Step]:
    """Return the step of Softmax or LogSoftmax along any axis."""
    (source,), output, (shape,) = operation.inputs, operation.output, operation.input_shapes
    name, axis = _line_function(operation.op), _axis(operation)
    if name == "softmax" and (channels := _by_channels(axis, shape, source, output)):
        tensors = {"source": channels[0], "output": channels[1]}
        return [columns_step("softmax", "softmax", tensors, {}, operation.machine, operation.precision)]
    places = [groups_of(tensor, shape, (axis,)) for tensor in (source, output)]
    return [*lanes_cleared(output, operation.precision), along(name, places, operation.precision)]


def softmax_backward(gradient: Gradient) -> list[Step]:
    """Return the step of the gradient of Softmax or LogSoftmax, from its output."""
    operation, (target,), (adds,) = gradient.forward, gradient.inputs, gradient.adds
    if target is None:
        return []
    output, (shape,), precision = operation.output, operation.input_shapes, operation.precision
    name, axis = _line_function(operation.op), _axis(operation)
    if name == "softmax" and (channels := _by_channels(axis, shape, gradient.output, output, target)):
        named = dict(zip(("gradient", "output", "target"), channels))
        return [columns_step("softmax", "softmax_gradient", named, {}, operation.machine, precision, details=(adds,))]
    places = [groups_of(tensor, shape, (axis,)) for tensor in (gradient.output, output, target)]
    cleared = [] if adds else lanes_cleared(target, precision)
    return [*cleared, along(f"{name}_gradient", places, precision, adds=adds)]


def _line_function(op: Op) -> str:
    return "softmax" if isinstance(op, Softmax) else "log_softmax"


def _axis(operation: Operation) -> int:
    shape = operation.input_shapes[0]
    return cast("Softmax", operation.op).axis % len(shape)


def _by_channels(axis: int, shape: Shape, *tensors: Blocked) -> tuple[Blocked, ...] | None:
    """Return the tensors as maps whose channels are the axis, if their memory can be seen so."""
    are_blocked = len(shape) == 1 or all(is_map(tensor, shape) for tensor in tensors)
    if are_blocked and all(blocked_axis(tensor, axis, shape) == 0 for tensor in tensors):
        return tensors
    if axis != len(shape) - 1:
        return None
    found = tuple(rows for tensor in tensors if (rows := rows_of(tensor, shape)) is not None)
    return found if len(found) == len(tensors) else None
