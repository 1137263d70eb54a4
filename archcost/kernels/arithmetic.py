"""Arithmetic of tensors that broadcast, in vector code: sums, products, differences, quotients, powers, extremes.

An input that vector code cannot read in the output's layout as it is (another number of axes than one or three, and
another shape) is copied to the output's shape first; a gradient comes back the same way, as a sum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels.channels import masked
from archcost.kernels.elementary import MASKED
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.moves import moved
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import is_map
from archcost.kernels.pointwise import Operand, constant, fitted, pointwise
from archcost.kernels.reduction import summed_to
from archcost.kernels.step import Step
from archcost.ops import Add, Div, Maximum, Mean, Minimum, Mul, Op, Pow, Sub

FORMULA: dict[type[Op], str] = {
    Add: "add", Mul: "multiply", Sub: "subtract", Div: "divide", Pow: "power", Minimum: "smallest",
    Maximum: "largest", Mean: "mean",
}  # fmt: skip
"""Operator -> formula of its output."""


class Read(NamedTuple):
    """How an input is read in the output's layout: steps that copy it, if need be; the operand; what it points to."""

    steps: list[Step]
    operand: Operand
    keep: object


def like(tensor: Blocked) -> Blocked:
    """Return a tensor of the same shape and order of axes, without a border, with memory of its own."""
    made = Blocked.make(tensor.images, tensor.shape, NO_HALO, tensor.lanes, tensor.memory.dtype)
    return replace(made, channels_last=tensor.channels_last)


def fits(tensor: Blocked, shape: Shape, output: Blocked, output_shape: Shape) -> bool:
    """Tell whether vector code reads a tensor as it is where another of ``output_shape`` is computed."""
    if shape == output_shape:
        return tensor.shape == output.shape and (len(shape) != 3 or tensor.channels_last == output.channels_last)
    if product(shape) == 1:
        return True
    both = is_map(tensor, shape) and is_map(output, output_shape)
    return both and tensor.channels_last == output.channels_last


def read_as(tensor: Blocked, shape: Shape, operation: Operation) -> Read:
    """Return how an input is read in the layout of an operation's output."""
    output, output_shape = operation.output, operation.output_shape
    if fits(tensor, shape, output, output_shape):
        return Read([], fitted(tensor, output), tensor)
    copy = like(output)
    numbers = np.arange(product(shape), dtype=np.int64).reshape(shape)
    indices = np.broadcast_to(numbers, output_shape)
    return Read(moved((copy, output_shape), (tensor, shape), indices, operation.precision), Operand.exact(copy), copy)


def computed(
    formula: str, target: Blocked, reads: list[Read], operation: Operation, *, adds: bool = False
) -> list[Step]:
    """Return the steps that compute a formula of what is read."""
    steps = [step for read in reads for step in read.steps]
    operands, keep = [read.operand for read in reads], [read.keep for read in reads]
    if formula in MASKED:
        operand, mask = masked(target)
        operands.append(operand)
        keep.append(mask)
    if formula == "mean":
        share = constant(1 / len(reads), target)
        operands.append(Operand.constant(share))
        keep.append(share)
    return [*steps, pointwise(formula, target, operands, operation.machine, operation.precision, keep, adds=adds)]


def forward(operation: Operation) -> list[Step]:
    """Return the steps of an operator of any number of inputs that broadcast to the output."""
    reads = [read_as(tensor, shape, operation) for tensor, shape in zip(operation.inputs, operation.input_shapes)]
    return computed(FORMULA[type(operation.op)], operation.output, reads, operation)


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients to all inputs, summed where an input was broadcast."""
    steps = []
    for index, target in enumerate(gradient.inputs):
        if target is not None:
            steps += _to_input(gradient, index, target)
    return steps


def _to_input(gradient: Gradient, index: int, target: Blocked) -> list[Step]:
    operation, above, adds = gradient.forward, gradient.output, gradient.adds[index]
    shape, output_shape = operation.input_shapes[index], operation.output_shape
    formula, numbers = _gradient_formula(operation, index)
    reads = [Read([], Operand.exact(above), above)]
    reads += [read_as(operation.inputs[number], operation.input_shapes[number], operation) for number in numbers]
    factor = constant(1 / len(operation.inputs) if isinstance(operation.op, Mean) else -1, above)
    if formula == "multiply" and not numbers:
        reads.append(Read([], Operand.constant(factor), factor))
    if shape == output_shape and fits(target, shape, above, output_shape):
        return computed(formula, target, reads, operation, adds=adds)
    if formula == "copy":
        return summed_to((target, shape), (above, output_shape), operation.precision, adds=adds)
    products = like(above)
    steps = computed(formula, products, reads, operation)
    return [*steps, *summed_to((target, shape), (products, output_shape), operation.precision, adds=adds)]


def _gradient_formula(operation: Operation, index: int) -> tuple[str, list[int]]:
    """Return the formula of the gradient to an input, and the inputs that it takes after the output's gradient."""
    op, count = operation.op, len(operation.inputs)
    others = [number for number in range(count) if number != index]
    if isinstance(op, Minimum | Maximum):
        # The first of equal ones gets the gradient: earlier inputs must differ, later ones may be equal.
        name = FORMULA[type(op)]
        return f"{name}_gradient:{index}", [index, *others]
    if isinstance(op, Div | Pow):
        return f"{FORMULA[type(op)]}_gradient:{index}", [0, 1]
    if isinstance(op, Mul) and others:
        return "multiply", others
    return ("multiply", []) if isinstance(op, Mean) or (isinstance(op, Sub) and index) else ("copy", [])
