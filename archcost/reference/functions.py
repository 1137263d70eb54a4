"""Further functions of each element: rectifiers, clipping, elementary functions, and the logarithm of softmax."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from archcost.ops import CELU, ELU, SELU, Clip, LeakyReLU, LogSoftmax
from archcost.reference.activation import each
from archcost.reference.work import Array, Count, Done, Work, around, loop


@loop
def _slopes(x: Array, slopes: Array, y: Array) -> int:
    written = 0
    images, channels, positions = x.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(positions):
                value = x[image, channel, i]
                y[image, channel, i] = value if value > 0 else slopes[channel] * value
                written += 1
    return written


def leaky_relu(work: Work) -> Done:
    """Negative elements times the slope."""
    y = work.empty(work.input.shape)
    shape = (1, 1, y.size)
    slope = np.full(1, cast("LeakyReLU", work.op).slope)
    return y, Count(0, _slopes(work.input.reshape(shape), slope, y.reshape(shape)))


def parametric_relu(work: Work) -> Done:
    """Negative elements times the slope of their channel."""
    y, slopes = work.empty(work.input.shape), work.parameters["weight"]
    shape = around(y.shape, 0)
    slopes = slopes.astype(float) * np.ones(shape[1])  # a shared slope for each channel
    return y, Count(0, _slopes(work.input.reshape(shape), slopes, y.reshape(shape)))


@loop
def _exponential(x: Array, y: Array, positive: float, negative: float, width: float) -> int:
    written = 0
    for i in range(len(x)):
        value = float(x[i])
        y[i] = positive * value if value > 0 else negative * math.expm1(value / width)
        written += 1
    return written


def _exponential_of(work: Work, positive: float, negative: float, width: float) -> Done:
    y = work.empty(work.input.shape)
    return y, Count(0, _exponential(work.input.reshape(-1), y.reshape(-1), positive, negative, width))


def elu(work: Work) -> Done:
    """Negative elements by the exponential function less 1."""
    return _exponential_of(work, 1.0, float(cast("ELU", work.op).alpha), 1.0)


def selu(work: Work) -> Done:
    """As ELU, everything times a factor."""
    op = cast("SELU", work.op)
    return _exponential_of(work, float(op.gamma), op.gamma * op.alpha, 1.0)


def celu(work: Work) -> Done:
    """As ELU, with the slope 1 on both sides of 0."""
    alpha = float(cast("CELU", work.op).alpha)
    return _exponential_of(work, 1.0, alpha, alpha)


@loop
def _clip(x: Array, y: Array, low: float, high: float) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = min(max(x[i], low), high)
        written += 1
    return written


def clip(work: Work) -> Done:
    """No element below the one bound, and then none above the other."""
    op, y = cast("Clip", work.op), work.empty(work.input.shape)
    low, high = -np.inf if op.low is None else op.low, np.inf if op.high is None else op.high
    return y, Count(0, _clip(work.input.reshape(-1), y.reshape(-1), float(low), float(high)))


@loop
def _mish(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        value = float(x[i])
        y[i] = value * math.tanh(max(value, 0.0) + math.log1p(math.exp(-abs(value))))
        written += 1
    return written


@loop
def _softplus(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        value = float(x[i])
        y[i] = max(value, 0.0) + math.log1p(math.exp(-abs(value)))  # log(1 + exp(x)), which would overflow
        written += 1
    return written


@loop
def _softsign(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = x[i] / (1.0 + abs(x[i]))
        written += 1
    return written


@loop
def _exp(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = math.exp(float(x[i]))
        written += 1
    return written


@loop
def _log(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = np.log(float(x[i]))
        written += 1
    return written


@loop
def _sqrt(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = np.sqrt(float(x[i]))
        written += 1
    return written


@loop
def _erf(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = math.erf(float(x[i]))
        written += 1
    return written


@loop
def _abs(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = abs(x[i])
        written += 1
    return written


@loop
def _neg(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = -x[i]
        written += 1
    return written


mish, softplus, softsign, exponential = each(_mish), each(_softplus), each(_softsign), each(_exp)
logarithm, square_root, erf, absolute, negative = each(_log), each(_sqrt), each(_erf), each(_abs), each(_neg)


@loop
def _log_softmax(x: Array, y: Array) -> int:
    written = 0
    before, size, after = x.shape
    for i in range(before):
        for j in range(after):
            largest, total = -np.inf, 0.0
            for k in range(size):
                largest = max(largest, x[i, k, j])
            for k in range(size):
                total += math.exp(x[i, k, j] - largest)
            for k in range(size):
                y[i, k, j] = x[i, k, j] - largest - math.log(total)
                written += 1
    return written


def log_softmax(work: Work) -> Done:
    """The elements along the axis, less the logarithm of the sum of their exponentials."""
    shape = around(work.input.shape, cast("LogSoftmax", work.op).axis)
    y = work.empty(work.input.shape)
    return y, Count(0, _log_softmax(work.input.reshape(shape), y.reshape(shape)))
