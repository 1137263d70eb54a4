"""Convolutions and dense layers on tensors whose lanes are samples, forward and backward.

Every sum is a table of taps: byte offsets of an input vector and of the weight that it is multiplied by, which is read
where it lies in the plain array. Groups, strides and dilation are tables too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

from archcost.kernels.field import Field
from archcost.kernels.layers import Layer, convolution_layer
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.panels import Filters
from archcost.kernels.passes import (
    Pass,
    Phase,
    Window,
    backward_passes,
    forward_halo,
    forward_pass,
    phases,
    with_halo,
)
from archcost.kernels.plain_weights import Weights
from archcost.kernels.sample_dense import dense_weight_gradient
from archcost.kernels.sample_filtering import Filtering
from archcost.kernels.sample_filtering_plan import row_tile
from archcost.kernels.sample_gradient import bias_gradient, weight_gradient
from archcost.kernels.sample_steps import Outputs, TapsAt, summed
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision, Target
from archcost.ops import Linear


def layer_of(operation: Operation) -> Layer:
    """Return the layer; a dense layer on a map is a convolution with a kernel of the map's size."""
    channels, height, width = (*operation.input_shapes[0], 1, 1)[:3]
    if isinstance(operation.op, Linear):
        channels, height, width = operation.inputs[0].memory.shape[1], *operation.inputs[0].shape[1:]
        return Layer(Filters(operation.op.out_features, channels, (height, width)), Window((height, width)))
    return convolution_layer(operation.op, operation.input_shapes[0], operation.output_shape)


def forward(operation: Operation, activation: str = "Identity") -> list[Step]:
    """Return the steps of Conv2d and Linear, and of an ``activation`` behind them."""
    (source,), output = operation.inputs, operation.output
    machine, precision, layer = operation.machine, operation.precision, layer_of(operation)
    needed = forward_halo(layer.window, source.shape[1:], output.shape[1:])
    steps, source = with_halo(source, needed, machine, precision)
    one = forward_pass(layer.window, source, output, None)
    weight, bias = operation.parameters["weight"], operation.parameters.get("bias")
    weights = Weights(int(weight.ctypes.data), layer.filters, weight.itemsize)
    if bias is None:
        bias = aligned(layer.filters.outputs, weight.dtype)
    tile = row_tile(layer, (output.shape[1], output.shape[2]))
    if tile is not None:
        return Filtering(layer, tile, operation).forward(bias, activation)
    taps = _table([
        (channel * source.block_step + offset, weights.offset(0, channel, tap))
        for channel in range(weights.inputs)
        for tap, offset in enumerate(one.offsets)
    ])  # fmt: skip
    outputs = [
        Outputs(
            weights.outputs,
            weights.address + weights.offset(first),
            int(bias.ctypes.data) + first * weights.size,
            group * weights.inputs * source.block_step,
            first * output.block_step,
        )
        for group, first in enumerate(range(0, layer.filters.outputs, weights.outputs))
    ]
    keep = (source, output, weight, bias)
    distances = weights.offset(1), output.block_step
    field = one.field.simplified()
    return [
        *steps,
        summed(field, lambda *_: taps, outputs, distances, machine, precision, keep, activation=activation),
    ]


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients of Conv2d and Linear: to the weight, the bias and the input."""
    operation, (target,), output = gradient.forward, gradient.inputs, gradient.output
    machine, precision, layer = operation.machine, operation.precision, layer_of(operation)
    steps: list[Step] = []
    tile = row_tile(layer, (output.shape[1], output.shape[2]))
    if tile is not None:
        return Filtering(layer, tile, operation).backward(gradient)
    bias = gradient.parameters.get("bias")
    if "weight" in gradient.parameters:
        to = gradient.parameters["weight"]
        if isinstance(operation.op, Linear) and to.shape[1] >= output.lanes:
            steps += dense_weight_gradient(operation.inputs[0], output, to, machine, precision)
        else:
            steps += weight_gradient(layer, operation.inputs[0], output, to, bias, machine, precision)
            bias = None
    if bias is not None:
        steps += bias_gradient(output, bias, machine, precision)
    if target is not None:
        weight = operation.parameters["weight"]
        steps += input_gradient(layer, output, target, weight, machine, precision, adds=gradient.adds[0])
    return steps


def input_gradient(
    layer: Layer, source: Blocked, target: Blocked, weight: Array, machine: Target, precision: Precision, *, adds: bool
) -> list[Step]:
    """Return the steps that spread the gradient of the output over that of the input: no tap leads beyond its sides."""
    weights = Weights(int(weight.ctypes.data), layer.filters, weight.itemsize)
    if target.shape[1:] == layer.window.kernel and source.shape[1:] == (1, 1):
        return [_spread_pixel(weights, source, target, machine, precision, weight, adds=adds)]
    steps: list[Step] = []
    window = layer.window
    zeros = aligned(weights.inputs, weight.dtype)
    every_phase = [phases(window, axis, target.shape[1 + axis]) for axis in (0, 1)]
    for one, phase in zip(backward_passes(window, source, target, None), product(*every_phase)):
        taps = _inside(one, phase, source, weights)
        outputs = [
            Outputs(
                weights.inputs,
                weights.address + weights.offset(group * weights.outputs),
                int(zeros.ctypes.data),
                group * weights.outputs * source.block_step,
                group * weights.inputs * target.block_step,
            )
            for group in range(layer.filters.groups)
        ]
        keep = (source, target, weight, zeros)
        distances = weights.offset(0, 1), target.block_step
        steps.append(summed(one.field, taps, outputs, distances, machine, precision, keep, adds=adds))
    return steps


def _inside(one: Pass, both: Sequence[Phase], source: Blocked, weights: Weights) -> TapsAt:
    """Return the taps of a pass that lead from an output to an element of the map ``source``."""
    columns = weights.filters.kernel[1]

    @cache
    def table(rows: frozenset[int], places: frozenset[int]) -> Integers:
        return _table([
            (channel * source.block_step + offset, weights.offset(channel, 0, row * columns + column))
            for channel in range(weights.outputs)
            for (row, column), offset in zip(one.taps, one.offsets)
            if row in rows and column in places
        ])  # fmt: skip

    def taps_at(*position: int) -> Integers:
        return table(
            *(
                frozenset(tap.place for tap in phase.taps if 0 <= place + tap.offset < size)
                for phase, place, size in zip(both, position, source.shape[1:])
            )
        )

    return taps_at


def _spread_pixel(
    weights: Weights,
    source: Blocked,
    target: Blocked,
    machine: Target,
    precision: Precision,
    weight: Array,
    *,
    adds: bool,
) -> Step:
    """Return the step of a dense layer's gradient to its input: each feature is an output."""
    channels, (_, height, width) = weights.filters.inputs, target.shape
    taps = _table([
        (output * source.block_step, weights.offset(output)) for output in range(weights.filters.outputs)
    ])  # fmt: skip
    field = forward_pass(Window((1, 1)), source, source, None).field
    spread = forward_pass(Window((1, 1)), target, target, None).field.target
    field = Field(field.images, 1, 1, field.source, spread).simplified()
    is_line = not any(map(any, target.halo))
    length = channels * height * width if is_line else width
    zeros = aligned(length, weight.dtype)
    outputs = []
    for first in range(0, channels * height * width, length):
        channel, row = divmod(first // width, height)
        place = channel * target.block_step + row * target.row_step
        outputs.append(Outputs(length, weights.address + first * weights.size, int(zeros.ctypes.data), 0, place))
    keep = (source, target, weight, zeros)
    return summed(
        field, lambda *_: taps, outputs, (weights.size, target.pixel_step), machine, precision, keep, adds=adds
    )


def _table(rows: Sequence[tuple[int, int]]) -> Integers:
    """Return a table of pairs, which may be empty."""
    return np.ascontiguousarray(np.array(rows, np.int64).reshape(-1, 2))
