"""Convolution and pooling of volumes."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Pair, Triple, same_padding
from archcost.ops import AvgPool3d, Conv3d
from archcost.ops.conv3d import Pool3d, Window3d
from archcost.reference.work import Array, Count, Done, Work, integers, loop, positions


def _edges(size: tuple[int, ...], window: Window3d) -> list[Pair]:
    """Return the padding before and after each axis."""
    kernel, stride, padding, dilation = window
    if not isinstance(padding, str):
        return list(padding)
    return [same_padding(*axis) for axis in zip(size, kernel, stride, dilation)]


def _sizes(size: tuple[int, ...], window: Window3d, edges: list[Pair], *, ceil_mode: bool = False) -> list[int]:
    """Return how many windows fit on each axis."""
    kernel, stride, _, dilation = window
    extents = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, dilation)]
    return [positions(*axis, ceil_mode=ceil_mode) for axis in zip(size, extents, stride, edges)]


@loop
def _convolve(x: Array, weight: Array, bias: Array, y: Array, stride: Triple, dilation: Triple) -> tuple[int, int]:
    mult_adds, written = 0, 0
    images, filters, depth, height, width = y.shape
    _, channels, slices, rows, columns = weight.shape
    groups = x.shape[1] // channels
    for image in range(images):
        for out in range(filters):
            first = out // (filters // groups) * channels
            for h in range(depth):
                for i in range(height):
                    for j in range(width):
                        total = float(bias[out])
                        for channel in range(channels):
                            for part in range(slices):
                                for row in range(rows):
                                    for column in range(columns):
                                        d = h * stride[0] + part * dilation[0]
                                        r, c = i * stride[1] + row * dilation[1], j * stride[2] + column * dilation[2]
                                        value = float(x[image, first + channel, d, r, c])
                                        total += value * weight[out, channel, part, row, column]
                                        mult_adds += 1
                        y[image, out, h, i, j] = total
                        written += 1
    return mult_adds, written


def convolution(work: Work) -> Done:
    """Each output element sums, over the taps of its filter, weight times input; 0 on the padding."""
    op, x, weight = cast("Conv3d", work.op), work.input, work.parameters["weight"]
    _, stride, _, dilation = op.window
    edges = _edges(x.shape[2:], op.window)
    y = work.empty((len(x), len(weight), *_sizes(x.shape[2:], op.window, edges)))
    padded = np.pad(x, ((0, 0), (0, 0), *edges))
    return y, Count(*_convolve(padded, weight, work.learned("bias", len(weight), 0), y, stride, dilation))


@loop
def _pool(x: Array, y: Array, kernel: Triple, stride: Triple, edges: Array, average: bool, with_padding: bool) -> int:
    written = 0
    images, channels, depth, height, width = y.shape
    for image in range(images):
        for channel in range(channels):
            for h in range(depth):
                for i in range(height):
                    for j in range(width):
                        total, taps, largest = 0.0, 0, -np.inf
                        for part in range(kernel[0]):
                            for row in range(kernel[1]):
                                for column in range(kernel[2]):
                                    d = h * stride[0] + part - edges[0, 0]
                                    r, c = i * stride[1] + row - edges[1, 0], j * stride[2] + column - edges[2, 0]
                                    if 0 <= d < x.shape[2] and 0 <= r < x.shape[3] and 0 <= c < x.shape[4]:
                                        value = x[image, channel, d, r, c]
                                        total += value
                                        largest = max(largest, value)
                                        taps += 1
                                    elif with_padding:
                                        in_padding = d < x.shape[2] + edges[0, 1] and r < x.shape[3] + edges[1, 1]
                                        taps += in_padding and c < x.shape[4] + edges[2, 1]
                        y[image, channel, h, i, j] = total / taps if average else largest
                        written += 1
    return written


def _pooled(work: Work, *, average: bool, with_padding: bool) -> Done:
    op, x = cast("Pool3d", work.op), work.input
    kernel, stride, _, _ = op.window
    edges = _edges(x.shape[2:], op.window)
    y = work.empty((*x.shape[:2], *_sizes(x.shape[2:], op.window, edges, ceil_mode=op.ceil_mode)))
    return y, Count(0, _pool(x, y, kernel, stride, integers(edges), average, with_padding))


def maximum(work: Work) -> Done:
    """The largest element of each window; padding is no element."""
    return _pooled(work, average=False, with_padding=False)


def average(work: Work) -> Done:
    """The mean of each window; taps on the padding count as zeros, or not; those that hang over it never count."""
    return _pooled(work, average=True, with_padding=cast("AvgPool3d", work.op).count_include_pad)
