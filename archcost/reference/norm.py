"""Normalisation, and factors for each channel."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from archcost.ops import BatchNorm2d, ConstantScale, InstanceNorm, LayerNorm, LocalResponseNorm, Scale
from archcost.reference.work import Array, Count, Done, Work, around, loop


@loop
def _normalize(x: Array, mean: Array, variance: Array, weight: Array, bias: Array, y: Array, eps: float) -> int:
    written = 0
    images, channels, positions = x.shape
    for image in range(images):
        for channel in range(channels):
            deviation = math.sqrt(variance[channel] + eps)
            for i in range(positions):
                normal = (x[image, channel, i] - mean[channel]) / deviation
                y[image, channel, i] = normal * weight[channel] + bias[channel]
                written += 1
    return written


@loop
def _statistics(x: Array, mean: Array, variance: Array) -> int:
    images, channels, positions = x.shape
    for channel in range(channels):
        total, squares = 0.0, 0.0
        for image in range(images):
            for i in range(positions):
                total += x[image, channel, i]
        mean[channel] = total / (images * positions)
        for image in range(images):
            for i in range(positions):
                squares += (x[image, channel, i] - mean[channel]) ** 2
        variance[channel] = squares / (images * positions)
    return images * positions


def batch_norm(work: Work) -> Done:
    """Each channel minus its mean, over its deviation: the running ones, or in training the batch's.

    Training moves the running statistics towards the batch's by ``momentum``; the variance as it is estimated for the
    population, of n - 1 elements (of one element there is none, and it stays 0).
    """
    op, x = cast("BatchNorm2d", work.op), work.input
    around_channels = around(x.shape, 0)
    channels = around_channels[1]
    weight, bias = work.learned("weight", channels, 1), work.learned("bias", channels, 0)
    mean, variance = work.buffers["running_mean"], work.buffers["running_var"]
    if work.training:
        running_mean, running_variance = mean, variance
        mean, variance = mean.astype(float), variance.astype(float)
        elements = _statistics(x.reshape(around_channels), mean, variance)
        population = variance * elements / max(elements - 1, 1)
        running_mean += op.momentum * (mean - running_mean)
        running_variance += op.momentum * (population - running_variance)
        work.buffers["num_batches_tracked"][...] += 1
    y = work.empty(x.shape)
    written = _normalize(
        x.reshape(around_channels), mean, variance, weight, bias, y.reshape(around_channels), float(op.eps)
    )
    return y, Count(0, written)


@loop
def _normalize_axis(x: Array, weight: Array, bias: Array, y: Array, eps: float) -> int:
    written = 0
    before, size, after = x.shape
    for i in range(before):
        for j in range(after):
            total, squares = 0.0, 0.0
            for k in range(size):
                total += x[i, k, j]
            mean = total / size
            for k in range(size):
                squares += (x[i, k, j] - mean) ** 2
            deviation = math.sqrt(squares / size + eps)
            for k in range(size):
                y[i, k, j] = (x[i, k, j] - mean) / deviation * weight[k] + bias[k]
                written += 1
    return written


def layer_norm(work: Work) -> Done:
    """The elements along the axis, or along several at once, minus their mean, over their deviation."""
    op, x = cast("LayerNorm", work.op), work.input
    before, size, after = around(x.shape, op.axis)
    if op.normalized_axes > 1:
        size = int(np.prod(x.shape[-op.normalized_axes :]))
        before = x.size // size
    shape = (before, size, after)
    weight, bias = work.learned("weight", size, 1).reshape(-1), work.learned("bias", size, 0).reshape(-1)
    y = work.empty(x.shape)
    return y, Count(0, _normalize_axis(x.reshape(shape), weight, bias, y.reshape(shape), float(op.eps)))


def instance_norm(work: Work) -> Done:
    """Each channel of each image minus its mean, over its deviation."""
    op, x = cast("InstanceNorm", work.op), work.input
    shape = around(x.shape, 0)
    channels, y, written = shape[1], work.empty(x.shape), 0
    for image, output in zip(x.reshape(shape), y.reshape(shape)):
        mean, variance = np.empty(channels), np.empty(channels)
        _statistics(image[None], mean, variance)
        weight, bias = work.parameters["weight"], work.parameters["bias"]
        written += _normalize(image[None], mean, variance, weight, bias, output[None], float(op.epsilon))
    return y, Count(0, written)


@loop
def _respond(x: Array, y: Array, size: int, alpha: float, beta: float, k: float) -> int:
    written = 0
    images, channels, positions = x.shape
    for image in range(images):
        for channel in range(channels):
            first = channel - size // 2
            for i in range(positions):
                squares = 0.0
                for neighbour in range(max(first, 0), min(first + size, channels)):
                    squares += float(x[image, neighbour, i]) ** 2
                y[image, channel, i] = x[image, channel, i] / (k + alpha / size * squares) ** beta
                written += 1
    return written


def local_response_norm(work: Work) -> Done:
    """Each element over a power of the squares of its neighbours in the channels around."""
    op, x = cast("LocalResponseNorm", work.op), work.input
    shape = around(x.shape, 0)
    y = work.empty(x.shape)
    alpha, beta, k = float(op.alpha), float(op.beta), float(op.k)
    return y, Count(0, _respond(x.reshape(shape), y.reshape(shape), op.size, alpha, beta, k))


@loop
def _scale(x: Array, factors: Array, y: Array) -> int:
    written = 0
    before, size, after = x.shape
    for i in range(before):
        for k in range(size):
            for j in range(after):
                y[i, k, j] = x[i, k, j] * factors[k]
                written += 1
    return written


def scale(work: Work) -> Done:
    """Each element of the axis times its factor."""
    x = work.input
    shape = around(x.shape, cast("Scale", work.op).axis)
    y = work.empty(x.shape)
    return y, Count(0, _scale(x.reshape(shape), work.parameters["weight"], y.reshape(shape)))


@loop
def _multiply(x: Array, factor: float, y: Array) -> int:
    written = 0
    for i in range(len(x)):
        y[i] = x[i] * factor
        written += 1
    return written


def constant_scale(work: Work) -> Done:
    """Each element times the constant."""
    y = work.empty(work.input.shape)
    factor = float(cast("ConstantScale", work.op).factor)
    return y, Count(0, _multiply(work.input.reshape(-1), factor, y.reshape(-1)))
