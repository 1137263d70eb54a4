"""Activations: a function of each element, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np

from archcost.ops import GELU, HardSigmoid, ScaledTanh, Softmax
from archcost.reference.work import Array, Count, Done, Work, around, loop


@loop
def _relu(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = max(x[i], 0.0)
        written += 1
    return written


@loop
def _relu6(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = min(max(x[i], 0.0), 6.0)
        written += 1
    return written


@loop
def _sigmoid(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = 1.0 / (1.0 + math.exp(-float(x[i])))
        written += 1
    return written


@loop
def _hard_sigmoid(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = min(max(x[i] + 3.0, 0.0), 6.0) / 6.0
        written += 1
    return written


@loop
def _clipped_line(x: Array, y: Array, slope: float, offset: float) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = min(max(slope * x[i] + offset, 0.0), 1.0)
        written += 1
    return written


@loop
def _silu(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = x[i] / (1.0 + math.exp(-float(x[i])))
        written += 1
    return written


@loop
def _hard_swish(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = x[i] * min(max(x[i] + 3.0, 0.0), 6.0) / 6.0
        written += 1
    return written


@loop
def _gelu(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = x[i] * 0.5 * (1.0 + math.erf(float(x[i]) / math.sqrt(2.0)))
        written += 1
    return written


@loop
def _gelu_by_tanh(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        value = float(x[i])
        inner = math.sqrt(2.0 / math.pi) * (value + 0.044715 * value**3)
        y[i] = value * 0.5 * (1.0 + math.tanh(inner))
        written += 1
    return written


@loop
def _tanh(x: Array, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = math.tanh(float(x[i]))
        written += 1
    return written


@loop
def _scaled_tanh(x: Array, y: Array, amplitude: float, slope: float) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = amplitude * math.tanh(slope * x[i])
        written += 1
    return written


def each(function: Callable[[Array, Array], int]) -> Callable[[Work], Done]:
    """Return how to do an activation whose loop goes over all elements."""

    def elements(work: Work) -> Done:
        y = work.empty(work.input.shape)
        return y, Count(0, function(work.input.reshape(-1), y.reshape(-1)))

    return elements


relu, relu6, sigmoid = each(_relu), each(_relu6), each(_sigmoid)
silu, hard_swish, tanh = each(_silu), each(_hard_swish), each(_tanh)


def hard_sigmoid(work: Work) -> Done:
    """A line between 0 and 1: in MobileNetV3's form, which divides by 6 last, or with a slope and offset of its own."""
    op = cast("HardSigmoid", work.op)
    if op == HardSigmoid():
        return each(_hard_sigmoid)(work)
    y = work.empty(work.input.shape)
    written = _clipped_line(work.input.reshape(-1), y.reshape(-1), float(op.slope), float(op.offset))
    return y, Count(0, written)


def gelu(work: Work) -> Done:
    """Each element times the share of the normal distribution below it, exactly or by tanh."""
    return each(_gelu_by_tanh if cast("GELU", work.op).approximate == "tanh" else _gelu)(work)


def scaled_tanh(work: Work) -> Done:
    """LeNet-5's squashing function."""
    op, y = cast("ScaledTanh", work.op), work.empty(work.input.shape)
    written = _scaled_tanh(work.input.reshape(-1), y.reshape(-1), float(op.amplitude), float(op.slope))
    return y, Count(0, written)


@loop
def _softmax(x: Array, y: Array) -> int:
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
                y[i, k, j] = math.exp(x[i, k, j] - largest) / total
                written += 1
    return written


def softmax(work: Work) -> Done:
    """The exponentials of the elements along the axis, over their sum."""
    shape = around(work.input.shape, cast("Softmax", work.op).axis)
    y = work.empty(work.input.shape)
    return y, Count(0, _softmax(work.input.reshape(shape), y.reshape(shape)))
