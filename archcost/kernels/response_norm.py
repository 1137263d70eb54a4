"""Local response normalisation across neighbouring channels.

The squares of a pixel's channels are laid out in scratch memory with zeros on both sides; a window's sum is then a sum
of vectors read at neighbouring places.
"""

from __future__ import annotations

from typing import Any, cast

from archcost.kernels.channels import Columns, columns_step, number
from archcost.kernels.functions import exp, log, root
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step
from archcost.kernels.vector import Code, Value
from archcost.ops import LocalResponseNorm


def _power(code: Code, x: Value, exponent: float) -> Value:
    """Return x^-exponent; the exponent of the papers, 3/4, by square roots."""
    if exponent == 0.75:
        half = root(code, x)
        return code.div(code.constant(1), code.mul(half, root(code, half)))
    return exp(code, code.mul(log(code, x), code.constant(-exponent)))


def _window(columns: Columns, number: int, block: Value, ahead: int, before: int, size: int) -> Value:
    """Return the sums of ``size`` neighbouring channels, the first of them ``before`` channels before each."""
    code = columns.code
    total = code.load(columns.scratch(number, block, ahead, -before))
    for channel in range(1 - before, size - before):
        total = code.add(total, code.load(columns.scratch(number, block, ahead, channel)))
    return total


def _squares(columns: Columns) -> None:
    """Write the squares of the source's channels to the first scratch memory."""
    code = columns.code

    def square(block: Value, ahead: int) -> None:
        source = columns.load("source", block, ahead)
        value = code.mul(code.mul(source, source), columns.load("mask", block, ahead))
        code.store(value, columns.scratch(0, block, ahead))

    columns.each(square)


def _base(columns: Columns, squares: Value) -> Value:
    """Return k + alpha/size * squares, above 0: with k = 0, lanes that are no channel would not stay finite."""
    code = columns.code
    base = code.fma(squares, columns.number("alpha"), columns.number("k"))
    return code.maximum(base, code.constant(1e-30))


def _response_norm(columns: Columns, _around: int, size: int, beta: float) -> None:
    """Write output = source / (k + alpha/size * sum of squares)^beta."""
    code = columns.code
    _squares(columns)

    def result(block: Value, ahead: int) -> None:
        total = _window(columns, 0, block, ahead, size // 2, size)
        base = _base(columns, total)
        value = code.mul(columns.load("source", block, ahead), _power(code, base, beta))
        columns.output("output", block, ahead, value)

    columns.each(result)


def _response_norm_gradient(columns: Columns, _around: int, size: int, beta: float, adds: bool) -> None:
    """Write target = g * s^-beta - 2 alpha/size beta x * sum of g x s^(-beta-1) over the windows that hold it."""
    code = columns.code
    _squares(columns)

    def terms(block: Value, ahead: int) -> None:
        total = _window(columns, 0, block, ahead, size // 2, size)
        base = _base(columns, total)
        direct = code.mul(columns.load("gradient", block, ahead), _power(code, base, beta))
        spread = code.div(code.mul(direct, columns.load("source", block, ahead)), base)
        code.store(direct, columns.scratch(1, block, ahead))
        code.store(code.mul(spread, columns.load("mask", block, ahead)), columns.scratch(2, block, ahead))

    columns.each(terms)

    def result(block: Value, ahead: int) -> None:
        total = _window(columns, 2, block, ahead, (size - 1) // 2, size)
        factor = code.mul(code.mul(columns.number("alpha"), code.constant(-2 * beta)), total)
        value = code.fma(factor, columns.load("source", block, ahead), code.load(columns.scratch(1, block, ahead)))
        columns.output("target", block, ahead, value, adds=adds)

    columns.each(result)


COLUMNS: dict[str, tuple[Any, int]] = {
    "response_norm": (_response_norm, 1),
    "response_norm_gradient": (_response_norm_gradient, 3),
}
"""Formula -> the function that writes it, and its scratch memories for each pixel."""


def _response_step(
    operation: Operation, formula: str, tensors: dict[str, Blocked], extra: tuple[Any, ...] = ()
) -> list[Step]:
    op, source = cast("LocalResponseNorm", operation.op), operation.inputs[0]
    alpha, alphas = number(op.alpha / op.size, source)
    k, constants = number(op.k, source)
    details = (-(-op.size // source.lanes), op.size, op.beta, *extra)
    return [
        columns_step(
            "response_norm", formula, tensors, {"alpha": alpha, "k": k}, operation.machine, operation.precision,
            [alphas, constants], details,
        )
    ]  # fmt: skip


def response_norm(operation: Operation) -> list[Step]:
    """Return the step of local response normalisation; the window of an even size lies as PyTorch's."""
    tensors = {"source": operation.inputs[0], "output": operation.output}
    return _response_step(operation, "response_norm", tensors)


def response_norm_backward(gradient: Gradient) -> list[Step]:
    """Return the step of local response normalisation's gradient, from the input."""
    operation, (target,) = gradient.forward, gradient.inputs
    if target is None:
        return []
    tensors = {"source": operation.inputs[0], "gradient": gradient.output, "target": target}
    return _response_step(operation, "response_norm_gradient", tensors, (gradient.adds[0],))
