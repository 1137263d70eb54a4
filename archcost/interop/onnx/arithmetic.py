"""Sums, products and the like of ONNX, whose operands are brought to the same number of axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archcost.build import Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape, shape_text
from archcost.interop.onnx.importer import Importer, scalar
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import BatchAxisError, Constant, Runtime, Value
from archcost.ops import (
    Add,
    ConstantScale,
    Div,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Neg,
    Op,
    Pow,
    Sqrt,
    Sub,
)

OPERATORS: dict[str, type[Op]] = {
    "Add": Add,
    "Sub": Sub,
    "Mul": Mul,
    "Div": Div,
    "Pow": Pow,
    "Min": Minimum,
    "Max": Maximum,
    "Sum": Add,
    "Mean": Mean,
}


def aligned(net: Importer, operands: Sequence[Value]) -> tuple[list[Tensor], bool, Shape]:
    """Return operands as tensors with the same number of axes, whether without the batch, and their common shape."""
    try:
        full = np.broadcast_shapes(*(value.shape for value in operands))
    except ValueError:
        shapes = " and ".join(shape_text(value.shape) for value in operands)
        raise ModelError(f"its inputs {shapes} do not broadcast") from None
    runtime = [value for value in operands if isinstance(value, Runtime)]
    padded = [(1,) * (len(full) - len(value.shape)) + value.shape for value in operands]
    batched = any(value.batched for value in runtime) and full[:1] == (net.batch,)
    if net.batch != 1 and any(value.batched for value in runtime):
        # Of several images, each must bring its own, and a constant the same for all.
        own = all(value.batched and len(value.shape) == len(full) for value in runtime)
        same = all(shape[0] == 1 for value, shape in zip(operands, padded) if isinstance(value, Constant))
        if not (batched and own and same):
            raise BatchAxisError
    shapes_of_ours = [(shape[1:] if batched else shape) or (1,) for shape in padded]
    return [operand(net, value, shape) for value, shape in zip(operands, shapes_of_ours)], batched, full


def operand(net: Importer, value: Value, own: Shape) -> Tensor:
    """Return a value as a tensor of ours of that shape."""
    return net.view(value.tensor, own, "axes") if isinstance(value, Runtime) else net.constant(value, own)


def binary(net: Importer, kind: str, operands: Sequence[Value]) -> Value:
    """Return the result of an operator of two or more operands."""
    tensors, batched, full = aligned(net, operands)
    return Runtime(net.add(OPERATORS[kind](), *tensors), full, batched)


def _legacy(net: Importer, a: Value, b: Value, axis: int | None, broadcast: int) -> Value:
    """Return the second operand as it broadcasts today; before version 7, ``axis`` told where its axes are."""
    if net.opset >= 7 or not broadcast or axis is None or not b.shape:
        return b
    behind = len(a.shape) - len(b.shape) - (axis % len(a.shape))
    shape = (*b.shape, *(1,) * behind)
    if isinstance(b, Constant):
        return Constant.of(b.array.reshape(shape), learned=b.learned, source=b.source)
    return net.reshape(b, shape)


@converts("Mul")
def mul(net: Importer, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    """A product; with a constant number it is a scale."""
    b = _legacy(net, a, b, axis, broadcast)
    for x, factor in ((a, scalar(b)), (b, scalar(a))):
        if isinstance(x, Runtime) and factor is not None and _keeps(x, a, b):
            return net.each(ConstantScale(factor), x)
    return binary(net, "Mul", [a, b])


@converts("Div")
def div(net: Importer, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    """A quotient; by a constant number it is a scale."""
    b = _legacy(net, a, b, axis, broadcast)
    divisor = scalar(b)
    if isinstance(a, Runtime) and divisor and _keeps(a, a, b) and abs(1 / divisor) < 1e300:
        return net.each(ConstantScale(1 / divisor), a)
    return binary(net, "Div", [a, b])


def _keeps(x: Runtime, a: Value, b: Value) -> bool:
    """Return whether the other operand, a constant number, has not more axes than ``x``."""
    return max(len(a.shape), len(b.shape)) == len(x.shape)


@converts("Add")
def add(net: Importer, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    """A sum; 0 is left out."""
    b = _legacy(net, a, b, axis, broadcast)
    for x, summand in ((a, scalar(b)), (b, scalar(a))):
        if isinstance(x, Runtime) and summand == 0 and _keeps(x, a, b):
            return x
    return binary(net, "Add", [a, b])


@converts("Sub")
def sub(net: Importer, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    """A difference."""
    return binary(net, "Sub", [a, _legacy(net, a, b, axis, broadcast)])


@converts("Pow")
def power(net: Importer, a: Value, b: Value, *, axis: int | None = None, broadcast: int = 0) -> Value:
    """A power; a square is a product, and the exponent 1/2 a square root."""
    b = _legacy(net, a, b, axis, broadcast)
    exponent = scalar(b)
    if isinstance(a, Runtime) and exponent is not None and _keeps(a, a, b):
        if exponent == 1:
            return a
        if exponent == 2:
            return net.like(a, net.add(Mul(), a.tensor, a.tensor), a.shape)
        if exponent == 0.5:
            return net.each(Sqrt(), a)
    return binary(net, "Pow", [a, b])


@converts("Sum")
def total(net: Importer, *operands: Value) -> Value:
    """A sum of any number of operands."""
    return operands[0] if len(operands) == 1 else binary(net, "Sum", operands)


@converts("Min")
def minimum(net: Importer, *operands: Value) -> Value:
    """The smallest of any number of operands."""
    return operands[0] if len(operands) == 1 else binary(net, "Min", operands)


@converts("Max")
def maximum(net: Importer, *operands: Value) -> Value:
    """The largest of any number of operands."""
    return operands[0] if len(operands) == 1 else binary(net, "Max", operands)


@converts("Mean")
def mean(net: Importer, *operands: Value) -> Value:
    """The mean of any number of operands."""
    return operands[0] if len(operands) == 1 else binary(net, "Mean", operands)


@converts("Neg")
def neg(net: Importer, x: Value) -> Value:
    """-x."""
    return net.each(Neg(), x)


@converts("Reciprocal")
def reciprocal(net: Importer, x: Value) -> Value:
    """1 / x."""
    return binary(net, "Div", [Constant.of(np.ones((), np.float32)), net.runtime(x)])
