"""Convolution, transposed convolution, and LeNet-5's partial connections."""

from __future__ import annotations

from typing import cast

import numpy as np

from archcost.geometry import Pair, Sides, pair, resolve
from archcost.ops import Conv2d, ConvTranspose2d, PartialConv2d
from archcost.reference.work import Array, Count, Done, Work, integers, loop, positions


@loop
def _convolve(x: Array, weight: Array, bias: Array, y: Array, stride: Pair, dilation: Pair) -> tuple[int, int]:
    mult_adds, written = 0, 0
    images, filters, height, width = y.shape
    _, depth, rows, columns = weight.shape
    groups = x.shape[1] // depth
    sums = np.empty(width)  # of one row of the output
    for image in range(images):
        for out in range(filters):
            first = out // (filters // groups) * depth
            for i in range(height):
                sums[:] = bias[out]
                for channel in range(depth):
                    for row in range(rows):
                        for column in range(columns):
                            for j in range(width):
                                r, c = i * stride[0] + row * dilation[0], j * stride[1] + column * dilation[1]
                                value = float(x[image, first + channel, r, c])
                                sums[j] += value * weight[out, channel, row, column]
                                mult_adds += 1
                for j in range(width):
                    y[image, out, i, j] = sums[j]
                    written += 1
    return mult_adds, written


def convolution(work: Work) -> Done:
    """Each output element sums, over the taps of its filter, weight times input; 0 on the padding."""
    op, x, weight = cast("Conv2d", work.op), work.input, work.parameters["weight"]
    kernel: Pair = weight.shape[2], weight.shape[3]
    _, stride, padding, dilation = op.window
    sides = resolve(padding, x.shape[2:], kernel, stride, dilation)
    extents = [(kernel[axis] - 1) * dilation[axis] + 1 for axis in (0, 1)]
    height, width = (positions(x.shape[2 + axis], extents[axis], stride[axis], sides[axis]) for axis in (0, 1))
    y = work.empty((x.shape[0], weight.shape[0], height, width))
    bias = work.learned("bias", weight.shape[0], 0)
    return y, Count(*_convolve(with_zeros(x, sides), weight, bias, y, stride, dilation))


def with_zeros(x: Array, sides: Sides) -> Array:
    """Return ``x`` with its padding written out."""
    (top, bottom), (left, right) = sides
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


@loop
def _spread(x: Array, weight: Array, sums: Array, stride: Pair, dilation: Pair) -> int:
    mult_adds = 0
    images, channels, height, width = x.shape
    _, filters, rows, columns = weight.shape
    groups = sums.shape[1] // filters
    for image in range(images):
        for channel in range(channels):
            first = channel // (channels // groups) * filters
            for i in range(height):
                for j in range(width):
                    for out in range(filters):
                        for row in range(rows):
                            for column in range(columns):
                                r = i * stride[0] + row * dilation[0]
                                c = j * stride[1] + column * dilation[1]
                                value = float(x[image, channel, i, j])
                                sums[image, first + out, r, c] += value * weight[channel, out, row, column]
                                mult_adds += 1
    return mult_adds


@loop
def _crop(sums: Array, bias: Array, y: Array, start: Pair) -> int:
    written = 0
    images, filters, height, width = y.shape
    for image in range(images):
        for out in range(filters):
            for i in range(height):
                for j in range(width):
                    y[image, out, i, j] = sums[image, out, i + start[0], j + start[1]] + bias[out]
                    written += 1
    return written


def transposed_convolution(work: Work) -> Done:
    """Each input element is spread over the taps of its filters; the padding is cut off the sums."""
    op, x, weight = cast("ConvTranspose2d", work.op), work.input, work.parameters["weight"]
    kernel: Pair = weight.shape[2], weight.shape[3]
    _, stride, padding, dilation = op.window
    sides, extra = resolve(padding, x.shape[2:], kernel, stride, dilation), pair("", op.output_padding, 0)
    reached = [
        1 + (x.shape[2 + axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + extra[axis]
        for axis in (0, 1)
    ]
    filters = weight.shape[1] * op.groups
    sums = np.zeros((x.shape[0], filters, *reached))
    mult_adds = _spread(x, weight, sums, stride, dilation)
    y = work.empty((x.shape[0], filters, *(reached[axis] - sum(sides[axis]) for axis in (0, 1))))
    return y, Count(mult_adds, _crop(sums, work.learned("bias", filters, 0), y, (sides[0][0], sides[1][0])))


@loop
def _convolve_links(x: Array, weight: Array, bias: Array, y: Array, ends: Array, sources: Array) -> tuple[int, int]:
    mult_adds, written = 0, 0
    images, filters, height, width = y.shape
    _, rows, columns = weight.shape
    for image in range(images):
        first = 0
        for out in range(filters):
            for i in range(height):
                for j in range(width):
                    total = float(bias[out])
                    for link in range(first, ends[out]):
                        for row in range(rows):
                            for column in range(columns):
                                value = float(x[image, sources[link], i + row, j + column])
                                total += value * weight[link, row, column]
                                mult_adds += 1
                    y[image, out, i, j] = total
                    written += 1
            first = ends[out]
    return mult_adds, written


def partial_convolution(work: Work) -> Done:
    """Each output channel sums over the input channels that it is linked to."""
    op, x, weight = cast("PartialConv2d", work.op), work.input, work.parameters["weight"]
    filters = len(op.connections)
    size = (positions(x.shape[2 + axis], weight.shape[1 + axis], 1, (0, 0)) for axis in (0, 1))
    y = work.empty((x.shape[0], filters, *size))
    ends = np.cumsum([len(seen) for seen in op.connections])
    sources = integers([channel for seen in op.connections for channel in seen])
    return y, Count(*_convolve_links(x, weight, work.learned("bias", filters, 0), y, ends, sources))
