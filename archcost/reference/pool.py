"""Pooling: maximum, average, power average, adaptive, global, and LeNet-5's trainable subsampling."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Pair, Sides, adaptive_window, pair, resolve
from archcost.ops import AdaptiveAvgPool2d, AvgPool2d, LpPool2d
from archcost.ops.pool import GlobalPool, Window
from archcost.reference.work import Array, Count, Done, Work, integers, loop, positions


def _windows(work: Work) -> tuple[Array, Pair, Pair, Sides]:
    """Return the output to fill, kernel size, stride and padding."""
    op, x = cast("Window", work.op), work.input
    kernel, stride, padding = op.window
    sides = resolve(padding, x.shape[2:], kernel, stride, (1, 1))
    size = (
        positions(x.shape[2 + axis], kernel[axis], stride[axis], sides[axis], ceil_mode=op.ceil_mode) for axis in (0, 1)
    )
    return work.empty((*x.shape[:2], *size)), kernel, stride, sides


@loop
def _maximum(x: Array, y: Array, kernel: Pair, stride: Pair, start: Pair) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    largest = -np.inf
                    for row in range(kernel[0]):
                        for column in range(kernel[1]):
                            r, c = i * stride[0] + row - start[0], j * stride[1] + column - start[1]
                            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                                largest = max(largest, x[image, channel, r, c])
                    y[image, channel, i, j] = largest
                    written += 1
    return written


def maximum(work: Work) -> Done:
    """The largest element of each window; padding is no element."""
    y, kernel, stride, sides = _windows(work)
    return y, Count(0, _maximum(work.input, y, kernel, stride, (sides[0][0], sides[1][0])))


@loop
def _average(x: Array, y: Array, kernel: Pair, stride: Pair, start: Pair, end: Pair, with_padding: bool) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    total, taps = 0.0, 0
                    for row in range(kernel[0]):
                        for column in range(kernel[1]):
                            r, c = i * stride[0] + row - start[0], j * stride[1] + column - start[1]
                            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                                total += x[image, channel, r, c]
                                taps += 1
                            elif with_padding and r < x.shape[2] + end[0] and c < x.shape[3] + end[1]:
                                taps += 1
                    y[image, channel, i, j] = total / taps
                    written += 1
    return written


def average(work: Work) -> Done:
    """The mean of each window; taps on the padding count as zeros, or not; those that hang over it never count."""
    y, kernel, stride, sides = _windows(work)
    start, end = (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1])
    with_padding = cast("AvgPool2d", work.op).count_include_pad
    return y, Count(0, _average(work.input, y, kernel, stride, start, end, with_padding))


@loop
def _norms(x: Array, y: Array, kernel: Pair, stride: Pair, start: Pair, p: int) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    total = 0.0
                    for row in range(kernel[0]):
                        for column in range(kernel[1]):
                            r, c = i * stride[0] + row - start[0], j * stride[1] + column - start[1]
                            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                                total += abs(float(x[image, channel, r, c])) ** p
                    y[image, channel, i, j] = total ** (1.0 / p)
                    written += 1
    return written


def power_average(work: Work) -> Done:
    """The root of the sum of powers of each window."""
    y, kernel, stride, sides = _windows(work)
    return y, Count(0, _norms(work.input, y, kernel, stride, (sides[0][0], sides[1][0]), cast("LpPool2d", work.op).p))


@loop
def _subsample(x: Array, weight: Array, bias: Array, y: Array, kernel: Pair, stride: Pair, start: Pair) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    total = 0.0
                    for row in range(kernel[0]):
                        for column in range(kernel[1]):
                            r, c = i * stride[0] + row - start[0], j * stride[1] + column - start[1]
                            if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]:
                                total += x[image, channel, r, c]
                    y[image, channel, i, j] = total * weight[channel] + bias[channel]
                    written += 1
    return written


def subsampling(work: Work) -> Done:
    """The sum of each window times the channel's coefficient, plus its bias."""
    y, kernel, stride, sides = _windows(work)
    weight, bias = work.parameters["weight"], work.parameters["bias"]
    return y, Count(0, _subsample(work.input, weight, bias, y, kernel, stride, (sides[0][0], sides[1][0])))


@loop
def _average_between(x: Array, y: Array, rows: Array, columns: Array) -> int:
    written = 0
    images, channels, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for i in range(height):
                for j in range(width):
                    total, taps = 0.0, 0
                    for r in range(rows[i, 0], rows[i, 1]):
                        for c in range(columns[j, 0], columns[j, 1]):
                            total += x[image, channel, r, c]
                            taps += 1
                    y[image, channel, i, j] = total / taps
                    written += 1
    return written


def adaptive_average(work: Work) -> Done:
    """The mean of each of as many windows as the output has elements."""
    x = work.input
    outputs = pair("", cast("AdaptiveAvgPool2d", work.op).output_size)
    y = work.empty((*x.shape[:2], *outputs))
    rows, columns = (
        integers([adaptive_window(index, x.shape[2 + axis], outputs[axis]) for index in range(outputs[axis])])
        for axis in (0, 1)
    )
    return y, Count(0, _average_between(x, y, rows, columns))


def _global(work: Work) -> tuple[Array, Array, Array]:
    """Return the output, and input and output as images: all positions in one row."""
    x = work.input
    kept = [1] * (x.ndim - 2) if cast("GlobalPool", work.op).keep_axes else []
    y = work.empty((*x.shape[:2], *kept))
    return y, x.reshape(*x.shape[:2], 1, -1), y.reshape(*x.shape[:2], 1, 1)


def global_average(work: Work) -> Done:
    """The mean of each channel: one window that holds everything."""
    y, x, output = _global(work)
    return y, Count(0, _average_between(x, output, integers([(0, 1)]), integers([(0, x.shape[3])])))


def global_maximum(work: Work) -> Done:
    """The largest element of each channel: one window that holds everything."""
    y, x, output = _global(work)
    return y, Count(0, _maximum(x, output, (1, x.shape[3]), (1, 1), (0, 0)))
