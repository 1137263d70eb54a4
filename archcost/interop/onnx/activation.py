"""Functions of each element, and softmax, of ONNX."""

from __future__ import annotations

from typing import Literal

import numpy as np

from archcost.geometry import product
from archcost.interop.onnx.arithmetic import binary
from archcost.interop.onnx.conv import reshaped
from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Value
from archcost.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clip,
    ConstantScale,
    Erf,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Log,
    LogSoftmax,
    Mish,
    Op,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Sqrt,
    Tanh,
)

LARGEST_FLOAT = float(np.finfo(np.float32).max)


def _plain(kind: str, op: Op) -> None:
    """Register an operator of one input and no attributes."""

    @converts(kind)
    def convert(net: Importer, x: Value) -> Value:
        return net.each(op, x)


for _kind, _op in {
    "Relu": ReLU(),
    "Sigmoid": Sigmoid(),
    "Tanh": Tanh(),
    "HardSwish": HardSwish(),
    "Mish": Mish(),
    "Softplus": Softplus(),
    "Softsign": Softsign(),
    "Exp": Exp(),
    "Log": Log(),
    "Sqrt": Sqrt(),
    "Abs": Abs(),
    "Erf": Erf(),
}.items():
    _plain(_kind, _op)


@converts("LeakyRelu")
def leaky_relu(net: Importer, x: Value, *, alpha: float = 0.01) -> Value:
    """The input, or alpha * x below 0."""
    return net.each(LeakyReLU(alpha), x)


@converts("PRelu")
def prelu(net: Importer, x: Value, slope: Value) -> Value:
    """The input, or slope * x below 0; one slope for each channel, or for all, is a layer of ours."""
    data = net.runtime(x)
    if isinstance(slope, Constant):
        rank = len(data.shape)
        channels = data.shape[1] if rank > 1 else 1
        form = (1,) * (rank - len(slope.shape)) + slope.shape
        if net.opset < 7 and slope.shape == (channels,):  # it stood for the channels then
            form = (1, channels, *(1,) * (rank - 2))
        alone = product(form) == 1
        if rank > 1 and (alone or form == (1, channels, *(1,) * (rank - 2))):
            weights = {"weight": reshaped(slope, (product(form),))}
            return net.images(data, lambda tensor: net.add(PReLU(alone and channels > 1), tensor, weights=weights))
    positive = net.each(ReLU(), data)
    negative = net.each(Clip(None, 0.0), data)
    return binary(net, "Add", [positive, binary(net, "Mul", [negative, slope])])


@converts("Elu")
def elu(net: Importer, x: Value, *, alpha: float = 1.0) -> Value:
    """The input, or alpha * (exp(x) - 1) below 0."""
    return net.each(ELU(alpha), x)


@converts("Selu")
def selu(net: Importer, x: Value, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Value:
    """A scaled Elu."""
    return net.each(SELU(alpha, gamma), x)


@converts("Celu")
def celu(net: Importer, x: Value, *, alpha: float = 1.0) -> Value:
    """The input, or alpha * (exp(x / alpha) - 1) below 0."""
    return net.each(CELU(alpha), x)


@converts("HardSigmoid")
def hard_sigmoid(net: Importer, x: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:
    """Clip(alpha * x + beta, 0, 1); the usual slope of 1/6 is written in double precision again."""
    usual = abs(alpha - 1 / 6) < 1e-7 and abs(beta - 0.5) < 1e-7
    return net.each(HardSigmoid() if usual else HardSigmoid(alpha, beta), x)


@converts("Swish")
def swish(net: Importer, x: Value, *, alpha: float = 1.0) -> Value:
    """The input times sigmoid(alpha * x)."""
    if alpha == 1.0:
        return net.each(SiLU(), x)
    data = net.runtime(x)
    gate = net.each(Sigmoid(), net.each(ConstantScale(alpha), data))
    return binary(net, "Mul", [data, gate])


@converts("Gelu")
def gelu(net: Importer, x: Value, *, approximate: Literal["none", "tanh"] = "none") -> Value:
    """The input times the normal distribution function of it."""
    return net.each(GELU(approximate), x)


@converts("Clip")
def clip(
    net: Importer,
    x: Value,
    lowest: Value | None = None,
    highest: Value | None = None,
    *,
    min: float | None = None,  # noqa: A002  (ONNX's name)
    max: float | None = None,  # noqa: A002
) -> Value:
    """The input between two bounds, given as attributes (before version 11) or inputs; one may be missing."""
    low = min if lowest is None else net.number(lowest, "its lower bound")
    high = max if highest is None else net.number(highest, "its upper bound")
    low = None if low is None or low <= -LARGEST_FLOAT else low
    high = None if high is None or high >= LARGEST_FLOAT else high
    if low is None and high is None:
        return net.runtime(x)
    if low == 0 and high in (None, 6):
        return net.each(ReLU() if high is None else ReLU6(), x)
    return net.each(Clip(low, high), x)


def _softmax(net: Importer, x: Value, axis: int | None, op: type[Softmax | LogSoftmax]) -> Value:
    """Return a softmax along one axis; before version 13, along all axes from ``axis`` on."""
    data = net.runtime(x)
    if net.opset >= 13:
        data, along = net.axis(-1 if axis is None else axis, data)
        last = along == len(data.tensor.shape) - 1
        return net.like(data, net.add(op(-1 if last else along), data.tensor), data.shape)
    first = checked(1 if axis is None else axis, len(data.shape))
    data, _ = net.axis(first, data)
    if first >= len(data.shape) - 1:
        return net.like(data, net.add(op(-1), data.tensor), data.shape)
    flat = net.reshape(data, (*data.shape[:first], product(data.shape[first:])), "rows")
    return net.reshape(net.like(flat, net.add(op(-1), flat.tensor), flat.shape), data.shape)


@converts("Softmax")
def softmax(net: Importer, x: Value, *, axis: int | None = None) -> Value:
    """Softmax."""
    return _softmax(net, x, axis, Softmax)


@converts("LogSoftmax")
def log_softmax(net: Importer, x: Value, *, axis: int | None = None) -> Value:
    """LogSoftmax."""
    return _softmax(net, x, axis, LogSoftmax)
