"""LpPool2d: the norm of each window, as window sums between powers of the elements."""

from __future__ import annotations

from typing import cast

from archcost.kernels.arithmetic import like
from archcost.kernels.channels import masked
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.pointwise import Operand, constant, pointwise
from archcost.kernels.pool import seen_from_input, windows_of
from archcost.kernels.step import Step
from archcost.kernels.windowed import windowed
from archcost.ops import LpPool2d


def _raised(operation: Operation, formula: str, target: Blocked, tensors: list[Blocked], exponent: float,
            *, adds: bool = False) -> Step:  # fmt: skip
    """Return the step of a formula of tensors and an exponent."""
    number, (mask, kept) = constant(exponent, target), masked(target)
    operands = [*map(Operand.exact, tensors), Operand.constant(number), mask]
    keep = [*tensors, number, kept]
    return pointwise(formula, target, operands, operation.machine, operation.precision, keep, adds=adds)


def forward(operation: Operation) -> list[Step]:
    """Return the steps of the norms of windows."""
    (source,), output, power = operation.inputs, operation.output, cast("LpPool2d", operation.op).p
    powers, one, zero = like(source), constant(1, output), constant(0, output)
    return [
        _raised(operation, "absolute_power", powers, [source], power),
        windowed(
            "affine", powers, output, windows_of(operation), operation.machine, operation.precision,
            factor=Operand.constant(one), term=Operand.constant(zero), keep=(one, zero),
        ),
        _raised(operation, "power", output, [output], 1 / power),
    ]  # fmt: skip


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradient: of a window's norm y, g y^(1 - p), times x^(p - 1) of each element in it."""
    operation, (target,) = gradient.forward, gradient.inputs
    if target is None:
        return []
    power = cast("LpPool2d", operation.op).p
    shares, sums, one = like(gradient.output), like(target), constant(1, target)
    return [
        _raised(operation, "norm_gradient", shares, [gradient.output, operation.output], 1 - power),
        windowed(
            "product", shares, sums, seen_from_input(windows_of(operation), target), operation.machine,
            operation.precision, factor=Operand.constant(one), keep=(one,),
        ),
        _raised(operation, "norm_slope", target, [sums, operation.inputs[0]], power - 1, adds=gradient.adds[0]),
    ]  # fmt: skip
