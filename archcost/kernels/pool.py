"""Pooling: maximum, average, adaptive, global, and LeNet-5's trainable subsampling, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from archcost.geometry import Pair, resolve
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.maximum import maximum_gradient
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.plain import channel_vector, conversion
from archcost.kernels.pointwise import Operand
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target
from archcost.kernels.window import Window, adaptive, covering, sliding
from archcost.kernels.windowed import windowed
from archcost.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, GlobalMaxPool, MaxPool2d, SubsamplingPool2d

Windows = tuple[list[Window], list[Window]]
"""Of the output's rows and columns."""


def windows_of(operation: Operation) -> Windows:
    """Return the windows that an operator's outputs see."""
    op, (source,), output = operation.op, operation.inputs, operation.output
    sizes, outputs = source.shape[1:], output.shape[1:]
    if isinstance(op, AdaptiveAvgPool2d | GlobalAvgPool | GlobalMaxPool):
        rows, columns = (adaptive(size, count) for size, count in zip(sizes, outputs))
        return rows, columns
    op = cast("MaxPool2d | AvgPool2d | SubsamplingPool2d", op)
    kernel, stride, padding = op.window
    padding = resolve(padding, sizes, kernel, stride, (1, 1))
    counts_padding = not isinstance(op, AvgPool2d) or op.count_include_pad
    rows, columns = (
        sliding(sizes[axis], outputs[axis], kernel[axis], stride[axis], padding[axis], counts_padding)
        for axis in (0, 1)
    )
    return rows, columns


def maximum(operation: Operation) -> list[Step]:
    """Return the steps of max pooling."""
    windows = windows_of(operation)
    return [windowed("max", operation.inputs[0], operation.output, windows, operation.machine, operation.precision)]


def maximum_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of max pooling's gradient, which reads the input and the output again."""
    forward, target = gradient.forward, gradient.inputs[0]
    if target is None:
        return []
    is_global = isinstance(forward.op, GlobalMaxPool)
    kernel = (target.shape[1], target.shape[2]) if is_global else cast("MaxPool2d", forward.op).window[0]
    tensors = forward.inputs[0], target, forward.output, gradient.output
    windows = windows_of(forward)
    machine, precision = forward.machine, forward.precision
    adds, rectified = gradient.adds[0], gradient.rectified
    return [maximum_gradient(tensors, windows, kernel, adds, machine, precision, rectified=rectified)]


def average(operation: Operation) -> list[Step]:
    """Return the steps of a mean over windows."""
    windows = windows_of(operation)
    return [windowed("mean", operation.inputs[0], operation.output, windows, operation.machine, operation.precision)]


def average_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a mean's gradient: each input sums, over the windows that hold it, their shares."""
    forward, target = gradient.forward, gradient.inputs[0]
    if target is None:
        return []
    windows = windows_of(forward)
    divisors = [sorted({window.divisor for window in axis}) for axis in windows]
    weights: Array | None = None
    if any(len(axis) > 1 for axis in divisors):
        rows, columns = (np.array([window.divisor for window in axis]) for axis in windows)
        weights = np.ascontiguousarray(1 / np.outer(rows, columns), target.memory.dtype)
    step = windowed(
        "mean" if weights is None else "weighted",
        gradient.output,
        target,
        seen_from_input(windows, target, (divisors[0][0], divisors[1][0])),
        forward.machine,
        forward.precision,
        weights=weights,
        adds=gradient.adds[0],
    )
    return [step]


def seen_from_input(windows: Windows, target: Blocked, divisors: Pair = (1, 1)) -> Windows:
    """Return for each position of a pool's input the outputs whose windows hold it, in units of ``divisors``."""
    rows, columns = (covering(windows[axis], target.shape[1 + axis], divisors[axis]) for axis in (0, 1))
    return rows, columns


def subsampling(operation: Operation) -> list[Step]:
    """Return the steps of LeNet-5's subsampling: window sums times a coefficient plus a bias, of each channel."""
    machine, precision = operation.machine, operation.precision
    packed = {name: channel_vector(operation.parameters[name], operation.output.lanes) for name in ("weight", "bias")}
    steps = [
        conversion("write", packed[name], operation.parameters[name], machine, precision) for name in ("weight", "bias")
    ]
    factor, term = (_per_channel(packed[name]) for name in ("weight", "bias"))
    windows = windows_of(operation)
    summed = windowed(
        "affine", operation.inputs[0], operation.output, windows, machine, precision,
        factor=factor, term=term, keep=tuple(packed.values()),
    )  # fmt: skip
    return [*steps, summed]


def _per_channel(tensor: Blocked) -> Operand:
    return Operand.exact(tensor)._replace(image_step=0, row_step=0, pixel_step=0)


def subsampling_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the subsampling's gradients.

    To the input: the sum of the gradients of the windows that hold it, times the coefficient. To the coefficient: the
    sum of gradient times window sum; to the bias: the sum of the gradient.
    """
    forward, target = gradient.forward, gradient.inputs[0]
    machine, precision = forward.machine, forward.precision
    windows = windows_of(forward)
    steps = []
    if target is not None:
        weight = forward.parameters["weight"]
        packed = channel_vector(weight, target.lanes)
        steps.append(conversion("write", packed, weight, machine, precision))
        step = windowed(
            "product", gradient.output, target, seen_from_input(windows, target), machine, precision,
            factor=_per_channel(packed), adds=gradient.adds[0], keep=(packed,),
        )  # fmt: skip
        steps.append(step)
    if gradient.parameters:
        output = gradient.output
        products = Blocked.make(output.images, output.shape, ((0, 0), (0, 0)), output.lanes, output.memory.dtype)
        factor = Operand.exact(output)
        steps.append(
            windowed("product", forward.inputs[0], products, windows, machine, precision, factor=factor, keep=(output,))
        )
        steps += channel_sums(products, gradient.parameters["weight"], machine, precision)
        steps += channel_sums(output, gradient.parameters["bias"], machine, precision)
    return steps


def channel_sums(tensor: Blocked, sums: Array, machine: Target, precision: Precision) -> list[Step]:
    """Return the steps that set ``sums`` (C,) to the sums of all positions and images of each channel."""
    channels, height, width = tensor.shape
    # The sums of the images lie one below the other, as the rows of a map whose columns are summed next.
    column = Blocked.make(1, (channels, tensor.images, 1), ((0, 0), (0, 0)), tensor.lanes, tensor.memory.dtype)
    of_images = Blocked(
        tensor.images, (channels, 1, 1), ((0, 0), (0, 0)), tensor.lanes, column.memory.transpose(2, 1, 0, 3, 4)
    )
    total = channel_vector(sums, tensor.lanes)

    def summed(source: Blocked, result: Blocked, sizes: Sequence[int]) -> Step:
        rows, columns = ([Window(0, size, 1)] for size in sizes)
        return windowed("mean", source, result, (rows, columns), machine, precision)

    return [
        summed(tensor, of_images, (height, width)),
        summed(column, total, (tensor.images, 1)),
        conversion("read", total, sums, machine, precision),
    ]
